"""Shortcuts that large pools take give what the general way gives, and the pool is held once (synthetic data)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.pool.checks import repeated_rows
from biocal.pool.checks.cells import conversion
from biocal.pool.formulas import matrix as formula_matrix
from biocal.pool.formulas.covariates import design_columns
from biocal.pool.matched_sets import select_outcome_rows
from biocal.pool.pooled import PooledStudies
from biocal.pool.tables.cells import as_ids, as_numbers, zeros_and_ones

SEEDS = range(4)
#: Resident memory that reading may take at most, as a multiple of the numbers of the table: what was read, the pool,
#: and the column between them.  Measured 2.5 and 3.0; it was 5.7 and 4.8 while whole tables were held twice.
MOST_MEMORY = {"parquet": 3.2, "csv": 3.8}


def random_table(seed: int, n_sets: int = 120) -> pd.DataFrame:
    """A pool with gaps, words, blank sets and persons in two sets, its rows in any order."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 6, n_sets)
    set_of = np.repeat(np.arange(n_sets), sizes)
    n = set_of.size
    study = set_of * 3 // n_sets
    case = (np.diff(set_of, prepend=-1) > 0).astype(int)
    x = rng.normal(60, 20, n).round(1)
    calibrator = (study > 0) & (case == 0) & (rng.random(n) < 0.3)
    table = pd.DataFrame(
        {
            "study": np.array(["R", "L2", "L10"])[study],
            "set": [f"m{k % 40}" if seed % 2 else str(k % 40) for k in set_of],
            "case": case,
            "local": np.where(study > 0, (x * 1.1 + rng.normal(0, 5, n)).round(1), np.nan),
            "reference": np.where((study == 0) | calibrator, x, np.nan),
            "person": _persons_in_two_sets(set_of),
            "z0": rng.normal(size=n).round(3),
            "z1": np.where(rng.random(n) < 0.1, np.nan, rng.integers(1, 5, n)),
            "word": rng.choice(["a", "b", "c c"], n),
            "flag": rng.random(n) < 0.5,
        }
    )
    table.loc[rng.choice(np.flatnonzero(calibrator), 3, replace=False), "set"] = None
    return table.iloc[rng.permutation(len(table))] if seed >= 2 else table


def _persons_in_two_sets(set_of: np.ndarray) -> np.ndarray:
    """Persons of whom every fifth is also in the set 10 further on."""
    person = np.arange(set_of.size)
    for row in person[:-60:5]:
        other = np.flatnonzero(set_of == set_of[row] + 10)
        if other.size:
            person[other[0]] = person[row]
    return person


