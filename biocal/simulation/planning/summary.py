"""A plan in words and tables."""

from __future__ import annotations

import numpy as np

from biocal.results.text import count, exact, labelled, number, paragraph, percent, table
from biocal.simulation.planning.prediction import Prediction
from biocal.simulation.planning.results import ALIKE, BEST, EQUAL, PlanResults


def plan_summary(found: PlanResults) -> str:
    """Text for a person."""
    lines = ["biocal: plan of a calibration subset" + (f": {found.title}" if found.title else ""), ""]
    unit = f" {found.labels.unit}" if found.labels.unit else ""
    facts = {
        "Variances": found.origin,
        "Method": "full calibration; standard errors by the stacked sandwich, in expectation",
        "Curve": found.curve,
        "Reference": f"{exact(found.reference)}{unit}",
        "As planned": _numbers(found, found.planned),
    }
    lines += [labelled(name, text) for name, text in facts.items()]
    lines += ["", *_planned_lines(found)]
    for spread in found.enough:
        lines += ["", *_grid_lines(found, spread)]
    lines += ["", *_enough_lines(found)]
    if found.labelled(BEST):
        lines += ["", *_division_lines(found)]
    lines += ["", *_power_lines(found)]
    if found.options.width is not None:
        lines += ["", *_width_lines(found)]
    if found.notes:
        lines += ["", "Take note", *(paragraph(note, bullet="- ") for note in found.notes)]
    return "\n".join(lines)


def _numbers(found: PlanResults, one: Prediction) -> str:
    """Who gets how many, such as "60 in each of B, C (random)"."""
    names, whole = found.study_names, [round(float(n)) for n in one.calibrators]
    if len(set(whole)) == 1 and len(names) > 1:
        text = f"{count(whole[0], 'calibrator')} in each of {', '.join(names)}"
    else:
        text = "calibrators: " + ", ".join(f"{name} {n:,}" for name, n in zip(names, whole, strict=True))
    how = one.spread if one.spread.startswith("as in") else f"chosen by {_HOW[one.spread]}"
    return f"{text}; {count(sum(whole), 're-assay')}; {how}"


_HOW = {
    "random": "chance",
    "deciles": "deciles of the local value",
    "extremes": "the extremes of the local value",
}


def _planned_lines(found: PlanResults) -> list[str]:
    """What to expect as planned, by exposure."""
    one = found.planned
    half = found.predictor.width(one.std_error) / 2
    known = np.isfinite(found.true_log_or).all()
    header = (
        found.labels.exposure,
        *(("true OR",) if known else ()),
        "limit OR",
        "interval",
        "width",
        "floor",
    )
    rows = []
    for m, x in enumerate(found.at):
        low, middle, high = np.exp(found.log_or[m] + half[m] * np.array([-1.0, 0.0, 1.0]))
        true = (f"{np.exp(found.true_log_or[m]):.2f}",) if known else ()
        floor = found.predictor.width(one.floor)[m]
        rows.append(
            (exact(float(x)), *true, f"{middle:.2f}", f"{low:.2f} to {high:.2f}", number(2 * float(half[m]), 3),
             number(float(floor), 3), percent(float(one.shares[:, m].sum())))
        )  # fmt: skip
    level = f"{100 * found.options.level:g} %"
    return [
        f"As planned: odds ratio against {exact(found.reference)}, {level} interval, width on the log scale",
        table((*header, "calibration's share"), rows),
        paragraph(
            "limit OR: what full calibration finds with infinitely many calibrators and sets. The analysis itself "
            "is biased on average, the more so the fewer the calibrators and the poorer the assay, and the table does "
            "not show that bias: see the true OR, and biocal simulate. "
            "floor: the width with infinitely many calibrators. calibration's share: of the variance of the log OR, "
            "all studies together."
        ),
    ]


