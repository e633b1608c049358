"""A Parquet file as raw columns, each turned from Arrow's form into pandas' only when it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from biocal.study.cells import RawColumn
from biocal.study.file_columns import FileColumns, itself
from biocal.study.spelling import one_spelling
from biocal.study.unpacked_size import require_parquet_fits


@dataclass(frozen=True, slots=True)
class LongColumns:
    """Columns of one length.

    Attributes
    ----------
    columns : FileColumns
        Text as Arrow's strings, others as pandas has them.
    n_rows : int
    """

    columns: FileColumns
    n_rows: int


def read_parquet_columns(content: bytes) -> LongColumns | pd.DataFrame:
    """Read the content of a Parquet file.

    Returns
    -------
    LongColumns, or DataFrame where pandas' own notes in the file turn columns into an index, or names occur twice.

    Raises
    ------
    ValueError, OSError, TypeError, KeyError and others
        A broken file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    require_parquet_fits(content)
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        table = file.read()
    if not _columns_alone(table.schema):
        return as_frame(table)
    names = [one_spelling(name.strip()) for name in table.column_names]
    pieces = [table.select([i]) for i in range(table.num_columns)]
    n_rows = table.num_rows
    del table  # a column then lives as long as its piece
    columns = {name: _loader(piece) for name, piece in zip(names, pieces, strict=True)}
    return LongColumns(FileColumns(columns), n_rows)


def _columns_alone(schema: Any) -> bool:
    """Whether every column is one of the table, under a name of its own."""
    names = {one_spelling(name.strip()) for name in schema.names}
    notes = (schema.metadata or {}).get(b"pandas")
    if len(names) < len(schema.names):
        return False
    if notes is None:
        return True
    index = (schema.pandas_metadata or {}).get("index_columns", [None])
    return all(
        isinstance(one, dict) and (one.get("kind"), one.get("name")) == ("range", None) for one in index
    )


def _loader(piece: Any) -> partial[RawColumn]:
    """How a column is had; those whose conversion may fail are converted here and now."""
    import pyarrow as pa

    if not _declares_levels(piece.schema):
        piece = pa.table({piece.column_names[0]: piece.column(0).cast(piece.schema.types[0].value_type)})
    kind = piece.schema.types[0]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        piece.column(0).validate(full=True)  # text that is not UTF-8 would fail later
        return partial(piece.column, 0)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return partial(_series, piece)
    return partial(itself, _series(piece))


def _declares_levels(schema: Any) -> bool:
    """Whether the dictionary of a column, if it has one, is in an order that somebody gave.

    One that says that it is ordered, or was written by pandas or R as categories.  Any other is only a way of
    storing words, in the order in which rows have them.
    """
    import pyarrow as pa

    field = schema.field(0)
    if not pa.types.is_dictionary(field.type) or field.type.ordered or b"r" in (schema.metadata or {}):
        return True
    notes = (schema.pandas_metadata or {}).get("columns", [])
    return any(
        one.get("pandas_type") == "categorical" and field.name in (one.get("name"), one.get("field_name"))
        for one in notes
    )


def _series(piece: Any) -> pd.Series[Any]:
    """The one column of a table, as pandas reads it."""
    column = as_frame(piece).iloc[:, 0]
    column.index = pd.RangeIndex(len(column))
    return column


def as_frame(table: Any) -> pd.DataFrame:
    """Return an Arrow table as pandas', integers with gaps as integers: floats would run large ids together."""
    import pyarrow as pa

    nullable = {
        pa.type_for_alias(name.lower()): pd.api.types.pandas_dtype(name)
        for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
    }
    integers = {kind for kind in table.schema.types if pa.types.is_integer(kind)}
    whole = {
        kind
        for kind in integers
        if not any(table.column(i).null_count for i, own in enumerate(table.schema.types) if own == kind)
    }
    frame: pd.DataFrame = table.to_pandas(
        types_mapper=lambda kind: nullable.get(kind) if kind not in whole else None
    )
    return frame
