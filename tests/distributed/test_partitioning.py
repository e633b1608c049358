"""Partitions made from files: whole sets, the same rows, whatever the order, the format and the size of pieces."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from federated_pool import few_studies, make_pool
from partitioned_pool import assert_same_fit

import biocal as bc
from biocal.errors import DataProblemsError, InputError, OptionError, OutputError
from biocal.remote.partitions.writing import streaming
from biocal.system.files import temporary_name

POOL = few_studies(make_pool(40))
MODEL = {"exposure": bc.rcs(3), "covariates": "bmi + C(smoking)", "matching": "age"}


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(streaming, "PIECE_BYTES", 2_000)
    monkeypatch.setattr(streaming, "PIECE_ROWS", 37)


def read_back(folder):
    return [pd.read_parquet(file) for file in sorted(folder.iterdir())]


def partitions_of(parts, *columns):
    """Partitions in which each id is."""
    where = {}
    for number, part in enumerate(parts):
        for key in part[list(columns)].dropna().drop_duplicates().itertuples(index=False):
            where.setdefault(tuple(key), set()).add(number)
    return where


def in_order(frame):
    plain = frame.astype({"study": str, "smoking": str, "region": str})
    return plain.sort_values(list(plain.columns), kind="stable").reset_index(drop=True)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_shuffled_rows_become_whole_sets_and_none_is_lost(tmp_path, suffix):
    shuffled = POOL.sample(frac=1, random_state=1)
    file = tmp_path / f"pool{suffix}"
    shuffled.to_csv(file, index=False) if suffix == ".csv" else shuffled.to_parquet(file)
    written = bc.partition_studies(file, tmp_path / "out", rows=60)
    parts = read_back(tmp_path / "out")
    assert written.rows == tuple(len(part) for part in parts)
    assert len(parts) == round(len(POOL) / 60)
    assert max(written.rows) - min(written.rows) < 10
    assert {len(numbers) for numbers in partitions_of(parts, "study", "set").values()} == {1}
    wanted = POOL[list(parts[0].columns)] if suffix == ".csv" else POOL
    found = in_order(pd.concat(parts)[list(wanted.columns)])
    pd.testing.assert_frame_equal(found, in_order(wanted), check_dtype=False)


def test_a_fit_of_what_was_partitioned_is_the_fit_of_the_files(tmp_path):
    files = []
    for name, rows in POOL.groupby(
        "study"
    ):  # without a column a file is a study; commas as German programs write
        files.append(tmp_path / f"{name}.csv")
        rows.drop(columns="study").to_csv(files[-1], index=False, sep=";", decimal=",")
    written = bc.partition_studies(files, tmp_path / "out", rows=100)
    found = bc.fit_partitioned(tmp_path / "out", **MODEL)
    expected = bc.fit(bc.read_studies(files), **MODEL)
    assert_same_fit(found, expected)
    assert [problem.code for problem in written.problems].count("delimiter") == len(files)


def test_sets_that_share_a_person_stay_together(tmp_path):
    pool = POOL.assign(person=np.arange(len(POOL)))
    own = pool.index[(pool["study"] == "Beech") & (pool["case"] == 0)]
    pool.loc[own[-1], "person"] = pool.loc[own[0], "person"]
    pool.to_csv(tmp_path / "pool.csv", index=False)
    bc.partition_studies(tmp_path / "pool.csv", tmp_path / "out", rows=50)
    parts = read_back(tmp_path / "out")
    assert {len(numbers) for numbers in partitions_of(parts, "study", "person").values()} == {1}
    bc.partition_studies(tmp_path / "pool.csv", tmp_path / "apart", rows=50, person=None)
    apart = partitions_of(read_back(tmp_path / "apart"), "study", "person")
    assert max(len(numbers) for numbers in apart.values()) == 2  # so that it mattered


def test_rows_with_a_blank_set_are_dealt_out(tmp_path):
    pool = POOL.astype({"set": str})
    extra = pool[(pool["study"] == "Beech") & pool["reference"].notna() & (pool["case"] == 0)].assign(set="")
    pool = pd.concat([pool, extra.assign(local=extra["local"] + 0.25)])
    pool.to_csv(tmp_path / "pool.csv", index=False)
    bc.partition_studies(tmp_path / "pool.csv", tmp_path / "out", rows=100)
    parts = read_back(tmp_path / "out")
    assert all(part["set"].isna().any() and part["set"].notna().any() for part in parts)
    assert_same_fit(
        bc.fit_partitioned(tmp_path / "out", **MODEL), bc.fit(bc.read_studies(tmp_path / "pool.csv"), **MODEL)
    )


def test_columns_are_typed_alike_in_all_partitions_whatever_each_holds(tmp_path):
    pool = POOL.assign(
        ward=np.where(POOL["study"] == "Ash", "7", "seven"),
        set="0" + POOL["set"].astype(str),
        done=POOL["case"] == 1,
        seen=pd.Timestamp("2026-11-22"),
    )
    pool[pool["study"] == "Ash"].to_parquet(tmp_path / "a.parquet")
    pool[pool["study"] != "Ash"].drop(columns="age").to_parquet(tmp_path / "b.parquet")
    bc.partition_studies([tmp_path / "a.parquet", tmp_path / "b.parquet"], tmp_path / "out", rows=80)
    parts = read_back(tmp_path / "out")
    kinds = {tuple(map(str, part.dtypes)) for part in parts}
    assert len(kinds) == 1
    found = pd.concat(parts)
    assert set(found["ward"]) == {"7", "seven"}
    assert found["set"].str.startswith("0").all()
    assert found["done"].dtype == bool
    assert found["seen"].dtype.kind == "M"
    assert found["age"].isna().sum() == (pool["study"] != "Ash").sum()


def test_a_folder_with_something_in_it_is_refused_and_left(tmp_path):
    POOL.to_csv(tmp_path / "pool.csv", index=False)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(OutputError, match="is not empty"):
        bc.partition_studies(tmp_path / "pool.csv", tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        (
            "pool.csv",
            lambda text: text.replace("\n", "\n1,2\n", 300).replace("\n1,2", "", 299),
            r"csv:301: 2 cells",
        ),
        ("pool.csv", lambda text: text.replace("case", "ill", 1), "column 'case': there is no such column"),
        ("pool.csv", lambda text: text.splitlines()[0] + "\n", "no data rows"),
        ("pool.csv", lambda text: text.replace("age", "bmi", 1), "'bmi' occurs more than once"),
        ("pool.dta", lambda text: text, r"only delimited text and \.parquet"),
        ("pool.parquet", lambda text: text, "cannot be read"),
    ],
    ids=["ragged", "no case", "no rows", "doubled", "Stata", "no Parquet"],
)
def test_what_cannot_be_read_is_told_at_its_line_and_leaves_nothing(tmp_path, name, spoil, words):
    (tmp_path / name).write_text(spoil(POOL.to_csv(index=False)))
    with pytest.raises(InputError, match=words):
        bc.partition_studies(tmp_path / name, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_cell_with_a_line_break_is_one_cell_wherever_a_piece_ends(tmp_path):
    pool = POOL.assign(note='two\nlines, and "quotes"')
    pool.to_csv(tmp_path / "pool.csv", index=False)
    bc.partition_studies(tmp_path / "pool.csv", tmp_path / "out", rows=100)
    found = pd.concat(read_back(tmp_path / "out"))
    assert set(found["note"]) == {'two\nlines, and "quotes"'}
    assert len(found) == len(POOL)


@pytest.mark.parametrize(
    "changed", [POOL.head(100), POOL.sample(frac=1, random_state=1)], ids=["fewer rows", "other rows"]
)
def test_a_file_that_changes_between_the_readings_is_refused(tmp_path, monkeypatch, changed):
    """Rows in another order would part the persons of a set."""
    POOL.to_csv(tmp_path / "pool.csv", index=False)
    from biocal.remote.partitions.writing import partitioning

    def other_content(*arguments):
        changed.to_csv(tmp_path / "pool.csv", index=False)
        os.utime(tmp_path / "pool.csv", (1, 1))  # another time, whatever the clock's steps
        return second(*arguments)

    second = partitioning._second_reading
    monkeypatch.setattr(partitioning, "_second_reading", other_content)
    with pytest.raises(InputError, match=r"pool\.csv: changed while it was read"):
        bc.partition_studies(tmp_path / "pool.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_many_partitions_and_rows_that_are_no_number_are_refused(tmp_path):
    POOL.to_csv(tmp_path / "pool.csv", index=False)
    with pytest.raises(OptionError, match="rows is a whole number"):
        bc.partition_studies(tmp_path / "pool.csv", tmp_path / "out", rows=0)
    big = pd.concat([POOL.assign(set=POOL["set"] + 1000 * k) for k in range(3)])
    big.to_csv(tmp_path / "big.csv", index=False)
    with pytest.raises(OptionError, match="more than the 500 allowed; give --rows"):
        bc.partition_studies(tmp_path / "big.csv", tmp_path / "out", rows=2)


def test_an_error_of_reading_says_all_problems(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataProblemsError) as caught:
        bc.partition_studies(tmp_path / "a.csv", tmp_path / "out")
    assert {problem.column for problem in caught.value.problems} >= {"set", "case"}


def test_rows_end_at_the_last_line_in_which_no_quote_is_open():
    random = np.random.default_rng(4)
    for _ in range(300):
        text = bytes(random.choice(list(b'a"\n'), size=random.integers(0, 12)).tolist())
        ends = [0, *(k + 1 for k in range(len(text)) if text[k : k + 1] == b"\n")]
        assert streaming._end_of_rows(text) == max(k for k in ends if text.count(b'"', 0, k) % 2 == 0)


def test_a_quote_that_is_never_closed_is_told_at_its_row_before_the_file_fills_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "PIECE_BYTES", 4_000)
    monkeypatch.setattr(streaming, "LONGEST_ROW", 20_000)
    rows = ["study,set,case,local,reference"] + ["A,1,0,3,4"] * 9 + ['"A,1,0,3,4'] + ["A,1,0,3,4"] * 9_000
    (tmp_path / "pool.csv").write_text("\n".join(rows))
    with pytest.raises(InputError, match=r"pool.csv:11: .* is a quote never closed") as refused:
        bc.partition_studies(tmp_path / "pool.csv", tmp_path / "out")
    assert len(str(refused.value).splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pool.csv"]


def test_what_a_killed_partitioning_has_left_is_removed_by_the_next(tmp_path):
    make_pool(60).to_csv(tmp_path / "pool.csv", index=False)
    left = temporary_name(tmp_path / "out")
    left.mkdir()
    (left / "part-0.parquet").write_text("half")
    bc.partition_studies(tmp_path / "pool.csv", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pool.csv"]
