"""Performance measures against the formulas of rsimsum, computed in R; R is not needed here."""

from __future__ import annotations

import pytest
from parity_topics import Topic

from biocal.simulation.measuring.performance import PERFORMANCE_COLUMNS

GRIDS = {f"{scenario}_{method}" for scenario in (0, 1) for method in ("naive", "full")}


@pytest.fixture(scope="module")
def topic():
    return Topic("performance")


def test_the_pins_belong_to_the_data_beside_them(topic):
    topic.require_own_data(set(), {"estimates.csv"})


def test_every_measure_and_its_monte_carlo_error_agrees(topic):
    quantities = set(PERFORMANCE_COLUMNS) - {"truth"}
    differences = topic.require_agreement(dict.fromkeys(GRIDS, quantities))
    assert len(differences) == len(GRIDS) * len(quantities)


def test_failures_and_a_truth_of_zero_are_among_the_groups(topic):
    assert {pinned["failed"] for pinned in topic.grids.values()} == {0, 3}
    assert topic.grids["1_full"]["relative_bias"] is None
    assert topic.grids["0_full"]["relative_bias"] is not None
