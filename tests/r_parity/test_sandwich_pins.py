"""The naive fit's sandwich against survival's robust variance, one case a set; R is not needed here."""

from __future__ import annotations

import pytest
from parity_topics import Topic

DESIGNS = {"pairs", "one_to_two", "ragged"}
QUANTITIES = {"estimate", "covariance", "covariance_uncorrected", "statistic"}


@pytest.fixture(scope="module")
def topic():
    return Topic("sandwich")


def test_the_pins_belong_to_the_data_beside_them(topic):
    topic.require_own_data({"survival"}, {"persons.csv"})


def test_the_sandwich_agrees_with_the_robust_variance_of_survival(topic):
    differences = topic.require_agreement(dict.fromkeys(DESIGNS, QUANTITIES))
    assert len(differences) == len(DESIGNS) * len(QUANTITIES)


def test_robust_and_model_based_variances_differ_enough_to_be_told_apart(topic):
    for pinned in topic.grids.values():
        assert abs(pinned["covariance"][0][0] / pinned["covariance_uncorrected"][0][0] - 1) > 0.01
