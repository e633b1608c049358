"""Restricted cubic splines against Hmisc::rcspline.eval, all norms, 3 to 7 knots; R is not needed here."""

from __future__ import annotations

import pytest
from parity_topics import Topic


@pytest.fixture(scope="module")
def topic():
    return Topic("rcs")


def test_the_pins_belong_to_the_data_beside_them(topic):
    topic.require_own_data({"Hmisc"}, {"points.csv"})


def test_every_column_agrees_with_hmisc_under_every_norm(topic):
    norms = {"norm0", "norm1", "norm2"}
    differences = topic.require_agreement({f"knots{k}": norms for k in range(3, 8)})
    assert len(differences) == 5 * 3


def test_the_points_reach_below_between_at_and_beyond_the_knots(topic):
    given = topic.compare().points()
    for k in range(3, 8):
        knots = given[f"knots{k}"]
        assert knots.size == k
        assert set(knots) <= set(given["x"])
        assert given["x"].min() < knots[0]
        assert given["x"].max() > knots[-1] + (knots[-1] - knots[0])
