"""Rows of the outcome model: what leaves, in which order, and what is counted."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from biocal.errors import MatchedSetError
from biocal.pool.checks.report import check_pool
from biocal.pool.formulas.covariates import design_columns
from biocal.pool.matched_sets import StudyFlow, select_outcome_rows
from biocal.pool.pooled import PooledStudies


@pytest.fixture
def pool() -> PooledStudies:
    rows = [
        # study, set, case, local, reference, bmi, age
        ("L", 2, 1, 40, None, 20, 50),
        ("L", 2, 0, 45, 50.5, None, 51),  # misses bmi: set 2 keeps its case only
        ("L", 10, 0, 47, 52, 25, 52),
        ("L", 10, 1, 48, None, 26, 53),
        ("L", 10, 0, None, 55, 27, 54),  # no local value
        ("L", None, 0, 41, 46, 22, 55),  # calibration only
        ("L", 11, 1, 42, None, None, None),  # misses both: set 11 keeps controls only
        ("L", 11, 0, 43, None, 21, 57),
        ("L", 12, 0, 44, None, 21, 58),  # never had a case
        ("R", 1, 1, None, 60, 23, 59),
        ("R", 1, 0, None, 61, 24, 60),
        ("R", 1, 1, None, 62, 24, 61),
    ]
    columns = ["study", "set", "case", "local", "reference", "bmi", "age"]
    return PooledStudies.from_frame(pd.DataFrame(rows, columns=columns))


def test_every_row_that_leaves_is_counted_once_and_by_reason(pool):
    used = select_outcome_rows(pool, design_columns(pool, "bmi + age").missing)
    assert used.rows.tolist() == [2, 3, 9, 10, 11]
    assert used.set_code.tolist() == [0, 0, 1, 1, 1]
    assert used.study.tolist() == [0, 0, 1, 1, 1]
    assert used.is_case.tolist() == [False, True, True, False, True]
    assert used.set_shapes == {(1, 1): 1, (2, 1): 1}
    assert used.n_sets == 2
    assert used.flow == (
        StudyFlow(
            study="L",
            rows_read=9,
            calibration_only=1,
            without_local=1,
            missing_covariate=2,
            missing_by_variable={"bmi": 2, "age": 1},
            sets_without_case=2,
            sets_without_control=1,
            rows_in_dropped_sets=3,
            sets=1,
            cases=1,
            controls=1,
            calibration_pairs=3,
        ),
        StudyFlow("R", 3, 0, 0, 0, {}, 0, 0, 0, 1, 2, 1, 0),
    )
    for flow in used.flow:
        left = flow.calibration_only + flow.without_local + flow.missing_covariate + flow.rows_in_dropped_sets
        assert flow.rows_read == left + flow.cases + flow.controls


def test_what_leaves_is_told_with_its_first_row(pool):
    used = select_outcome_rows(pool, design_columns(pool, "bmi + age").missing)
    told = [(p.code, p.column, p.study, p.line, p.count) for p in used.problems]
    assert told == [
        ("missing-covariate", "bmi", "L", 2, 2),
        ("missing-covariate", "age", "L", 7, 1),
        ("set-without-case", "set", "L", 8, 2),
        ("set-without-control", "set", "L", 1, 1),
    ]
    assert "(11, 12)" in used.problems[2].message


def test_without_covariates_only_sets_that_never_had_a_case_leave(pool):
    used = select_outcome_rows(pool, {})
    assert used.rows.tolist() == [0, 1, 2, 3, 6, 7, 9, 10, 11]
    assert [problem.code for problem in used.problems] == ["set-without-case"]


def test_sets_are_contiguous_whatever_the_row_order(pool):
    order = np.random.default_rng(2).permutation(pool.n_rows)
    other = PooledStudies.from_frame(pool.frame.iloc[order])
    plain, shuffled = select_outcome_rows(pool, {}), select_outcome_rows(other, {})
    np.testing.assert_array_equal(shuffled.set_code, plain.set_code)
    assert shuffled.flow == plain.flow
    for code in range(plain.n_sets):
        mine = set(order[shuffled.rows[shuffled.set_code == code]])
        assert mine == set(plain.rows[plain.set_code == code])
    within = [np.diff(shuffled.rows[shuffled.set_code == code]) for code in range(plain.n_sets)]
    assert all((steps > 0).all() for steps in within)


def test_covariates_that_leave_no_set_are_an_error_that_says_so(pool):
    missing = {"bmi": np.ones(pool.n_rows, dtype=bool)}
    with pytest.raises(MatchedSetError, match="10 for missing covariates") as refused:
        select_outcome_rows(pool, missing)
    assert refused.value.flow[0].missing_covariate == 7


def test_all_sets_blank_is_an_error_that_says_so(pool):
    blank = PooledStudies.from_frame(pool.frame.assign(set=None))
    with pytest.raises(MatchedSetError, match="'set' is blank in every row"):
        select_outcome_rows(blank, {})


def test_the_report_counts_what_the_pool_holds(pool):
    report = check_pool(pool)
    assert report.totals == {
        "studies": 2,
        "rows": 12,
        "sets": 4,
        "cases": 5,
        "controls": 4,
        "calibration_pairs": 3,
        "sets_without_information": 1,
    }
    assert [(one.study, one.kind, one.set_shapes) for one in report.studies] == [
        ("L", "local", {(1, 1): 3}),
        ("R", "reference", {(2, 1): 1}),
    ]
    assert report.errors == ()
    assert [problem.code for problem in report.problems] == ["set-without-case", "without-local"]


def test_the_report_reads_well_as_text_and_as_json(pool):
    report = check_pool(pool)
    text = report.to_text().splitlines()
    assert text[0] == "2 studies, 12 rows"
    assert [line.split()[0] for line in text[3:7]] == ["study", "L", "R", "all"]
    assert "1:1 (3)" in text[4]
    assert text[-2:] == [
        "matched sets by cases:controls: 1:1 (3), 2:1 (1)",
        "one-sided sets hold only cases or only controls; they are dropped",
    ]
    data = json.loads(json.dumps(report.to_dict()))
    assert data["set_shapes"] == {"1:1": 3, "2:1": 1}
    assert data["by_study"][0]["calibration_only"] == 1
    assert data["problems"][0]["code"] == "set-without-case"
