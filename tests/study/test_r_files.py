"""Data frames saved by R (tests/data/r_files/make_rds.R) are read as R had them; R is not needed here."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.errors import DataProblemsError
from biocal.pool.tables.statistical import read_rds

FOLDER = Path(__file__).parents[1] / "data" / "r_files"


@pytest.fixture(scope="module")
def frame():
    return read_rds((FOLDER / "pool.rds").read_bytes())


@pytest.fixture(scope="module")
def printed():
    """What R printed of the same data frame, doubles in hexadecimal."""
    with (FOLDER / "pool.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_doubles_are_those_of_r_to_the_last_bit(frame, printed):
    for name in ("local", "reference"):
        expected = [np.nan if row[name].strip() == "NA" else float.fromhex(row[name]) for row in printed]
        np.testing.assert_array_equal(frame[name].to_numpy(), expected)


def test_factors_keep_their_levels_in_order(frame, printed):
    assert list(frame["smoking"].cat.categories) == ["never", "past", "current"]
    assert frame["smoking"].astype(str).tolist() == [row["smoking"] for row in printed]


def test_integers_logicals_and_dates_with_na_keep_their_types(frame, printed):
    for name, dtype in (("child", "Int64"), ("left_handed", "boolean")):
        assert frame[name].dtype == dtype
        shown = ["NA" if pd.isna(value) else str(value).upper() for value in frame[name]]
        assert shown == [row[name] for row in printed]
    dates = ["NA" if pd.isna(value) else f"{value:%Y-%m-%d}" for value in frame["drawn"]]
    assert dates == [row["drawn"] for row in printed]


def test_text_is_read_as_utf8(frame, printed):
    assert frame["site"].tolist() == [row["site"] for row in printed]


def test_a_pool_is_the_same_from_rds_as_from_the_frame(frame):
    covariates = "C(smoking) + z1"
    options = {
        "method": "full",
        "exposure": bc.linear(),
        "covariates": covariates,
        "calibration_covariates": "none",
    }
    from_file = bc.fit(bc.read_studies(FOLDER / "pool.rds"), **options)
    from_frame = bc.fit(bc.PooledStudies.from_frame(frame), **options)
    assert from_file.params.index.tolist() == from_frame.params.index.tolist()
    assert "C(smoking)[T.past]" in from_file.terms
    assert "C(smoking)[T.never]" not in from_file.terms
    np.testing.assert_array_equal(from_file.params, from_frame.params)


def test_na_of_r_is_an_ordinary_nan_in_the_pool():
    signalling = np.array([0x7FF00000000007A2], dtype=np.uint64).view(np.float64)[0]
    frame = pd.DataFrame({"study": "A", "set": [1, 1, 2, 2], "case": [1, 0, 1, 0], "local": np.nan})
    frame["reference"], frame["bmi"] = [1.0, 2.0, 3.0, 5.0], [20.0, signalling, -0.0, 25.0]
    bmi = bc.PooledStudies.from_frame(frame).frame["bmi"].to_numpy()
    bits = bmi.view(np.uint64)
    assert int(bits[1]) >> 51 & 1, "the bit that makes a NaN quiet"
    assert np.signbit(bmi[2])
    with np.errstate(all="raise"):
        assert np.isnan(bmi * 2).tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("list.rds", "holds no data frame"),
        ("vector.rds", "holds no data frame"),
        ("list_column.rds", "without list columns"),
        ("no_rows.rds", "no data rows"),
    ],
)
def test_what_is_no_table_of_persons_is_told(name, words):
    with pytest.raises(DataProblemsError, match=words) as refused:
        bc.read_studies(FOLDER / name)
    (problem,) = refused.value.problems
    assert problem.file == str(FOLDER / name)


@pytest.mark.parametrize("content", [b"study,set,case\n1,1,1\n", bytes(range(256)) * 40, b"\x1f\x8b\x08junk"])
def test_broken_files_are_told(tmp_path, content):
    path = tmp_path / "broken.rds"
    path.write_bytes(content)
    with pytest.raises(DataProblemsError, match=r"cannot be read as \.rds") as refused:
        bc.read_studies(path)
    assert [problem.code for problem in refused.value.problems] == ["unreadable"]


def test_a_truncated_file_is_told(tmp_path):
    path = tmp_path / "half.rds"
    path.write_bytes((FOLDER / "pool.rds").read_bytes()[:900])
    with pytest.raises(DataProblemsError, match=r"cannot be read as \.rds"):
        bc.read_studies(path)


def test_without_pyreadr_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyreadr", None)
    with pytest.raises(DataProblemsError, match=r"pip install 'biocal\[rds\]'"):
        bc.read_studies(FOLDER / "pool.rds")
