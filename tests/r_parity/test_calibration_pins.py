"""Censored and robust calibrations against survival::survreg and MASS::rlm; R is not needed here."""

from __future__ import annotations

import pytest
from parity_topics import Topic

CENSORED = {"coefficients", "scale", "loglik", "vcov"}
ROBUST = {"coefficients", "scale"}
GRIDS = {
    **{f"{kind}_{study}": CENSORED for kind in ("tobit", "tobit_log") for study in "ABC"},
    **{f"huber_{study}": ROBUST for study in "ABC"},
    "tobit_common": CENSORED,
}


@pytest.fixture(scope="module")
def topic():
    return Topic("calibration")


def test_the_pins_belong_to_the_data_beside_them(topic):
    topic.require_own_data({"survival", "MASS"}, {"pairs.csv"})


def test_coefficients_scales_and_covariances_agree_with_r(topic):
    differences = topic.require_agreement(GRIDS)
    assert len(differences) == sum(len(quantities) for quantities in GRIDS.values())
