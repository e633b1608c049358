"""Results on disk while a simulation runs: Parquet files that are there whole or not at all.

Every finished batch is written at once, so that a killed run loses none; after some dozens, the small files are
replaced by one.  A file names the batches it holds, and the design they belong to, in its metadata.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from biocal.simulation.fitting.quantities import CURVE
from biocal.simulation.running.schedule import Block
from biocal.system.files import whole_file

__all__ = [
    "SCHEMA",
    "BlockPlace",
    "BlockReader",
    "DamagedPartError",
    "PartWriter",
    "index_file",
    "table_of",
    "write_blocks",
]

#: Columns of replicates.parquet.  A failed replicate has nulls from estimate to conf_high; a sound one no error.
SCHEMA = pa.schema(
    [
        ("scenario", pa.int32()),
        ("replicate", pa.int32()),
        ("method", pa.string()),
        ("exposure", pa.float64()),
        ("estimate", pa.float64()),
        ("std_error", pa.float64()),
        ("conf_low", pa.float64()),
        ("conf_high", pa.float64()),
        ("truth", pa.float64()),
        ("converged", pa.bool_()),
        ("error", pa.string()),
    ]
)
#: And where a design asks for coefficients or tests: `quantity` is log_or for the curve; the other rows have no
#: exposure, and p-values no interval.
WITH_QUANTITY = SCHEMA.append(pa.field("quantity", pa.string()))
#: Columns that repeat few values; the others are as good as random and gain nothing from a dictionary.
REPETITIVE = ["scenario", "replicate", "method", "exposure", "truth", "error", "quantity"]
_BLOCKS, _DESIGN = b"biocal.blocks", b"biocal.design"

#: Small files that are replaced by one: few enough to rewrite in a blink, enough to keep folders short.
BLOCKS_PER_PART = 64
#: Files open at a time while batches are read from the parts of many shards.
OPEN_FILES = 64
_SMALL, _GROUPED = "batch-", "part-"


class DamagedPartError(Exception):
    """A file of results cannot be read, such as after a power failure."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class BlockPlace:
    """Where a batch's rows are: rows `start` to ``start + rows - 1`` of a row group of a file.

    `with_quantity` tells whether the file has coefficients or tests beside curves.
    """

    path: Path
    row_group: int
    start: int
    rows: int
    with_quantity: bool = False


def table_of(columns: Mapping[str, NDArray[Any]]) -> pa.Table:
    """Turn the columns of a batch into a table: blanks become nulls."""
    arrays = []
    schema = WITH_QUANTITY if "quantity" in columns else SCHEMA
    for field in schema:
        values = columns[field.name]
        blank = values == "" if field.name == "error" else None
        if pa.types.is_floating(field.type):
            blank = np.isnan(values)
        arrays.append(pa.array(values, type=field.type, mask=blank))
    return pa.Table.from_arrays(arrays, schema=schema)


def _of_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with the columns of a file: rows of a batch that has curves alone are named so."""
    if table.num_columns < len(schema):
        curve = pa.array(np.full(table.num_rows, CURVE, dtype=object), pa.string())
        return table.append_column(schema.field("quantity"), curve)
    return table


def write_blocks(
    path: Path,
    design: str,
    sizes: Sequence[tuple[Block, int]],
    tables: Iterable[pa.Table],
    *,
    group_rows: int = 1,
    durable: bool = True,
    with_quantity: bool = False,
) -> None:
    """Write batches into a Parquet file that appears when it is whole.

    Parameters
    ----------
    path : Path
        A file that is there is replaced at the end.
    design : str
        Fingerprint of the design.
    sizes : sequence of (Block, int)
        The batches and their numbers of rows.
    tables : iterable of Table
        Their rows, in the same order; drawn one by one, so that little memory is needed.
    group_rows : int
        A row group is ended once it has so many rows.  Batches are never split.
    durable : bool
        Safe from a power failure too, not only from a kill.
    with_quantity : bool
        Whether any of the batches has coefficients or tests beside curves.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    groups = _grouped(sizes, group_rows)
    places = [
        (block.scenario, block.first, block.count, number, start, rows)
        for number, group in enumerate(groups)
        for block, start, rows in group
    ]
    columns = WITH_QUANTITY if with_quantity else SCHEMA
    schema = columns.with_metadata({_BLOCKS: json.dumps(places), _DESIGN: design})
    rows_to_come = iter(tables)
    # opened by Python, so that a full disk is told by its own errno
    with (
        whole_file(path, durable=durable) as file,
        pq.ParquetWriter(
            file,
            schema,
            use_dictionary=[name for name in REPETITIVE if name in columns.names],
            write_page_checksum=True,
        ) as writer,
    ):
        for group in groups:
            table = pa.concat_tables([_of_schema(next(rows_to_come), columns) for _ in group])
            writer.write_table(table, row_group_size=max(table.num_rows, 1))


