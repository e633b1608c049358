"""One type for each column over all pieces of all files, so that partitions are coded alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from biocal.pool.checks.columns import ColumnRoles
from biocal.pool.checks.notices import ProblemLog
from biocal.pool.formulas.frame import order_of_levels
from biocal.pool.formulas.level_order import declared_order, level_key
from biocal.pool.tables.cells import RawColumn, as_ids, as_numbers, as_words, id_text
from biocal.pool.tables.table import SourceTable

#: Whole numbers with more digits are kept as words: they are beyond what 64 bits hold.
_MOST_DIGITS = 18
_INFINITE = ("inf", "infinity")


@dataclass(slots=True)
class ColumnTypes:
    """What pieces have shown of their columns so far.

    Attributes
    ----------
    roles : ColumnRoles
    categories : set of str
        Columns that some file holds as categories; those without a part of their own are so in all partitions.
    kinds : dict of str to str
        By column, in order of first appearance: "whole" (ids that are plain whole numbers), "number", "truth", the
        name of a type of dates, "levels" (categories), or "words".
    points, commas : set of (file, column)
        Text columns in which decimal points, and commas, were seen: with both in a file, its cells are words.
    levels, orders : dict of str to set of str, and to dict of tuple to file
        Of categories: the levels that rows have, and the orders that files declare.
    settled : dict of str to (tuple of str, bool)
        Of categories: their levels in order, and whether somebody declared it.
    """

    roles: ColumnRoles
    categories: set[str]
    kinds: dict[str, str] = field(default_factory=dict)
    points: set[tuple[str, str]] = field(default_factory=set)
    commas: set[tuple[str, str]] = field(default_factory=set)
    levels: dict[str, set[str]] = field(default_factory=dict)
    orders: dict[str, dict[tuple[str, ...], str]] = field(default_factory=dict)
    settled: dict[str, tuple[tuple[str, ...], bool]] = field(default_factory=dict)

    def see(self, table: SourceTable) -> None:
        """Take a piece in."""
        for name, column in table.columns.items():
            kind = self._kind(table, name, column)
            known = self.kinds.get(name)
            self.kinds[name] = kind if known is None else _common(known, kind)
            if (table.name, name) in self.points & self.commas:
                self.kinds[name] = "words"

    def settle(self, log: ProblemLog) -> None:
        """Put the levels of categories in order, when all pieces were seen."""
        for name, levels in self.levels.items():
            order = order_of_levels(self.orders.get(name, {}), levels, name, log)
            self.settled[name] = order or tuple(sorted(levels, key=level_key)), bool(order)

    def converted(self, table: SourceTable) -> Any:
        """A piece as an Arrow table with columns of the types that all pieces have."""
        import pyarrow as pa

        columns = {name: self._array(table, name, kind) for name, kind in self.kinds.items()}
        # pandas' note tells categories whose order nobody declared from words that are stored once
        factors = {name: pd.Categorical([], levels) for name, (levels, _) in self.settled.items()}
        notes = (
            pa.Schema.from_pandas(pd.DataFrame(factors), preserve_index=False).metadata if factors else None
        )
        return pa.table(columns, metadata=notes)

    def is_id(self, name: str) -> bool:
        """Whether a column is compared as ids are."""
        return name in (self.roles.study, self.roles.set, self.roles.person)

    def _kind(self, table: SourceTable, name: str, column: RawColumn) -> str:
        if self.is_id(name):
            return "whole" if all(_plain_whole(word) for word in as_ids(column).words) else "words"
        if name in self.categories and name not in self.roles.named:
            self.levels.setdefault(name, set()).update(as_words(column, id_text).words)
            order = declared_order(column)
            if order:
                self.orders.setdefault(name, {}).setdefault(order, table.name)
            return "levels"
        if isinstance(column, pd.Series):
            if pd.api.types.is_bool_dtype(column.dtype):
                return "truth"
            if pd.api.types.is_numeric_dtype(column.dtype):
                return "number"
            if column.dtype.kind in "mM":
                return str(column.dtype)
        cells = as_numbers(column, decimal_comma=_comma_may_be_decimal(table))
        if cells.n_decimal_commas:
            self.commas.add((table.name, name))
        elif _comma_may_be_decimal(table) and _holds_point(column):
            self.points.add((table.name, name))
        return "number" if all(_infinite(word) for word in cells.bad_words) else "words"

    def _array(self, table: SourceTable, name: str, kind: str) -> Any:
        import pyarrow as pa

        column = table.columns.get(name)
        if kind == "whole":
            if column is None:
                return pa.nulls(table.n_rows, pa.int64())
            ids = as_ids(column)
            numbers = np.array([*map(int, ids.words), 0], dtype=np.int64)[ids.codes]
            return pa.array(numbers, mask=ids.codes < 0)
        if kind == "levels":
            return self._categories(table.n_rows, column, name)
        if kind == "number":
            return (
                pa.nulls(table.n_rows, pa.float64()) if column is None else pa.array(_numbers(table, column))
            )
        if kind != "words" and column is not None:
            return pa.array(column, from_pandas=True)
        if column is None:
            typed = pa.string() if kind == "words" else pa.bool_() if kind == "truth" else None
            return pa.nulls(table.n_rows, typed or pa.from_numpy_dtype(np.dtype(kind)))
        cells = as_ids(column) if self.is_id(name) else as_words(column)
        return pa.array(np.array([*cells.words, None], dtype=object)[cells.codes], type=pa.string())

    def _categories(self, n_rows: int, column: RawColumn | None, name: str) -> Any:
        import pyarrow as pa

        levels, ordered = self.settled[name]
        place = {level: rank for rank, level in enumerate(levels)}
        codes = np.full(n_rows, -1, dtype=np.int32)
        if column is not None:
            cells = as_words(column, id_text)
            codes = np.array([*map(place.__getitem__, cells.words), -1], dtype=np.int32)[cells.codes]
        return pa.DictionaryArray.from_arrays(
            pa.array(codes, mask=codes < 0), pa.array(levels, type=pa.string()), ordered=ordered
        )


def _numbers(table: SourceTable, column: RawColumn) -> np.ndarray[Any, np.dtype[np.float64]]:
    cells = as_numbers(column, decimal_comma=_comma_may_be_decimal(table))
    values = cells.values.copy()
    values[cells.bad_rows] = [float(word) for word in cells.bad_words]
    return values


def _common(one: str, other: str) -> str:
    """The type that holds both; truth beside numbers becomes words, as when files are read together."""
    return one if one == other else "words"


def _plain_whole(word: str) -> bool:
    digits = word.removeprefix("-")
    return digits.isdigit() and digits.isascii() and len(digits) <= _MOST_DIGITS and str(int(word)) == word


def _infinite(word: str) -> bool:
    """Whether a word is an infinite number, which is told when partitions are read."""
    return word.casefold().lstrip("+-") in _INFINITE


def _comma_may_be_decimal(table: SourceTable) -> bool:
    return table.delimiter not in ("", ",")


def _holds_point(column: RawColumn) -> bool:
    import pyarrow.compute as pc

    return not isinstance(column, pd.Series) and bool(pc.any(pc.match_substring(column, ".")).as_py())
