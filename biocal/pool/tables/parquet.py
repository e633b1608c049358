"""A Parquet file as raw columns, each turned from Arrow's form into pandas' only when it is needed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from biocal.pool.tables.cells import RawColumn
from biocal.pool.tables.spelling import one_spelling
from biocal.pool.tables.table import FileColumns, itself
from biocal.system.bytes import require_parquet_fits


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
    LongColumns, or DataFrame where pandas' own notes in the file turn columns into an index.

    Raises
    ------
    ValueError, OSError, TypeError, KeyError and others
        A broken file, or a name that occurs twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    require_parquet_fits(content)
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        table = file.read()
    names = [one_spelling(name.strip()) for name in table.column_names]
    doubled = sorted(name for name, times in Counter(names).items() if times > 1)
    if doubled:
        raise ValueError(f"columns that occur more than once: {', '.join(doubled)}; keep one of each")
    if not _columns_alone(table.schema):
        return as_frame(table)
    pieces = [table.select([i]) for i in range(table.num_columns)]
    n_rows = table.num_rows
    del table  # a column then lives as long as its piece
    columns = {name: _loader(piece) for name, piece in zip(names, pieces, strict=True)}
    return LongColumns(FileColumns(columns), n_rows)


def _columns_alone(schema: Any) -> bool:
    """Whether every column is one of the table, and none of pandas' index."""
    if (schema.metadata or {}).get(b"pandas") is None:
        return True
    index = (schema.pandas_metadata or {}).get("index_columns", [None])
    return all(
        isinstance(one, dict) and (one.get("kind"), one.get("name")) == ("range", None) for one in index
    )


def _loader(piece: Any) -> partial[RawColumn]:
    """How a column is had; those whose conversion may fail are converted here and now."""
    import pyarrow as pa

    piece = _without_stored_dictionaries(piece)
    kind = piece.schema.types[0]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        piece.column(0).validate(full=True)  # text that is not UTF-8 would fail later
        return partial(piece.column, 0)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return partial(_series, piece)
    return partial(itself, _series(piece))


def as_frame(table: Any) -> pd.DataFrame:
    """A table as pandas reads it, with categories where its maker had them and only there.

    Raises
    ------
    ArrowInvalid
        Broken words.
    """
    frame: pd.DataFrame = _to_pandas(_without_stored_dictionaries(table))
    for name in _noted_categories(table.schema):
        # Parquet has no categories of numbers: their order is lost, and the note remains
        place = frame.columns.get_indexer_for(pd.Index([name]))
        if place.size == 1 and place[0] >= 0 and frame.dtypes.iloc[place[0]].kind in "iuf":
            frame[name] = frame[name].astype("category")
    return frame


def _without_stored_dictionaries(table: Any) -> Any:
    """The table with its columns of categories, and dictionaries that only store words as the words."""
    import pyarrow as pa

    kept = _declared_categories(table.schema)
    for i, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type) and field.name not in kept:
            table = table.set_column(i, field.name, table.column(i).cast(field.type.value_type))
    return table


def categories_of(schema: Any) -> set[str]:
    """Columns that a table holds as categories, numbers too."""
    return _declared_categories(schema) | set(_noted_categories(schema))


def _declared_categories(schema: Any) -> set[str]:
    """Columns with a dictionary that holds categories in an order that somebody gave.

    One that says that it is ordered, or was written by pandas or R as categories.  Any other is only a way of
    storing words, in the order in which rows have them.
    """
    import pyarrow as pa

    noted, by_r = _noted_categories(schema), b"r" in (schema.metadata or {})
    return {
        field.name
        for field in schema
        if pa.types.is_dictionary(field.type) and (field.type.ordered or by_r or field.name in noted)
    }


def _noted_categories(schema: Any) -> list[str]:
    """Columns that were categories when pandas wrote them."""
    notes = [
        one
        for one in (schema.pandas_metadata or {}).get("columns", [])
        if one.get("pandas_type") == "categorical"
    ]
    names = {one.get(key) for one in notes for key in ("name", "field_name")}
    return [name for name in schema.names if name in names]


def _series(piece: Any) -> pd.Series[Any]:
    """The one column of a table, as pandas reads it."""
    column: pd.Series[Any] = as_frame(piece).iloc[:, 0]
    column.index = pd.RangeIndex(len(column))
    return column


def _to_pandas(table: Any) -> pd.DataFrame:
    """An Arrow table as pandas', integers with gaps as integers: floats would run large ids together."""
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
