"""Ids, row order, file formats and speed: what must not change the pool."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from biocal.errors import ColumnError, DataProblemsError
from biocal.pool.checks.cells.natural_order import natural_ranks
from biocal.pool.matched_sets import select_outcome_rows
from biocal.pool.pooled import PooledStudies
from biocal.pool.reading import read_studies
from biocal.pool.tables import statistical as statistical_files

# Generous for a busy machine of two slow cores; about half a second when idle.
SECONDS_FOR_200_000_ROWS = 6.0


def canonical(pool: PooledStudies) -> list[tuple]:
    """A pool's rows without their order."""
    return sorted(
        (
            pool.study_names[pool.study[i]],
            pool.set_labels[pool.set_code[i]] if pool.set_code[i] >= 0 else "",
            bool(pool.is_case[i]),
            repr(float(pool.local_assay[i])),
            repr(float(pool.reference_assay[i])),
            bool(pool.in_calibration[i]),
        )
        for i in range(pool.n_rows)
    )


@pytest.fixture
def table(lines) -> pd.DataFrame:
    from io import StringIO

    return pd.read_csv(StringIO("\n".join(lines)))


def test_arrays_are_those_of_the_file(write, lines):
    path = write([*lines, "L,,0,50,55.5,22"])
    pool = read_studies(path)
    assert pool.study_names == ("L", "R")
    assert pool.set_labels == ("1", "2", "3", "1")
    assert pool.set_code.tolist() == [3, 3, 0, 0, 1, 1, 2, 2, -1]
    assert pool.is_case.tolist() == [True, False] * 4 + [False]
    assert pool.is_reference_study.tolist() == [False, True]
    assert np.flatnonzero(pool.in_calibration).tolist() == [3, 5, 7, 8]
    assert pool.line.tolist() == list(range(2, 11))
    assert (pool.files[0].path, pool.files[0].n_rows, len(pool.files[0].sha256)) == (path, 9, 64)
    assert pool.frame["bmi"].tolist() == [22.5, 27, 24, 31, 26.5, 23, 29, 21, 22]
    assert list(pool.frame.columns) == lines[0].split(",")
    assert isinstance(pool.frame.index, pd.RangeIndex)


@pytest.mark.parametrize("spelling", ["1", "1.0", " 1 ", '"1"', '"1.0 "', "1."])
def test_spellings_of_an_id_are_one_id(write, lines, spelling):
    plain = read_studies(write(lines))
    lines[4] = f"L,{spelling},0,45,52,31"
    pool = read_studies(write(lines))
    assert pool.set_labels == plain.set_labels
    np.testing.assert_array_equal(pool.set_code, plain.set_code)


def test_ids_that_differ_as_text_stay_apart(write):
    rows = [f"L,{label},{case},{4 + case},5" for label in ("01", "1", "a", "A") for case in (0, 1)]
    pool = read_studies(write(["study,set,case,local,reference", *rows]), local_study="L")
    assert pool.set_labels == ("01", "1", "A", "a")


def test_set_ids_are_unique_within_a_study_only(table):
    once = PooledStudies.from_frame(table)
    other = table["set"].where(table["study"] != "L", table["set"] + 100)
    apart = PooledStudies.from_frame(table.assign(set=other))
    assert set(table["set"][table["study"] == "R"]) <= set(table["set"][table["study"] == "L"])
    np.testing.assert_array_equal(once.set_code, apart.set_code)
    assert select_outcome_rows(once, {}).n_sets == 4


@pytest.mark.parametrize("mixed", [[1, "1", 1.0, "1.0 "], ["1", 1, " 1", 1.0]])
def test_mixed_cells_of_a_data_frame_are_one_id(mixed):
    frame = pd.DataFrame({"study": mixed, "set": mixed, "case": [1, 0, 0, 0], "reference": [5.0, 6, 7, 8.5]})
    pool = PooledStudies.from_frame(frame)
    assert pool.study_names == ("1",)
    assert pool.set_labels == ("1",)


@pytest.mark.parametrize(
    "convert",
    [
        lambda s: s.astype(float),
        lambda s: s.astype(str),
        lambda s: s.astype("string"),
        lambda s: s.astype(object),
        lambda s: s.astype("category"),
        lambda s: s.astype("Int64"),
        lambda s: s.astype(np.int8),
        lambda s: s.astype(str).astype("category"),
        lambda s: s.astype("int64[pyarrow]"),
        lambda s: s.astype(str).astype("string[pyarrow]"),
    ],
)
def test_the_type_of_set_and_case_columns_makes_no_difference(table, convert):
    plain = PooledStudies.from_frame(table)
    other = PooledStudies.from_frame(table.assign(set=convert(table["set"]), case=convert(table["case"])))
    assert canonical(other) == canonical(plain)
    assert other.set_labels == plain.set_labels


