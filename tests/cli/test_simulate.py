"""``biocal simulate`` as it is typed: files, exit codes, shards, resuming; and ``bc.simulate``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

import biocal as bc
from biocal.simulation import api as finishing

DESIGN = """
title = "A small one"
replicates = 150
seed = 5
methods = ["naive", "full"]
[exposure]
mean = 60
sd = 20
[truth]
type = "linear"
beta = [-0.01]
[fit]
exposure = "linear"
[estimand]
at = [40, 80]
reference = 60
[[studies]]
name = "A"
sets = 60
laboratory = "reference"
[[studies]]
name = "B"
sets = 60
intercept = 12
slope = 0.75
r_squared = 0.8
calibrators = 30
[vary]
"studies.calibrators" = [20, 40]
"""
#: Seconds a process may take to start on a busy machine.
PATIENCE = 60.0


@pytest.fixture
def design(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "design.toml").write_text(DESIGN, encoding="utf-8")
    return "design.toml"


@pytest.fixture
def without_figures(monkeypatch):
    """Leave the figures out, which take most of the time."""
    monkeypatch.setattr(finishing, "_figures", lambda results, design: [])
    monkeypatch.setattr("biocal.cli.commands.simulate._write_report", lambda results, path, quiet: None)


def content(folder, name="replicates.parquet"):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def test_all_files_are_written_with_the_columns_of_the_contract(design, biocal, tmp_path):
    answer = biocal("simulate", design, "--out", "out")
    assert (answer.code, answer.errors) == (0, [])
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        *(
            "design.json",
            "replicates.parquet",
            "performance.csv",
            "summary.csv",
            "differences.csv",
            "figures",
        ),
        "report.html",
    }
    replicates = pd.read_parquet(out / "replicates.parquet")
    assert list(replicates.columns) == [
        *("scenario", "replicate", "method", "exposure", "estimate", "std_error", "conf_low", "conf_high"),
        *("truth", "converged", "error"),
    ]
    assert len(replicates) == 2 * 150 * 2 * 2
    performance = pd.read_csv(out / "performance.csv")
    measures = [
        *("bias", "relative_bias", "empirical_se", "model_se", "rmse", "relative_error_model_se", "coverage"),
        *("bias_eliminated_coverage", "power"),
    ]
    assert list(performance.columns[:5]) == ["scenario", "studies.calibrators", "method", "exposure", "truth"]
    assert {"n", "failed", "mean", *measures, *(f"mcse_{name}" for name in measures)} <= set(performance)
    assert performance["n"].eq(150).all()
    assert len(pd.read_csv(out / "summary.csv")) == 4
    assert len(pd.read_csv(out / "differences.csv")) == 4
    record = json.loads((out / "design.json").read_text(encoding="utf-8"))
    assert record["seed"] == 5
    assert record["spec"]["vary"] == {"studies.calibrators": [20, 40]}
    assert record["versions"]["biocal"] == bc.__version__
    figures = {path.name for path in (out / "figures").iterdir()}
    assert {"bias.png", "coverage.svg", "curves.png", "zip_0.png"} <= figures
    assert {"bias_by_studies_calibrators.png", "coverage_by_studies_calibrators.png"} <= figures
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "A small one" in report
    assert "A small one" in answer.out
    assert "results are in out" in answer.err


@pytest.mark.usefixtures("without_figures")
def test_jobs_shards_interruptions_and_python_give_the_same_numbers(design, biocal):
    assert biocal("simulate", design, "--out", "one").code == 0
    assert biocal("simulate", design, "--out", "two", "--jobs", 2).code == 0
    for index in (1, 2, 3):
        assert biocal("simulate", design, "--out", f"shard-{index}", "--shard", f"{index}/3").code == 0
    merged = biocal("simulate", "--merge", "shard-3", "shard-1", "shard-2", "--out", "merged")
    assert merged.code == 0
    for other in ("two", "merged"):
        for name in (
            "replicates.parquet",
            "performance.csv",
            "summary.csv",
            "differences.csv",
            "design.json",
        ):
            assert content("one", name) == content(other, name)
    study = bc.simulate(design)
    pd.testing.assert_frame_equal(study.replicates, pd.read_parquet("one/replicates.parquet"))


@pytest.mark.usefixtures("without_figures")
def test_replicates_and_seed_are_those_asked_for_and_are_remembered(design, biocal):
    assert biocal("simulate", design, "--out", "out", "--replicates", 20, "--seed", 9).code == 0
    record = json.loads(content("out", "design.json"))
    assert (record["replicates"], record["seed"], record["spec"]["seed"]) == (20, 9, 9)
    again = biocal("simulate", "--out", "out", "--resume")  # the folder knows its design
    assert again.code == 0
    longer = biocal("simulate", "--out", "out", "--resume", "--replicates", 70)
    assert "extending 'out' from 20 to 70 replicates" in longer.err
    assert biocal("simulate", design, "--out", "whole", "--replicates", 70, "--seed", 9).code == 0
    assert content("out") == content("whole")


@pytest.mark.usefixtures("without_figures")
def test_quiet_tells_nothing(design, biocal):
    assert biocal("simulate", design, "--out", "out", "--replicates", 5, "--quiet") == (0, "", "")


@pytest.mark.usefixtures("without_figures")
def test_a_method_that_often_fails_is_shouted(design, biocal, monkeypatch):
    from biocal.simulation.fitting import replicate

    run_batch = replicate.run_batch

    def failing(scenario, seed, index, numbers):
        columns = run_batch(scenario, seed, index, numbers)
        hit = (columns["replicate"] % 10 == 0) & (columns["method"] == "full") & (columns["scenario"] == 1)
        for name in ("estimate", "std_error", "conf_low", "conf_high"):
            columns[name][hit] = float("nan")
        columns["converged"] = columns["converged"] & ~hit
        columns["error"] = columns["error"].copy()
        columns["error"][hit] = "SeparationError: no finite maximum"
        return columns

    monkeypatch.setattr(replicate, "run_batch", failing)
    answer = biocal("simulate", design, "--out", "out", "--replicates", 40)
    assert answer.code == 0
    (warning,) = [line for line in answer.err.splitlines() if line.startswith("warning: ")]
    assert "full FAILED in 10" in warning
    assert "scenario 1 (studies.calibrators = 40)" in warning
    assert "SeparationError: no finite maximum" in warning
    assert "FAILED" in answer.out
    with pytest.warns(bc.BiocalWarning, match="full FAILED in 10"):
        bc.simulate(design, replicates=40)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("design.toml",), "Missing option '--out'"),
        (("--out", "o"), "Missing argument 'SPEC.toml'"),
        (("a.toml", "b.toml", "--out", "o"), "One design at a time"),
        (("design.toml", "--out", "o", "--shard", "3/2"), "a shard is written i/n"),
        (("design.toml", "--out", "o", "--jobs", "0"), "jobs is a number of processes"),
        (("design.toml", "--out", "o", "--jobs", "2", "--scheduler", "tcp://x:1"), "choose one"),
        (("design.toml", "--out", "o", "--resume", "--force"), "choose one"),
        (("design.toml", "--out", "o", "--replicates", "0"), "--replicates"),
        (("--merge", "--out", "o"), "Missing argument 'DIR...'"),
        (("--merge", "a", "--out", "o", "--jobs", "2"), "--jobs belong to a run"),
    ],
)
def test_words_that_make_no_sense_are_refused_with_2(design, biocal, tmp_path, words, message):
    answer = biocal("simulate", *words)
    assert answer.code == 2
    assert len(answer.errors) == 1
    assert message in answer.errors[0]
    assert not (tmp_path / "o").exists()


@pytest.mark.usefixtures("without_figures")
def test_bad_designs_and_places_are_refused_with_3(design, biocal, tmp_path):
    (tmp_path / "bad.toml").write_text(DESIGN.replace("r_squared = 0.8", "r_squared = 1.8\nslop = 2"))
    answer = biocal("simulate", "bad.toml", "--out", "o")
    assert answer.code == 3
    assert len(answer.errors) == 2  # all problems at once, a line each
    assert all(line.startswith("error: bad.toml:") for line in answer.errors)
    assert biocal("simulate", "nowhere.toml", "--out", "o").code == 3
    assert biocal("simulate", "--out", "nowhere", "--resume").code == 3
    (tmp_path / "file").write_text("")
    assert biocal("simulate", design, "--out", "file").code == 3
    assert biocal("simulate", "--merge", "nowhere", "--out", "o").code == 3
    assert not (tmp_path / "o").exists()
    assert biocal("simulate", design, "--out", "o", "--replicates", 3).code == 0
    again = biocal("simulate", design, "--out", "o", "--replicates", 3)
    assert again.code == 3
    assert "holds a finished simulation" in again.errors[0]
    assert biocal("simulate", design, "--out", "o", "--replicates", 2, "--force").code == 0


@pytest.mark.usefixtures("without_figures")
def test_every_problem_of_a_merge_has_a_line(design, biocal):
    for index in (1, 2):
        words = ("--out", f"s{index}", "--shard", f"{index}/4", "--replicates", 5)
        assert biocal("simulate", design, *words).code == 0
    answer = biocal("simulate", "--merge", "s1", "s2", "--out", "all")
    assert answer.code == 3
    assert "2 of 4 shards are missing: 3, 4" in answer.errors[0]


def test_python_refuses_what_needs_a_folder(design):
    for options in ({"resume": True}, {"force": True}, {"shard": "1/2"}):
        with pytest.raises(bc.InputError, match="need a folder"):
            bc.simulate(design, **options)
    with pytest.raises(bc.InputError, match="there is no design"):
        bc.simulate()


@pytest.mark.usefixtures("without_figures")
def test_python_merges_shards_and_reads_designs_of_every_kind(design, tmp_path):
    from biocal.simulation.design.design import read_design

    read = read_design(design)
    for index in (1, 2):
        bc.simulate(read, replicates=10, out=tmp_path / str(index), shard=(index, 2))
    merged = bc.merge_shards([tmp_path / "1", tmp_path / "2"], tmp_path / "all")
    whole = bc.simulate(read.to_dict(), replicates=10)
    pd.testing.assert_frame_equal(merged.replicates, whole.replicates)
    pd.testing.assert_frame_equal(merged.performance().tidy(), whole.performance().tidy())


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(design, tmp_path):
    words = [sys.executable, "-c", "from biocal.cli.main import run; run()", "simulate", design]
    words += ["--out", "out", "--replicates", "20000", "--jobs", "2"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        deadline = time.monotonic() + PATIENCE
        while not list(tmp_path.glob("out/parts/*.parquet")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130
    assert told.splitlines() == [
        "note: finished batches are kept in out; go on with --resume",
        "error: interrupted; files are written whole or not at all",
    ]
