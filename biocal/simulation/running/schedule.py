"""Which replicates are run together, in which order, and by which shard: a matter of the design alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from biocal.errors import OptionError

if TYPE_CHECKING:
    from biocal.simulation.design.scenario import Scenario

__all__ = ["Block", "Shard", "batch_size", "blocks_of", "in_running_order", "parse_shard"]

#: Rows drawn at a time: sixteen replicates of 6,000 rows, whose arrays fit a core's cache (our measurement).
ROWS_PER_BATCH = 96_000
#: Most replicates in a batch, so that small designs too show progress and lose little when killed.
MOST_PER_BATCH = 64


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """Replicates of one scenario that are run as one batch.

    Attributes
    ----------
    scenario : int
        Index of the scenario, from 0.
    first, count : int
        Replicates `first` to ``first + count - 1``.
    """

    scenario: int
    first: int
    count: int

    @property
    def replicates(self) -> range:
        """Numbers of the replicates."""
        return range(self.first, self.first + self.count)


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` (from 1) of `of` parts of a design, for array jobs."""

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"


def parse_shard(shard: str | tuple[int, int] | Shard | None) -> Shard | None:
    """Read a shard written as ``"2/10"`` or ``(2, 10)``.

    Raises
    ------
    OptionError
        Anything else, or an index outside 1 to the number of shards.
    """
    if shard is None or isinstance(shard, Shard):
        return shard
    if isinstance(shard, str):
        match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", shard)
        index, of = (int(match[1]), int(match[2])) if match else (0, 0)
    else:
        index, of = shard
    if not 1 <= index <= of:
        raise OptionError(
            f"a shard is written i/n with i from 1 to n, such as 2/10, not {shard!r}", option="shard"
        )
    return Shard(index, of)


def batch_size(scenario: Scenario) -> int:
    """Replicates of a scenario that are run together.

    It depends on the scenario only, so that every replicate is computed in the same company, and to the
    last bit the same, whatever the number of jobs, shards and interruptions.
    """
    rows = sum(study.n_persons for study in scenario.studies)
    return max(1, min(MOST_PER_BATCH, ROWS_PER_BATCH // max(rows, 1)))


def blocks_of(sizes: Sequence[int], replicates: int) -> tuple[Block, ...]:
    """Return all batches of a design, ordered by scenario and replicate.

    Parameters
    ----------
    sizes : sequence of int
        Batch size of each scenario.
    replicates : int
        Of every scenario.
    """
    return tuple(
        Block(scenario, first, min(size, replicates - first))
        for scenario, size in enumerate(sizes)
        for first in range(0, replicates, size)
    )


def shard_blocks(blocks: Sequence[Block], shard: Shard | None) -> tuple[Block, ...]:
    """Return the batches of one shard, ordered by scenario and replicate.

    Batches are dealt in an order that looks random, so that every shard gets its share of slow scenarios
    whatever their number.  The order comes from a hash, not a random generator: machines with different
    versions of NumPy must agree on it.
    """
    if shard is None:
        return tuple(blocks)
    dealt = sorted(blocks, key=lambda block: sha256(f"{block.scenario}:{block.first}".encode()).digest())
    return tuple(sorted(dealt[shard.index - 1 :: shard.of]))


def in_running_order(blocks: Iterable[Block]) -> list[Block]:
    """Order batches so that all scenarios advance together: the time left can then be told from the rate."""
    return sorted(blocks, key=lambda block: (block.first, block.scenario))
