"""The commands of a federated fit: five sites as processes in folders of their own, exit codes, what is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from federated_pool import FEW_SITES, SITES, SPEC, few_studies, make_pool, write_sites
from federated_session import pooled

#: What is promised between a federated and the pooled fit.
AGREEMENT = 1e-8
_SITE_PROCESS = Path(__file__).parent.parent / "federated_site_process.py"
_SECONDS = 100.0


def test_five_sites_as_processes_find_the_pooled_fit_from_exchanged_files_alone(
    tmp_path: Path, biocal, no_figures
):
    pool = make_pool(n_sets=60)
    write_sites(tmp_path, pool)
    centre = tmp_path / "centre"
    (tmp_path / "spec.toml").write_text(SPEC.replace('"naive", "internalized", ', ""))
    assert biocal("coordinate", "init", tmp_path / "spec.toml", "--dir", centre).code == 0
    places = [tmp_path / f"site_{site}" for site in SITES]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    processes = []
    for place in places:
        (place / "inbox").mkdir()
        (place / "outbox").mkdir()
        command = [sys.executable, str(_SITE_PROCESS), str(place)]
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    try:
        rounds = 0
        while not (centre / "results").exists():
            for place in places:  # the post: nothing but these copies passes between the folders
                copied = place / "inbox" / "arriving"
                shutil.copy(centre / f"request_{rounds:03d}.json", copied)
                copied.rename(place / "inbox" / f"request_{rounds:03d}.json")
            answers = [
                _collected(place, rounds, process) for place, process in zip(places, processes, strict=True)
            ]
            done = biocal("coordinate", "step", *answers, "--dir", centre, "--quiet")
            assert done == (0, "", "")
            rounds += 1
        for place in places:
            (place / "inbox" / "stop").touch()
        assert [process.wait(timeout=_SECONDS) for process in processes] == [0] * 5
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    found = pd.read_csv(centre / "results" / "coefficients.csv")
    expected = pooled(pool, method=["full", "induced"]).tidy()
    pd.testing.assert_frame_equal(found, expected, rtol=AGREEMENT, check_dtype=False)
    assert (centre / "results" / "report.html").exists()
    record = json.loads((centre / "results" / "fit.json").read_text())
    assert record["federated"]["rounds"] == rounds
    assert record["federated"]["studies"]["Ebony"] == "e"


def _collected(place: Path, number: int, process: subprocess.Popen[str]) -> Path:
    """A site's answer, once it is there."""
    path, until = place / "outbox" / f"answer_{number:03d}.json", time.monotonic() + _SECONDS
    while not path.exists():
        if process.poll() is not None:
            raise AssertionError(process.communicate()[1])
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.01)
    return path


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, biocal) -> Path:
    """A folder with three sites made and a session begun."""
    monkeypatch.chdir(tmp_path)
    write_sites(tmp_path, few_studies(make_pool()), sites=FEW_SITES)
    spec = SPEC.replace('["a", "b", "c", "d", "e"]', '["a", "b", "d"]').replace("rcs", "linear")
    spec = spec.replace("knot_values = [35, 60, 85]\n", "").replace('"naive", "internalized", ', "")
    (tmp_path / "spec.toml").write_text(spec.replace(', "induced"', ""))
    for site in FEW_SITES:
        assert (
            biocal(
                "site", "init", "--spec", f"site_{site}/site.toml", "--dir", f"kept_{site}", "--quiet"
            ).code
            == 0
        )
    assert biocal("coordinate", "init", "spec.toml", "--dir", "centre", "--quiet") == (0, "", "")
    return tmp_path


def _round(biocal, number: int) -> list[str]:
    names = []
    for site in FEW_SITES:
        request, out = f"centre/request_{number:03d}.json", f"answer_{site}_{number:03d}.json"
        answer = biocal("site", "answer", request, "--dir", f"kept_{site}", "--out", out)
        assert answer.code == 0, answer.err
        names.append(out)
    return names