def same_pool(one: PooledStudies, other: PooledStudies) -> None:
    """Both pools hold the same, but for the files they come from."""
    pd.testing.assert_frame_equal(one.frame, other.frame)
    assert (one.study_names, one.set_labels) == (other.study_names, other.set_labels)
    for name in ("study", "set_code", "is_case", "local_assay", "reference_assay", "in_calibration"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert told(one) == told(other)


def told(pool: PooledStudies) -> Counter[tuple[str, str | None, str | None]]:
    """How often each finding is told; several files list them one by one a file."""
    found: Counter[tuple[str, str | None, str | None]] = Counter()
    for problem in pool.problems:
        found[problem.code, problem.study, problem.column] += problem.count or 0
    return found


@pytest.mark.parametrize("seed", SEEDS)
class TestOneTableManyWays:
    def test_a_parquet_file_read_by_column_gives_the_pool_of_the_frame(self, seed, tmp_path):
        table = random_table(seed)
        table.to_parquet(tmp_path / "pool.parquet", index=False, row_group_size=97)
        same_pool(bc.read_studies(tmp_path / "pool.parquet"), PooledStudies.from_frame(table))

    def test_a_named_index_of_a_parquet_file_is_a_column(self, seed, tmp_path):
        table = random_table(seed)
        for index in ("set", "z0"):
            table.set_index(index).to_parquet(tmp_path / "pool.parquet")
            pool = bc.read_studies(tmp_path / "pool.parquet")
            same_pool(pool, PooledStudies.from_frame(table.set_index(index).reset_index()))
        numbered = table.reset_index(drop=True)
        numbered.index.name = "row"
        numbered.to_parquet(tmp_path / "pool.parquet")
        same_pool(
            bc.read_studies(tmp_path / "pool.parquet"), PooledStudies.from_frame(numbered.reset_index())
        )

    def test_typed_columns_of_a_parquet_file_keep_their_type(self, seed, tmp_path):
        table = random_table(seed).assign(
            day=pd.date_range("2001-01-01", periods=len(random_table(seed))),
            kind=lambda t: pd.Categorical(t["word"], categories=["c c", "a", "b", "none"]),
            whole=lambda t: t["z1"].astype("Int64"),
        )
        table.to_parquet(tmp_path / "pool.parquet", index=False)
        pool = bc.read_studies(tmp_path / "pool.parquet")
        expected = PooledStudies.from_frame(table)
        assert pool.frame.dtypes.tolist() == expected.frame.dtypes.tolist()
        same_pool(pool, expected)

    def test_text_in_files_apart_gives_the_pool_of_the_frame(self, seed, tmp_path):
        table = random_table(seed).drop(columns="flag")  # text has no type for true and false
        third = len(table) // 3
        for k in range(3):
            part = table.iloc[k * third : (k + 1) * third if k < 2 else None]
            part.to_csv(tmp_path / f"part{k}.csv", index=False)
        table.to_csv(tmp_path / "whole.csv", index=False)
        expected = PooledStudies.from_frame(table)
        same_pool(bc.read_studies(tmp_path / "whole.csv"), expected)
        parts = bc.read_studies(sorted(tmp_path.glob("part*.csv")))
        same_pool(parts, expected)
        assert parts.place(third) == {"file": str(tmp_path / "part1.csv"), "line": 2}
        assert np.bincount(parts.file_index).tolist() == [third, third, len(table) - 2 * third]


@pytest.mark.parametrize("seed", SEEDS)
class TestShortcuts:
    def test_pairs_of_study_and_id_are_numbered_alike_by_table_and_by_sorting(self, seed, monkeypatch):
        rng = np.random.default_rng(seed)
        study, ids = rng.integers(-1, 4, 300).astype(np.int32), rng.integers(-1, 50, 300).astype(np.int32)
        by_table = conversion.within_study(study, ids, 50)
        monkeypatch.setattr(conversion, "_PAIRS_PER_ROW", 0)
        monkeypatch.setattr(conversion, "_FEW_PAIRS", -1)
        by_sorting = conversion.within_study(study, ids, 50)
        for one, other in zip(by_table, by_sorting, strict=True):
            np.testing.assert_array_equal(one, other)
        known = (study >= 0) & (ids >= 0)
        assert (by_table[0] < 0).tolist() == (~known).tolist()
        np.testing.assert_array_equal(by_table[1][by_table[0][known]], ids[known])

    def test_equal_rows_are_found_alike_in_turn_and_by_sorting(self, seed, monkeypatch):
        rng = np.random.default_rng(seed)
        codes = np.sort(rng.integers(-1, 40, 200))
        measured = np.where(rng.random(200) < 0.1, np.nan, rng.integers(0, 4, 200).astype(float))
        in_turn = repeated_rows._rows_with_equal_keys(codes, measured)
        monkeypatch.setattr(repeated_rows, "_SMALL_SET", 0)
        assert in_turn.tolist() == repeated_rows._rows_with_equal_keys(codes, measured).tolist()
        by_hand = [
            i
            for i in range(200)
            if any(j != i and codes[j] == codes[i] and measured[j] == measured[i] for j in range(200))
        ]
        assert in_turn.tolist() == by_hand

    @pytest.mark.parametrize(
        "formula",
        [
            "z0 + z1",
            "z1 + z0 + z0",
            "C(z1) + word",
            "rcs(z0, 4) + log(z1)*flag",
            "center(z0):C(z1, Sum)",
        ],
    )
    def test_columns_of_a_formula_are_those_of_patsy(self, seed, formula, monkeypatch):
        from patsy import dmatrix

        pool = PooledStudies.from_frame(random_table(seed))
        design = design_columns(pool, formula)
        complete = np.isfinite(design.values).all(axis=1)
        assert complete.sum() < pool.n_rows
        frame = pool.frame[complete].reset_index(drop=True)
        frame["z1"] = frame["z1"].astype(int)
        functions = formula_matrix._functions()
        expected = dmatrix(
            formula, frame, eval_env=__import__("patsy").EvalEnvironment([{**functions, "C": C_OF_PATSY}])
        )
        assert ("Intercept", *design.names) == tuple(expected.design_info.column_names)
        np.testing.assert_array_equal(design.values[complete], np.asarray(expected)[:, 1:])
        monkeypatch.setattr(formula_matrix, "_ROWS_AT_ONCE", 37)
        monkeypatch.setattr(formula_matrix, "_plain_columns", lambda *_: None)
        by_parts = design_columns(pool, formula)
        assert by_parts.names == design.names
        np.testing.assert_array_equal(by_parts.values, design.values)

    def test_rows_in_order_are_chosen_as_rows_in_any_order(self, seed):
        table = random_table(seed)
        pool = PooledStudies.from_frame(table)
        ordered = PooledStudies.from_frame(table.iloc[np.argsort(pool.set_code, kind="stable")])
        one, other = (select_outcome_rows(p, design_columns(p, "z1").missing) for p in (pool, ordered))
        assert (one.flow, one.set_shapes, one.dropped_sets) == (
            other.flow,
            other.set_shapes,
            other.dropped_sets,
        )
        for name in ("set_code", "study", "is_case"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        for p, used in ((pool, one), (ordered, other)):
            codes = p.set_code[used.rows]
            np.testing.assert_array_equal(np.unique(codes, return_inverse=True)[1], used.set_code)
            np.testing.assert_array_equal(p.study[used.rows], used.study)


def test_columns_that_follow_one_another_are_taken_where_they_are():
    rng = np.random.default_rng(5)
    table = random_table(1).assign(a=lambda t: rng.normal(size=len(t)), b=lambda t: rng.normal(size=len(t)))
    pool = PooledStudies.from_frame(table)
    in_place = design_columns(pool, "a + b")
    assert np.shares_memory(in_place.values, pool.frame["a"].to_numpy())
    with pytest.raises(ValueError, match="read-only"):
        in_place.values[0, 0] = 1.0
    for formula in ("b + a", "z0 + a", "z0 + b", "a + z1"):
        copied = design_columns(pool, formula)
        assert not np.shares_memory(copied.values, pool.frame["a"].to_numpy())
    reversed_names = design_columns(pool, "b + a")
    np.testing.assert_array_equal(reversed_names.values[:, ::-1], in_place.values)
    np.testing.assert_array_equal(in_place.values, table[["a", "b"]].to_numpy())


def C_OF_PATSY(data, contrast=None, levels=None):
    from patsy import builtins

    return builtins.C(data, contrast, levels)


def test_all_rows_of_complete_sets_are_chosen_in_order():
    table = pd.DataFrame(
        {"study": "A", "set": [1, 1, 2, 2], "case": [1, 0, 0, 1], "reference": [1.5, 2, 3, 4]}
    )
    used = select_outcome_rows(PooledStudies.from_frame(table), {})
    assert (used.rows.tolist(), used.set_code.tolist()) == ([0, 1, 2, 3], [0, 0, 1, 1])
    blank = PooledStudies.from_frame(table.assign(set=[None, 1, 2, 2], local=[1, 2, 3, 4]), local_study="A")
    assert select_outcome_rows(blank, {}).rows.tolist() == [2, 3]


def test_cells_that_look_like_numbers_to_arrow_alone_are_told():
    import pyarrow as pa

    text = pa.chunked_array([["1", "2"], ["-nan", "nan(1)", None]])
    cells = as_numbers(text)
    assert cells.bad_words == ["-nan", "nan(1)"]
    assert np.isnan(cells.values).tolist() == [False, False, True, True, True]


def test_cases_that_need_a_closer_look_get_one():
    import pyarrow as pa

    assert zeros_and_ones(pd.Series([1.0, 0.0])).tolist() == [True, False]
    assert zeros_and_ones(pa.array(["1", "0"])).tolist() == [True, False]
    for odd in (["1", "2"], ["1", None], ["1", "0.0"], ["0x1", "0"]):
        assert zeros_and_ones(pa.array(odd)) is None
    assert zeros_and_ones(pd.Series([1.0, np.nan])) is None


def test_ids_beyond_the_largest_integer_keep_their_digits():
    large = pd.Series(np.array([2**64 - 1, 7], dtype=np.uint64))
    assert as_ids(large).words == [str(2**64 - 1), "7"]


_READ = """
import sys
import biocal as bc
def resident(what):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(what)) / 1024
bc.read_studies(sys.argv[2])
before = resident("VmRSS")
pool = bc.read_studies(sys.argv[1])
print(resident("VmHWM") - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_reading_takes_little_more_memory_than_the_numbers(suffix, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    rng = np.random.default_rng(1)
    n = 400_000
    columns = {f"z{k}": rng.normal(size=n).round(4) for k in range(8)}
    table = pd.DataFrame(
        {"study": 1, "set": np.arange(n) // 5, "case": (np.arange(n) % 5 == 0) * 1, "local": np.nan}
        | {"reference": rng.normal(60, 20, n).round(2)}
        | columns
    )
    paths = [tmp_path / f"{name}.{suffix}" for name in ("large", "small")]
    for path, part in zip(paths, (table, table.head(10)), strict=True):
        content = pa.Table.from_pandas(part, preserve_index=False)
        pq.write_table(content, path) if suffix == "parquet" else csv.write_csv(content, path)
    done = subprocess.run(
        [sys.executable, "-c", _READ, *map(str, paths)], check=True, capture_output=True, text=True
    )
    assert float(done.stdout) <= MOST_MEMORY[suffix] * table.to_numpy().nbytes / 2**20
