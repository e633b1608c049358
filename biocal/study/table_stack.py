"""Several source tables seen as one, so that a row of the pool can be traced to file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.study.notices import Level, ProblemLog
from biocal.study.source_table import RowNumbers, SourceTable


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
