"""Report tables that were asked for: odds ratios per increment, joint curves, other curves by AIC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from biocal.report.curves import chance, ratio, table_exposures
from biocal.report.table import ReportTable
from biocal.results.asked_summary import joint_reference_words
from biocal.results.curve_models import aic_cells, aic_failures, aic_note
from biocal.results.fits import Fit
from biocal.results.increments import (
    IncrementOddsRatio,
    curve_words,
    increment_note,
    increment_odds_ratios,
    increment_words,
    increments_of,
)
from biocal.results.odds_ratios import odds_ratio


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
