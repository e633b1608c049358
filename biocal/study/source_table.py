"""One file (or data frame) as it was read: named raw columns, with the line of every row."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from biocal.study.cells import RawColumn
from biocal.study.file_columns import FileColumns

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
