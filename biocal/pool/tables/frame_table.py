"""A data frame, or a table read by pandas, as a source table."""

from __future__ import annotations

import pandas as pd

from biocal.errors import ColumnError
from biocal.pool.tables.spelling import one_spelling
from biocal.pool.tables.table import FileColumns, SourceTable, numbered_lines


def frame_as_table(
    frame: pd.DataFrame, name: str = "", *, stem: str | None = None, sha256: str = ""
) -> SourceTable:
    """Return the columns of a frame; rows are numbered from 1.

    Raises
    ------
    ColumnError
        The frame is none, or two of its columns have one name (attribute ``columns``).
    """
    if not isinstance(frame, pd.DataFrame):
        raise ColumnError(f"a pandas DataFrame is needed, not {type(frame).__name__}", columns=())
    names = [one_spelling(str(column).strip()) for column in frame.columns]
    doubled = sorted({column for column in names if names.count(column) > 1})
    if doubled:
        place = f"{name}: " if name else ""
        message = f"{place}columns that occur more than once: {', '.join(doubled)}; keep one of each"
        raise ColumnError(message, columns=tuple(doubled))
    columns = {column: frame.iloc[:, i].reset_index(drop=True) for i, column in enumerate(names)}
    return SourceTable(
        FileColumns.held(columns), numbered_lines(1, len(frame)), name=name, stem=stem, sha256=sha256
    )
