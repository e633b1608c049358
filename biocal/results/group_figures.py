"""Forest plots of subgroups and of leaving out one study at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from biocal.results.group_contrasts import chosen_contrasts, interval_of
from biocal.results.group_estimates import Counts, GroupEstimate, LeaveOneOut, Subgroups
from biocal.results.text import p_value

if TYPE_CHECKING:
    from biocal.plots.forest_panels import PanelRow
    from biocal.results.fits import Fit


def draw_subgroups(subgroups: Sequence[Subgroups], at: Any = None, *, counts: bool = True) -> Any:
    """Draw the levels of one or more variables beneath all persons; returns the figure.

    Parameters
    ----------
    subgroups : sequence of Subgroups
        Of one method.
    at : sequence of float, optional
    counts : bool, default True
        Print sets and cases.
    """
    from biocal.plots.forest_panels import PanelRow, draw_forest_panels

    overall = subgroups[0].overall
    contrasts = chosen_contrasts(overall, at)
    rows = [_row(GroupEstimate("All", subgroups[0].overall_counts, overall), contrasts, "whole", counts)]
    for one in subgroups:
        chance = one.test_heterogeneity().p_value
        tested = f" (p = {p_value(chance)})" if np.isfinite(chance) else ""
        rows.append(PanelRow(f"{one.variable}{tested}", kind="heading"))
        rows += [_row(group, contrasts, "part", counts) for group in one.groups]
    return draw_forest_panels(
        rows,
        [label for label, _ in contrasts],
        columns=("Sets", "Cases") if counts else (),
        first_column="Subgroup",
        foot=f"p: heterogeneity of the whole curve between levels; method {subgroups[0].method}",
        outcome_name=overall.info.labels.outcome,
        level=overall.info.level,
    )


def draw_leave_one_out(left_out: LeaveOneOut, at: Any = None, *, counts: bool = True) -> Any:
    """Draw the estimates without each study beside those of all studies; returns the figure."""
    from biocal.plots.forest_panels import draw_forest_panels

    overall = left_out.overall
    contrasts = chosen_contrasts(overall, at)
    rows = [_row(GroupEstimate("None", left_out.overall_counts, overall), contrasts, "whole", counts)]
    rows += [_row(group, contrasts, "part", counts) for group in left_out.groups]
    return draw_forest_panels(
        rows,
        [label for label, _ in contrasts],
        columns=("Sets", "Cases") if counts else (),
        first_column="Study left out",
        foot=f"Method {left_out.method}",
        outcome_name=overall.info.labels.outcome,
        level=overall.info.level,
    )


def _row(group: GroupEstimate, contrasts: Sequence[tuple[str, Any]], kind: str, counts: bool) -> PanelRow:
    from biocal.plots.forest_panels import PanelRow

    cells = _cells(group.counts) if counts else ()
    if group.fit is None:
        return PanelRow(group.name, cells, (), group.reason or "not fitted", kind)
    fit: Fit = group.fit
    return PanelRow(group.name, cells, tuple(interval_of(fit, at) for _, at in contrasts), "", kind)


def _cells(counts: Counts) -> tuple[str, ...]:
    return f"{counts.sets:,}", f"{counts.cases:,}"
