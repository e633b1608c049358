"""Levels of factors: the order that files declare, whatever else stands beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import biocal as bc
from biocal.errors import FormulaError
from biocal.pool.formulas.covariates import design_columns
from biocal.pool.formulas.level_order import level_key, merged_order, united_levels
from biocal.pool.pooled import PooledStudies

CASES = Path(__file__).parents[1] / "data" / "cases"
DIGITS_OF_R = 6e-9  # half a unit of the last digit that R's numbers are given with
SMOKING = ["never", "former", "current"]


def _table(study: str, words: list[str]) -> pd.DataFrame:
    n = len(words)
    return pd.DataFrame(
        {
            "study": study,
            "set": np.arange(n) // 2,
            "case": np.tile([1, 0], n // 2),
            "reference": np.linspace(40, 60, n),
            "smoking": words,
        }
    )


def _declared(study: str, words: list[str], levels: list[str]) -> pd.DataFrame:
    return _table(study, words).assign(smoking=pd.Categorical(words, levels))


def _pool(folder: Path, **tables: pd.DataFrame) -> PooledStudies:
    paths = []
    for name, table in tables.items():
        declared = isinstance(table.get("smoking", pd.Series()).dtype, pd.CategoricalDtype)
        paths.append(folder / f"{name}.{'parquet' if declared else 'csv'}")
        if declared:
            table.to_parquet(paths[-1])
        else:
            table.to_csv(paths[-1], index=False)
    return bc.read_studies([str(path) for path in paths])


def _terms(pool: PooledStudies, formula: str = "smoking") -> tuple[str, ...]:
    return design_columns(pool, formula).names


@pytest.mark.parametrize(
    "other",
    [
        _declared("B", ["former", "current"] * 3, SMOKING),
        _declared("B", ["never", "current"] * 3, ["never", "current"]),
        _table("B", ["current", "never"] * 3),
        _table("B", ["former", "current"] * 3).drop(columns="smoking"),
    ],
    ids=["without a level", "a level never declared", "a csv file", "without the column"],
)
def test_a_declared_order_survives_another_file(tmp_path, other):
    pool = _pool(tmp_path, a=_declared("A", ["current", "never", "former"] * 2, SMOKING), b=other)
    assert _terms(pool) == ("smoking[T.former]", "smoking[T.current]")


def test_words_that_no_file_declares_come_last_and_are_told(tmp_path):
    pool = _pool(
        tmp_path, a=_declared("A", SMOKING * 2, SMOKING), b=_table("B", ["a pipe", "never", "current"] * 2)
    )
    assert _terms(pool) == ("smoking[T.former]", "smoking[T.current]", "smoking[T.a pipe]")
    assert [(one.code, one.column, one.count) for one in pool.problems] == [("levels-added", "smoking", 1)]


def test_orders_that_contradict_each_other_are_told_and_the_levels_are_alphabetical(tmp_path):
    pool = _pool(
        tmp_path,
        a=_declared("A", SMOKING * 2, SMOKING),
        b=_declared("B", SMOKING * 2, ["former", "never", "current"]),
    )
    assert _terms(pool) == ("smoking[T.former]", "smoking[T.never]")
    told = [one for one in pool.problems if one.code == "levels-contradict"]
    assert [one.level for one in told] == ["warning"]
    assert "never < former < current in" in told[0].message


@pytest.mark.parametrize("shift", range(3))
def test_a_dictionary_in_the_order_of_its_rows_declares_nothing(tmp_path, shift):
    table = pa.Table.from_pandas(_table("A", np.roll(SMOKING * 2, shift).tolist())).replace_schema_metadata()
    i = table.column_names.index("smoking")
    path = tmp_path / "a.parquet"
    pq.write_table(table.set_column(i, "smoking", table.column(i).dictionary_encode()), path)
    assert _terms(bc.read_studies(str(path))) == ("smoking[T.former]", "smoking[T.never]")


@pytest.mark.parametrize("formula", ["g", "C(g)"])
def test_categories_that_are_numbers_keep_their_order_and_are_no_slope(formula):
    frame = pd.read_csv(CASES / "c08_stage.csv")
    frame["g"] = pd.Categorical(frame["g"], [3, 1, 2, 4])
    pool = PooledStudies.from_frame(frame)
    fit = bc.fit(pool, method="naive", exposure=bc.linear(), covariates=formula)
    assert list(fit.terms[1:]) == [f"{formula}[T.{level}]" for level in (1, 2, 4)]
    by_r = [0.30094205, -0.20945537, -0.53518811]
    np.testing.assert_allclose(fit.tidy()["estimate"].iloc[1:], by_r, atol=DIGITS_OF_R)


def test_a_column_of_numerals_and_words_is_categories_within_c():
    pool = bc.read_studies(str(CASES / "c01b_unknown.csv"))
    fit = bc.fit(pool, method="naive", exposure=bc.linear(), covariates="C(education)")
    assert list(fit.terms[1:]) == [f"C(education)[T.{level}]" for level in ("2", "3", "unknown")]
    by_r = [-0.00798742, 0.36173911, -0.00907663, -0.41842489]
    np.testing.assert_allclose(fit.tidy()["estimate"], by_r, atol=DIGITS_OF_R)
    with pytest.raises(FormulaError, match=r"write C\(education\)"):
        design_columns(pool, "education")


def test_spellings_of_a_number_are_one_level_and_levels_come_by_size(tmp_path):
    pool = _pool(tmp_path, a=_table("A", ["1.0", "10", "2"] * 2), b=_table("B", ["1", "10.0", "10+"] * 2))
    assert _terms(pool, "C(smoking)") == tuple(f"C(smoking)[T.{level}]" for level in ("2", "10", "10+"))


def test_orders_are_merged_whichever_comes_first():
    orders = [("never", "current"), ("never", "former", "current"), ("current", "unknown")]
    merged = ("never", "former", "current", "unknown")
    assert merged_order(orders) == merged_order(orders[::-1]) == merged
    assert merged_order([("a", "b"), ("b", "a")]) is None
    assert united_levels([("current", "never"), ("never", "former", "current")]) == tuple(SMOKING)


def test_levels_in_no_declared_order_are_numbers_by_size_and_then_words():
    levels = ["unknown", "10-19", "2-9", "10", "2", "-1", "1.5"]
    assert sorted(levels, key=level_key) == ["-1", "1.5", "2", "10", "2-9", "10-19", "unknown"]


@pytest.mark.parametrize("reference", ["3", "'3'"])
def test_a_reference_that_is_a_number_is_a_level_and_not_a_place(reference):
    frame = pd.read_csv(CASES / "c08_stage.csv")
    frame["g"] = pd.Categorical(frame["g"], [4, 1, 2, 3])
    formula = f"C(g, Treatment({reference}))"
    names = design_columns(PooledStudies.from_frame(frame), formula).names
    assert names == tuple(f"{formula}[T.{level}]" for level in (4, 1, 2))
