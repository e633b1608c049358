"""Ids beyond what doubles hold, one spelling of letters, and persons or sets that are there twice."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import biocal as bc
from biocal.errors import DataProblemsError

CASES = Path(__file__).parents[1] / "data" / "cases"
FIXTURES = Path(__file__).parents[1] / "data" / "fixtures"
# The right answers of the cases are given to eight decimals.
DECIMALS = 6e-9


def pool_of(n_sets: int = 80, first: int = 0, *, persons: bool = False) -> pd.DataFrame:
    """Sets 1:2 of a study, ids from `first` on, integers with a blank for a row that only calibrates."""
    rng = np.random.default_rng(1)
    ids = [first + k for k in range(n_sets) for _ in range(3)] + [None]
    frame = pd.DataFrame({"study": "A", "set": pd.array(ids, dtype="UInt64")})
    frame["case"] = [1, 0, 0] * n_sets + [0]
    frame["reference"] = rng.normal(60, 15, len(ids))
    return frame.assign(person=np.arange(len(ids))) if persons else frame


@pytest.mark.parametrize("first", [2**53, 10**18, 18_446_744_073_709_551_000])
@pytest.mark.parametrize("index", ["without pandas' notes", "set"])
def test_whole_ids_of_any_size_in_a_parquet_file_with_blanks_stay_apart(tmp_path, first, index):
    frame = pool_of(first=first)
    if index == "set":
        frame.set_index(index).to_parquet(tmp_path / "a.parquet")
    else:
        pq.write_table(pa.Table.from_pandas(frame).replace_schema_metadata(None), tmp_path / "a.parquet")
    pool = bc.read_studies(tmp_path / "a.parquet")
    assert bc.check_pool(pool).set_shapes == {(1, 2): 80}
    assert pool.set_labels == tuple(str(first + k) for k in range(80))


def test_persons_and_partitions_keep_whole_ids_of_any_size(tmp_path):
    frame = pool_of().assign(person=pd.array([10**18 + k for k in range(240)] + [None], dtype="Int64"))
    frame["set"] = pd.array([2**53 + k for k in range(80) for _ in range(3)] + [None], dtype="Int64")
    frame.to_parquet(tmp_path / "a.parquet")
    assert np.unique(bc.read_studies(tmp_path / "a.parquet").person_code).size == 241
    written = bc.partition_studies(tmp_path / "a.parquet", tmp_path / "parts", rows=120)
    assert written.n_sets == 80
    parts = [bc.read_studies(one) for one in sorted((tmp_path / "parts").iterdir())]
    assert sum(len(part.set_labels) for part in parts) == 80


@pytest.mark.parametrize(("dtype", "limit"), [("float64", 2**53), ("float32", 2**24)])
@pytest.mark.parametrize("suffix", ["frame", "parquet", "dta"])
def test_floating_point_ids_that_cannot_be_told_apart_are_refused_by_line(tmp_path, dtype, limit, suffix):
    frame = (
        pool_of()
        .iloc[:240]
        .assign(set=np.repeat(np.arange(80), 3).astype(dtype))
        .rename(columns={"case": "status"})
    )
    frame.loc[7, "set"] = limit
    if suffix == "parquet":
        frame.to_parquet(tmp_path / "a.parquet")
    elif suffix == "dta":
        frame.to_stata(tmp_path / "a.dta", write_index=False)
    read = bc.PooledStudies.from_frame if suffix == "frame" else bc.read_studies
    with pytest.raises(DataProblemsError) as refused:
        read(frame if suffix == "frame" else tmp_path / f"a.{suffix}", case="status")
    found = [one for one in refused.value.problems if one.level == "error"]
    assert [(one.code, one.line, one.column) for one in found] == [("id-lost-digits", 8, "set")]


def test_scientific_notation_of_spreadsheets_is_refused_and_plates_such_as_1e16_are_not(tmp_path):
    rows = [f"A,{one},{case},{40 + case}.{k}" for k, one in enumerate(("1E16", "0.1")) for case in (1, 0)]
    file = tmp_path / "a.csv"
    file.write_text("\n".join(["study,set,case,reference", *rows]))
    assert bc.read_studies(file).set_labels == ("0.1", "1E16")
    file.write_text(
        "\n".join(["study,set,case,reference", *rows, "A,1.23457E+17,1,50", "A,1.23457E+17,0,51"])
    )
    with pytest.raises(DataProblemsError, match=r"a\.csv:6: column 'set': .*scientific notation"):
        bc.read_studies(file)


def test_text_ids_of_many_digits_are_one_with_and_without_a_point(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(
        "study,set,case,reference\nA,9007199254740993.0,1,50\nA,9007199254740993,0,51\n"
        "A,9007199254740992,1,52\nA,9007199254740992,0,54\n"
        "A,12345678901234567890,1,52.5\nA,12345678901234567890,0,54.5\n"
    )
    assert bc.read_studies(file).set_labels == (
        "9007199254740992",
        "9007199254740993",
        "12345678901234567890",
    )


def test_integers_with_blanks_are_covariates_as_before(tmp_path):
    frame = pool_of().assign(age=pd.array([None, *range(20, 260)], dtype="Int64"))
    frame.to_parquet(tmp_path / "a.parquet")
    age = bc.read_studies(tmp_path / "a.parquet").frame["age"].to_numpy()
    np.testing.assert_array_equal(age, [np.nan, *range(20, 260)])


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_with_accents_are_one_name_however_typed(form):
    pool = bc.read_studies(CASES / "c04_nfd.csv")
    fit = bc.fit(pool, exposure=bc.linear(), covariates=unicodedata.normalize(form, "größe"))
    np.testing.assert_allclose(fit.params.iloc[:2], [-0.01133372, 0.09602596], atol=DECIMALS)


@pytest.mark.parametrize("micro", ["\u00b5", "\u03bc"])
def test_the_micro_sign_and_the_greek_letter_are_one_in_names(micro):
    pool = bc.read_studies(CASES / "c04_micro.csv")
    fit = bc.fit(pool, exposure=bc.linear(), covariates=f"ferritin_{micro}g")
    np.testing.assert_allclose(fit.params.iloc[:2], [-0.01133372, 0.09602596], atol=DECIMALS)


def test_a_study_spelt_in_two_forms_is_one_study_and_told():
    pool = bc.read_studies([CASES / "c05_1.csv", CASES / "c05_2.csv"])
    one = bc.read_studies(CASES / "c05_one_spelling.csv")
    assert pool.study_names == one.study_names
    assert any(problem.code == "id-spelling" for problem in pool.problems)
    fit = bc.fit(pool, exposure=bc.linear(), covariates="bmi")
    np.testing.assert_allclose(fit.params.iloc[0], -0.01668604, atol=DECIMALS)


@pytest.mark.parametrize("column", ["study", "set", "level", "name"])
def test_control_characters_are_shown_as_escapes(tmp_path, column):
    frame = pool_of(4).iloc[:12].astype({"set": str}).assign(level=["a", "b"] * 6)
    if column == "name":
        frame = frame.rename(columns={"level": "le\x1bvel"})
    else:
        frame[column] = frame[column] + "\x1b[2J\x07\x9b"
    frame.to_parquet(tmp_path / "a.parquet")
    pool = bc.read_studies(tmp_path / "a.parquet")
    levels = pool.frame.iloc[:, 4]
    seen = [*pool.study_names, *pool.set_labels, *pool.frame.columns, *levels.astype(str)]
    assert all(text.isprintable() for text in seen)
    assert any("\\x1b" in text for text in seen)


def doubled(name: str = "infert.csv") -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = pd.read_csv(FIXTURES / name)
    return frame, pd.concat([frame, frame.sample(frac=1, random_state=3)], ignore_index=True)


ROLES = {"reference": "spontaneous", "person": None}


def test_rows_added_a_second_time_are_refused_by_line():
    frame, twice = doubled()
    with pytest.raises(DataProblemsError) as refused:
        bc.PooledStudies.from_frame(twice.assign(study="A"), **ROLES)
    found = [one for one in refused.value.problems if one.code == "set-repeated"]
    assert sum(one.count for one in found) == len(frame)
    assert found[0].level == "error"
    assert found[0].line is not None


def test_duplicates_first_gives_the_data_that_were_there_once():
    frame, twice = doubled()
    once = bc.PooledStudies.from_frame(frame.assign(study="A"), **ROLES)
    pool = bc.PooledStudies.from_frame(twice.assign(study="A"), duplicates="first", **ROLES)
    pd.testing.assert_frame_equal(pool.frame, once.frame)
    assert sum(one.count for one in pool.problems if one.code == "set-repeated") == len(frame)


def test_other_person_ids_do_not_hide_a_repeated_block():
    frame = pool_of(persons=True)
    other = frame.assign(person=frame["person"] + 1000)
    with pytest.raises(DataProblemsError, match="every row of this set is there 2 times"):
        bc.PooledStudies.from_frame(pd.concat([frame, other], ignore_index=True))


def test_rows_equal_by_chance_are_counted_and_used():
    frame = pd.read_csv(FIXTURES / "infert.csv").assign(study="A")
    pool = bc.PooledStudies.from_frame(frame, **ROLES)
    equal = int(frame.duplicated().sum())
    assert equal > 0
    assert [one.count for one in pool.problems if one.code == "row-twice"] == [equal]
    assert pool.n_rows == len(frame)


def test_sets_of_two_cases_from_few_values_are_not_taken_for_copies():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"study": "A", "set": np.repeat(np.arange(200), 4), "case": [1, 1, 0, 0] * 200})
    pool = bc.PooledStudies.from_frame(frame.assign(reference=rng.integers(0, 2, 800)))
    assert pool.n_rows == 800


def test_a_person_twice_in_a_set_is_refused_and_kept_once_when_asked():
    frame = pool_of(persons=True)
    twice = pd.concat([frame, frame.iloc[[1]].assign(reference=99.0)], ignore_index=True)
    with pytest.raises(DataProblemsError) as refused:
        bc.PooledStudies.from_frame(twice)
    assert [(one.code, one.line) for one in refused.value.problems if one.level == "error"] == [
        ("person-twice", len(frame) + 1)
    ]
    assert bc.PooledStudies.from_frame(twice, duplicates="first").n_rows == len(frame)
    other = pd.concat([frame, frame.iloc[[1]].assign(case=1)], ignore_index=True)
    with pytest.raises(DataProblemsError, match="once as a case and once as a control"):
        bc.PooledStudies.from_frame(other, duplicates="first")


def two_studies(change) -> pd.DataFrame:
    """Study A, and study B with its rows once more after a change."""
    rng = np.random.default_rng(2)
    n = 3 * 40
    frame = pd.DataFrame({"study": "A", "set": np.repeat(np.arange(40), 3), "case": [1, 0, 0] * 40})
    frame["reference"] = rng.normal(60, 15, n).round(1)
    other = frame.assign(study="B", reference=rng.normal(60, 15, n).round(1))
    return pd.concat([frame, other, change(other)], ignore_index=True)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda rows: rows.assign(study="C"), "study-repeated", "study 'C' has the same sets as study 'B'"),
        (
            lambda rows: rows.assign(set=rows["set"] + 1000),
            "sets-repeated",
            "every set of study 'B' is there 2 times",
        ),
    ],
)
def test_a_study_there_twice_under_another_name_or_under_other_set_ids_is_told(change, code, words):
    frame = two_studies(change).sample(frac=1, random_state=3)
    (found,) = bc.PooledStudies.from_frame(frame).problems
    assert (found.level, found.code) == ("warning", code)
    assert words in found.message
    shifted = two_studies(lambda rows: change(rows).assign(reference=rows["reference"] + 0.1))
    assert bc.PooledStudies.from_frame(shifted).problems == ()
