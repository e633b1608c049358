"""Summaries of fits: what was done, to whom, what came out, what to beware of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from biocal.results.model import ModelInfo, Sample
from biocal.results.text import count, number, p_value, paragraph, percent, table

if TYPE_CHECKING:
    from biocal.results.comparison import Comparison
    from biocal.results.fits import Fit

#: Exposures shown in a summary's table of odds ratios, when many are tabulated.
_SHOWN = 7
#: Heterogeneity test below which a one-stage summary points to two-stage.
_HETEROGENEOUS = 0.10


def fit_summary(fit: Fit) -> str:
    """Summary of one method."""
    return "\n".join(
        [
            f"biocal: {_title(fit.method)}",
            "",
            *_common_lines(fit),
            "",
            *_method_lines(fit),
            *_notes([*fit.info.notes, *fit.notes]),
        ]
    )


def comparison_summary(comparison: Comparison) -> str:
    """Summary of several methods: the common part once, odds ratios side by side, then each method."""
    fits = list(comparison.values())
    lines = [f"biocal: comparison of {', '.join(comparison)}", ""]
    if fits:
        lines += [*_common_lines(fits[0]), "", *_side_by_side(fits)]
        for fit in fits:
            lines += ["", f"{_title(fit.method)}", *_method_lines(fit, curve=False)]
    for method, reason in comparison.failures.items():
        lines += ["", f"{_title(method)}", paragraph(f"FAILED: {reason}")]
    notes = list(fits[0].info.notes) if fits else []
    notes += [f"{fit.method}: {note}" for fit in fits for note in fit.notes]
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


def _common_lines(fit: Fit) -> list[str]:
    """Sample, model and exposure: the same for all methods of a call."""
    info, sample = fit.info, fit.sample
    lines = _sample_lines(sample)
    model = [f"Exposure   {info.labels.exposure_with_unit}"]
    model.append(f"Curve      {fit.basis.describe(info.labels.unit)}")
    if fit.basis.kind == "rcs":
        rule = (
            "the same for all methods" if info.knot_rule == "common" else "each method's own (published rule)"
        )
        model[-1] += f"; {rule}, taken as fixed"
    unit = f" {info.labels.unit}" if info.labels.unit else ""
    if fit.basis.kind != "categories":
        model.append(f"Reference  {number(info.scale.reference, 5)}{unit} ({info.scale.reference_rule})")
    model.append(f"Covariates {info.covariates or 'none'}")
    if info.modifier:
        model.append(f"Modifier   {info.modifier}")
    calibration = ", ".join(info.calibration_names) or "none (the published rule)"
    model.append(f"Calibration covariates: {calibration}; coefficients {info.calibration_coefficients}")
    if info.omitted:
        model.append(f"Omitted, constant within every matched set: {', '.join(info.omitted)}")
    return [*lines, *(paragraph(line, indent=0) for line in model)]


def _sample_lines(sample: Sample) -> list[str]:
    shapes = sorted(sample.set_shapes.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{n:,} of {cases}:{controls}" for (cases, controls), n in shapes[:4])
    more = (
        f", {count(sum(n for _, n in shapes[4:]), 'set')} of {len(shapes) - 4} other shapes"
        if shapes[4:]
        else ""
    )
    lines = [
        f"Studies    {sample.n_studies} ({sample.n_reference_studies} reference, "
        f"{sample.n_studies - sample.n_reference_studies} local)",
        f"Sets       {sample.n_sets:,} ({shown}{more})",
        f"Persons    {count(sample.n_cases, 'case')}, {count(sample.n_controls, 'control')}; "
        f"calibration subset {sample.n_calibrators:,}",
    ]
    lost = {
        "rows without a set (calibration only)": sum(f.calibration_only for f in sample.flow),
        "rows of local studies without a local value": sum(f.without_local for f in sample.flow),
        "rows with a missing covariate": sum(f.missing_covariate for f in sample.flow),
        "sets left without a case": sum(f.sets_without_case for f in sample.flow),
        "sets left without a control": sum(f.sets_without_control for f in sample.flow),
    }
    dropped = [f"{n:,} {what}" for what, n in lost.items() if n]
    lines.append(paragraph("Left out   " + ("; ".join(dropped) or "nothing"), indent=0))
    by_variable: dict[str, int] = {}
    for flow in sample.flow:
        for name, n in flow.missing_by_variable.items():
            by_variable[name] = by_variable.get(name, 0) + n
    by_variable = {name: n for name, n in by_variable.items() if n}
    if by_variable:
        lines.append("           missing: " + ", ".join(f"{name} {n:,}" for name, n in by_variable.items()))
    return lines


def _method_lines(fit: Fit, *, curve: bool = True) -> list[str]:
    lines = [paragraph(f"Standard errors: {fit.variance}", indent=0)]
    header = ("term", "log OR", "SE", "z", "p", f"{_level(fit.info)} CI", "SE uncorrected")
    rows = []
    tidy = fit.tidy()
    for row in tidy.itertuples(index=False):
        rows.append(
            (
                str(row.term),
                number(float(row.estimate)),
                number(float(row.std_error), 3),
                f"{row.statistic:.2f}",
                p_value(float(row.p_value)),
                f"{number(float(row.conf_low), 3)} to {number(float(row.conf_high), 3)}",
                number(float(row.std_error_uncorrected), 3),
            )
        )
    lines += ["", table(header, rows), ""]
    tests = [
        f"{test.test}: chi2 = {number(test.statistic)}, df = {test.df}, p = {p_value(test.p_value)}"
        for test in fit.tests()
    ]
    lines += ["Tests (Wald)", *(f"  {line}" for line in tests)]
    if np.isfinite(fit.loglik):
        lines.append(f"Log-likelihood {fit.loglik:.4f} (all coefficients 0: {fit.loglik_null:.4f})")
    if curve:
        lines += ["", *_side_by_side([fit])]
    return lines


def _side_by_side(fits: Sequence[Fit]) -> list[str]:
    """Odds ratios of all methods at some exposures, one block a level of the modifier."""
    blocks = []
    for level in zip(*(fit.dose_responses() for fit in fits), strict=True):
        first = level[0]
        kept = (
            _shown(first.exposure, first.reference)
            if first.categories is None
            else range(first.exposure.size)
        )
        unit = f" {first.labels.unit}" if first.labels.unit else ""
        name = first.categories[int(first.reference)] if first.categories else number(first.reference, 5)
        title = f"Odds ratio against {name}{unit} ({_level(fits[0].info)} CI)"
        rows = []
        for k in kept:
            cells = [first.categories[k] if first.categories else number(float(first.exposure[k]), 4)]
            for response in level:
                cells.append(_interval(response.log_or[k], response.half_width[k]))
            shares = [np.nansum(r.shares[k]) if r.shares.shape[1] else np.nan for r in level]
            cells += [
                percent(float(s)) if np.isfinite(s) and r.std_error[k] > 0 else ""
                for s, r in zip(shares, level, strict=True)
            ][-1:]
            rows.append(tuple(cells))
        header = (first.labels.exposure, *(r.method for r in level), "due to calibration")
        blocks += [title + (f", {first.modifier}" if first.modifier else ""), table(header, rows)]
    blocks.append(f"  due to calibration: share of the variance of {fits[-1].method}'s log OR")
    return blocks


def _shown(exposure: np.ndarray, reference: float) -> list[int]:
    """Positions of some exposures spread over the grid, the reference among them."""
    if exposure.size <= 12:
        return list(range(exposure.size))
    places = np.linspace(0, exposure.size - 1, _SHOWN).round().astype(int)
    at_reference = np.flatnonzero(exposure == reference)
    return sorted({*places.tolist(), *at_reference[:1].tolist()})


def _interval(log_or: float, half: float) -> str:
    if half == 0:
        return "1 (reference)"
    low, mid, high = np.exp([log_or - half, log_or, log_or + half])
    return f"{mid:.2f} ({low:.2f} to {high:.2f})"


def _level(info: ModelInfo) -> str:
    return f"{100 * info.level:g} %"


def _notes(notes: Sequence[str]) -> list[str]:
    if not notes:
        return []
    return ["", "Take note", *(paragraph(note, bullet="- ") for note in dict.fromkeys(notes))]
