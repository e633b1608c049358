"""What a bootstrap found: replicates, their intervals, and every replicate that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.kernels.contrasts import normal_quantile
from biocal.results.fit.curve import ResponseAxis
from biocal.results.labels import Labels
from biocal.results.text import paragraph

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Share of failed replicates above which the intervals are called doubtful (our choice).
_DOUBTFUL = 0.05
#: Replicates wanted beyond a percentile limit for it to be more than an extreme (our choice).
_BEYOND_LIMIT = 5


@dataclass(frozen=True, slots=True)
class FailedReplicate:
    """A replicate without an estimate.

    Attributes
    ----------
    replicate : int
        Its number, from 0.
    error : str
        Type of the error.
    message : str
    """

    replicate: int
    error: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """Standard errors and confidence limits from replicates, arrays of one shape.

    Attributes
    ----------
    std_error : ndarray
        Standard deviation over the replicates.
    percentile_low, percentile_high : ndarray
        Type-7 quantiles of the replicates.
    normal_low, normal_high : ndarray
        The data's estimate plus or minus the normal quantile times `std_error`.
    """

    std_error: FloatArray
    percentile_low: FloatArray
    percentile_high: FloatArray
    normal_low: FloatArray
    normal_high: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Bootstrap:
    """Bootstrap replicates of one method, with the estimates they surround.

    Attributes
    ----------
    method : str
    terms : tuple of str, length p
    estimates : ndarray, shape (p,)
    coefficients : ndarray, shape (n, p)
        One row a replicate that did not fail.
    axis : ResponseAxis
        Exposures of the curve (m) and the reference: the same in every replicate.
    modifiers : tuple of str
        Modifier and level of each curve; ("",) without.
    curve : ndarray, shape (n_levels, m)
        Log odds ratios of the data.
    curves : ndarray, shape (n, n_levels, m)
        Log odds ratios of the replicates.
    replicates : ndarray of int, shape (n,)
        Numbers of the replicates that did not fail, from 0.
    failures : tuple of FailedReplicate
    seed : int
        Replicate b is drawn by ``SeedSequence(seed, spawn_key=(b,))``, whatever the number of jobs.
    resampling : str
        How units were redrawn, in words.
    knots_redrawn : bool
        Knots were quantiles and are placed anew in each replicate: coefficients of different replicates
        then belong to different columns, while log odds ratios at given exposures compare.
    n_omitted : int
        Replicates whose calibration lost covariate columns that the data's has.
    n_fewer_studies : int
        Two-stage: replicates that left out a study which the data's fit holds.
    n_alone : int
        Units alone in their stratum, drawn in every replicate.
    level : float
        Confidence level.
    labels : Labels
    """

    method: str
    terms: tuple[str, ...]
    estimates: FloatArray
    coefficients: FloatArray
    axis: ResponseAxis
    modifiers: tuple[str, ...]
    curve: FloatArray
    curves: FloatArray
    replicates: IntArray
    failures: tuple[FailedReplicate, ...]
    seed: int
    resampling: str
    knots_redrawn: bool
    n_omitted: int
    n_fewer_studies: int
    n_alone: int
    level: float
    labels: Labels

    @property
    def n(self) -> int:
        """Replicates that did not fail."""
        return int(self.coefficients.shape[0])

    @property
    def n_failed(self) -> int:
        """Replicates that failed."""
        return len(self.failures)

    @property
    def std_errors(self) -> FloatArray:
        """Standard deviations of the coefficients over the replicates, shape (p,)."""
        return self.coefficient_limits().std_error

    def cov_params(self) -> pd.DataFrame:
        """Covariance of the coefficients over the replicates."""
        import pandas as pd

        centred = self.coefficients - self.coefficients.mean(axis=0)
        covariance = centred.T @ centred / (self.n - 1) if self.n > 1 else centred.T @ centred * np.nan
        return pd.DataFrame(covariance, index=list(self.terms), columns=list(self.terms))

    def as_record(self) -> dict[str, Any]:
        """How it was drawn and what failed, for fit.json."""
        return {
            "replicates": self.n + self.n_failed,
            "failed": self.n_failed,
            "seed": self.seed,
            "resampling": self.resampling,
            "knots_redrawn": self.knots_redrawn,
            "failures": [asdict(failure) for failure in self.failures],
        }

    def tidy(self, *, level: float | None = None) -> pd.DataFrame:
        """Standard errors and limits of the coefficients, then of the log odds ratios.

        Parameters
        ----------
        level : float, optional
            Confidence level; default the fit's.

        Returns
        -------
        DataFrame
            method, term, (modifier,) exposure, std_error, percentile_low, percentile_high, normal_low,
            normal_high, n, failed.  Rows of coefficients have a term and no exposure, rows of the curve an
            exposure and no term.  Normal limits are the estimate from the data plus or minus the normal
            quantile times the replicates' standard deviation.
        """
        import pandas as pd

        chosen = self._level(level)
        n_terms, m = len(self.terms), self.axis.exposure.size
        exposure: list[Any] = [float("nan")] * n_terms
        shown: list[Any] = self.axis.exposure.tolist()
        if self.axis.categories is not None:
            exposure, shown = [""] * n_terms, list(self.axis.categories)
        frame: dict[str, Any] = {
            "method": self.method,
            "term": [*self.terms, *[""] * (m * len(self.modifiers))],
        }
        if self.modifiers != ("",):
            frame["modifier"] = [*[""] * n_terms, *(name for name in self.modifiers for _ in range(m))]
        frame["exposure"] = [*exposure, *shown * len(self.modifiers)]
        coefficients, curves = self.coefficient_limits(chosen), self.curve_limits(chosen)
        for name in ("std_error", "percentile_low", "percentile_high", "normal_low", "normal_high"):
            frame[name] = np.append(getattr(coefficients, name), getattr(curves, name).ravel())
        frame |= {
            "n": self.n,
            "failed": self.n_failed,
        }
        return pd.DataFrame(frame)

    def coefficient_limits(self, level: float | None = None) -> Limits:
        """Limits of the coefficients, arrays of shape (p,)."""
        return _limits(self.estimates, self.coefficients, self._level(level))

    def curve_limits(self, level: float | None = None) -> Limits:
        """Limits of the log odds ratios, arrays of shape (n_levels, m); 0 at the reference."""
        return _limits(self.curve, self.curves, self._level(level))

    def common_notes(self) -> tuple[str, ...]:
        """What a reader should know of the bootstrap of every method of the call."""
        notes = []
        total = self.n + self.n_failed
        wanted = int(np.ceil(round(_BEYOND_LIMIT / ((1.0 - self.level) / 2.0), 6)))
        if total < wanted:
            notes.append(
                f"{total:,} bootstrap replicates are few for percentile limits at {100 * self.level:g} %: use "
                f"{max(wanted, 1000):,} or more"
            )
        if self.knots_redrawn:
            notes.append(
                "knots are quantiles and were redrawn in each bootstrap replicate: bootstrap intervals of single "
                "spline coefficients mix different columns; compare those of the curve"
            )
        if self.n_alone:
            notes.append(
                f"{self.n_alone:,} {'unit is' if self.n_alone == 1 else 'units are'} alone in a bootstrap stratum "
                "and so in every replicate"
            )
        return tuple(notes)

    def notes(self) -> tuple[str, ...]:
        """What a reader should know of this method's bootstrap."""
        notes = []
        total = self.n + self.n_failed
        if self.n_failed:
            share = f"{self.n_failed:,} of {total:,} bootstrap replicates failed ({_reasons(self.failures)})"
            if self.n_failed > _DOUBTFUL * total:
                share += (
                    ": MORE THAN 5 %, so that the bootstrap intervals describe only the samples that could be "
                    "fitted; simplify the model, or do not use them"
                )
            else:
                share += "; the intervals leave them out"
            notes.append(share)
        if self.n_omitted:
            notes.append(
                f"in {self.n_omitted:,} of {total:,} bootstrap replicates the redrawn calibrators lacked a level of "
                "a calibration covariate, whose coefficient was then left out"
            )
        if self.n_fewer_studies:
            notes.append(
                f"in {self.n_fewer_studies:,} of {total:,} bootstrap replicates a study could not be fitted to its "
                "redrawn sets and was left out"
            )
        if self.method == "two-stage":
            notes.append(
                "the bootstrap redraws sets within the studies that there are: its intervals leave out the "
                "variation between studies, which the two-stage standard errors carry"
            )
        return tuple(notes)

    def summary(self) -> str:
        """How the replicates were drawn, and their intervals: text for a person."""
        from biocal.results.fit.bootstrap_summary import bootstrap_lines

        notes = [paragraph(note, bullet="- ") for note in (*self.notes(), *self.common_notes())]
        return "\n".join(
            [f"biocal: bootstrap of {self.method}", "", *bootstrap_lines(self), "", *notes]
        ).rstrip()

    def _level(self, level: float | None) -> float:
        chosen = self.level if level is None else level
        if not 0.0 < chosen < 1.0:
            raise OptionError(f"a confidence level lies between 0 and 1, not {chosen}", level=chosen)
        return chosen


def _limits(estimate: FloatArray, draws: FloatArray, level: float) -> Limits:
    """Limits from replicates along the first axis; NaN where there are too few of them."""
    if draws.shape[0] < 2:
        unknown = np.full(estimate.shape, np.nan)
        return Limits(unknown, unknown, unknown, unknown, unknown)
    error = draws.std(axis=0, ddof=1)
    half = normal_quantile(level) * error
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0)
    return Limits(error, low, high, estimate - half, estimate + half)


def _reasons(failures: Sequence[FailedReplicate]) -> str:
    """Failures by type of error, the first message of each as an example."""
    kinds = Counter(failure.error for failure in failures)
    first = {failure.error: failure.message for failure in reversed(failures)}
    return "; ".join(f"{n:,} {kind}, as in: {first[kind]}" for kind, n in kinds.most_common())
