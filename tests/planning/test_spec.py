"""Specs of plans: what is wrong is told by key and line."""

from __future__ import annotations

import pytest

import biocal as bc
from biocal.errors import DesignError
from biocal.simulation.planning.spec import read_plan

GOOD = """\
[exposure]
mean = 60
sd = 20
[truth]
type = "linear"
beta = [-0.02]
[fit]
exposure = "linear"
[estimand]
at = [40]
reference = 60
[[studies]]
name = "B"
sets = 300
intercept = 12
slope = 0.75
r_squared = 0.7
"""


def problems(tmp_path, text: str) -> str:
    (tmp_path / "plan.toml").write_text(text, encoding="utf-8")
    with pytest.raises(DesignError) as raised:
        read_plan(tmp_path / "plan.toml")
    return str(raised.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("calibrators = [2]", "plan.calibrators: must be whole numbers from 3 to 10,000,000, not 2"),
        ("calibrators = []", "plan.calibrators: must hold at least one number"),
        ('spread = "decile"', 'plan.spread: must be one of "random", "deciles", "extremes", not "decile"'),
        ("width = 0", "plan.width: must be above 0"),
        ("power = 1.0", "plan.power: must lie between 0 and 1"),
        ("power = 0.01", "plan.power: must be above alpha"),
        ("extreme_share = 0.7", "plan.extreme_share: must lie above 0 and be at most 0.5"),
        ("budget = 0", "plan.budget: must lie from 1 to"),
        ("least = 1", "plan.least: must lie from 3 to"),
        ("enough = -1", "plan.enough: must be above 0"),
        ("bugdet = 5", "plan.bugdet: there is no such key; did you mean 'budget'?"),
        ('width = "wide"', "plan.width: must be a number, not 'wide'"),
    ],
)
def test_what_is_wrong_with_the_questions_is_told_with_its_line(tmp_path, table, message):
    told = problems(tmp_path, f"[plan]\n{table}\n{GOOD}")
    assert f"plan.toml:2: {message}" in told, told


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('[disease]\ntype = "cohort"\nsize = 5000\nprevalence = 0.2\n', "disease.type: must be \"rare\" in a plan"),
        ("[measurement]\ncases = true\n", "measurement.cases: must be false in a plan"),
        ('[vary]\n"studies.sets" = [1, 2]\n', "vary: belongs to biocal simulate"),
        ('[pilot]\nspec = "a.toml"\n', "exposure: is a guess, and the pilot's data stand for it"),
    ],
)  # fmt: skip
def test_what_a_plan_cannot_take_is_refused_by_key(tmp_path, more, message):
    assert message in problems(tmp_path, GOOD + more)


def test_a_missing_section_and_a_reference_study_alone_are_told(tmp_path):
    assert "exposure: the section [exposure] is missing" in problems(
        tmp_path, GOOD.split("[truth]")[1].join(["[truth]", ""])
    )
    alone = GOOD.split("intercept")[0] + 'laboratory = "reference"\n'
    assert "there is nothing to calibrate otherwise" in problems(tmp_path, alone)


def test_a_file_that_is_not_there_or_not_toml_is_told(tmp_path):
    with pytest.raises(DesignError, match="there is no such file"):
        read_plan(tmp_path / "absent.toml")
    assert "is not valid TOML" in problems(tmp_path, "[plan\n")


def test_a_study_need_not_say_how_many_calibrators(tmp_path):
    (tmp_path / "plan.toml").write_text("[plan]\ncalibrators = 25\n" + GOOD, encoding="utf-8")
    read = read_plan(tmp_path / "plan.toml")
    assert read.scenario.studies[0].calibrators == 25


def test_a_design_of_simulate_can_be_planned_and_what_is_not_used_is_told(tmp_path):
    text = 'replicates = 10\nmethods = ["full"]\n' + GOOD.replace(
        "beta = [-0.02]", "beta = [-0.02]\nheterogeneity = 0.1"
    )
    (tmp_path / "plan.toml").write_text(text, encoding="utf-8")
    found = bc.plan(tmp_path / "plan.toml")
    assert any("replicates and methods belong to biocal simulate" in note for note in found.notes)
    assert any("truth.heterogeneity is taken as 0" in note for note in found.notes)


def test_what_lies_beyond_the_controls_is_told():
    mapping = {
        "exposure": {"mean": 60, "sd": 20},
        "truth": {"type": "linear", "beta": [-0.02]},
        "fit": {"exposure": "linear"},
        "estimand": {"at": [40], "reference": 60},
        "studies": [{"name": "B", "sets": 50, "intercept": 0, "slope": 1, "r_squared": 0.4}],
        "plan": {"calibrators": [20, 80], "spread": ["extremes"], "budget": 70},
    }
    notes = " ".join(bc.plan(mapping).notes)
    assert "fewer controls than the largest number compared: B (50)" in notes
    assert "the budget of 70 exceeds the 50 controls" in notes
    assert "extremes: the narrowest intervals if the calibration is a straight line" in notes