def _grouped(sizes: Sequence[tuple[Block, int]], group_rows: int) -> list[list[tuple[Block, int, int]]]:
    """Batches of each row group, with their first row in it and their number of rows."""
    groups: list[list[tuple[Block, int, int]]] = []
    filled = group_rows
    for block, rows in sizes:
        if filled >= group_rows:
            groups.append([])
            filled = 0
        groups[-1].append((block, filled, rows))
        filled += rows
    return groups


class PartWriter:
    """Keep every finished batch, at once, in a folder of parts.

    Parameters
    ----------
    folder : Path
        Holds parts of one design.
    design : str
        Fingerprint of the design.
    """

    def __init__(self, folder: Path, design: str) -> None:
        self.folder = folder
        self._design = design
        self._recent: list[tuple[Block, pa.Table]] = []
        numbers = [int(path.stem.removeprefix(_GROUPED)) for path in folder.glob(f"{_GROUPED}*.parquet")]
        self._next = max(numbers, default=-1) + 1
        # PyArrow looks for pandas at its first array, which takes a second: not while results are waiting.
        pa.array(np.empty(0), mask=np.empty(0, dtype=bool))

    def add(self, block: Block, columns: Mapping[str, NDArray[Any]]) -> None:
        """Write one batch; when this returns it is safe from a kill."""
        table = table_of(columns)
        # Syncing each would cost more than a power failure does: some dozens of batches, run again.
        self._write(self._small(block), [(block, table)], durable=False)
        self._recent.append((block, table))
        if len(self._recent) >= BLOCKS_PER_PART:
            self.group()

    def group(self) -> None:
        """Replace the small files of this run by one."""
        if not self._recent:
            return
        self._write(self.folder / f"{_GROUPED}{self._next:06d}.parquet", self._recent)
        # A kill between the two leaves batches in both files; they are the same, and one of them is read.
        for block, _ in self._recent:
            self._small(block).unlink(missing_ok=True)
        self._recent = []
        self._next += 1

    def _small(self, block: Block) -> Path:
        return self.folder / f"{_SMALL}{block.scenario:05d}-{block.first:09d}-{block.count}.parquet"

    def _write(self, path: Path, blocks: Sequence[tuple[Block, pa.Table]], *, durable: bool = True) -> None:
        sizes = [(block, table.num_rows) for block, table in blocks]
        write_blocks(
            path,
            self._design,
            sizes,
            (table for _, table in blocks),
            durable=durable,
            with_quantity=any("quantity" in table.column_names for _, table in blocks),
        )


def index_file(path: Path, design: str | None = None) -> dict[Block, BlockPlace]:
    """Return the batches that a file holds, and where in it.

    Parameters
    ----------
    path : Path
        A part, or a replicates.parquet that biocal wrote.
    design : str, optional
        Fingerprint that the file must have; files of another design count as holding nothing of this one.

    Raises
    ------
    DamagedPartError
        The file cannot be read.
    """
    try:
        found = pq.read_metadata(path)
        metadata = found.metadata or {}
        with_quantity = "quantity" in found.schema.names
        if design is not None and metadata.get(_DESIGN) != design.encode():
            return {}
        places = json.loads(metadata.get(_BLOCKS, b"[]"))
    except (OSError, pa.ArrowException, ValueError) as fault:
        raise DamagedPartError(f"'{path}' cannot be read ({fault})", path) from fault
    return {
        Block(scenario, first, count): BlockPlace(path, group, start, rows, with_quantity)
        for scenario, first, count, group, start, rows in places
    }


class BlockReader:
    """Read batches from the files that hold them, keeping few files open.

    Use it in a ``with`` block.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[Path, pq.ParquetFile] = OrderedDict()
        self._group: tuple[Path, int] | None = None
        self._table: pa.Table = SCHEMA.empty_table()

    def __enter__(self) -> BlockReader:
        return self

    def __exit__(self, *ending: object) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def read(self, place: BlockPlace) -> pa.Table:
        """Return the rows of a batch.

        Raises
        ------
        DamagedPartError
            They cannot be read.
        """
        try:
            if self._group != (place.path, place.row_group):
                self._table = self._file(place.path).read_row_group(place.row_group)
                self._group = (place.path, place.row_group)
        except (OSError, pa.ArrowException) as fault:
            raise DamagedPartError(f"'{place.path}' cannot be read ({fault})", place.path) from fault
        return self._table.slice(place.start, place.rows)

    def _file(self, path: Path) -> pq.ParquetFile:
        if path not in self._open:
            if len(self._open) >= OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[path] = pq.ParquetFile(path, page_checksum_verification=True)
        self._open.move_to_end(path)
        return self._open[path]
