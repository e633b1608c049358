"""Summaries of fits: what was done, to whom, what came out, what to beware of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from biocal.results.fit.asked.summary import aic_line, asked_lines
from biocal.results.fit.bootstrap_summary import bootstrap_lines
from biocal.results.fit.sample_text import sample_lines, study_lines
from biocal.results.groups.text import leave_one_out_lines, subgroup_lines
from biocal.results.model import ModelInfo
from biocal.results.text import (
    WIDTH,
    exact,
    labelled,
    number,
    odds_ratio,
    p_value,
    paragraph,
    percent,
    table,
    terms_of_columns,
)

if TYPE_CHECKING:
    from biocal.results.fit.comparison import Comparison
    from biocal.results.fit.curve import DoseResponse
    from biocal.results.fit.fit import Fit

#: Exposures shown in a summary's table of odds ratios, when many are tabulated.
_SHOWN = 7
#: Room that a method's odds ratio with its interval takes in a table, and the column before them.
_INTERVAL_WIDTH, _FIRST_WIDTH = 22, 12


def fit_summary(fit: Fit) -> str:
    """Summary of one method."""
    return "\n".join(
        [
            f"biocal: {_title(fit.method)}",
            "",
            *_warning_lines(fit.warnings),
            *_common_lines(fit),
            "",
            *_method_lines(fit),
            "",
            *_curve_lines([fit]),
            *asked_lines([fit]),
            *_season_lines(fit),
            *_part_lines(fit),
            *study_lines(fit.sample),
            *_notes([*fit.info.notes, *fit.notes]),
        ]
    )


def comparison_summary(comparison: Comparison) -> str:
    """Summary of several methods: the common part once, odds ratios side by side, then each method."""
    fits = list(comparison.values())
    lines = [f"biocal: comparison of {', '.join([*comparison, *comparison.failures])}", ""]
    lines += _warning_lines(warnings_of(fits))
    if fits:
        lines += [*_common_lines(fits[0]), "", *_curve_lines(fits), *asked_lines(fits)]
    for method, reason in comparison.failures.items():
        lines += ["", f"{_title(method)}", paragraph(f"FAILED: {reason}")]
    for fit in fits:
        lines += ["", _title(fit.method), *_method_lines(fit), *_part_lines(fit)]
    if fits:
        lines += [*_season_lines(fits[0]), *study_lines(fits[0].sample)]
    notes = list(fits[0].info.notes) if fits else []
    notes += [_said_by(fit.method, note) for fit in fits for note in fit.notes]
    return "\n".join([*lines, *_notes(notes)])


_TITLES = {
    "naive": "naive (local values taken as if on the reference scale)",
    "internalized": "internalized calibration",
    "full": "full calibration",
    "induced": "induced relative risk",
    "two-stage": "two-stage (full calibration within each study, then meta-analysis)",
}


def _title(method: str) -> str:
    return _TITLES.get(method, method)


def _said_by(method: str, note: str) -> str:
    return note if note.startswith(method) else f"{method}: {note}"


def _common_lines(fit: Fit) -> list[str]:
    """Sample, model and exposure: the same for all methods of a call."""
    info = fit.info
    curve = fit.basis.describe(info.labels.unit)
    if fit.basis.kind == "rcs":
        same = info.knot_rule == "common"
        curve += f"; {'the same for all methods' if same else 'each method its own (published rule)'}, "
        curve += "taken as fixed"
    facts = {"Outcome": info.labels.outcome, "Exposure": info.labels.exposure_with_unit, "Curve": curve}
    if fit.basis.kind != "categories":
        unit = f" {info.labels.unit}" if info.labels.unit else ""
        facts["Reference"] = f"{exact(info.scale.reference)}{unit} ({info.scale.reference_rule})"
    facts["Restricted"] = f"to {info.where}" if info.where else ""
    facts["Season"] = info.season.words() if info.season else ""
    facts["Covariates"] = info.covariates or "none"
    facts["Modifier"] = info.modifier
    facts["Omitted"] = ", ".join(info.omitted)
    if info.omitted:
        facts["Omitted"] += " (constant within every matched set)"
    facts["Calibration"] = _calibration_words(fit)
    lines = [labelled(name, text) for name, text in facts.items() if text]
    return [*sample_lines(fit.sample), *lines, *_factor_lines(info)]


def _factor_lines(info: ModelInfo) -> list[str]:
    """How each factor is coded, once where all formulas code it alike."""
    formulas: dict[str, list[str]] = {}
    for one in info.factors:
        formulas.setdefault(one.words(), []).append(one.formula)
    several = len({one.factor for one in info.factors}) < len(formulas)
    return [
        labelled("" if k else "Factors", f"{words} ({', '.join(names)})" if several else words)
        for k, (words, names) in enumerate(formulas.items())
    ]


def _season_lines(fit: Fit) -> list[str]:
    return ["", *fit.info.season.summary_lines()] if fit.info.season else []


def _calibration_words(fit: Fit) -> str:
    """Which covariates the calibration has, as the terms of formulas."""
    info = fit.info
    if not fit.local_names:
        return "none needed: every study was measured at the reference laboratory"
    if info.calibration_names:
        text = terms_of_columns(info.calibration_names)
        return f"on the local value and {text}; coefficients {_coefficients_words(info)}"
    if info.calibration_covariates == "none":
        return "on the local value alone (the published rule)"
    return "on the local value alone: there are no covariates, and no matching factors were given"


def _coefficients_words(info: ModelInfo) -> str:
    common = info.calibration_coefficients == "common"
    return "common to the studies" if common else "by study"


def _method_lines(fit: Fit) -> list[str]:
    """Coefficients, tests and likelihood of one method."""
    lines = [paragraph(f"Standard errors: {fit.variance}", indent=0)]
    if fit.effective_sets is not None:
        lines.append(paragraph(f"Sets by information: {fit.effective_sets.words()}", indent=0))
    lines += ["", _coefficient_table(fit), ""]
    tests = [(test.test, number(test.statistic), str(test.df), p_value(test.p_value)) for test in fit.tests()]
    lines.append(table(("Wald test", "chi-square", "df", "p"), tests))
    if np.isfinite(fit.loglik):
        lines += ["", f"Log-likelihood {fit.loglik:.4f} (all coefficients 0: {fit.loglik_null:.4f})"]
        lines += aic_line(fit)
    if fit.studies is not None:
        lines += ["", *fit.studies.summary_lines()]
    if fit.bootstrap is not None:
        lines += ["", *bootstrap_lines(fit.bootstrap, fit.std_errors)]
    return lines


def _part_lines(fit: Fit) -> list[str]:
    """Subgroups, and what is left without each study."""
    lines = ["", *subgroup_lines(fit.subgroups)] if fit.subgroups else []
    return [*lines, "", *leave_one_out_lines(fit.left_out)] if fit.left_out is not None else lines


def _coefficient_table(fit: Fit) -> str:
    header = ("term", "log OR", "SE", "z", "p", f"{_level(fit.info)} CI", "SE uncorrected")
    tidy = fit.tidy()
    columns = (
        "estimate",
        "std_error",
        "statistic",
        "p_value",
        "conf_low",
        "conf_high",
        "std_error_uncorrected",
    )
    values = tidy.loc[:, list(columns)].to_numpy(dtype=float).tolist()
    rows = [
        (
            term,
            number(estimate),
            number(error, 3),
            _two_decimals(statistic),
            p_value(p),
            f"{number(low, 3)} to {number(high, 3)}" if np.isfinite(error) else "",
            number(uncorrected, 3),
        )
        for term, (estimate, error, statistic, p, low, high, uncorrected) in zip(
            fit.terms, values, strict=True
        )
    ]
    return table(header, rows)


def _two_decimals(value: float) -> str:
    if np.isnan(value):
        return ""
    return f"{value:.2f}" if abs(value) < 1e4 else number(value, 3)


def _curve_lines(fits: Sequence[Fit]) -> list[str]:
    """Odds ratios of all methods at some exposures, a block a level of the modifier; then the shares."""
    lines: list[str] = []
    for level in zip(*(fit.dose_responses() for fit in fits), strict=True):
        first = level[0]
        anchor = first.categories[int(first.reference)] if first.categories else exact(first.reference)
        unit = f" {first.labels.unit}" if first.labels.unit else ""
        at_level = f", {first.modifier}" if first.modifier else ""
        lines.append(f"Odds ratio against {anchor}{unit} ({_level(fits[0].info)} CI){at_level}")
        at_once = max(1, (WIDTH - _FIRST_WIDTH) // _INTERVAL_WIDTH)
        for start in range(0, len(level), at_once):
            lines += [_odds_ratio_table(level[start : start + at_once]), ""]
    return [*lines, *_share_lines(fits)] if _calibrated(fits) else lines[:-1]


def _odds_ratio_table(responses: Sequence[DoseResponse]) -> str:
    first = responses[0]
    header = (first.labels.exposure, *(response.method for response in responses))
    rows = [
        (_exposure_cell(first, k), *(_interval(r.log_or[k], r.half_width[k]) for r in responses))
        for k in _shown(first)
    ]
    return table(header, rows)


def _calibrated(fits: Sequence[Fit]) -> list[Fit]:
    """Fits whose variance has a part due to calibration."""
    return [
        fit for fit in fits if fit.calibration_parts.shape[0] and np.any(np.nan_to_num(fit.calibration_parts))
    ]


def _share_lines(fits: Sequence[Fit]) -> list[str]:
    """Share of the variance of the log OR that is due to calibration, all studies together."""
    some = _calibrated(fits)
    lines = [paragraph("Share of the variance of the log OR that is due to the calibrations", indent=0)]
    levels = list(zip(*(fit.dose_responses() for fit in some), strict=True))
    header = (levels[0][0].labels.exposure, *(fit.method for fit in some))
    for level in levels:
        first = level[0]
        if first.modifier:
            lines.append(f"  {first.modifier}")
        rows = [
            (_exposure_cell(first, k), *(percent(float(np.sum(r.shares[k]))) for r in level))
            for k in _shown(first)
            if first.std_error[k] > 0
        ]
        lines.append(table(header, rows))
    return lines


def _exposure_cell(response: DoseResponse, k: int) -> str:
    return response.categories[k] if response.categories else number(float(response.exposure[k]))


def _shown(response: DoseResponse) -> list[int]:
    """Positions of some exposures spread over the grid, the reference among them; all categories."""
    exposure = response.exposure
    if response.categories is not None or exposure.size <= 12:
        return list(range(exposure.size))
    places = np.linspace(0, exposure.size - 1, _SHOWN).round().astype(int)
    at_reference = np.flatnonzero(exposure == response.reference)
    return sorted({*places.tolist(), *at_reference[:1].tolist()})


def _interval(log_or: float, half: float) -> str:
    if half == 0 or (np.isnan(half) and log_or == 0):
        return "1 (reference)"
    low, middle, high = odds_ratio([log_or - half, log_or, log_or + half])
    if np.isnan(half):
        return _ratio(middle)
    return f"{_ratio(middle)} ({_ratio(low)} to {_ratio(high)})"


def _ratio(value: float) -> str:
    """Two decimals as usual for odds ratios; more for small ones, so that none reads 0.00."""
    if np.isnan(value):
        return ""
    return f"{value:.2f}" if 0.1 <= value < 1e4 else number(float(value), 2)


def _level(info: ModelInfo) -> str:
    return f"{100 * info.level:g} %"


def warnings_of(fits: Sequence[Fit]) -> list[str]:
    """Warnings of several fits, each once, with the methods that it concerns."""
    methods: dict[str, list[str]] = {}
    for fit in fits:
        for warning in fit.warnings:
            methods.setdefault(warning, []).append(fit.method)
    return [f"{', '.join(names)}: {warning}" for warning, names in methods.items()]


def _warning_lines(warnings: Sequence[str]) -> list[str]:
    """What must be read before the numbers."""
    lines = [paragraph(warning, bullet="! ") for warning in dict.fromkeys(warnings)]
    return ["Warning", *lines, ""] if lines else []


def _notes(notes: Sequence[str]) -> list[str]:
    if not notes:
        return []
    return ["", "Take note", *(paragraph(note, bullet="- ") for note in dict.fromkeys(notes))]