def test_true_and_false_of_a_typed_column_are_case_and_control(table):
    pool = PooledStudies.from_frame(table.assign(case=table["case"] == 1))
    assert pool.is_case.tolist() == [True, False] * 4


def test_numbers_as_text_in_a_data_frame_are_numbers(table):
    texts = table.assign(local=["" if x != x else f" {x} " for x in table["local"]])
    assert canonical(PooledStudies.from_frame(texts)) == canonical(PooledStudies.from_frame(table))


def test_a_data_frame_is_not_changed_and_its_index_does_not_matter(table):
    table.index = pd.Index([7] * len(table))
    before = table.copy()
    pool = PooledStudies.from_frame(table, scale_local={"L": 2.0})
    pd.testing.assert_frame_equal(table, before)
    np.testing.assert_array_equal(pool.local_assay[2:], 2 * before["local"].to_numpy()[2:])
    assert pool.file_index.tolist() == [-1] * 8
    assert pool.place(3) == {"file": None, "line": 4}


def test_problems_of_a_data_frame_name_its_rows(table):
    with pytest.raises(DataProblemsError) as refused:
        PooledStudies.from_frame(table.assign(case=[1, 0, 1, 0, 5, 0, 1, 0]))
    (problem,) = refused.value.problems
    assert str(problem).startswith("row 5: column 'case': '5', but case must be 1 or 0")


def test_infinite_numbers_of_a_data_frame_are_refused(table):
    with pytest.raises(DataProblemsError, match="row 4: column 'local': 'inf' is infinite"):
        PooledStudies.from_frame(table.assign(local=table["local"].replace(45, np.inf)))


def test_frames_that_are_none_or_doubled_or_empty_are_refused(table):
    with pytest.raises(ColumnError, match="DataFrame is needed"):
        PooledStudies.from_frame([1, 2])
    doubled = pd.concat([table, table[["bmi"]]], axis=1)
    with pytest.raises(ColumnError, match="bmi") as refused:
        PooledStudies.from_frame(doubled)
    assert refused.value.columns == ("bmi",)
    with pytest.raises(DataProblemsError, match="no data rows"):
        PooledStudies.from_frame(table.iloc[:0])


def test_row_order_makes_no_difference(write, lines):
    plain = read_studies(write(lines))
    rng = np.random.default_rng(20260101)
    shuffled = [lines[0], *[lines[i] for i in 1 + rng.permutation(len(lines) - 1)]]
    pool = read_studies(write(shuffled))
    assert canonical(pool) == canonical(plain)
    assert pool.set_labels == plain.set_labels


def test_one_file_or_a_file_a_study_makes_no_difference(write, lines):
    plain = read_studies(write(lines))
    r, study_l = write([lines[0], *lines[1:3]], "x.csv"), write([lines[0], *lines[3:]], "y.csv")
    assert canonical(read_studies([study_l, r])) == canonical(plain)


def test_a_file_without_study_column_is_named_by_its_file(write, lines):
    rows = [line.split(",", 1)[1] for line in lines]
    paths = [write([rows[0], *rows[1:3]], "R.csv"), write([rows[0], *rows[3:]], "L.csv")]
    pool = read_studies(paths)
    assert canonical(pool) == canonical(read_studies(write(lines)))
    assert [f.n_rows for f in pool.files] == [2, 6]
    assert pool.place(4) == {"file": paths[1], "line": 4}


def test_columns_that_no_row_needs_may_be_missing(write):
    local = write(
        ["set,case,local,reference", *[f"{i // 2},{i % 2},{i}.5,{'' if i % 2 else i}" for i in range(8)]],
        "L.csv",
    )
    reference = write(["set,case,reference,bmi", "1,1,40,22", "1,0,41,23"], "R.csv")
    pool = read_studies([local, reference])
    assert pool.is_reference_study.tolist() == [False, True]
    assert np.isnan(pool.frame["bmi"][:8]).all()


def test_studies_and_sets_are_in_natural_order(write):
    rows = [
        f"{study},{label},{case},,{10 + case}"
        for study in ("s10", "s2", "S1")
        for label in (10, 9, "9b", 100)
        for case in (1, 0)
    ]
    pool = read_studies(write(["study,set,case,local,reference", *rows]))
    assert pool.study_names == ("S1", "s2", "s10")
    assert pool.set_labels == ("9", "9b", "10", "100") * 3


def test_natural_ranks_agree_between_numbers_and_words():
    numbers = ["10", "9", "007", "7", "100"]
    expected = [3, 2, 0, 1, 4]
    assert natural_ranks(numbers).tolist() == expected
    assert natural_ranks([*numbers, "x"]).tolist() == [*expected, 5]
    assert natural_ranks([]).tolist() == []
    assert natural_ranks(["9" * 30, "1"]).tolist() == [1, 0]


