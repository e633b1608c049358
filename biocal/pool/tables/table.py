"""One file (or data frame) as it was read: named raw columns, with the line of every row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.pool.checks.notices import Level, ProblemLog
from biocal.pool.tables.cells import RawColumn


class FileColumns(Mapping[str, RawColumn]):
    """Raw columns by name, in the order of the file.

    A table of millions of rows is held once: what was read of a column goes as soon as the pool has its own
    array of it, while the name stays for messages.

    Parameters
    ----------
    columns : mapping of str to callable
        Gives the raw column, anew each time.
    """

    __slots__ = ("_columns",)

    @classmethod
    def held(cls, columns: Mapping[str, RawColumn]) -> FileColumns:
        """Return columns that are there already."""
        return cls({name: partial(itself, column) for name, column in columns.items()})

    def __init__(self, columns: Mapping[str, Callable[[], RawColumn]]) -> None:
        self._columns: dict[str, Callable[[], RawColumn] | None] = dict(columns)

    def __getitem__(self, name: str) -> RawColumn:
        column = self._columns[name]
        assert column is not None, f"column {name} was let go of"
        return column()

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def release(self, name: str) -> None:
        """Let go of the cells of a column; its name stays."""
        import pyarrow as pa

        self._columns[name] = None
        pa.default_memory_pool().release_unused()  # Arrow would keep the room for columns of its own


def itself(column: RawColumn) -> RawColumn:
    """Return the column: what gives one that is there already."""
    return column


#: Lines of a file, or rows of the pool: as many bits as they need.
RowNumbers = NDArray[np.int32] | NDArray[np.int64]


def numbered_lines(first: int, n_rows: int) -> RowNumbers:
    """Return line numbers that follow one another, shape (n_rows,)."""
    if first + n_rows < np.iinfo(np.int32).max:
        return np.arange(first, first + n_rows, dtype=np.int32)
    return np.arange(first, first + n_rows, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that was read.

    Attributes
    ----------
    path : str
        As the caller gave it.
    sha256 : str
        Hash of its content, hexadecimal.
    n_rows : int
        Data rows in it.
    """

    path: str
    sha256: str
    n_rows: int


@dataclass(frozen=True, slots=True)
class SourceTable:
    """One file before anything is converted.

    Attributes
    ----------
    columns : mapping of str to raw column, each of length n_rows
        In the order of the file.
    line : ndarray, shape (n_rows,)
        Line in the file, or observation number (see `Problem`).
    name : str
        As named in messages.
    stem : str or None
        File name without folder and suffix, the study's name when there is no study column; None
        for a data frame.
    sha256 : str
        Hash of the content; blank for a data frame.
    delimiter : str
        Of a text file; blank for others.
    labels : mapping of str to mapping
        Labels of codes, by column and code, of a Stata file.
    """

    columns: Mapping[str, RawColumn]
    line: RowNumbers
    name: str
    stem: str | None = None
    sha256: str = ""
    delimiter: str = ""
    labels: Mapping[str, Mapping[float, str]] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Number of data rows."""
        return int(self.line.size)

    def without(self, lines: Set[int]) -> SourceTable:
        """Return the table without some of its lines; none of its columns may have been let go of."""
        import pandas as pd
        import pyarrow as pa

        kept = ~np.isin(self.line, np.fromiter(lines, dtype=np.int64, count=len(lines)))
        columns: dict[str, RawColumn] = {}
        for name, column in self.columns.items():
            if isinstance(column, pd.Series):
                columns[name] = column[kept].reset_index(drop=True)
            else:
                columns[name] = (pa.array(column) if isinstance(column, list) else column).filter(
                    pa.array(kept)
                )
        return replace(self, columns=FileColumns.held(columns), line=self.line[kept])

    def release(self, name: str) -> None:
        """Let go of the cells of a column that was read from a file: the pool has an array of its own by now."""
        if isinstance(self.columns, FileColumns) and name in self.columns:
            self.columns.release(name)


@dataclass(frozen=True, slots=True)
class TableStack:
    """Tables one below the other.

    Attributes
    ----------
    tables : tuple of SourceTable
    start : ndarray of int, shape (n_tables + 1,)
        First row of each table in the stack; the last entry is the number of rows.
    """

    tables: tuple[SourceTable, ...]
    start: NDArray[np.intp]

    @classmethod
    def of(cls, tables: Sequence[SourceTable]) -> TableStack:
        """Stack tables in the order given."""
        sizes = [table.n_rows for table in tables]
        return cls(tuple(tables), np.concatenate(([0], np.cumsum(sizes))).astype(np.intp))

    @property
    def n_rows(self) -> int:
        """Rows of all tables."""
        return int(self.start[-1])

    def column_names(self) -> list[str]:
        """Every column name, in order of first appearance."""
        return list(dict.fromkeys(name for table in self.tables for name in table.columns))

    def parts(self) -> Iterator[tuple[SourceTable, slice]]:
        """Each table with its rows in the stack."""
        for i, table in enumerate(self.tables):
            yield table, slice(int(self.start[i]), int(self.start[i + 1]))

    def table_of(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Index of the table that holds each row."""
        return (np.searchsorted(self.start, rows, side="right") - 1).astype(np.intp)

    def file_index(self) -> NDArray[np.int32]:
        """Table of every row, shape (n_rows,); a single value seen n_rows times where there is one table."""
        if len(self.tables) == 1:
            return np.broadcast_to(np.int32(0), self.n_rows)
        return np.repeat(np.arange(len(self.tables), dtype=np.int32), np.diff(self.start))

    def line(self) -> RowNumbers:
        """Line of every row, shape (n_rows,)."""
        if len(self.tables) == 1:
            return self.tables[0].line
        lines: RowNumbers = np.concatenate([table.line for table in self.tables])
        return lines

    def release(self, column: str) -> None:
        """Let go of a column's cells in every table, the pool having its own array of them."""
        for table in self.tables:
            table.release(column)

    def place(self, row: int) -> dict[str, Any]:
        """``file`` and ``line`` of a row, as `Problem` takes them."""
        i = int(self.table_of(np.array([row]))[0])
        table = self.tables[i]
        return {"file": table.name or None, "line": int(table.line[row - int(self.start[i])])}

    def tell_rows(
        self,
        log: ProblemLog,
        level: Level,
        code: str,
        rows: NDArray[np.intp],
        message_of: Callable[[int], str],
        **place: Any,
    ) -> None:
        """Record a finding at rows of the stack, file by file.

        Parameters
        ----------
        rows : ndarray of int, shape (k,)
            Increasing row numbers.
        message_of : callable
            Message for the k-th of them.
        """
        owner = self.table_of(rows)
        for i in np.unique(owner):
            mine = np.flatnonzero(owner == i)
            table = self.tables[i]
            lines = table.line[rows[mine] - self.start[i]]
            log.add_lines(
                level,
                code,
                lines,
                lambda k, mine=mine: message_of(int(mine[k])),  # type: ignore[misc]
                file=table.name or None,
                **place,
            )
