"""What a plan calls enough and how its table reads."""

from __future__ import annotations

import re
from dataclasses import replace

import biocal as bc
from biocal.results.calibration.quality import AMBER_PAIRS
from biocal.simulation.planning.options import PlanOptions
from biocal.simulation.planning.results import EQUAL

SPEC = {
    "exposure": {"mean": 60, "sd": 20},
    "truth": {"type": "linear", "beta": [-0.005]},
    "fit": {"exposure": "linear"},
    "estimand": {"at": [40], "reference": 60},
    "studies": [
        {"name": "B", "sets": 300, "intercept": 12, "slope": 0.75, "r_squared": 0.9, "calibrators": 12}
    ],
}


def test_a_plan_calls_no_number_enough_at_which_the_quality_gate_is_amber():
    assert PlanOptions().least == AMBER_PAIRS
    found = bc.plan(SPEC)
    assert found.enough["random"][0] >= AMBER_PAIRS
    assert any(
        f"below {AMBER_PAIRS} calibrators a study (as planned: B (12))" in note for note in found.notes
    )


def test_the_table_calls_the_limit_the_limit_and_has_one_sign_a_share():
    found = bc.plan(SPEC)
    below = tuple(
        replace(one, std_error=0.974 * one.floor) if one.label == EQUAL else one for one in found.predictions
    )
    text = replace(found, predictions=below).summary()
    assert "limit OR" in text
    assert "expected OR" not in text
    assert "(-2.6 %)" in text
    assert not re.search(r"\+-", text)
