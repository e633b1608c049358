"""Putting the batches of a run, or of many shards, in order in one file, with little memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from biocal.simulation.parts import BlockPlace, BlockReader, write_blocks
from biocal.simulation.schedule import Block

__all__ = ["ROWS_PER_GROUP", "MethodFailures", "merge_blocks"]

#: Rows of a row group of replicates.parquet: large enough to read fast, a few megabytes in memory.
ROWS_PER_GROUP = 65_536


@dataclass(frozen=True, slots=True)
class MethodFailures:
    """Failed replicates of one method in one scenario.

    Attributes
    ----------
    scenario : int
    method : str
    failed, replicates : int
    error : str
        The most frequent one.
    """

    scenario: int
    method: str
    failed: int
    replicates: int
    error: str

    @property
    def share(self) -> float:
        """Share of the replicates that failed."""
        return self.failed / self.replicates


def merge_blocks(
    wanted: Sequence[Block],
    places: Mapping[Block, BlockPlace],
    target: Path,
    design: str,
    *,
    group_rows: int = ROWS_PER_GROUP,
) -> tuple[MethodFailures, ...]:
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
        See :func:`biocal.simulation.parts.write_blocks`.

    Returns
    -------
    tuple of MethodFailures
        In the order of scenarios and methods.

    Raises
    ------
    DamagedPartError
        A file of results cannot be read.
    """
    tally = _FailureTally()
    sizes = [(block, places[block].rows) for block in wanted]

    def tables(reader: BlockReader) -> Iterator[pa.Table]:
        for block in wanted:
            table = reader.read(places[block])
            tally.add(block, table)
            yield table

    with BlockReader() as reader:
        write_blocks(target, design, sizes, tables(reader), group_rows=group_rows)
    return tally.failures()


class _FailureTally:
    """Counts failed replicates by scenario and method as batches pass."""

    def __init__(self) -> None:
        self._replicates: Counter[int] = Counter()
        self._errors: dict[tuple[int, str], Counter[str]] = {}

    def add(self, block: Block, table: pa.Table) -> None:
        self._replicates[block.scenario] += block.count
        failed = pc.or_(pc.invert(table["converged"]), pc.is_null(table["estimate"]))
        if not pc.any(failed).as_py():
            return
        rows = table.filter(failed).group_by(["replicate", "method"]).aggregate([("error", "min")])
        for method, error in zip(rows["method"].to_pylist(), rows["error_min"].to_pylist(), strict=True):
            errors = self._errors.setdefault((block.scenario, method), Counter())
            errors[error or "no estimate"] += 1

    def failures(self) -> tuple[MethodFailures, ...]:
        return tuple(
            MethodFailures(
                scenario, method, errors.total(), self._replicates[scenario], errors.most_common(1)[0][0]
            )
            for (scenario, method), errors in sorted(self._errors.items())
        )
