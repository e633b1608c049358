"""Tables of subgroups and of leaving out one study at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from biocal.results.groups.estimates import Counts, GroupEstimate, LeaveOneOut, Subgroups
from biocal.results.text import exact, p_value

if TYPE_CHECKING:
    import pandas as pd

    from biocal.results.fit.curve import DoseResponse
    from biocal.results.fit.fit import Fit
    from biocal.results.plots.forest.panels import PanelRow


#: Level that stands for all persons.
ALL = "all"


def subgroup_table(subgroups: Subgroups, at: Any = None) -> pd.DataFrame:
    """See :meth:`Subgroups.tidy`."""
    import pandas as pd

    keys = {"variable": subgroups.variable}
    frames = [_rows(subgroups.overall, subgroups.overall_counts, at, keys | {"level": ALL})]
    for group in subgroups.groups:
        named = keys | {"level": group.name}
        if group.fit is None:
            frames.append(_failed(subgroups.overall, group.counts, group.reason, named, frames[0]))
        else:
            frames.append(_rows(group.fit, group.counts, at, named))
    return pd.concat(frames, ignore_index=True)


def heterogeneity_table(subgroups: Subgroups) -> pd.DataFrame:
    """See :meth:`Subgroups.tests`."""
    import pandas as pd

    fitted = subgroups.fitted
    places: list[Any] = [None]
    curve = subgroups.overall.dose_response()
    if subgroups.overall.exposure_positions.shape[0] == 1:
        exposures: Sequence[Any] = curve.categories or curve.exposure.tolist()
        places += [x for x, same in zip(exposures, _is_reference(curve), strict=True) if not same]
    rows = []
    for place in places:
        test = subgroups.test_heterogeneity(place)
        rows.append(
            {
                "method": subgroups.method,
                "variable": subgroups.variable,
                "exposure": "" if place is None else place,
                "statistic": test.statistic,
                "df": test.df,
                "p_value": test.p_value,
                "levels": len(fitted),
                "sets": sum(group.counts.sets for group in fitted),
                "cases": sum(group.counts.cases for group in fitted),
            }
        )
    return pd.DataFrame(rows)


def leave_one_out_table(left_out: LeaveOneOut, at: Any = None) -> pd.DataFrame:
    """See :meth:`LeaveOneOut.tidy`."""
    import pandas as pd

    whole = pd.concat(
        list(_with_subgroups(left_out.overall, left_out.overall_counts, at, "")), ignore_index=True
    )
    n = left_out.overall.sample.n_calibrators
    frames = [whole.assign(change=0.0, calibrators=n)]
    for group in left_out.groups:
        if group.fit is None:
            keys = {"left_out": group.name, "variable": "", "level": ALL}
            frames.append(_failed(left_out.overall, group.counts, group.reason, keys, whole))
            continue
        part = pd.concat(list(_with_subgroups(group.fit, group.counts, at, group.name)), ignore_index=True)
        frames.append(part.assign(change=_change(part, whole), calibrators=group.calibrators))
    table = pd.concat(frames, ignore_index=True)
    order = [name for name in table.columns if name not in ("change", "calibrators", "note")]
    place = order.index("or_high") + 1
    return table[[*order[:place], "change", *order[place:], "calibrators", "note"]]


def _with_subgroups(fit: Fit, counts: Counts, at: Any, name: str) -> Iterator[pd.DataFrame]:
    """Rows of a fit, then of the levels of its subgroups."""
    yield _rows(fit, counts, at, {"left_out": name, "variable": "", "level": ALL})
    for subgroups in fit.subgroups:
        for group in subgroups.groups:
            keys = {"left_out": name, "variable": subgroups.variable, "level": group.name}
            if group.fit is None:
                whole = _rows(fit, counts, at, keys)
                yield _failed(fit, group.counts, group.reason, keys, whole)
            else:
                yield _rows(group.fit, group.counts, at, keys)


def _change(part: pd.DataFrame, whole: pd.DataFrame) -> Any:
    """Log odds ratios less those of all studies, row by row."""
    keys = [name for name in ("variable", "level", "modifier", "exposure") if name in whole.columns]
    known = {tuple(row): log_or for *row, log_or in whole[[*keys, "log_or"]].itertuples(index=False)}
    before = [known.get(tuple(row), np.nan) for row in part[keys].itertuples(index=False)]
    return part["log_or"].to_numpy(dtype=float) - np.asarray(before, dtype=float)


def _rows(fit: Fit, counts: Counts, at: Any, keys: dict[str, str]) -> pd.DataFrame:
    """The curves of a fit with what they rest on."""
    import pandas as pd

    frames = []
    for curve in fit.dose_responses(at):
        frame = curve.tidy()
        for place, (name, value) in enumerate(keys.items(), start=1):
            frame.insert(place, name, value)
        frame = frame.assign(sets=counts.sets, cases=counts.cases, controls=counts.controls)
        if counts.by_category is not None:
            for k, name in enumerate(("category_sets", "category_cases", "category_controls")):
                frame[name] = counts.by_category[:, k]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True).assign(note="")


def _failed(fit: Fit, counts: Counts, reason: str, keys: dict[str, str], like: pd.DataFrame) -> pd.DataFrame:
    """One row without an estimate, of the columns of a table with some."""
    import pandas as pd

    row: dict[str, Any] = {}
    for name in like.columns:
        numeric = pd.api.types.is_numeric_dtype(like[name].dtype)
        row[name] = np.nan if numeric else ""
    row |= {"method": fit.method, **keys, "note": reason}
    row |= {"sets": counts.sets, "cases": counts.cases, "controls": counts.controls}
    for name in ("category_sets", "category_cases", "category_controls"):
        if name in row:
            row[name] = 0
    return pd.DataFrame([row])


def _is_reference(curve: DoseResponse) -> list[bool]:
    if curve.categories is not None:
        return [k == int(curve.reference) for k in range(len(curve.categories))]
    return [bool(x == curve.reference) for x in curve.exposure]


#: Percentiles of the controls' exposure that are compared when many exposures are tabulated.
_PERCENTILES = (0.10, 0.90)
#: More exposures than this are spread out; figures have no room for more.
_MOST = 4

#: An exposure or a category, at a level of the modifier ("" without).
Place = tuple[Any, str]


def chosen_contrasts(fit: Fit, at: Any = None) -> list[tuple[str, Place]]:
    """A few exposures against the reference: label and place of each.

    Parameters
    ----------
    fit : Fit
    at : sequence of float, optional
        Default: the exposures of the fit's grid when they are few, else the 10th and 90th percentile of the
        controls.  For categories all but the reference, or the extremes of many.  With an effect modifier, at its
        first and last level.
    """
    levels = fit.info.modifier_levels
    shown = [""] if levels is None else [levels.labels[0], levels.labels[-1]]
    curve = fit.dose_response()
    unit = f" {fit.info.labels.unit}" if fit.info.labels.unit else ""
    if curve.categories is not None:
        base = curve.categories[int(curve.reference)]
        others = [label for label in curve.categories if label != base]
        places = _spread(others, _MOST // len(shown))
        found = [(f"{label} against {base}{unit}", label) for label in places]
    else:
        anchor = fit.info.scale.reference
        points = _points(fit, at, _MOST // len(shown))
        found = [(f"{exact(x, 4)} against {exact(anchor, 4)}{unit}", x) for x in points]
    if levels is None:
        return [(label, (x, "")) for label, x in found]
    return [(f"{label}, {levels.name} = {name}", (x, name)) for label, x in found for name in shown]


def interval_of(fit: Fit, place: Place) -> tuple[float, float, float]:
    """Log odds ratio and its interval."""
    x, name = place
    curve = fit.dose_response(None if isinstance(x, str) else [x], modifier_level=name or None)
    k = curve.categories.index(x) if curve.categories is not None else 0
    half = float(curve.half_width[k])
    return float(curve.log_or[k]), float(curve.log_or[k]) - half, float(curve.log_or[k]) + half


def _points(fit: Fit, at: Any, most: int) -> list[float]:
    scale = fit.info.scale
    if at is None:
        grid = scale.grid[scale.grid != scale.reference]
        if 0 < grid.size <= 12:
            return _spread(grid.tolist(), most)
        quantiles = np.quantile(scale.control_exposure, _PERCENTILES)
        return [float(x) for x in quantiles if x != scale.reference]
    return [float(x) for x in at if float(x) != scale.reference]


def _spread(items: list[Any], most: int) -> list[Any]:
    """All of a few, else some from the first to the last."""
    if len(items) <= most:
        return items
    places = np.linspace(0, len(items) - 1, max(most, 1)).round().astype(int)
    return [items[k] for k in dict.fromkeys(places.tolist())]


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
    from biocal.results.plots.forest.panels import PanelRow, draw_forest_panels

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
    from biocal.results.plots.forest.panels import draw_forest_panels

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
    from biocal.results.plots.forest.panels import PanelRow

    cells = _cells(group.counts) if counts else ()
    if group.fit is None:
        return PanelRow(group.name, cells, (), group.reason or "not fitted", kind)
    fit: Fit = group.fit
    return PanelRow(group.name, cells, tuple(interval_of(fit, at) for _, at in contrasts), "", kind)


def _cells(counts: Counts) -> tuple[str, ...]:
    return f"{counts.sets:,}", f"{counts.cases:,}"
