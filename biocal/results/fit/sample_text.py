"""Who is in an analysis, in words: totals, and a table of what became of each study."""

from __future__ import annotations

from biocal.results.model import Sample
from biocal.results.text import count, labelled, table


def sample_lines(sample: Sample) -> list[str]:
    """Studies, sets, persons, calibration subset and what was left out, over all studies."""
    shapes = sorted(sample.set_shapes.items(), key=lambda item: -item[1])
    shown = [f"{n:,} of {cases}:{controls}" for (cases, controls), n in shapes[:4]]
    if shapes[4:]:
        shown.append(f"{sum(n for _, n in shapes[4:]):,} of {len(shapes) - 4} other shapes")
    n_local = sample.n_studies - sample.n_reference_studies
    facts = {
        "Studies": f"{sample.n_studies} ({sample.n_reference_studies} reference, {n_local} local)",
        "Sets": f"{sample.n_sets:,} ({', '.join(shown)}; cases:controls)" if shown else f"{sample.n_sets:,}",
        "Persons": f"{count(sample.n_cases, 'case')}, {count(sample.n_controls, 'control')}",
        "Calibrated": f"{count(sample.n_calibrators, 'person')} measured in both laboratories"
        if n_local
        else "",
        "Left out": _left_out(sample),
    }
    return [labelled(name, text) for name, text in facts.items() if text]


def study_lines(sample: Sample) -> list[str]:
    """What each study brought, and what became of it; nothing for a single study, told above."""
    if len(sample.flow) < 2:
        return []
    dropped: dict[str, int] = {}
    for one in sample.dropped_sets:
        dropped[one.study] = dropped.get(one.study, 0) + 1
    columns = {
        "rows": [one.rows_read for one in sample.flow],
        "no set": [one.calibration_only for one in sample.flow],
        "not selected": [one.not_selected for one in sample.flow],
        "no local": [one.without_local for one in sample.flow],
        "no covariate": [one.missing_covariate for one in sample.flow],
        "sets dropped": [dropped.get(one.study, 0) for one in sample.flow],
        "sets used": [one.sets for one in sample.flow],
        "cases": [one.cases for one in sample.flow],
        "controls": [one.controls for one in sample.flow],
        "pairs read": [one.calibration_pairs for one in sample.flow],
    }
    # a column of losses that nobody had is left out
    shown = {name: n for name, n in columns.items() if any(n) or name in ("sets used", "cases", "controls")}
    cells = zip(*([f"{n:,}" if n else "" for n in column] for column in shown.values()), strict=True)
    rows = [(one.study, *row) for one, row in zip(sample.flow, cells, strict=True)]
    return ["", "Studies: what was read, left out and used", table(("study", *shown), rows)]


def _left_out(sample: Sample) -> str:
    if sample.sums is not None and sample.sums.uncounted:
        return "not counted: some sites do not tell, a count being below their minimum (take note)"
    return "; ".join(_losses(sample)) or "nothing"


def _losses(sample: Sample) -> list[str]:
    """What was left out, and why."""
    flow = sample.flow
    missing: dict[str, int] = {}
    for one in flow:
        for name, n in one.missing_by_variable.items():
            missing[name] = missing.get(name, 0) + n
    by_variable = ", ".join(f"{name} {n:,}" for name, n in missing.items() if n)
    lost = {
        "without a set (calibration only)": sum(one.calibration_only for one in flow),
        "not selected": sum(one.not_selected for one in flow),
        "of local studies without a local value": sum(one.without_local for one in flow),
        f"with a missing covariate{f' ({by_variable})' if by_variable else ''}": sum(
            one.missing_covariate for one in flow
        ),
    }
    words = [f"{count(n, 'row')} {why}" for why, n in lost.items() if n]
    sets = {
        "left without a case": sum(one.sets_without_case for one in flow),
        "left without a control": sum(one.sets_without_control for one in flow),
    }
    words += [f"{count(n, 'set')} {why}" for why, n in sets.items() if n]
    rows = sum(one.rows_in_dropped_sets for one in flow)
    return [*words, f"with these sets {count(rows, 'row')} more"] if rows else words
