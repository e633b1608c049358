"""The exact conditional likelihood against survival::clogit; R is not needed here."""

from __future__ import annotations

import csv
from collections import Counter

import pytest
from parity_topics import Topic

QUANTITIES = {"estimate", "covariance", "loglik", "loglik_null"}
GRIDS = {"pairs", "one_to_many", "two_to_three", "many_to_many", "infert", "infert_joined"}


@pytest.fixture(scope="module")
def topic():
    return Topic("clogit")


def test_the_pins_belong_to_the_data_beside_them(topic):
    topic.require_own_data({"survival"}, {"sets.csv", "infert.csv"})


def test_every_number_agrees_with_clogit(topic):
    differences = topic.require_agreement(dict.fromkeys(GRIDS, QUANTITIES))
    assert len(differences) == len(GRIDS) * len(QUANTITIES)


def test_the_designs_hold_pairs_one_to_many_and_many_to_many(topic):
    shapes = {}
    with (topic.folder / "sets.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            shapes.setdefault((row["design"], row["set"]), Counter())[row["case"]] += 1
    found = {}
    for (design, _), count in shapes.items():
        found.setdefault(design, set()).add((count["1"], count["0"]))
    assert found["pairs"] == {(1, 1)}
    assert found["one_to_many"] == {(1, m) for m in range(1, 6)}
    assert found["two_to_three"] == {(2, 3)}
    assert found["many_to_many"] == {(1, 1), (2, 2), (3, 2), (2, 5), (4, 1), (3, 4), (5, 5)}
