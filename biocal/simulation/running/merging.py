"""Putting the batches of a run, or of many shards, in order in one file, with little memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from biocal.simulation.running.parts import BlockPlace, BlockReader, write_blocks
from biocal.simulation.running.schedule import Block

__all__ = ["ROWS_PER_GROUP", "merge_blocks"]

#: Rows of a row group of replicates.parquet: large enough to read fast, a few megabytes in memory.
ROWS_PER_GROUP = 65_536


def merge_blocks(
    wanted: Sequence[Block],
    places: Mapping[Block, BlockPlace],
    target: Path,
    design: str,
    *,
    group_rows: int = ROWS_PER_GROUP,
) -> None:
    """Write batches into one file, in the order given.

    Parameters
    ----------
    wanted : sequence of Block
    places : mapping of Block to BlockPlace
        Where they are; others may be there too.
    target : Path
        Replaced when the new file is whole.
    design : str
        Fingerprint of the design.
    group_rows : int
        See :func:`biocal.simulation.running.parts.write_blocks`.

    Raises
    ------
    DamagedPartError
        A file of results cannot be read.
    """
    sizes = [(block, places[block].rows) for block in wanted]
    with_quantity = any(places[block].with_quantity for block in wanted)
    with BlockReader() as reader:
        tables = (reader.read(places[block]) for block in wanted)
        write_blocks(target, design, sizes, tables, group_rows=group_rows, with_quantity=with_quantity)
