"""The quality gate of a calibration: what was looked at in each study, and a light with its reasons in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.method_comparison import Agreement, ComparisonLine
from biocal.results.text import number, percent

FloatArray = NDArray[np.float64]
Light = Literal["green", "amber", "red"]

#: Pairs: real projects take 29 or 30 a study (Gail et al. 2016); below 10 one pair decides the line and the
#: normal approximation of the intervals is poor (our choice).
AMBER_PAIRS, RED_PAIRS = 20, 10
#: R2: at .7 full calibration of a curve was off by up to .04 in log OR at its ends where induced was not
#: (METHODS section 7); below .5 the local assay tells less than half of what the reference assay sees.
AMBER_R_SQUARED, RED_R_SQUARED = 0.7, 0.5
#: Share of local values beyond the calibrators, where the line was not seen.  n pairs drawn at random leave
#: 2 / (n + 1) outside, 6.5 % at 30, so that 10 % is more than chance (our choice).
AMBER_OUTSIDE, RED_OUTSIDE = 0.10, 0.20
#: p-values of tests on the residuals: with a dozen studies .05 would cry wolf in every other pool (our choice).
SIGN = 0.01
#: A pair that moves the slope by more than its standard error decides it by itself (our choice; DFBETAS over 1).
MOVES_SLOPE = 1.0
#: Cook's distance above which a pair moves the whole line far (Cook and Weisberg 1982), and leverage above which
#: it holds more of the line than all others together (Huber, Robust Statistics, 1981, section 7.2).
LARGE_COOK, LARGE_LEVERAGE = 1.0, 0.5
#: Median reference over local value beyond which units are doubted, 25(OH)D in ng/mL being 2.5 (our choice).
UNIT_RATIO = 1.5
#: A slope less than this many standard errors above 0 is no calibration (our choice).
SLOPE_ERRORS = 3.0

WHY_LEAST_SQUARES = (
    "Least squares is right here although both laboratories err: the calibration must predict the reference value "
    "of somebody with a given local value, E[X | W], and its slope is rightly flatter than Deming's or Passing and "
    "Bablok's, which relate the laboratories' error-free values and would put the calibrated values too far from "
    "the mean."
)


@dataclass(frozen=True, slots=True)
class InfluentialPair:
    """A pair that decides its study's line: by slope, Cook's distance or leverage.

    Attributes
    ----------
    place : str
        File and line, or row of the data frame.
    local, reference : float
    change : float
        Slope with the pair minus slope without, in standard errors of the slope.
    leverage : float
        Of the pair among the study's pairs, 0 to 1.
    cook : float
        Cook's distance.
    slope_without : float
        Slope of the study's own line without the pair.
    """

    place: str
    local: float
    reference: float
    change: float
    leverage: float
    cook: float
    slope_without: float


@dataclass(frozen=True, slots=True)
class BatchLine:
    """The line of one batch of a study."""

    batch: str
    pairs: int
    intercept: float
    slope: float
    se_slope: float


@dataclass(frozen=True, slots=True, eq=False)
class StudyQuality:
    """What the quality gate looked at in one local study.

    Attributes
    ----------
    study : str
    pairs : int
    r_squared, residual_sd : float
        As in the calibration table.
    sd_by_third : tuple of float
        Residual SD in the lowest, middle and highest third of the pairs' local values.
    p_unequal, p_curved : float
        Koenker's (Breusch and Pagan's studentised) test of a residual variance that grows or falls with the
        local value; F test of a squared term.  NaN with fewer than 10 pairs; p_curved also for a spline.
    outside : float
        Share of the study's local values beyond the pairs.
    slope, se_slope : float
    largest_change : float
        Largest move of the slope by one pair, in its standard errors.
    influential : tuple of InfluentialPair
        Those that move the slope by more than its standard error, have a Cook's distance above 1 or a leverage
        above .5; by their move of the slope, largest first.
    agreement : Agreement
        Bland and Altman, reference minus local.
    deming, passing_bablok : ComparisonLine
    unit_ratio : float
        Median of reference over local values.
    batches : tuple of BatchLine
        Where a batch column was named; batches with 5 pairs or more.
    p_batch : float
        F test of one line against a line a batch.
    local, reference, residuals : ndarray, shape (pairs,)
        For the figures.
    largest_leverage, largest_cook : float
        Over the pairs.
    huber_slope : float
        Slope of Huber's M-estimate of the study's own line; NaN where it does not settle.
    exact : bool
        Residuals are rounding: the reference values are calculated from the local ones, or all the same.
    below : int
        Pairs with a reference value below its detection limit.
    codes : tuple of float
        Values among the pairs that look like codes for missing, such as 999.
    """

    study: str
    pairs: int
    r_squared: float
    residual_sd: float
    sd_by_third: tuple[float, float, float]
    p_unequal: float
    p_curved: float
    outside: float
    slope: float
    se_slope: float
    largest_change: float
    influential: tuple[InfluentialPair, ...]
    agreement: Agreement
    deming: ComparisonLine
    passing_bablok: ComparisonLine
    unit_ratio: float
    batches: tuple[BatchLine, ...]
    p_batch: float
    local: FloatArray
    reference: FloatArray
    residuals: FloatArray
    largest_leverage: float = 0.0
    largest_cook: float = 0.0
    huber_slope: float = float("nan")
    exact: bool = False
    below: int = 0
    codes: tuple[float, ...] = ()

    @property
    def light(self) -> Light:
        """The worst of the reasons' lights."""
        lights = {light for light, _ in self.reasons()}
        return "red" if "red" in lights else "amber" if "amber" in lights else "green"

    def reasons(self, *, places: bool = True) -> tuple[tuple[Light, str], ...]:
        """Why the light is not green: each reason with its own light.

        Parameters
        ----------
        places : bool, default True
            Name influential pairs by file and line, and the range of the pairs: values of single persons.
        """
        found = (
            self._of_pairs(),
            self._of_codes(places),
            self._of_slope(),
            self._of_r_squared(),
            self._of_range(places),
            self._of_curvature(),
            self._of_variance(),
            self._of_influence(places),
            self._of_batches(),
            self._of_unit(),
        )
        return tuple(reason for reason in found if reason is not None)

    def _of_pairs(self) -> tuple[Light, str] | None:
        if self.pairs < RED_PAIRS:
            return (
                "red",
                f"{self.pairs} pairs: one of them can decide the line; at least {AMBER_PAIRS} are wanted. Calibration "
                "variance hc3 widens the intervals, but does not take away the bias that an uncertain slope brings",
            )
        if self.pairs < AMBER_PAIRS:
            return (
                "amber",
                f"{self.pairs} pairs: an uncertain line; calibration variance hc3 or the bootstrap widens the "
                "intervals, and neither takes away the bias that an uncertain slope brings",
            )
        return None

    def _of_codes(self, places: bool) -> tuple[Light, str] | None:
        if not self.codes:
            return None
        shown = f" ({', '.join(f'{code:g}' for code in self.codes)})" if places else ""
        return "amber", (
            f"pairs hold values that look like codes for missing{shown}: the line takes them as measurements; leave "
            "such cells blank"
        )

    def _of_slope(self) -> tuple[Light, str] | None:
        if np.ptp(self.reference) == 0:
            return "red", "all pairs have the same reference value: the local value predicts nothing"
        if self.exact:
            return "amber", (
                "the reference values lie on an exact line of the local ones: were they measured, or calculated?"
            )
        if self.slope <= 0:
            return "red", "the slope is not positive: are local and reference columns what they should be?"
        if self.slope < SLOPE_ERRORS * self.se_slope:
            return "red", (
                f"the slope is only {self.slope / self.se_slope:.1f} standard errors above 0: the local value hardly "
                "predicts the reference value"
            )
        return None

    def _of_r_squared(self) -> tuple[Light, str] | None:
        if self.r_squared < RED_R_SQUARED:
            return "red", (
                f"R2 {self.r_squared:.2f}: the local assay tells less than half of what the reference assay sees; "
                "its persons add little, and full calibration flattens the ends of a bent curve (prefer induced)"
            )
        if self.r_squared < AMBER_R_SQUARED:
            return "amber", (
                f"R2 {self.r_squared:.2f}: a noisy assay; full calibration flattens the ends of a bent curve, so show "
                "induced beside it"
            )
        return None

    def _of_range(self, places: bool) -> tuple[Light, str] | None:
        if not self.outside > AMBER_OUTSIDE:
            return None
        light: Light = "red" if self.outside > RED_OUTSIDE else "amber"
        low, high = float(self.local.min()), float(self.local.max())
        where = f" {number(low, 3)} to {number(high, 3)}" if places else ""
        return light, (
            f"{percent(self.outside)} of the local values lie outside the pairs' range{where}: the line is "
            "extrapolated there"
        )

    def _of_curvature(self) -> tuple[Light, str] | None:
        if not self.p_curved < SIGN:
            return None
        return "amber", (
            f"curvature (p = {self.p_curved:.2g}): look at the residuals, and compare with the calibration form rcs or "
            "log-log"
        )

    def _of_variance(self) -> tuple[Light, str] | None:
        if not self.p_unequal < SIGN:
            return None
        low, _, high = self.sd_by_third
        return "amber", (
            f"residual SD {number(low, 3)} at low and {number(high, 3)} at high local values "
            f"(p = {self.p_unequal:.2g}): unequal variance alone would bias neither line nor standard error, but an "
            "error in proportion to the value also bends E(X | W), and a test of curvature in some tens of pairs "
            "seldom sees it; compare with the form log-log. Induced takes one SD a study"
        )

    def _of_influence(self, places: bool) -> tuple[Light, str] | None:
        if not self.influential:
            return None
        by_slope = [one for one in self.influential if abs(one.change) > MOVES_SLOPE]
        others = [one for one in self.influential if abs(one.change) <= MOVES_SLOPE]
        parts = []
        if by_slope:
            n = len(by_slope)
            subject = (
                ("this pair moves" if n == 1 else "these pairs each move")
                if places
                else ("one pair moves" if n == 1 else f"{n} pairs each move")
            )
            parts.append(f"{subject} the slope by more than its standard error{_pairs_at(by_slope, places)}")
        if others:
            n = len(others)
            subject = (
                ("this pair alone decides" if n == 1 else "these pairs each decide")
                if places
                else ("one pair alone decides" if n == 1 else f"{n} pairs each decide")
            )
            parts.append(f"{subject} much of the line{_pairs_at(others, places)}")
        advice = f"; {self._huber_advice()}" if places else ""
        return "amber", f"{'; '.join(parts)}{advice}"

    def _huber_advice(self) -> str:
        """What the robust alternative says, and what it cannot say."""
        if not math.isfinite(self.huber_slope):
            return "check the specimen"
        said = f"slope {number(self.slope, 3)}, by Huber's estimator {number(self.huber_slope, 3)}"
        if max(one.leverage for one in self.influential) > LARGE_LEVERAGE:
            return (
                f"check the specimen ({said}: it guards against outlying reference values, not against outlying local "
                "ones)"
            )
        return f"check the specimen, and compare with the calibration estimator huber ({said})"

    def _of_batches(self) -> tuple[Light, str] | None:
        if not self.p_batch < SIGN:
            return None
        slopes = ", ".join(f"{one.batch} {number(one.slope, 3)}" for one in self.batches)
        return "amber", (
            f"batches differ (p = {self.p_batch:.2g}; slopes {slopes}): add the batch to the calibration covariates"
        )

    def _of_unit(self) -> tuple[Light, str] | None:
        ratio = self.unit_ratio
        if not (ratio > UNIT_RATIO or 0 < ratio < 1 / UNIT_RATIO):
            return None
        return "amber", (
            f"reference values are {ratio:.2g} times the local ones: an assay that reads "
            f"{'low' if ratio > 1 else 'high'}, or another unit? The calibration takes care of "
            "either, naive of neither (--scale-local for units)"
        )


def _pairs_at(pairs: Sequence[InfluentialPair], places: bool) -> str:
    """Where some pairs are and what they do, after a colon; nothing where single persons are not to be named."""
    if not places:
        return ""
    said = "; ".join(
        f"{one.place} (local {number(one.local, 4)}, reference {number(one.reference, 4)}, {one.change:+.1f} SE, "
        f"slope without it {number(one.slope_without, 3)}, leverage {one.leverage:.2f}, Cook's distance "
        f"{number(one.cook, 2)})"
        for one in pairs
    )
    return f": {said}"
