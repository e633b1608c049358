"""The pool's table: the columns with a part as they were understood, and the covariates, typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.pool.checks.cells.conversion import numbers_of
from biocal.pool.checks.notices import ProblemLog, counted
from biocal.pool.formulas.level_order import declared_order, level_key, merged_order
from biocal.pool.tables.cells import NumberCells, as_words, id_text, parse_number
from biocal.pool.tables.table import SourceTable, TableStack


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

    Numbers are float64, or int64 when all are present and whole.  A typed column (dates, true and false)
    keeps its type when all tables agree on it.  Anything else becomes categorical: with the levels in the order
    that the tables declare, also those that no row has, and then `ordered`; else numbers before words.
    What is categorical in one table is so in all.
    """
    raw = [table.columns.get(name) for table in stack.tables]
    kept = _own_type(raw)
    if kept is not None:
        return kept
    if any(_is_categorical(column) for column in raw):
        return _categorical(stack, raw, name, log)
    cells = [
        numbers_of(table, name, log) if name in table.columns else _absent(table) for table in stack.tables
    ]
    odd = {word for part in cells for word in set(part.bad_words)}
    if all(_infinite(word) for word in odd):
        _tell_infinite(stack, name, cells, log)
        values = cells[0].values if len(cells) == 1 else np.concatenate([part.values for part in cells])
        return pd.Series(values.astype(np.int64) if _whole(values) else values, name=name, copy=False)
    return _categorical(stack, raw, name, log)


def _is_categorical(column: Any) -> bool:
    return isinstance(column, pd.Series) and isinstance(column.dtype, pd.CategoricalDtype)


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
    special = isinstance(dtype, pd.DatetimeTZDtype) or (not _is_categorical(raw[0]) and dtype.kind in "bmM")
    if len(dtypes) > 1 or not special:
        return None
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


def _categorical(stack: TableStack, raw: list[Any], name: str, log: ProblemLog) -> pd.Series[Any]:
    """A column as categories: 1, 1.0 and "1" are one level."""
    parts = [as_words(column, id_text) if column is not None else None for column in raw]
    words = {word for part in parts if part is not None for word in part.words}
    declared = [declared_order(column) for column in raw]
    orders = {
        order: table.name or "a table" for table, order in zip(stack.tables, declared, strict=True) if order
    }
    order = order_of_levels(orders, words, name, log)
    levels = order or tuple(sorted(words, key=level_key))
    place = {word: rank for rank, word in enumerate(levels)}
    codes = np.full(stack.n_rows, -1, dtype=np.int32)
    for (_, rows), part in zip(stack.parts(), parts, strict=True):
        if part is not None:
            codes[rows] = np.array([*map(place.__getitem__, part.words), -1], dtype=np.int32)[part.codes]
    column = pd.Categorical.from_codes(codes, pd.Index(list(levels), dtype=object), ordered=bool(order))
    return pd.Series(column, name=name)


def order_of_levels(
    orders: Mapping[tuple[str, ...], str], words: set[str], name: str, log: ProblemLog
) -> tuple[str, ...]:
    """The order that tables declare, with what is in none of them at the end; () when there is none to keep.

    Parameters
    ----------
    orders : mapping of tuple to str
        Declared orders, and the name of a file that declares each.
    words : set of str
        Levels that rows have.
    name : str
        Of the column.
    log : ProblemLog
        Told of orders that contradict each other, and of words in none of them.
    """
    order = merged_order(tuple(orders))
    if order is None:
        shown = "; ".join(f"{' < '.join(one[:8])} in {file}" for one, file in list(orders.items())[:3])
        message = (
            f"the levels have orders that contradict each other ({shown}); taken in alphabetical order, numbers "
            "first; give them one order in all files"
        )
        log.add("warning", "levels-contradict", message, column=name, count=len(orders))
        return ()
    added = sorted(words.difference(order), key=level_key) if order else []
    if added:
        message = (
            f"{counted(len(added), 'level')} beside the declared order {' < '.join(order[:8])}: "
            f"{', '.join(added[:5])}{', ...' if len(added) > 5 else ''}; placed after the others"
        )
        log.add("note", "levels-added", message, column=name, count=len(added))
    return (*order, *added)
