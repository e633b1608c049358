"""Subgroups, and what is left without each study: two sections of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from biocal.report.disclosure import WITHHELD, Disclosure
from biocal.report.figures import ReportFigure, report_figure
from biocal.report.page import ReportTable
from biocal.report.sections.curves import chance
from biocal.report.sections.participants import Participants
from biocal.results.fit.fit import Fit
from biocal.results.groups.estimates import Counts, GroupEstimate, LeaveOneOut, Subgroups
from biocal.results.groups.text import largest_changes, warnings_without
from biocal.results.groups.views import (
    Place,
    chosen_contrasts,
    draw_leave_one_out,
    draw_subgroups,
    interval_of,
)
from biocal.results.text import number, odds_ratio

#: Columns of result tables that hold counts of persons.
COUNT_COLUMNS = (
    *("sets", "cases", "controls", "calibrators"),
    *("category_sets", "category_cases", "category_controls"),
)


@dataclass(frozen=True, slots=True)
class PartSection:
    """One section: a figure, tables and remarks.

    Attributes
    ----------
    figure : ReportFigure or None
    tables : tuple of ReportTable
    words : tuple of str
    notes : tuple of str
    """

    figure: ReportFigure | None
    tables: tuple[ReportTable, ...]
    words: tuple[str, ...]
    notes: tuple[str, ...]


def subgroups_section(fit: Fit, disclosure: Disclosure, drawn: Mapping[str, bytes]) -> PartSection | None:
    """Describe the subgroups of a fit; None without.  `drawn`: figures that need not be drawn again."""
    if not fit.subgroups:
        return None
    contrasts = chosen_contrasts(fit)
    tables, words, notes = [], [], []
    for one in fit.subgroups:
        told = _tells_counts(one, disclosure)
        groups = [GroupEstimate("all", one.overall_counts, fit), *one.groups]
        # the total of all persons is told, or not, among the participants
        rows = [
            _row(group, contrasts, told or (k == 0 and not disclosure.active))
            for k, group in enumerate(groups)
        ]
        tables.append(
            _table(f"Odds ratio by {one.variable}, method {one.method}", one.variable, rows, fit, contrasts)
        )
        test = one.test_heterogeneity()
        if np.isfinite(test.p_value):
            words.append(
                f"By {one.variable}: the whole curves of the {len(one.fitted)} levels "
                f"{'differ' if test.p_value < 0.05 else 'do not differ'} by more than chance would often bring "
                f"(Wald chi-square {number(test.statistic)} on {test.df} df, {chance(test.p_value)})."
            )
        notes += [
            disclosure.text(note) for note in one.notes if not disclosure.active or not _has_counts(note)
        ]
    figure = None
    if any(one.fitted for one in fit.subgroups):
        figure = report_figure(
            "subgroups",
            drawn.get("subgroups.svg") or draw_subgroups(fit.subgroups, counts=not disclosure.active),
            caption=f"Odds ratios by subgroup, method {fit.method}.",
            alternative="Forest plot of the odds ratios by subgroup; the tables beneath have the numbers.",
        )
    return PartSection(figure, tuple(tables), tuple(words), tuple(notes))


def leave_one_out_section(
    fit: Fit, participants: Participants, disclosure: Disclosure, drawn: Mapping[str, bytes]
) -> PartSection | None:
    """Describe what is left without each study; None when it was not asked for."""
    found = fit.left_out
    if found is None:
        return None
    contrasts = chosen_contrasts(fit)
    rows = [_row(GroupEstimate("none", found.overall_counts, fit), contrasts, not disclosure.active)]
    for group in found.groups:
        # with the total the counts of the rest would tell those of the study
        rows.append(
            _row(group, contrasts, _shown(participants.of_study(group.name)) and not disclosure.active)
        )
    table = _table(f"Leaving out one study, method {fit.method}", "Left out", rows, fit, contrasts)
    figure = None
    if found.fitted:
        figure = report_figure(
            "leave-one-out",
            drawn.get("leave_one_out.svg") or draw_leave_one_out(found, counts=not disclosure.active),
            caption=f"Odds ratios without each study in turn, its calibration too, method {fit.method}.",
            alternative="Odds ratios without each study beside those of all; the table beneath has the numbers.",
        )
    words = tuple(_sentence(text) for text in largest_changes(found, contrasts))
    told = tuple(_sentence(disclosure.text(text)) for text in warnings_without(found))
    return PartSection(figure, (table,), words, (*_unfitted(found, disclosure), *told))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _unfitted(found: LeaveOneOut, disclosure: Disclosure) -> tuple[str, ...]:
    return tuple(
        f"Without {group.name} no fit: {disclosure.text(group.reason)}"
        for group in found.groups
        if group.fit is None
    )


def _tells_counts(subgroups: Subgroups, disclosure: Disclosure) -> bool:
    """Whether the counts of the levels may be told: none is small, nor what they leave of the total."""
    if not disclosure.active:
        return True
    whole = subgroups.overall_counts
    for name in ("sets", "cases", "controls"):
        parts = [int(getattr(group.counts, name)) for group in subgroups.groups]
        rest = abs(int(getattr(whole, name)) - sum(parts))
        if any(disclosure.is_small(n) for n in (*parts, rest)):
            return False
    return True


def _has_counts(note: str) -> bool:
    """Notes with numbers by study or level, which a rule for single counts cannot make safe."""
    return any(letter.isdigit() for letter in note)


def _shown(cells: tuple[str, str]) -> bool:
    return all(cell.replace(",", "").isdigit() for cell in cells)


def _row(group: GroupEstimate, contrasts: list[tuple[str, Place]], told: bool) -> tuple[str, ...]:
    counts: Counts = group.counts
    cells = tuple(f"{n:,}" if told else WITHHELD for n in (counts.sets, counts.cases, counts.controls))
    if group.fit is None:
        return (group.name, *cells, *("not fitted" for _ in contrasts))
    return (group.name, *cells, *(_odds_ratio(group.fit, place) for _, place in contrasts))


def _odds_ratio(fit: Fit, place: Place) -> str:
    with np.errstate(over="ignore"):
        middle, low, high = odds_ratio(interval_of(fit, place))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})" if np.isfinite(low) else f"{middle:.2f}"


def _table(
    caption: str, first: str, rows: list[tuple[str, ...]], fit: Fit, contrasts: list[tuple[str, Place]]
) -> ReportTable:
    header = (first, "Sets", "Cases", "Controls", *(label for label, _ in contrasts))
    note = f"Odds ratios with {100 * fit.info.level:g} % intervals; knots and reference exposure are those of all."
    return ReportTable(caption, header, rows, note=note)
