"""Odds ratios per increment of the exposure: per 25 nmol/L, per standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.kernels.contrasts import interval_quantile, two_sided_t
from biocal.kernels.meta.rubin import RubinPooled
from biocal.results.fit.compared_exposures import modifier_multipliers
from biocal.results.text import exact, number, odds_ratio, p_value, paragraph, table

if TYPE_CHECKING:
    import pandas as pd

    from biocal.results.fit.fit import Fit

FloatArray = NDArray[np.float64]

LINEAR = "linear"
AROUND = "curve around the reference"


@dataclass(frozen=True, slots=True, eq=False)
class LinearTrend:
    """The linear fit of the same method to the same persons.

    Attributes
    ----------
    estimates : ndarray, shape (1 + km,)
        Log odds ratio per unit, and its products with the modifier's columns.
    vcov : ndarray, shape (1 + km, 1 + km)
    loglik : float
        NaN for two-stage.
    n_terms : int
        Coefficients of the model, covariates included.
    imputation : RubinPooled or None
        After multiple imputation: what the estimates are pooled from.
    """

    estimates: FloatArray
    vcov: FloatArray
    loglik: float
    n_terms: int
    imputation: RubinPooled | None = None


@dataclass(frozen=True, slots=True)
class Increment:
    """A step of the exposure.

    Attributes
    ----------
    size : float
        In the unit of the exposure.
    in_sd : float or None
        The same in standard deviations, when it was asked for so.
    """

    size: float
    in_sd: float | None = None


@dataclass(frozen=True, slots=True)
class IncrementOddsRatio:
    """What one step of the exposure does.

    Attributes
    ----------
    method, modifier : str
        The modifier with its level, "" without.
    increment : Increment
    curve : str
        `LINEAR`: from the linear fit, the same wherever the step is taken.  `AROUND`: contrast of the
        fitted curve between half a step below and half a step above the reference exposure.
    low, high : float
        Exposures compared (NaN for the linear fit).
    log_or, std_error : float
    level : float
    df : float
        Of the interval and the p-value: infinite, normal; finite after multiple imputation.
    """

    method: str
    modifier: str
    increment: Increment
    curve: str
    low: float
    high: float
    log_or: float
    std_error: float
    level: float
    df: float = float("inf")

    @property
    def limits(self) -> tuple[float, float]:
        """Confidence limits of the log odds ratio."""
        half = float(interval_quantile(self.level, np.asarray(self.df))) * self.std_error
        return self.log_or - half, self.log_or + half

    @property
    def p_value(self) -> float:
        """Two-sided Wald."""
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = np.asarray(np.divide(self.log_or, self.std_error))
        return float(two_sided_t(statistic, np.asarray(self.df)))


def require_increments(per: float | Sequence[float] | None) -> tuple[float, ...]:
    """The steps asked for; OptionError unless they are positive numbers."""
    if per is None:
        return ()
    steps = tuple(float(step) for step in (per if isinstance(per, Sequence) else [per]))
    for step in steps:
        if not (np.isfinite(step) and step > 0):
            raise OptionError(
                f"an odds ratio is per a positive number of units of the exposure, not per {step:g}", per=step
            )
    return tuple(dict.fromkeys(steps))


def exposure_sd(fit: Fit) -> float:
    """Standard deviation of full calibration's exposure between the controls of the fit.

    Studies are taken together; the calibrated exposure varies less than the reference measurement does
    (by the root of the calibration's R squared), and a step of one SD is a smaller one.
    """
    scale = fit.info.scale
    return float(np.std(scale.control_exposure, ddof=1)) if scale.control_sd is None else scale.control_sd


def increments_of(fit: Fit, per: Sequence[float], *, per_sd: bool) -> tuple[Increment, ...]:
    """Steps in units, then one standard deviation if asked."""
    steps = tuple(Increment(step) for step in per)
    return (*steps, Increment(exposure_sd(fit), 1.0)) if per_sd else steps


def increment_odds_ratios(fit: Fit, increments: Sequence[Increment]) -> list[IncrementOddsRatio]:
    """Odds ratios of steps, for each level of the modifier: of the curve (a spline's), and of the linear fit.

    Parameters
    ----------
    fit : Fit
    increments : sequence of Increment
    """
    levels = fit.info.modifier_levels
    labels: tuple[str | None, ...] = (None,) if levels is None else levels.labels
    found = []
    for step in increments:
        for wanted in labels:
            vector, label = modifier_multipliers(fit.info, fit.exposure_positions.shape[0] - 1, wanted)
            multipliers = np.asarray(vector)
            if fit.basis.kind == "rcs":
                found.append(_around_reference(fit, step, multipliers, label))
            if fit.linear is not None:
                log_or = step.size * float(multipliers @ fit.linear.estimates)
                variance = float(multipliers @ fit.linear.vcov @ multipliers)
                error = step.size * float(np.sqrt(variance))
                nowhere, df = float("nan"), _df_of(fit.linear.imputation, multipliers)
                found.append(
                    IncrementOddsRatio(
                        fit.method, label, step, LINEAR, nowhere, nowhere, log_or, error, fit.info.level, df
                    )
                )
    return found


def _around_reference(fit: Fit, step: Increment, multipliers: FloatArray, label: str) -> IncrementOddsRatio:
    middle = fit.info.scale.reference
    ends = np.array([middle - step.size / 2, middle + step.size / 2])
    columns = fit.basis.columns(ends)
    contrast = np.zeros(len(fit.terms))
    for row, multiplier in zip(fit.exposure_positions, multipliers, strict=True):
        contrast[row] = multiplier * (columns[:, 1] - columns[:, 0])
    error = float(np.sqrt(contrast @ fit.vcov @ contrast))
    log_or = float(contrast @ fit.estimates)
    low, high = (float(end) for end in ends)
    df = _df_of(fit.imputation, contrast)
    return IncrementOddsRatio(fit.method, label, step, AROUND, low, high, log_or, error, fit.info.level, df)


def _df_of(imputation: RubinPooled | None, contrast: FloatArray) -> float:
    return float("inf") if imputation is None else float(imputation.df(contrast[:, None])[0])


def increment_table(rows: Sequence[IncrementOddsRatio]) -> pd.DataFrame:
    """One row a step, level and curve.

    Returns
    -------
    DataFrame
        method, (modifier,) increment, sds, curve, exposure_from, exposure_to, log_or, std_error, or,
        or_low, or_high, p_value; `sds` is blank for steps asked for in units.
    """
    import pandas as pd

    limits = odds_ratio(np.array([row.limits for row in rows])).reshape(-1, 2)
    ratios = odds_ratio(np.array([row.log_or for row in rows]))
    frame = pd.DataFrame(
        {
            "method": [row.method for row in rows],
            "modifier": [row.modifier for row in rows],
            "increment": [row.increment.size for row in rows],
            "sds": [np.nan if row.increment.in_sd is None else row.increment.in_sd for row in rows],
            "curve": [row.curve for row in rows],
            "exposure_from": [row.low for row in rows],
            "exposure_to": [row.high for row in rows],
            "log_or": [row.log_or for row in rows],
            "std_error": [row.std_error for row in rows],
            "or": ratios,
            "or_low": limits[:, 0],
            "or_high": limits[:, 1],
            "p_value": [row.p_value for row in rows],
        }
    )
    return frame if any(row.modifier for row in rows) else frame.drop(columns="modifier")


def increment_words(fit: Fit, step: Increment) -> str:
    """Such as "25 nmol/L" or "1 SD (20.3 nmol/L)"."""
    unit = f" {fit.info.labels.unit}" if fit.info.labels.unit else " units"
    if step.in_sd is None:
        return f"{exact(step.size)}{unit}"
    return f"{exact(step.in_sd)} SD ({number(step.size)}{unit})"


def curve_words(row: IncrementOddsRatio) -> str:
    """How the odds ratio was had, for tables: "linear fit" or "curve, 37.5 to 62.5"."""
    return "linear fit" if row.curve == LINEAR else f"curve, {number(row.low)} to {number(row.high)}"


def increment_note(fit: Fit) -> str:
    """What the table's odds ratios are, in a sentence or two."""
    parts = []
    if fit.basis.kind == "rcs":
        parts.append(
            "curve: contrast of the spline from half a step below the reference exposure to half a step above it; "
            "elsewhere on the curve a step of the same size has another odds ratio"
        )
    if fit.basis.kind != LINEAR:
        parts.append("linear fit: exposure as a straight line, same persons and covariates")
    if fit.info.asked.per_sd:
        parts.append(
            "SD: of full calibration's exposure between the controls of the fit, all studies together, taken as known"
        )
    text = ". ".join(part[:1].upper() + part[1:] for part in parts)
    return f"{text}." if text else ""


def increment_lines(fits: Sequence[Fit]) -> list[str]:
    """Text table for summaries; nothing unless steps were asked for."""
    asked = fits[0].info.asked
    if not (asked.per or asked.per_sd):
        return []
    rows = []
    for fit in fits:
        for row in increment_odds_ratios(fit, increments_of(fit, asked.per, per_sd=asked.per_sd)):
            low, high = row.limits
            ratio = f"{odds_ratio(row.log_or):.3f}"
            ratio += (
                f" ({odds_ratio(low):.3f} to {odds_ratio(high):.3f})" if np.isfinite(row.std_error) else ""
            )
            step = increment_words(fit, row.increment)
            where = (row.modifier,) if fit.info.modifier_levels else ()
            rows.append((fit.method, step, *where, curve_words(row), ratio, p_value(row.p_value)))
    level = f"{100 * fits[0].info.level:g} % CI"
    middle = ("level",) if fits[0].info.modifier_levels else ()
    header = ("method", "per", *middle, "from", f"odds ratio ({level})", "p")
    note = increment_note(fits[0])
    return [
        "Odds ratio per increment of the exposure",
        table(header, rows, left=3 + len(middle)),
        *([paragraph(note)] if note else []),
        "",
    ]
