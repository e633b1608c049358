"""Tables of subgroups and of leaving out one study at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from biocal.results.group_estimates import Counts, LeaveOneOut, Subgroups

if TYPE_CHECKING:
    import pandas as pd

    from biocal.results.dose_response import DoseResponse
    from biocal.results.fits import Fit

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
