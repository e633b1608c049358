"""The pool's table: the columns with a part as they were understood, and the covariates, typed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.study.cells import NumberCells, WordCells, as_words, parse_number
from biocal.study.conversion import numbers_of
from biocal.study.notices import ProblemLog
from biocal.study.source_table import SourceTable
from biocal.study.table_stack import TableStack


class NumberBlock:
    """Room for the columns of numbers of a table, one after the other.

    A formula whose columns follow one another in the files then takes them where they are.
    """

    def __init__(self, n_columns: int, n_rows: int) -> None:
        try:
            # what no column comes to fill is never touched, and takes no memory
            self._room = np.empty((n_columns, n_rows))
        except (MemoryError, ValueError):
            self._room = np.empty((0, n_rows))
        self._used = 0

    def place(self, column: pd.Series[Any]) -> pd.Series[Any]:
        """Return the column, in the room when it holds floats and there is room."""
        if column.dtype != np.float64 or self._used == len(self._room):
            return column
        row = self._room[self._used]
        row[:] = column.to_numpy()
        self._used += 1
        return pd.Series(row, name=column.name, copy=False)


def covariate_column(stack: TableStack, name: str, log: ProblemLog) -> pd.Series[Any]:
    """One covariate over all tables, numeric when all its values are numbers.

    Numbers are float64, or int64 when all are present and whole.  A typed column (dates, categories,
    true and false) keeps its type when all tables agree on it.  Anything else becomes categorical
    with sorted categories, as patsy would order them.
    """
    raw = [table.columns.get(name) for table in stack.tables]
    kept = _own_type(raw)
    if kept is not None:
        return kept
    cells = [
        numbers_of(table, name, log) if name in table.columns else _absent(table) for table in stack.tables
    ]
    odd = {word for part in cells for word in set(part.bad_words)}
    if all(_infinite(word) for word in odd):
        _tell_infinite(stack, name, cells, log)
        values = cells[0].values if len(cells) == 1 else np.concatenate([part.values for part in cells])
        return pd.Series(values.astype(np.int64) if _whole(values) else values, name=name, copy=False)
    words = [as_words(column) if column is not None else None for column in raw]
    return _categorical(stack, words, name)


def _whole(values: NDArray[np.float64]) -> bool:
    """Whether all are present, whole, and within what doubles hold exactly."""
    head = values[:1000]
    if not values.size or np.any(head != np.floor(head)):  # most columns of numbers need no look further
        return False
    return bool(np.all(values == np.floor(values)) and np.abs(values).max() < 2.0**53)


def _own_type(raw: list[Any]) -> pd.Series[Any] | None:
    """Typed columns that are not numbers and agree in type, joined; else None."""
    if not all(isinstance(column, pd.Series) for column in raw):
        return None
    dtypes = {column.dtype for column in raw}
    dtype = raw[0].dtype
    special = isinstance(dtype, pd.CategoricalDtype | pd.DatetimeTZDtype) or dtype.kind in "bmM"
    if len(dtypes) > 1 or not special:
        return None
    if isinstance(dtype, pd.CategoricalDtype) and raw[0].cat.categories.dtype.kind in "fiu":
        return None  # numbers in disguise
    joined: pd.Series[Any] = pd.concat(raw, ignore_index=True)
    return joined


def _absent(table: SourceTable) -> NumberCells:
    """A column that a table does not have: all missing."""
    return NumberCells(np.full(table.n_rows, np.nan), np.empty(0, dtype=np.intp), [])


def _infinite(word: str) -> bool:
    return not np.isnan(parse_number(word)) or word.casefold().lstrip("+-") in ("inf", "infinity")


def _tell_infinite(stack: TableStack, name: str, cells: list[NumberCells], log: ProblemLog) -> None:
    message = "the value is infinite; treated as missing"
    for (_, rows), part in zip(stack.parts(), cells, strict=True):
        stack.tell_rows(
            log, "warning", "infinite-covariate", rows.start + part.bad_rows, lambda _: message, column=name
        )


def _categorical(stack: TableStack, parts: list[WordCells | None], name: str) -> pd.Series[Any]:
    place: dict[str, int] = {}
    codes = np.full(stack.n_rows, -1, dtype=np.int32)
    for (_, rows), part in zip(stack.parts(), parts, strict=True):
        if part is not None:
            numbered = [place.setdefault(word, len(place)) for word in part.words]
            codes[rows] = np.array([*numbered, -1], dtype=np.int32)[part.codes]
    ordered = sorted(place)
    new_code = np.full(len(place) + 1, -1, dtype=np.int32)
    for rank, word in enumerate(ordered):
        new_code[place[word]] = rank
    return pd.Series(pd.Categorical.from_codes(new_code[codes], pd.Index(ordered, dtype=object)), name=name)
