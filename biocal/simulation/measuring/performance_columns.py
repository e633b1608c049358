"""From a user's table of results to the rows that performance measures need, checked by column."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ColumnError, OptionError
from biocal.kernels.contrasts import normal_quantile
from biocal.simulation.measuring.measures import EstimateRows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GroupedRows", "RowColumns", "critical_value", "read_rows", "truths"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Columns that name the groups when the caller names none and they are there.
_USUAL_GROUPS = ("scenario", "method", "exposure")


@dataclass(frozen=True, slots=True)
class RowColumns:
    """Which column, or which number, holds what; the arguments of :func:`biocal.performance`."""

    estimate: str
    std_error: str | None
    truth: str | float | None
    by: str | Sequence[str] | None
    conf_low: str | None
    conf_high: str | None
    df: str | float | None
    converged: str | None


@dataclass(frozen=True, slots=True, eq=False)
class GroupedRows:
    """Rows, and a table of what names each group (n_groups rows, columns `by`)."""

    rows: EstimateRows
    keys: pd.DataFrame
    by: tuple[str, ...]


def critical_value(level: float, df: float | FloatArray | None) -> FloatArray:
    """Half-width of a two-sided interval in standard errors, by the normal law or Student's t.

    Raises
    ------
    OptionError
        A level outside (0, 1); degrees of freedom that are not positive.
    """
    if not 0.0 < level < 1.0:
        raise OptionError(f"level must lie between 0 and 1, not {level!r}", option="level")
    if df is None:
        return np.asarray(normal_quantile(level))
    if np.any(~(np.asarray(df) > 0)):
        raise OptionError("degrees of freedom must be positive numbers", option="df")
    from scipy.special import stdtrit

    return np.asarray(-stdtrit(df, (1.0 - level) / 2.0), dtype=np.float64)


def read_rows(frame: pd.DataFrame, columns: RowColumns, *, level: float) -> GroupedRows:
    """Take the columns out of the table, checked, and number the groups.

    Raises
    ------
    ColumnError, OptionError
        As :func:`biocal.performance` tells.
    """
    if (columns.conf_low is None) != (columns.conf_high is None):
        raise OptionError(
            "conf_low and conf_high go together: name both columns or neither", option="conf_low"
        )
    estimate = _numbers(frame, columns.estimate, "estimate")
    failed = ~np.isfinite(estimate) | _not_converged(frame, columns.converged)
    std_error = low = high = None
    if columns.std_error is not None:
        std_error = _numbers(frame, columns.std_error, "std_error")
        failed |= ~np.isfinite(std_error)
        _require(std_error[~failed] >= 0, frame, ~failed, columns.std_error, "is negative")
        df = _numbers(frame, columns.df, "df") if isinstance(columns.df, str) else columns.df
        half = critical_value(level, df) * std_error
        low, high = estimate - half, estimate + half
    if columns.conf_low is not None and columns.conf_high is not None:
        low = _numbers(frame, columns.conf_low, "conf_low")
        high = _numbers(frame, columns.conf_high, "conf_high")
        failed |= np.isnan(low) | np.isnan(high)
        _require(low[~failed] <= high[~failed], frame, ~failed, columns.conf_low, "is above the upper limit")
    truth = None
    if columns.truth is not None:
        if isinstance(columns.truth, str):
            truth = _numbers(frame, columns.truth, "truth")
        else:
            truth = np.full(len(frame), float(columns.truth))
        _require(
            np.isfinite(truth), frame, np.ones(len(frame), dtype=bool), str(columns.truth), "is not known"
        )
    by = _group_columns(frame, columns.by)
    group, keys = _number_groups(frame, by)
    rows = EstimateRows(group, len(keys), failed, estimate, std_error, truth, low, high)
    return GroupedRows(rows, keys, by)


def _numbers(frame: pd.DataFrame, name: str, role: str) -> FloatArray:
    """A numeric column (n,); blanks are nan."""
    import pandas as pd

    column = _column(frame, name, role)
    if not (pd.api.types.is_numeric_dtype(column) or column.isna().all()):
        raise ColumnError(
            f"column {name!r} ({role}) must hold numbers, but it is {column.dtype}; convert it first, "
            f"for example by pandas.to_numeric",
            column=name,
        )
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))


def _column(frame: pd.DataFrame, name: str, role: str) -> pd.Series[Any]:
    """One column; named once."""
    names = [str(column) for column in frame.columns]
    if name not in frame.columns:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}? Name it by {role}=..." if near else f"; name one by {role}=..."
        optional = f", or pass {role}=None if there is none" if role in ("std_error", "truth") else ""
        raise ColumnError(
            f"there is no column {name!r} for {role}{hint}{optional} (columns: {', '.join(names)})",
            column=name,
            columns=tuple(names),
        )
    if names.count(name) > 1:
        raise ColumnError(
            f"there are {names.count(name)} columns {name!r} ({role}); rename them", column=name
        )
    return frame[name]


def _not_converged(frame: pd.DataFrame, name: str | None) -> BoolArray:
    """Rows whose replicate failed; a blank counts as failed."""
    if name is None:
        if "converged" not in frame.columns:
            return np.zeros(len(frame), dtype=bool)
        name = "converged"
    column = _column(frame, name, "converged")
    values = set(column.dropna().unique().tolist())
    if not values <= {0, 1}:  # True and False are 1 and 0
        odd = sorted(str(value) for value in values - {0, 1})
        raise ColumnError(
            f"column {name!r} (converged) must be true or false, not {', '.join(odd[:3])}", column=name
        )
    return np.logical_not(truths(column))


def truths(column: pd.Series[Any]) -> BoolArray:
    """A column of true and false as an array (n,); a blank is false."""
    known = column.notna().to_numpy(dtype=bool)
    true = np.zeros(len(column), dtype=bool)
    true[known] = column[known].to_numpy(dtype=bool)
    return true


def _group_columns(frame: pd.DataFrame, by: str | Sequence[str] | None) -> tuple[str, ...]:
    if by is None:
        return tuple(name for name in _USUAL_GROUPS if name in frame.columns)
    names = (by,) if isinstance(by, str) else tuple(by)
    for name in names:
        _column(frame, name, "by")
    return names


def _number_groups(frame: pd.DataFrame, by: tuple[str, ...]) -> tuple[NDArray[np.intp], pd.DataFrame]:
    """Number of each row's group, and the groups in order: sorted, or as they come if they cannot be."""
    import pandas as pd

    if not by:
        return np.zeros(len(frame), dtype=np.intp), pd.DataFrame(index=pd.RangeIndex(1))
    try:
        numbers = frame.groupby(list(by), sort=True, dropna=False, observed=True).ngroup()
    except TypeError:  # text beside numbers in one column has no order
        numbers = frame.groupby(list(by), sort=False, dropna=False, observed=True).ngroup()
    group: NDArray[np.intp] = np.asarray(numbers.to_numpy(), dtype=np.intp)
    first = np.full(group.max(initial=-1) + 1, len(frame), dtype=np.intp)
    np.minimum.at(first, group, np.arange(len(frame)))
    return group, frame[list(by)].iloc[first].reset_index(drop=True)


def _require(fine: BoolArray, frame: pd.DataFrame, among: BoolArray, name: str, fault: str) -> None:
    """Raise for the first row, among those looked at, that is not fine."""
    if fine.all():
        return
    bad = np.flatnonzero(among)[~fine]
    label = frame.index[bad[0]]
    raise ColumnError(
        f"column {name!r} {fault} in {bad.size} of {len(frame)} rows, first in row {label!r}",
        column=name,
        rows=tuple(int(row) for row in bad[:10]),
    )
