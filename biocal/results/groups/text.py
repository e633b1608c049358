"""Subgroups and leaving out one study at a time, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from biocal.results.groups.estimates import GroupEstimate, LeaveOneOut, Subgroups
from biocal.results.groups.views import Place, chosen_contrasts, interval_of
from biocal.results.text import WIDTH, number, odds_ratio, p_value, paragraph, percent, table

if TYPE_CHECKING:
    from biocal.results.fit.fit import Fit

#: Room for an odds ratio with its interval.
_INTERVAL_WIDTH = 24


def subgroup_lines(subgroups: Sequence[Subgroups]) -> list[str]:
    """Odds ratios by level, with what they rest on, and the tests of heterogeneity; of one method."""
    lines: list[str] = []
    for one in subgroups:
        contrasts = _narrow(chosen_contrasts(one.overall), one)
        lines += [f"By {one.variable}, method {one.method}: odds ratio ({_level(one.overall)} CI)"]
        whole = GroupEstimate("all", one.overall_counts, one.overall)
        lines.append(_table(one.variable, [whole, *one.groups], contrasts))
        test = one.test_heterogeneity()
        if np.isfinite(test.p_value):
            text = f"Do the levels differ? Whole curve: chi-square {number(test.statistic)} on {test.df} df, "
            lines.append(paragraph(f"{text}p {p_value(test.p_value)}"))
        lines += [paragraph(note, bullet="- ") for note in one.notes]
        lines.append("")
    return lines[:-1]


def leave_one_out_lines(left_out: LeaveOneOut) -> list[str]:
    """Odds ratios without each study, and which of them moves them most."""
    overall = left_out.overall
    contrasts = _narrow(chosen_contrasts(overall), left_out)
    whole = GroupEstimate("(none)", left_out.overall_counts, overall)
    lines = [f"Without one study, method {left_out.method}: odds ratio ({_level(overall)} CI)"]
    lines.append(_table("left out", [whole, *left_out.groups], contrasts))
    lines += [paragraph(text) for text in largest_changes(left_out, contrasts)]
    lines += [
        paragraph(f"without {group.name} no fit: {group.reason}", bullet="- ")
        for group in left_out.groups
        if group.fit is None
    ]
    return lines + [paragraph(text, bullet="- ") for text in warnings_without(left_out)]


def warnings_without(left_out: LeaveOneOut) -> list[str]:
    """Warnings and notes of the fits without one study that the fit of all studies does not have."""
    return [
        f"without {group.name}: {warning}"
        for group in left_out.groups
        if group.fit is not None
        for warning in (*group.fit.warnings, *group.fit.info.notes)
        if warning not in left_out.overall.warnings
    ]


def largest_changes(left_out: LeaveOneOut, contrasts: Sequence[tuple[str, Place]]) -> list[str]:
    """For each contrast, the study whose leaving out moves the odds ratio most."""
    told = []
    for label, place in contrasts:
        before = interval_of(left_out.overall, place)[0]
        moved = [
            (interval_of(group.fit, place)[0] - before, group.name)
            for group in left_out.fitted
            if group.fit is not None
        ]
        moved = [one for one in moved if np.isfinite(one[0])]
        if moved:
            change, name = max(moved, key=lambda one: abs(one[0]))
            direction = "up" if change > 0 else "down"
            told.append(
                f"{label}: leaving out {name} moves the odds ratio most, {direction} by "
                f"{percent(abs(float(np.expm1(change))))}, from {odds_ratio(before):.2f} to "
                f"{odds_ratio(before + change):.2f}"
            )
    return told


def _narrow(contrasts: list[tuple[str, Place]], groups: Subgroups | LeaveOneOut) -> list[tuple[str, Place]]:
    """As many contrasts as fit beside the names and counts, the first and the last before those between."""
    room = WIDTH - 2 - max([len(name) for name in groups] + [8]) - 24
    most = max(1, room // _INTERVAL_WIDTH)
    if len(contrasts) <= most:
        return contrasts
    places = np.linspace(0, len(contrasts) - 1, most).round().astype(int)
    return [contrasts[k] for k in dict.fromkeys(places.tolist())]


def _table(first: str, groups: Sequence[GroupEstimate], contrasts: Sequence[tuple[str, Place]]) -> str:
    header = (first, "sets", "cases", "controls", *(_short(label) for label, _ in contrasts))
    rows = []
    for group in groups:
        counts = group.counts
        cells = (f"{counts.sets:,}", f"{counts.cases:,}", f"{counts.controls:,}")
        if group.fit is None:
            rows.append((group.name, *cells, *("not fitted" for _ in contrasts)))
        else:
            fit = group.fit
            rows.append((group.name, *cells, *(_odds_ratio(fit, place) for _, place in contrasts)))
    return table(header, rows)


def _short(label: str) -> str:
    return label.replace(" against ", " vs ")


def _odds_ratio(fit: Fit, place: Place) -> str:
    middle, low, high = odds_ratio(interval_of(fit, place))
    interval = f" ({low:.2f} to {high:.2f})" if np.isfinite(low) else ""
    return f"{middle:.2f}{interval}"


def _level(fit: Fit) -> str:
    return f"{100 * fit.info.level:g} %"
