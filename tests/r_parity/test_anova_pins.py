"""Overall and nonlinearity tests against rms::anova of the same fits; R is not needed here."""

from __future__ import annotations

import pytest
from parity_topics import PARITY, Topic

DESIGNS = ("pairs", "one_to_two", "ragged")
QUANTITIES = {"model", "robust", "coefficients"}


@pytest.fixture(scope="module")
def topic():
    return Topic("anova")


def test_the_pins_belong_to_the_data_beside_them(topic):
    topic.require_own_data({"rms", "survival"}, {"persons.csv"})
    copied = (PARITY / "sandwich" / "persons.csv").read_bytes()
    assert (topic.folder / "persons.csv").read_bytes() == copied


def test_chi_square_df_and_p_agree_with_rms(topic):
    grids = {f"{design}_knots{k}": QUANTITIES for design in DESIGNS for k in (3, 4, 5)}
    differences = topic.require_agreement(grids)
    assert len(differences) == len(grids) * len(QUANTITIES)


def test_both_tests_are_pinned_with_their_degrees_of_freedom(topic):
    for grid, pinned in topic.grids.items():
        k = int(grid[-1])
        for kind in ("model", "robust"):
            assert len(pinned[kind]) == 6
            assert pinned[kind][1::3] == [k - 1, k - 2]
