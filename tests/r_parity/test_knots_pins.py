"""Default knots against rms::rcs; R is not needed here."""

from __future__ import annotations

import numpy as np
import pytest
from parity_topics import Topic

from biocal.kernels.splines import default_probabilities, quantile_knots

SAMPLES = {"normal", "lognormal", "rounded", "hundred", "fifty"}
QUANTITIES = {f"knots{k}" for k in range(3, 8)}
# Harrell's table gives the probabilities of seven knots to four digits: at most 5e-5 off, in a sample whose
# quantile function is steepest at 7 SD or so per unit between the outer knots.
ROUNDED_PROBABILITIES_IN_SD = 5e-5 * 20


@pytest.fixture(scope="module")
def topic():
    return Topic("knots")


def test_the_pins_belong_to_the_data_beside_them(topic):
    topic.require_own_data({"rms", "Hmisc"}, {"values.csv"})


def test_default_knots_agree_with_rms_from_a_hundred_values_on(topic):
    differences = topic.require_agreement(dict.fromkeys(SAMPLES, QUANTITIES))
    assert len(differences) == (len(SAMPLES) - 1) * len(QUANTITIES)


def test_four_digit_probabilities_of_seven_knots_move_them_by_less_than_a_thousandth_of_an_sd(topic):
    compare = topic.compare()
    gaps = {}
    for sample in SAMPLES - set(compare.SMALL):
        x = compare.values(sample)
        ours = quantile_knots(x, default_probabilities(7))
        gaps[sample] = np.abs(ours - topic.grids[sample]["knots7"]).max() / x.std()
    assert max(gaps.values()) < ROUNDED_PROBABILITIES_IN_SD
    assert gaps["normal"] > 0
    assert gaps["rounded"] == 0  # among ties the quantile does not move


def test_below_a_hundred_values_only_the_outer_knots_differ_and_hmisc_takes_the_fifth_values(topic):
    compare = topic.compare()
    x = np.sort(compare.values("fifty"))
    for k in (3, 4, 5, 6):
        theirs = np.array(topic.grids["fifty"][f"knots{k}"])
        assert theirs[[0, -1]].tolist() == [x[4], x[-5]]
        ours = quantile_knots(x, default_probabilities(k))
        np.testing.assert_allclose(ours[1:-1], theirs[1:-1], rtol=compare.TOLERANCES[""])
