"""check, calibrate, example and the talk of fit: what is shown, and where."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cli_pool import small_pool

import biocal as bc


def test_check_shows_what_the_data_hold(folder, biocal):
    answer = biocal("check", "pool.csv")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("3 studies, 360 rows from 1 file\n")
    assert "North  local        120    60     60        60  1:1 (60)" in answer.out


@pytest.mark.usefixtures("no_figures")
def test_columns_may_have_any_names_in_every_command(folder, biocal):
    names = {"study": "cohort", "set": "stratum", "case": "y", "local": "w", "reference": "x"}
    small_pool().rename(columns=names).to_csv(folder / "renamed.csv", index=False)
    options = [word for part, name in names.items() for word in (f"--{part}", name)]
    for command in ("check", "calibrate"):
        answer = biocal(command, "renamed.csv", *options)
        assert answer == biocal(command, "pool.csv"), command
    fit = ("fit", "--exposure", "linear", "--quiet", "--out")
    assert biocal(*fit, "a", "pool.csv").code == 0
    assert biocal(*fit, "b", "renamed.csv", *options).code == 0
    for name in ("coefficients.csv", "calibration.csv"):
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes()


def test_check_with_quiet_still_gives_its_result_and_only_errors(folder, biocal):
    pool = small_pool()
    pool.loc[3, "local"] = -2
    pool.to_csv(folder / "pool.csv", index=False)
    assert biocal("check", "pool.csv").err != ""
    answer = biocal("check", "pool.csv", "--quiet")
    assert (answer.code, answer.err) == (0, "")
    assert "3 studies" in answer.out


def test_calibrate_shows_a_row_a_study_and_writes_only_when_asked(folder, biocal):
    answer = biocal("calibrate", "pool.csv", "--unit", "nmol/L")
    assert (answer.code, answer.err) == (0, "")
    for study in ("North", "South"):
        assert f"\n  {study}" in answer.out
    assert {path.name for path in folder.iterdir()} == {"pool.csv", "spec.toml"}


def test_calibrate_writes_the_numbers_of_the_python_call(folder, biocal):
    words = ("--calibration-covariates", "bmi", "--calibration-coefficients", "by-study", "--out", "c")
    answer = biocal("calibrate", "pool.csv", *words)
    assert answer.code == 0
    names = {path.name for path in (folder / "c").iterdir()}
    tables = {"calibration.csv", "calibration_covariates.csv", "calibration_quality.csv"}
    figures = ("calibration", "bland_altman", "calibration_residuals")
    assert names == tables | {f"{name}.{ending}" for name in figures for ending in ("png", "svg")}
    results = bc.calibrate(
        bc.read_studies("pool.csv"), calibration_covariates="bmi", calibration_coefficients="by-study"
    )
    written = pd.read_csv(folder / "c" / "calibration_covariates.csv", dtype=str)
    assert written["study"].tolist() == ["North", "South"]
    np.testing.assert_array_equal(
        [float(cell) for cell in written["estimate"]], results.tidy_covariates()["estimate"]
    )


def test_calibrate_does_not_overwrite_unasked_and_is_silent_with_quiet(folder, biocal):
    answer = biocal("calibrate", "pool.csv", "--out", "c", "--quiet")
    assert answer == (0, "", "")
    assert biocal("calibrate", "pool.csv", "--out", "c").code == 3
    assert biocal("calibrate", "pool.csv", "--out", "c", "--force", "--quiet").code == 0


@pytest.mark.usefixtures("no_figures")
def test_fit_puts_its_summary_on_stdout_and_messages_on_stderr(folder, biocal):
    pool = small_pool()
    pool.loc[3, "local"] = -2
    pool.to_csv(folder / "pool.csv", index=False)
    answer = biocal("fit", "--spec", "spec.toml", "--out", "o")
    assert answer.out.startswith("biocal: comparison of naive, full\n")
    assert (
        "warning: pool.csv:5: column 'local'" in answer.err
        or "note: pool.csv:5: column 'local'" in answer.err
    )
    assert "note: 12 files are in o" in answer.err
    assert not any(mark in answer.err for mark in "\x1b\r"), "nothing that moves when piped"


@pytest.mark.usefixtures("no_figures")
def test_fit_with_quiet_says_nothing(folder, biocal):
    assert biocal("fit", "--spec", "spec.toml", "--out", "o", "--quiet") == (0, "", "")
    assert (folder / "o" / "fit.json").is_file()


@pytest.mark.usefixtures("no_figures")
def test_a_bootstrap_is_drawn_by_its_seed_and_only_when_asked_for(folder, biocal):
    words = ("fit", "--spec", "spec.toml", "--method", "naive", "--bootstrap", "3", "--quiet", "--seed")
    assert biocal(*words, 5, "--out", "a").code == 0
    assert biocal(*words, 5, "--out", "b").code == 0
    assert biocal(*words, 6, "--out", "c").code == 0
    drawn = [(folder / name / "bootstrap.csv").read_text() for name in "abc"]
    assert drawn[0] == drawn[1] != drawn[2]
    answer = biocal("fit", "--spec", "spec.toml", "--out", "d", "--seed", 5)
    assert "note: --seed not used: nothing is drawn without --bootstrap N" in answer.err
    assert not (folder / "d" / "bootstrap.csv").exists()


@pytest.mark.usefixtures("no_figures")
def test_the_spec_of_the_main_job_is_fitted_as_it_is(tmp_path, biocal):
    spec = bc.datasets.data_root() / "vitamin_d" / "analysis.toml"
    answer = biocal("fit", "--spec", spec, "--out", tmp_path / "o")
    assert (answer.code, answer.errors) == (0, [])
    assert answer.out.startswith("biocal: comparison of naive, full\n")
    assert "Studies     17 (5 reference, 12 local)" in answer.out
    assert "Reference   56.25 nmol/L" in answer.out


def test_examples_are_listed_and_copied_to_run(tmp_path, biocal, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = biocal("example")
    assert listed.code == 0
    assert [line.split()[0] for line in listed.out.splitlines()] == list(bc.datasets.example_names())
    copied = biocal("example", "infertility")
    assert copied.code == 0
    assert "biocal fit --spec infertility/analysis.toml --out infertility/results" in copied.out
    assert biocal("fit", "--spec", "infertility/analysis.toml", "--out", "infertility/results").code == 0
    assert biocal("example", "infertility").code == 3
    assert biocal("example", "infertility", "--force", "--quiet") == (0, "", "")
    assert biocal("example", "vitamin").code == 3
