"""Dose-response tables of a report: odds ratios, tests, methods side by side, the calibrations' share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.report.page import ReportTable
from biocal.results.fit.asked.curve_models import aic_cells, aic_failures, aic_note
from biocal.results.fit.asked.increments import (
    IncrementOddsRatio,
    curve_words,
    increment_note,
    increment_odds_ratios,
    increment_words,
    increments_of,
)
from biocal.results.fit.asked.summary import joint_reference_words
from biocal.results.fit.curve import DoseResponse
from biocal.results.fit.fit import Fit
from biocal.results.text import exact, number, odds_ratio, percent

FloatArray = NDArray[np.float64]

#: Exposures of a table when the grid is fine: about so many, round numbers.
_ROUND_EXPOSURES = 10
_MOST_ASKED = 12
#: Percentiles of the controls' exposure that sentences and the comparison of methods speak of.
SPOKEN = (0.10, 0.90)
#: The method that sentences follow: the first of these that was fitted.
_PREFERENCE = ("full", "induced", "two-stage", "internalized", "naive")

TEST_NAMES: Mapping[str, str] = {
    "overall": "Association (all exposure terms)",
    "nonlinearity": "Nonlinearity (departure from a straight line)",
    "trend": "Linear trend (linear fit)",
    "interaction": "Effect modification (all products)",
    "slope_heterogeneity": "Heterogeneity between studies: linear slope",
    "heterogeneity": "Heterogeneity between studies: whole curve",
    "basis": "One knot more",
}


def leading_fit(fits: Mapping[str, Fit]) -> Fit:
    """The fit that the sentences of a report speak of."""
    return next(fits[name] for name in (*_PREFERENCE, *fits) if name in fits)


def table_exposures(fit: Fit) -> FloatArray:
    """Exposures of the odds ratio table, the reference among them: those asked for, or round numbers."""
    scale = fit.info.scale
    if scale.grid.size <= _MOST_ASKED:
        return np.unique(np.append(scale.grid, scale.reference))
    step = _round_step((scale.high - scale.low) / (_ROUND_EXPOSURES - 1))
    first = math.ceil(scale.low / step)
    values = [step * k for k in range(first, math.floor(scale.high / step) + 1)]
    return np.unique(np.round(np.append(values, scale.reference), 10))


def _round_step(step: float) -> float:
    if not step > 0:
        return 1.0
    magnitude = 10.0 ** math.floor(math.log10(step))
    return next(k * magnitude for k in (1.0, 2.0, 2.5, 5.0, 10.0) if k * magnitude >= 0.8 * step)


@dataclass(frozen=True, slots=True)
class SpokenContrast:
    """Exposures that the sentences compare with the reference.

    Attributes
    ----------
    labels : tuple of str
        Such as "31.4 nmol/L (10th percentile of the controls)".
    short : tuple of str
        For column heads.
    columns : tuple of int or None
        For categories: their positions.
    at : ndarray or None
        Exposures, for other terms.
    reference : str
    """

    labels: tuple[str, ...]
    short: tuple[str, ...]
    columns: tuple[int, ...] | None
    at: FloatArray | None
    reference: str


def spoken_contrast(fit: Fit) -> SpokenContrast:
    """The lowest and the highest category, or the 10th and 90th percentile of the controls."""
    unit = f" {fit.info.labels.unit}" if fit.info.labels.unit else ""
    response = fit.dose_response()
    if response.categories is not None:
        anchor = int(response.reference)
        places = tuple(dict.fromkeys(k for k in (0, len(response.categories) - 1) if k != anchor))
        names = tuple(response.categories[k] for k in places)
        return SpokenContrast(names, names, places, None, response.categories[anchor] + unit)
    at = np.quantile(fit.info.scale.control_exposure, SPOKEN)
    short = tuple(f"{number(float(x), 3)}{unit}" for x in at)
    percentiles = ("10th", "90th")
    labels = tuple(f"{s} ({p} percentile of the controls)" for s, p in zip(short, percentiles, strict=True))
    return SpokenContrast(labels, short, None, at, f"{exact(fit.info.scale.reference)}{unit}")


def spoken_ratios(fit: Fit, contrast: SpokenContrast) -> list[tuple[str, list[str]]]:
    """For each level of the modifier (one without): its name, and the odds ratios with intervals."""
    found = []
    for response in fit.dose_responses(contrast.at):
        places = range(response.log_or.size) if contrast.columns is None else contrast.columns
        found.append((response.modifier, [interval(response, k) for k in places]))
    return found


def odds_ratio_tables(fits: Sequence[Fit]) -> list[ReportTable]:
    """Odds ratios of all methods, a table a level of the modifier."""
    at = table_exposures(fits[0])
    tables = []
    for level in zip(*(fit.dose_responses(at) for fit in fits), strict=True):
        first = level[0]
        unit = f" {first.labels.unit}" if first.labels.unit else ""
        anchor = first.categories[int(first.reference)] if first.categories else exact(first.reference)
        caption = f"Odds ratio against {anchor}{unit} ({100 * first.level:g} % interval)"
        caption += f", {first.modifier}" if first.modifier else ""
        rows = [
            (_exposure(first, k), *(interval(response, k) for response in level))
            for k in range(first.log_or.size)
        ]
        tables.append(
            ReportTable(caption, (first.labels.exposure_with_unit, *(fit.method for fit in fits)), rows)
        )
    return tables


def table_of_tests(fits: Sequence[Fit]) -> ReportTable:
    """Wald tests: a row a test, a column a method."""
    found = {fit.method: {test.test: test for test in fit.tests()} for fit in fits}
    rows = []
    for name in dict.fromkeys(name for tests in found.values() for name in tests):
        some = [tests[name] for tests in found.values() if name in tests]
        freedom = ", ".join(dict.fromkeys(f"{test.df:g}" for test in some))
        cells = [
            f"{number(tests[name].statistic, 3)}, {chance(tests[name].p_value)}" if name in tests else ""
            for tests in found.values()
        ]
        rows.append((TEST_NAMES.get(name, name), freedom, *cells))
    note = "Chi-square and p of Wald tests from the whole covariance matrix."
    if any("heterogeneity" in tests for tests in found.values()):
        note += " Heterogeneity: Cochran's multivariate Q over the studies."
    return ReportTable("Tests", ("Test", "df", *found), rows, note=note)


def chance(p: float) -> str:
    """A p-value for sentences, "p = 0.012" or "p < 0.001", which is not broken over lines."""
    if math.isnan(p):
        return ""
    return "p\u00a0<\u00a00.001" if p < 0.001 else f"p\u00a0=\u00a0{p:.3f}"


def comparison_table(fits: Sequence[Fit], contrast: SpokenContrast) -> ReportTable:
    """The methods side by side at two exposures, with what the calibrations add to the error."""
    header = ["Method"]
    for short in contrast.short:
        header += [f"OR at {short}", "SE of log OR", "Due to calibration"]
    rows = []
    for fit in fits:
        for response in fit.dose_responses(contrast.at):
            places = range(response.log_or.size) if contrast.columns is None else contrast.columns
            cells = [f"{fit.method}, {response.modifier}" if response.modifier else fit.method]
            for k in places:
                cells += [interval(response, k), number(float(response.std_error[k]), 2), _share(response, k)]
            rows.append(tuple(cells))
    note = (
        f"Against {contrast.reference}. Due to calibration: share of the variance of the log OR, all studies."
    )
    return ReportTable("Methods side by side", header, rows, note=note)


def share_tables(fits: Sequence[Fit]) -> list[ReportTable]:
    """Share of Var(log OR) that the calibrations add: by method, and by study for the leading one."""
    calibrated = [fit for fit in fits if fit.calibration_parts.shape[0] and np.any(fit.calibration_parts)]
    if not calibrated:
        return []
    at = table_exposures(fits[0])
    tables = []
    for level in zip(*(fit.dose_responses(at) for fit in calibrated), strict=True):
        first = level[0]
        head = (first.labels.exposure_with_unit, *(fit.method for fit in calibrated))
        rows = [(_exposure(first, k), *(_share(r, k) for r in level)) for k in _off_reference(first)]
        caption = "Share of the variance of the log OR that is due to the calibrations"
        tables.append(ReportTable(_at_level(caption, first), head, rows))
    leading = leading_fit({fit.method: fit for fit in calibrated})
    for response in leading.dose_responses(at):
        places = _off_reference(response)
        rows = [
            (name, *(percent(float(response.shares[k, s])) for k in places))
            for s, name in enumerate(response.local_names)
        ]
        foot = ("All studies", *(_share(response, k) for k in places))
        head = ("Study", *(f"at {_exposure(response, k)}" for k in places))
        caption = f"The same by study, method {leading.method}"
        note = "Cross terms with the outcome scores are apart, so that shares need not add to 100 %."
        tables.append(ReportTable(_at_level(caption, response), head, rows, foot=foot, note=note))
    return tables


def interval(response: DoseResponse, k: int) -> str:
    """An odds ratio with its interval, as the tables show it."""
    half = float(response.half_width[k])
    if half == 0:
        return "1 (reference)"
    log_or = float(response.log_or[k])
    with np.errstate(over="ignore"):
        low, middle, high = (ratio(float(odds_ratio(v))) for v in (log_or - half, log_or, log_or + half))
    return middle if math.isnan(half) else f"{middle} ({low} to {high})"


def ratio(value: float) -> str:
    """Two decimals, more for small odds ratios."""
    if math.isnan(value):
        return ""
    return f"{value:.2f}" if 0.1 <= value < 1e4 else number(value, 2)


def _share(response: DoseResponse, k: int) -> str:
    if response.std_error[k] == 0 or response.shares.shape[1] == 0:
        return "none"
    total = float(np.sum(response.shares[k]))
    return "none" if total == 0 else percent(total)


def _off_reference(response: DoseResponse) -> list[int]:
    return [k for k in range(response.log_or.size) if response.std_error[k] > 0]


def _exposure(response: DoseResponse, k: int) -> str:
    return response.categories[k] if response.categories else exact(float(response.exposure[k]), 5)


def _at_level(caption: str, response: DoseResponse) -> str:
    return f"{caption}, {response.modifier}" if response.modifier else caption


def asked_tables(fits: Sequence[Fit]) -> list[ReportTable]:
    """Tables beyond the usual ones, those that were asked for."""
    return [*_increments(fits), *_joint(fits), *_curves(fits)]


def _increments(fits: Sequence[Fit]) -> list[ReportTable]:
    asked = fits[0].info.asked
    if not (asked.per or asked.per_sd):
        return []
    modified = fits[0].info.modifier_levels is not None
    rows = []
    for fit in fits:
        for row in increment_odds_ratios(fit, increments_of(fit, asked.per, per_sd=asked.per_sd)):
            level = (row.modifier,) if modified else ()
            step = increment_words(fit, row.increment)
            rows.append((fit.method, step, *level, curve_words(row), _interval(row), chance(row.p_value)))
    header = ("Method", "Per", *(("Level",) if modified else ()), "From", "Odds ratio", "p")
    caption = f"Odds ratio per increment of the exposure ({100 * fits[0].info.level:g} % interval)"
    return [ReportTable(caption, header, rows, left=4 if modified else 3, note=increment_note(fits[0]))]


def _interval(row: IncrementOddsRatio) -> str:
    with np.errstate(over="ignore"):
        low, middle, high = (ratio(float(v)) for v in odds_ratio([row.limits[0], row.log_or, row.limits[1]]))
    return f"{middle} ({low} to {high})" if np.isfinite(row.std_error) else middle


def _joint(fits: Sequence[Fit]) -> list[ReportTable]:
    asked = fits[0].info.asked.joint
    if asked is None:
        return []
    at = table_exposures(fits[0])
    tables = []
    for fit in fits:
        curves = fit.joint_responses(asked, at)
        first = curves[0]
        rows = []
        for k in range(first.log_or.size):
            name = first.categories[k] if first.categories else f"{first.exposure[k]:.5g}"
            rows.append((name, *(_joint_cell(one.log_or[k], one.half_width[k]) for one in curves)))
        caption = f"Joint odds ratios against {joint_reference_words(fit)}, method {fit.method}"
        header = (first.labels.exposure_with_unit, *(one.modifier for one in curves))
        tables.append(ReportTable(caption, header, rows))
    return tables


def _joint_cell(log_or: float, half: float) -> str:
    if half == 0:
        return "1 (reference)"
    with np.errstate(over="ignore"):
        low, middle, high = (ratio(float(v)) for v in odds_ratio([log_or - half, log_or, log_or + half]))
    return middle if np.isnan(half) else f"{middle} ({low} to {high})"


def _curves(fits: Sequence[Fit]) -> list[ReportTable]:
    if not any(fit.curve_models for fit in fits):
        return []
    (first, *others), rows = aic_cells(fits)
    note = " ".join([*(f"Not fitted: {why}." for why in aic_failures(fits)), aic_note(fits)])
    header = (first.capitalize(), *(name.capitalize() if name == "coefficients" else name for name in others))
    return [
        ReportTable("AIC of other curves, and what each lies above the smallest", header, rows, note=note)
    ]
