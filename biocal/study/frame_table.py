"""A data frame, or a table read by pandas, as a source table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from biocal.errors import ColumnError
from biocal.study.source_table import SourceTable


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
    names = [str(column).strip() for column in frame.columns]
    doubled = sorted({column for column in names if names.count(column) > 1})
    if doubled:
        place = f"{name}: " if name else ""
        message = f"{place}columns that occur more than once: {', '.join(doubled)}; keep one of each"
        raise ColumnError(message, columns=tuple(doubled))
    columns = {column: _plain(frame.iloc[:, i].reset_index(drop=True)) for i, column in enumerate(names)}
    line = np.arange(1, len(frame) + 1, dtype=np.intp)
    return SourceTable(columns, line, name=name, stem=stem, sha256=sha256)


def _plain(column: pd.Series[Any]) -> pd.Series[Any]:
    """The column; a categorical one without the levels that no row has, as after selecting rows."""
    return column.cat.remove_unused_categories() if isinstance(column.dtype, pd.CategoricalDtype) else column
