"""`biocal fit --season`: its files, its words, and what it refuses."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest
from pools import LOCAL_A, LOCAL_B, REFERENCE, draw_pool

import biocal as bc

MODEL = ("--exposure", "linear", "--covariates", "z1", "--season", "month")


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(8)
    frame = draw_pool(rng, [REFERENCE, LOCAL_A, LOCAL_B], covariate_log_odds=(0.3,))
    frame["month"] = rng.integers(1, 13, len(frame))
    path = tmp_path / "pool.csv"
    frame.to_csv(path, index=False)
    return path


def test_files_of_the_season_are_written_and_agree_with_python(biocal, data, tmp_path):
    words = ("--season-reference", "2026-07-01", "--method", "full", "--suppress", "8")
    done = biocal("fit", data, *MODEL, *words, "--out", tmp_path / "o")
    assert done.code == 0, done.err
    pool = bc.read_studies([str(data)])
    fit = bc.fit(
        pool,
        method="full",
        exposure=bc.linear(),
        covariates="z1",
        season="month",
        season_reference="2026-07-01",
    )
    table = pd.read_csv(tmp_path / "o" / "season.csv")
    pd.testing.assert_frame_equal(table, fit.info.season.tidy(), check_dtype=False, rtol=1e-12)
    assert table.columns.tolist() == [
        *("study", "n_controls", "mean", "se_mean", "cos", "se_cos", "sin", "se_sin"),
        *("amplitude", "peak_day", "peak", "share_of_variance"),
    ]
    assert (tmp_path / "o" / "season.png").stat().st_size > 5000
    assert b"</svg>" in (tmp_path / "o" / "season.svg").read_bytes()
    coefficients = pd.read_csv(tmp_path / "o" / "coefficients.csv").set_index(["method", "term"])
    assert coefficients.loc[("full", "exposure"), "estimate"] == fit.params["exposure"]

    record = json.loads((tmp_path / "o" / "fit.json").read_text(encoding="utf-8"))
    season = record["model"]["season"]
    assert (season["column"], season["reference"], season["reference_day"]) == ("month", "1 July", 182.0)
    assert (
        sum(month["n"] for month in season["months"]["R"]) == table.set_index("study").loc["R", "n_controls"]
    )
    assert record["options"]["season_reference"] == "2026-07-01"
    assert "standardised to 1 July" in done.out
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert '<h2 id="season">Season</h2>' in page
    assert "Calibration and seasonal adjustment" in page
    # months with few controls have no point, and counts are not in the page's own download
    assert "months that have 8 controls or more" in page
    bodies = [
        base64.b64decode(body) for body in re.findall(r"data:text/csv;charset=utf-8;base64,([^\"]+)", page)
    ]
    (own,) = (body for body in bodies if b"peak_day" in body)
    assert b"n_controls" not in own


def test_a_spec_takes_dates_and_days_as_toml_writes_them(biocal, no_figures, data, tmp_path):
    found = {}
    for name, when in {"date": "2026-07-01", "day": "182", "text": '"2026-07-01"'}.items():
        spec = tmp_path / f"{name}.toml"
        spec.write_text(
            f'files = ["pool.csv"]\nmethod = "full"\nexposure = "linear"\ncovariates = "z1"\nseason = "month"\n'
            f"season_reference = {when}\nseason_harmonics = 2\n"
            'season_controls = "all"\n',
            encoding="utf-8",
        )
        done = biocal("fit", "--spec", spec, "--out", tmp_path / name)
        assert done.code == 0, done.err
        found[name] = (tmp_path / name / "season.csv").read_bytes()
    assert found["date"] == found["day"] == found["text"]
    assert b"cos_2,se_cos_2" in found["date"]
    record = json.loads((tmp_path / "date" / "fit.json").read_text(encoding="utf-8"))
    assert record["model"]["season"]["controls"] == "all"
    assert "by study in all controls" in done.out


def test_without_a_season_there_are_no_files_of_it(biocal, no_figures, data, tmp_path):
    done = biocal("fit", data, "--exposure", "linear", "--covariates", "z1", "--out", tmp_path / "o")
    assert done.code == 0
    assert not list((tmp_path / "o").glob("season*"))
    record = json.loads((tmp_path / "o" / "fit.json").read_text(encoding="utf-8"))
    assert "season_reference" not in record["options"]
    assert record["model"]["season"] is None


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--season-reference", "182"), 2, "needs --season COLUMN"),
        (("--season", "month", "--season-harmonics", "3"), 2, "--season-harmonics"),
        (
            ("--season", "month", "--season-controls", "some"),
            2,
            "'some' is not one of other-sets, all",
        ),
        (("--season-controls", "all"), 2, "needs --season COLUMN"),
        (("--season", "mnth"), 3, "did you mean 'month'"),
        (("--season", "z1"), 3, "the season needs months 1 to 12"),
        (("--season", "month", "--season-reference", "July"), 3, "a date such as 2026-07-01"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(biocal, data, tmp_path, options, code, words):
    done = biocal("fit", data, "--covariates", "z1", *options, "--out", tmp_path / "o")
    assert done.code == code
    assert words in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not (tmp_path / "o").exists()


def test_impossible_months_are_told_by_file_and_line(biocal, data, tmp_path):
    lines = data.read_text(encoding="utf-8").splitlines()
    for number in (3, 5):
        lines[number] = lines[number].rpartition(",")[0] + ",13"
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = biocal("fit", data, *MODEL, "--out", tmp_path / "o")
    assert done.code == 3
    assert f"{data}:4: column 'month': '13' is not a month 1 to 12" in done.err
    assert f"{data}:6: column 'month'" in done.err


def test_a_study_drawn_in_one_month_is_named_with_what_to_do(biocal, data, tmp_path):
    frame = pd.read_csv(data)
    frame.loc[frame["study"] == "A", "month"] = 3
    frame.to_csv(data, index=False)
    done = biocal("fit", data, *MODEL, "--out", tmp_path / "o")
    assert done.code == 3
    assert "study A: 120 controls drawn at 1 time of the year" in done.err
    assert "leave such a study out" in done.err
