"""Quantiles against R's nine types; R is not needed here."""

from __future__ import annotations

import pytest
from parity_topics import Topic

SAMPLES = {"normal", "lognormal", "rounded", "hundred", "fifty"}
TYPES = {f"type{i}" for i in range(1, 10)}
# Far more than rounding: what another type would show in at least one sample.
VISIBLE = 1e-3


@pytest.fixture(scope="module")
def topic():
    return Topic("quantiles")


def test_the_pins_belong_to_the_data_beside_them(topic):
    topic.require_own_data(set(), {"values.csv", "probabilities.csv"})


def test_our_quantiles_are_those_of_type_7_and_of_no_other(topic):
    differences = topic.require_agreement(dict.fromkeys(SAMPLES, TYPES))
    assert len(differences) == len(SAMPLES) * len(TYPES)
    for other in TYPES - {"type7"}:
        assert max(d.size for d in differences if d.quantity == other) > VISIBLE
