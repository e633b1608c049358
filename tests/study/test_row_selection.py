"""Conditions on rows: the grammar, three-valued logic, and sets that go with their case."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biocal.errors import FormulaError
from biocal.pool.conditions.selection import select_rows
from biocal.pool.pooled import PooledStudies


def small_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "study": ["A"] * 5 + ["B"] * 4,
            "set": [1, 1, 2, 2, None, 1, 1, 2, 2],
            "case": [1, 0, 1, 0, 0, 1, 0, 1, 0],
            "reference": np.arange(9.0) + 10,
            "bmi": [20.0, 31.0, None, 25.0, 24.0, 40.0, 22.0, 23.0, 24.0],
            "sex": ["f", "f", "m", "m", "f", "m", "f", "f", None],
            "years": [1.0, None, 3.0, None, None, 2.5, 2.5, 0.5, 0.5],
            "odd name": [1, 2, 3, 4, 5, 6, 7, 8, 9],
            "old": [True, False, True, False, True, False, True, False, True],
        }
    )


@pytest.fixture
def pool() -> PooledStudies:
    return PooledStudies.from_frame(small_frame())


def rows(pool: PooledStudies, condition: str) -> list[int]:
    return np.flatnonzero(select_rows(pool, condition).selected).tolist()


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("bmi < 25", [0, 4, 6, 7, 8]),
        ("20 < bmi <= 24", [4, 6, 7, 8]),
        ("bmi < 25 and sex == 'f'", [0, 4, 6, 7]),
        ("(bmi < 25) & ~(sex == 'f')", []),
        ("not bmi < 25", [1, 3, 5]),
        ("bmi < 25 or sex == 'm'", [0, 2, 3, 4, 5, 6, 7, 8]),
        ("sex in ['f', 'm'] and bmi not in (22, 23)", [0, 1, 3, 4, 5]),
        ("missing(bmi)", [2]),
        ("notna(sex) and not missing(bmi)", [0, 1, 3, 4, 5, 6, 7]),
        ("bmi / 2 + 1 > 13", [1, 3, 5]),
        ("-bmi > -23 and study != 'B'", [0]),
        ('Q("odd name") % 2 == 0', [1, 3, 5, 7]),
        ("old", [0, 2, 4, 6, 8]),
        ("not old and study == 'A'", [1, 3]),
        ("set == 2", [2, 3, 7, 8]),
        ("case == 0 or bmi > 30", [1, 3, 4, 5, 6, 8]),
    ],
)
def test_a_condition_selects_the_rows_for_which_it_holds(pool, condition, expected):
    assert rows(pool, condition) == expected


def test_what_cannot_be_told_for_want_of_a_value_is_not_selected_and_counted(pool):
    found = select_rows(pool, "bmi < 25 and sex == 'f'")
    # row 8 has no sex; row 2 has no bmi but is known to be male, so that the condition is false, not unknown
    assert np.flatnonzero(found.unknown).tolist() == [8]


def test_a_set_goes_with_its_case_where_a_column_is_blank_for_controls(pool):
    found = select_rows(pool, "years >= 2")
    # study A leaves controls blank: set 1 goes, set 2 stays whole; study B has the matched case's value
    assert np.flatnonzero(found.selected).tolist() == [2, 3, 5, 6]
    assert "in A" in found.notes[0]
    # the calibration control outside any set has no case: it cannot be told
    assert np.flatnonzero(found.unknown).tolist() == [4]


def test_case_of_a_column_is_the_value_of_the_sets_case(pool):
    assert rows(pool, "case(bmi) < 25") == [0, 1, 7, 8]
    assert rows(pool, "case(sex) == 'm'") == [2, 3, 5, 6]


def test_a_mixed_condition_takes_the_cases_value_and_the_persons_own(pool):
    assert rows(pool, "years >= 2 and bmi < 30") == [3, 6]


def test_a_control_stays_with_any_of_several_cases():
    frame = pd.DataFrame(
        {
            "study": "A",
            "set": [1, 1, 1, 2, 2, 2],
            "case": [1, 1, 0, 1, 1, 0],
            "reference": np.arange(6.0),
            "years": [1.0, 5.0, None, 1.0, None, None],
        }
    )
    found = select_rows(PooledStudies.from_frame(frame), "years >= 2")
    assert np.flatnonzero(found.selected).tolist() == [1, 2]
    assert np.flatnonzero(found.unknown).tolist() == [4, 5]


def test_categories_that_no_row_has_are_no_studies():
    frame = small_frame().astype({"study": "category"})
    kept = PooledStudies.from_frame(frame[frame["study"] == "B"])
    assert kept.study_names == ("B",)


def test_dates_are_compared_with_quoted_dates():
    frame = small_frame().assign(drawn=pd.to_datetime(["2001-01-01"] * 4 + ["2003-06-01"] * 4 + [None]))
    found = select_rows(PooledStudies.from_frame(frame), "drawn >= '2002-01-01'")
    assert np.flatnonzero(found.selected).tolist() == [4, 5, 6, 7]
    assert np.flatnonzero(found.unknown).tolist() == [8]


@pytest.mark.parametrize(
    ("condition", "part"),
    [
        ("__import__('os').system('true')", "not allowed"),
        ("open('x') == 1", "no function 'open'"),
        ("sex.upper() == 'F'", "not allowed"),
        ("[b for b in (1, 2)]", "not allowed"),
        ("bmi if old else 1", "not allowed"),
        ("lambda: 1", "not allowed"),
        ("bmi ** 9 ** 9 > 1", "not allowed"),
        ("sex = 'f'", "=="),
        ("bmii > 3", "did you mean 'bmi'"),
        ("sex == female", "is quoted"),
        ("sex == 'g'", "its values are f; m"),
        ("sex < 'm'", "no order"),
        ("bmi == 'heavy'", "holds numbers"),
        ("bmi + sex > 2", "no number"),
        ("bmi", "stands alone"),
        ("bmi > 20 & bmi < 30", "in parentheses"),
        ("bmi is None", "missing(column)"),
        ("sex in 'fm'", "in ["),
        ("", "1 to"),
        ("bmi > 1 " * 200, "1 to"),
    ],
)
def test_a_condition_that_cannot_be_used_is_refused_by_name(pool, condition, part):
    with pytest.raises(FormulaError, match=part.replace("[", r"\[").replace("(", r"\(").replace(")", r"\)")):
        select_rows(pool, condition)