def test_a_session_from_init_to_results_says_what_to_do_next(begun: Path, biocal, no_figures):
    status = biocal("coordinate", "status", "--dir", "centre")
    assert "answered: nobody; not yet: a, b, d" in status.out
    number = 0
    while not (begun / "centre" / "results").exists():
        names = _round(biocal, number)
        if number == 0:
            first = biocal("coordinate", "step", names[0], "--dir", "centre")
            assert (first.code, first.out) == (0, "answered: a; not yet: b, d\n")
        stepped = biocal("coordinate", "step", *names, "--dir", "centre")
        assert stepped.code == 0, stepped.err
        number += 1
        if not (begun / "centre" / "results").exists():
            assert f"request_{number:03d}.json: round {number}" in stepped.out
    assert stepped.out.startswith("biocal: full calibration")
    names = {path.name for path in (begun / "centre" / "results").iterdir()}
    assert {
        *("coefficients.csv", "covariance.csv", "dose_response.csv", "tests.csv", "calibration.csv"),
        *("variance_shares.csv", "calibration_covariates.csv", "fit.json", "dose_response.png"),
    } <= names
    assert "over: the results can be written (again)" in biocal("coordinate", "status", "--dir", "centre").out
    assert biocal("coordinate", "step", "--dir", "centre").code == 3, "results are not overwritten unasked"
    again = biocal("coordinate", "step", "--dir", "centre", "--out", "again", "--quiet")
    assert again.code == 0
    one, other = (begun / place / "coefficients.csv" for place in ("centre/results", "again"))
    assert one.read_bytes() == other.read_bytes()
    told = biocal("site", "ledger", "--dir", "kept_a")
    assert "1 session answered" in told.out
    assert f"{number} rounds" in told.out


def test_refusals_end_with_3_in_one_line_and_write_nothing(begun: Path, biocal):
    request = begun / "centre" / "request_000.json"
    (begun / "bad.json").write_text(request.read_text().replace("bmi", "age", 1))
    refused = biocal("site", "answer", "bad.json", "--dir", "kept_a", "--out", "answer.json")
    assert (refused.code, refused.out, len(refused.errors)) == (3, "", 1)
    assert "bad.json: its digest does not fit its content: altered on the way" in refused.err
    assert not (begun / "answer.json").exists()
    assert not (begun / "kept_a" / "ledger.json").exists()
    (begun / "nan.json").write_text('{"format": NaN}')
    assert biocal("coordinate", "step", "nan.json", "--dir", "centre").code == 3
    assert biocal("coordinate", "step", "absent.json", "--dir", "centre").errors == [
        "error: absent.json: there is no such file; it is not taken in"
    ]
    assert biocal("coordinate", "status", "--dir", "elsewhere").code == 3
    assert biocal("coordinate", "init", "spec.toml", "--dir", "centre").code == 3


def test_an_answer_is_not_overwritten_unasked(begun: Path, biocal):
    (begun / "answer.json").write_text("kept")
    words = ("site", "answer", "centre/request_000.json", "--dir", "kept_a", "--out", "answer.json")
    assert biocal(*words).code == 3
    assert (begun / "answer.json").read_text() == "kept"
    assert not (begun / "kept_a" / "ledger.json").exists()
    assert biocal(*words, "--force").code == 0


def test_a_disclosure_refusal_is_told_in_words(begun: Path, biocal):
    data = pd.read_csv("site_a/data.csv")
    data.loc[0, "smoking"] = "pipe"
    data.to_csv("site_a/data.csv", index=False)
    refused = biocal("site", "answer", "centre/request_000.json", "--dir", "kept_a", "--out", "answer.json")
    assert (refused.code, len(refused.errors)) == (3, 1)
    assert "refused, nothing is written: column 'smoking': fewer than 5 persons here have pipe" in refused.err
    assert not (begun / "answer.json").exists()


def test_a_fit_that_fails_ends_with_4_and_names_the_terms(begun: Path, biocal):
    for site in FEW_SITES:
        place = Path(f"site_{site}/data.csv")
        data = pd.read_csv(place)
        data["bmi2"] = 2 * data["bmi"] + 1
        data.to_csv(place, index=False)
    spec = Path("spec.toml").read_text().replace("bmi + ", "bmi + bmi2 + ")
    Path("spec.toml").write_text(spec)
    shutil.rmtree("centre")
    assert biocal("coordinate", "init", "spec.toml", "--dir", "centre", "--quiet").code == 0
    for number in range(4):
        stepped = biocal("coordinate", "step", *_round(biocal, number), "--dir", "centre", "--quiet")
    assert stepped.code == 4
    assert stepped.errors == [
        "error: method full: bmi2 cannot be told apart from bmi within the matched sets (collinear columns); leave one "
        "of them out"
    ]


def test_a_spec_without_its_site_or_sites_is_told(tmp_path: Path, monkeypatch, biocal):
    monkeypatch.chdir(tmp_path)
    few_studies(make_pool()).to_csv("data.csv", index=False)
    Path("site.toml").write_text('files = ["data.csv"]\n')
    refused = biocal("site", "init", "--spec", "site.toml", "--dir", "kept")
    assert (refused.code, "a site needs its name" in refused.err) == (3, True)
    Path("spec.toml").write_text('exposure = "linear"\n')
    refused = biocal("coordinate", "init", "spec.toml", "--dir", "centre")
    assert (refused.code, "name the sites that take part" in refused.err) == (3, True)
    assert not Path("centre").exists()
    assert not Path("kept").exists()