def _grid_lines(found: PlanResults, spread: str) -> list[str]:
    """Width and gain by number of calibrators, for one way of choosing them."""
    rows = []
    for one in found.labelled(EQUAL):
        if one.spread != spread:
            continue
        width = found.predictor.width(one.std_error)
        cells = [
            f"{number(float(w), 3)} ({100 * above:+.1f} %)"
            for w, above in zip(width, one.above_floor, strict=True)
        ]
        total = round(float(one.calibrators.sum()))
        alike = int(one.calibrators.max())
        rows.append((f"{alike:,}", f"{total:,}", *cells, f"{100 * float(one.gain.max()):.2f} %"))
    header = ("a study", "in all", *(f"at {exact(float(x))}" for x in found.at), "gain per 10 more")
    how = _HOW.get(spread, spread)
    by = f"by {how}" if spread in _HOW else how
    return [
        f"Calibrators chosen {by}: width of the interval, and what it lies above the floor",
        table(header, rows),
        paragraph(
            "gain per 10 more: how much narrower 10 further re-assays, divided alike, make the interval that gains "
            "most."
        ),
    ]


def _enough_lines(found: PlanResults) -> list[str]:
    """From which number on the interval is near the floor."""
    share = percent(found.options.enough)
    head = f"Enough: fewest calibrators a study for an interval within {share} of the floor"
    rows = [
        (spread, *(_enough(n, found.options.least) for n in numbers))
        for spread, numbers in found.enough.items()
    ]
    return [head, table(("chosen by", *(f"at {exact(float(x))}" for x in found.at)), rows)]


def _enough(n: int | None, least: int) -> str:
    if n is None:
        return "more than there are"
    return f"{n:,} or fewer" if n <= least else f"{n:,}"


def _division_lines(found: PlanResults) -> list[str]:
    """The budget divided alike and best."""
    (alike,), (best,) = found.labelled(ALIKE), found.labelled(BEST)
    rows = [
        (name, f"{most:,}", *(f"{round(float(n)):,}" for n in numbers))
        for name, most, *numbers in zip(
            found.study_names,
            found.predictor.pieces.most,
            found.planned.calibrators,
            alike.calibrators,
            best.calibrators,
            strict=True,
        )
    ]
    gain = 1.0 - best.std_error / alike.std_error
    told = ", ".join(
        f"{100 * g + 0.0:.1f} % at {exact(float(x))}" for g, x in zip(gain, found.at, strict=True)
    )
    told = told.replace("-0.0 %", "0.0 %")
    return [
        f"Dividing {count(int(best.calibrators.sum()), 're-assay')} among the studies",
        table(("study", "controls", "as planned", "alike", "best"), rows),
        paragraph(
            "best: in proportion to the root of what a study's calibration costs (its part of the variance times its "
            f"calibrators), no study below {found.options.least}. Against dividing alike its intervals are narrower by "
            f"{told}."
        ),
    ]


def _power_lines(found: PlanResults) -> list[str]:
    """Power as planned, and the sets that the wanted power takes."""
    rows = [
        (one.test, str(one.df), number(one.noncentrality, 3), percent(one.power),
         "not by sets alone" if one.sets_needed is None else f"{one.sets_needed:,}")
        for one in found.powers[0]
    ]  # fmt: skip
    wanted = percent(found.options.power)
    header = ("Wald test", "df", "noncentrality", "power", f"sets for {wanted}")
    return [
        f"Power as planned, {found.predictor.pieces.n_sets:,} sets, tests at {percent(found.options.alpha)}",
        table(header, rows),
    ]


def _width_lines(found: PlanResults) -> list[str]:
    """Sets for the wanted width."""
    width = found.options.width
    assert width is not None
    now = found.predictor.width(found.planned.std_error)
    rows = [
        (
            exact(float(x)),
            number(float(w), 3),
            "none: the calibration alone is wider" if n is None else f"{n:,}",
        )
        for x, w, n in zip(found.at, now, found.sets_needed, strict=True)
    ]
    now_sets = f"{found.predictor.pieces.n_sets:,}"
    head = f"Sets of all studies together for intervals of width {exact(width)} (planned: {now_sets})"
    return [head, table((found.labels.exposure, "width as planned", "sets needed"), rows)]
