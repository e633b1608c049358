"""`biocal plan`: files, summary, refusals."""

from __future__ import annotations

import json

import pandas as pd
import pytest

PLAN = [
    *("design", "spread", "calibrators", "total", "exposure", "reference_exposure", "log_or", "std_error"),
    *("width", "ratio", "calibration_share", "width_floor", "above_floor", "gain_per_10"),
]
FILES = {
    *("plan.csv", "plan_studies.csv", "enough.csv", "power.csv", "sets.csv"),
    *("plan.json", "summary.txt", "width.png", "width.svg"),
}
SMALL = """\
[plan]
calibrators = [20, 50]
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


def test_the_bundled_example_runs_and_writes_its_files(folder, biocal):
    assert biocal("example", "planning").code == 0
    answer = biocal("plan", "planning/planning.toml", "--out", "plan")
    assert answer.code == 0, answer.err
    assert {path.name for path in (folder / "plan").iterdir()} == FILES
    table = pd.read_csv(folder / "plan" / "plan.csv")
    assert list(table.columns) == PLAN
    assert set(table["design"]) == {"as planned", "equal", "budget alike", "best division"}
    assert set(table["spread"]) == {"random", "deciles", "extremes"}
    record = json.loads((folder / "plan" / "plan.json").read_text(encoding="utf-8"))
    assert record["tables"]["plan"][0]["std_error"] == pytest.approx(table["std_error"][0])
    assert record["options"]["width"] == 0.4
    assert (folder / "plan" / "summary.txt").read_text(encoding="utf-8").strip() in answer.out
    for words in (
        "As planned  30 calibrators in each of North, South; 60 re-assays; chosen by chance",
        "Enough: fewest calibrators a study for an interval within 5.0 % of the floor",
        "Dividing 120 re-assays among the studies",
        "Power as planned, 1,400 sets",
        "Sets of all studies together for intervals of width 0.4",
    ):
        assert words in answer.out, words


def test_without_a_folder_the_summary_is_shown_and_nothing_written(folder, biocal):
    (folder / "plan.toml").write_text(SMALL, encoding="utf-8")
    before = {path.name for path in folder.iterdir()}
    answer = biocal("plan", "plan.toml")
    assert answer.code == 0
    assert "biocal: plan of a calibration subset" in answer.out
    assert {path.name for path in folder.iterdir()} == before


def test_a_pilot_is_read_by_its_own_spec(folder, biocal):
    text = (
        '[pilot]\nspec = "spec.toml"\n[plan]\ncalibrators = [30]\n[estimand]\nat = [45, 75]\nreference = 60\n'
    )
    (folder / "plan.toml").write_text(text, encoding="utf-8")
    assert biocal("plan", "plan.toml", "--out", "plan", "--quiet") == (0, "", "")
    planned = pd.read_csv(folder / "plan" / "plan.csv").query("design == 'as planned'")
    words = ("--method", "full", "--at", "45,75", "--quiet")
    assert biocal("fit", "--spec", "spec.toml", "--out", "fit", *words).code == 0
    fit = pd.read_csv(folder / "fit" / "dose_response.csv")
    assert planned["std_error"].tolist() == pytest.approx(fit["std_error"].tolist(), rel=1e-9)


def test_a_pilots_spec_must_not_hold_what_a_plan_leaves_out(folder, biocal):
    text = (folder / "spec.toml").read_text(encoding="utf-8")
    (folder / "spec.toml").write_text(text + 'modifier = "sex"\n', encoding="utf-8")
    (folder / "plan.toml").write_text('[pilot]\nspec = "spec.toml"\n', encoding="utf-8")
    answer = biocal("plan", "plan.toml")
    assert answer.code == 3
    assert "modifier: a plan from a pilot cannot take this into account" in answer.err


def test_errors_name_file_line_and_key_and_leave_nothing(folder, biocal):
    (folder / "plan.toml").write_text(SMALL.replace("sd = 20", "sd = -1"), encoding="utf-8")
    answer = biocal("plan", "plan.toml", "--out", "plan")
    assert answer.code == 3
    assert answer.errors == ["error: plan.toml:5: exposure.sd: must be above 0, not -1"]
    assert not (folder / "plan").exists()


def test_usage_is_told(folder, biocal):
    assert biocal("plan").code == 2
    assert biocal("plan", "absent.toml").code == 3
    assert biocal("plan", "absent.toml", "--force").code == 2


def test_files_that_are_there_are_not_replaced_unasked(folder, biocal):
    (folder / "plan.toml").write_text(SMALL, encoding="utf-8")
    (folder / "out").mkdir()
    (folder / "out" / "plan.csv").write_text("mine", encoding="utf-8")
    assert biocal("plan", "plan.toml", "--out", "out").code == 3
    assert (folder / "out" / "plan.csv").read_text(encoding="utf-8") == "mine"
    assert biocal("plan", "plan.toml", "--out", "out", "--force", "--quiet").code == 0