def test_persons_are_unique_within_their_study(table):
    pool = PooledStudies.from_frame(table.assign(pid=[1, 2, 1, 2, 2, 3, None, "4"]), person="pid")
    assert pool.person_code.tolist() == [3, 4, 0, 1, 1, 2, -1, 5 - 3 + 0] or pool.person_code[6] == -1
    assert pool.person_code[0] != pool.person_code[2]
    assert pool.person_code[3] == pool.person_code[4]
    assert [problem.code for problem in pool.problems] == ["person-blank", "person-in-several-sets"]


# Formats ---------------------------------------------------------------------------------------


@pytest.fixture
def many() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    n = 60
    case = np.tile([1, 0, 0], n // 3)
    local = rng.normal(50, 10, n).round(1)
    reference = np.where((case == 0) & (rng.random(n) < 0.5), (0.8 * local).round(2), np.nan)
    study = np.repeat(["north", "south"], n // 2)
    sets = np.tile(np.repeat(np.arange(n // 6), 3), 2)
    zeros = rng.integers(0, 2, n) * rng.normal(25, 4, n).round(2)
    return pd.DataFrame(
        {"study": study, "set": sets, "case": case, "local": local, "reference": reference, "bmi": zeros}
    )


def test_stata_files_are_read(many, tmp_path):
    path = tmp_path / "pool.dta"
    many.rename(columns={"case": "is_case", "local": "assay"}).to_stata(path, write_index=False)
    pool = read_studies(path, case="is_case", local="assay")
    assert pool.problems == ()
    assert canonical(pool) == canonical(PooledStudies.from_frame(many))
    np.testing.assert_array_equal(pool.frame["bmi"], many["bmi"])
    assert pool.line[0] == 1


@pytest.mark.filterwarnings("ignore::pandas.errors.InvalidColumnName")
def test_columns_that_pandas_renames_for_stata_are_found_and_told(many, tmp_path):
    path = tmp_path / "pool.dta"
    many.to_stata(path, write_index=False)
    pool = read_studies(path)
    assert canonical(pool) == canonical(PooledStudies.from_frame(many))
    (problem,) = pool.problems
    assert (problem.level, problem.code) == ("note", "renamed-column")
    assert problem.message == "'_case' is taken as 'case', '_local' is taken as 'local'"


def test_stata_value_labels_do_not_hide_the_codes(many, tmp_path):
    path = tmp_path / "pool.dta"
    labels = {"status": {0: "control", 1: "case"}}
    renamed = many.rename(columns={"case": "status", "local": "assay"})
    renamed.to_stata(path, write_index=False, value_labels=labels)
    assert canonical(read_studies(path, case="status", local="assay")) == canonical(
        PooledStudies.from_frame(many)
    )


def test_parquet_files_are_read(many, tmp_path):
    path = tmp_path / "pool.parquet"
    many.set_index("study").to_parquet(path)
    assert canonical(read_studies(path)) == canonical(PooledStudies.from_frame(many))


def test_sas_transport_files_are_read_without_regard_to_letter_case(many, tmp_path):
    pyreadstat = pytest.importorskip("pyreadstat")
    path = tmp_path / "pool.xpt"
    names = {
        "study": "STUDY",
        "set": "SET",
        "case": "CASE",
        "local": "LOCAL",
        "reference": "REF",
        "bmi": "BMI",
    }
    pyreadstat.write_xport(many.rename(columns=names), path, file_format_version=5)
    pool = read_studies(path, reference="ref")
    assert canonical(pool) == canonical(PooledStudies.from_frame(many))
    np.testing.assert_array_equal(pool.frame["BMI"], many["bmi"])
    assert [problem.code for problem in pool.problems] == ["renamed-column"]


def test_sas_data_sets_go_through_pandas(many, tmp_path, monkeypatch):
    asked = []

    def read_sas(buffer, *, format, encoding):
        asked.append((buffer.read(), format, encoding))
        return many.rename(columns=str.upper)

    monkeypatch.setattr(statistical_files.pd, "read_sas", read_sas)
    path = tmp_path / "pool.sas7bdat"
    path.write_bytes(b"a data set")
    assert canonical(read_studies(path)) == canonical(PooledStudies.from_frame(many))
    assert asked == [(b"a data set", "sas7bdat", "infer")]


@pytest.mark.parametrize("suffix", [".dta", ".sas7bdat", ".xpt", ".parquet"])
@pytest.mark.parametrize("content", [b"", b"study,set,case\n1,1,1\n", bytes(range(256)) * 40])
def test_broken_files_of_statistics_programs_are_told(tmp_path, suffix, content):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataProblemsError) as refused:
        read_studies(path)
    (problem,) = refused.value.problems
    assert problem.code == ("unreadable" if content else "empty-file")
    assert problem.file == str(path)


def test_statistics_files_without_rows_are_told(many, tmp_path):
    path = tmp_path / "none.parquet"
    many.iloc[:0].to_parquet(path)
    with pytest.raises(DataProblemsError, match="no data rows"):
        read_studies(path)


def test_formats_can_be_mixed(many, tmp_path):
    north, south = many[many["study"] == "north"], many[many["study"] == "south"]
    north.to_parquet(tmp_path / "a.parquet")
    south.to_csv(tmp_path / "b.csv", index=False)
    pool = read_studies([tmp_path / "a.parquet", tmp_path / "b.csv"])
    assert canonical(pool) == canonical(PooledStudies.from_frame(many))


# Covariates in the frame -----------------------------------------------------------------------


def test_covariates_are_numeric_when_all_their_values_are_numbers(write, lines):
    extra = [
        "a,b,c,d,e",
        "1,1.5,x,1,",
        "2,.,y,2,",
        "3,3,NA,z,",
        "4,4,x,4,",
        "5,1e3,x,5,",
        "6,2,x,6,",
        "7,2,x,7,",
        "8,2,x,8,",
    ]
    pool = read_studies(write([f"{line},{more}" for line, more in zip(lines, extra, strict=True)]))
    frame = pool.frame
    assert frame["a"].dtype == np.int64
    np.testing.assert_array_equal(frame["b"], [1.5, np.nan, 3, 4, 1000, 2, 2, 2])
    assert list(frame["c"].cat.categories) == ["x", "y"]
    assert frame["c"].isna().sum() == 1
    assert frame["d"].tolist() == ["1", "2", "z", "4", "5", "6", "7", "8"]
    assert frame["e"].isna().all()
    assert pool.covariate_names == ("bmi", "a", "b", "c", "d", "e")


def test_infinite_covariates_are_missing_and_told(write, lines):
    lines[3] = "L,1,1,40,,inf"
    pool = read_studies(write(lines))
    (problem,) = pool.problems
    assert (problem.level, problem.code, problem.line, problem.column) == (
        "warning",
        "infinite-covariate",
        4,
        "bmi",
    )
    assert np.isnan(pool.frame["bmi"][2])


def test_a_local_study_row_without_local_value_is_told_and_kept_out_of_calibration(write, lines):
    lines[4] = "L,1,0,,52,31"
    pool = read_studies(write(lines))
    (problem,) = pool.problems
    assert (problem.code, problem.study, problem.line, problem.count) == ("without-local", "L", 5, 1)
    assert not pool.in_calibration[3]
    assert 3 not in select_outcome_rows(pool, {}).rows


def test_scaled_local_values_are_read_as_if_typed_so(write, lines):
    pool = read_studies(write(lines), scale_local={"L": 2.496})
    np.testing.assert_array_equal(pool.local_assay[2:], 2.496 * np.array([40, 45, 38, 51, 47, 58.0]))
    assert pool.frame["local"][2] == 40


def test_rows_with_a_blank_set_that_cannot_calibrate_are_told(write, lines):
    pool = read_studies(write([*lines, "L,,0,50,,22", "R,,1,,50.25,22"]))
    assert [(p.code, p.study, p.line) for p in pool.problems] == [
        ("case-without-set", "R", 11),
        ("unused-row", "L", 10),
        ("unused-row", "R", 11),
    ]


def test_two_hundred_thousand_rows_are_read_quickly(tmp_path):
    n, rng = 200_000, np.random.default_rng(3)
    case = np.tile([1, 0], n // 2)
    frame = pd.DataFrame(
        {
            "study": rng.integers(0, 10, n // 2).repeat(2),
            "set": np.arange(n // 2).repeat(2),
            "case": case,
            "local": rng.lognormal(4, 0.3, n).round(2),
            "reference": np.where(
                (case == 0) & (rng.random(n) < 0.1), rng.lognormal(4, 0.3, n).round(2), np.nan
            ),
            "smoking": rng.choice(["never", "former", "current"], n),
        }
    )
    path = tmp_path / "large.csv"
    frame.to_csv(path, index=False)
    begin = time.perf_counter()
    pool = read_studies(path)
    assert time.perf_counter() - begin < SECONDS_FOR_200_000_ROWS
    np.testing.assert_array_equal(pool.local_assay, frame["local"])
    np.testing.assert_array_equal(pool.line, np.arange(2, n + 2))
    assert len(pool.set_labels) == n // 2
