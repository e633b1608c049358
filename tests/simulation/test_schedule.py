"""Which replicates run together, and which shard runs them."""

from __future__ import annotations

from collections import Counter

import pytest
from simulated_batches import StubScenario

from biocal.errors import OptionError
from biocal.simulation.running.schedule import (
    MOST_PER_BATCH,
    Block,
    Shard,
    batch_size,
    blocks_of,
    in_running_order,
    parse_shard,
    shard_blocks,
)


@pytest.mark.parametrize(
    ("rows", "size"), [(6_000, 16), (100, MOST_PER_BATCH), (96_001, 1), (5_000_000, 1), (24_000, 4)]
)
def test_a_batch_is_as_large_as_its_rows_allow(rows, size):
    assert batch_size(StubScenario("a", rows)) == size


@pytest.mark.parametrize("replicates", [1, 3, 8, 9, 100])
def test_every_replicate_of_every_scenario_is_in_exactly_one_batch(replicates):
    blocks = blocks_of([8, 3, 1], replicates)
    held = Counter((block.scenario, number) for block in blocks for number in block.replicates)
    assert held == Counter((scenario, number) for scenario in range(3) for number in range(replicates))
    assert list(blocks) == sorted(blocks)


def test_more_replicates_only_add_batches_and_fill_the_last_one():
    few, many = blocks_of([8], 20), blocks_of([8], 30)
    assert few[:2] == many[:2]
    assert (few[2], many[2]) == (Block(0, 16, 4), Block(0, 16, 8))


def test_all_scenarios_advance_together():
    order = in_running_order(blocks_of([8, 8, 8], 24))
    assert [block.scenario for block in order] == [0, 1, 2] * 3


@pytest.mark.parametrize("of", [1, 2, 3, 7, 24, 40])
def test_shards_divide_the_batches_evenly_among_them(of):
    blocks = blocks_of([8, 4, 8], 64)
    shards = [shard_blocks(blocks, Shard(index, of)) for index in range(1, of + 1)]
    assert sorted(block for shard in shards for block in shard) == list(blocks)
    sizes = [len(shard) for shard in shards]
    assert max(sizes) - min(sizes) <= 1


def test_a_shard_gets_batches_of_all_scenarios_even_when_there_are_as_many_shards_as_scenarios():
    blocks = blocks_of([16] * 12, 1_600)
    for index in range(1, 13):
        scenarios = Counter(block.scenario for block in shard_blocks(blocks, Shard(index, 12)))
        # 100 batches at random over 12 scenarios: a share of none has probability 12 * (11/12)^100 = .002,
        # and the division is fixed, so that this is either always or never so
        assert len(scenarios) == 12


def test_the_division_into_shards_never_changes():
    # shards run on machines with other versions, or are finished after an update
    blocks = blocks_of([8, 4], 32)
    shard = shard_blocks(blocks, Shard(2, 3))
    assert [(block.scenario, block.first) for block in shard] == [(0, 16), (0, 24), (1, 8), (1, 16)]


@pytest.mark.parametrize("text", ["2/10", " 2 / 10 ", (2, 10), Shard(2, 10)])
def test_a_shard_is_read_from_text_or_a_pair(text):
    assert parse_shard(text) == Shard(2, 10)


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "1/0", "-1/4", "1/4/2", (0, 1)])
def test_a_shard_that_cannot_be_is_refused(text):
    with pytest.raises(OptionError, match="written i/n"):
        parse_shard(text)
