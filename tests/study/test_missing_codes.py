"""Codes for missing among the numbers: told by file, column, value and count; honest data are left in peace."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.pool.pooled import PooledStudies

N_SETS = 60


def pool_frame(**columns):
    """A pool of one reference and one local study, sets of 1:1, with more columns."""
    rng = np.random.default_rng(14)
    n = 4 * N_SETS
    is_local = np.arange(n) >= 2 * N_SETS
    value = rng.normal(60, 12, n).round(1)
    calibrates = is_local & (np.arange(n) % 4 == 1)
    frame = pd.DataFrame(
        {
            "study": np.where(is_local, "L", "R"),
            "set": np.arange(n) // 2,
            "case": (np.arange(n) + 1) % 2,
            "local": np.where(is_local, (0.8 * value + rng.normal(0, 4, n)).round(1), np.nan),
            "reference": np.where(~is_local | calibrates, value, np.nan),
        }
    )
    return frame.assign(**columns)


def told(problems):
    """Column, count and value of the codes that were told."""
    found = [one for one in problems if one.code == "missing-code"]
    return {(one.column, one.count, float(one.message.split("value ")[1].split(",")[0])) for one in found}


def numbers(low, high, decimals=0, seed=5):
    return np.random.default_rng(seed).uniform(low, high, 4 * N_SETS).round(decimals)


def with_code(values, code, count):
    values = values.copy()
    values[3 : 3 + 7 * count : 7] = code
    return values


@pytest.mark.parametrize(
    ("values", "code", "count"),
    [
        (numbers(18, 45, 1), 999, 5),
        (numbers(18, 45, 1), 99, 4),
        (numbers(18, 45, 1), 88.8, 3),
        (numbers(18, 45, 1), 77, 3),
        (numbers(18, 45, 1), -9, 3),
        (numbers(18, 45, 1), -1, 3),
        (numbers(150, 200), 9999, 2),
        (numbers(0, 2), 9, 6),
        (numbers(0, 1), -9, 3),
        (numbers(0, 1), 8, 3),
        (numbers(20, 70), 99, 5),
    ],
)
def test_a_heap_of_a_code_far_outside_is_told_by_column_value_and_count(values, code, count):
    pool = PooledStudies.from_frame(pool_frame(x=with_code(values, code, count)))
    assert told(pool.problems) == {("x", count, code)}


def test_several_codes_of_one_column_are_told_each():
    # 7 refused, 9 unknown beside 1 to 5, and 997 to 999 beside a pressure
    x = with_code(numbers(1, 5), 9, 4)
    x[[50, 80, 110]] = 7
    y = with_code(numbers(90, 200), 999, 4)
    y[[50, 80]] = 997
    found = told(PooledStudies.from_frame(pool_frame(x=x, y=y)).problems)
    assert found == {("x", 3, 7), ("x", 4, 9), ("y", 4, 999), ("y", 2, 997)}


@pytest.mark.parametrize(
    "values",
    [
        numbers(20, 99),
        numbers(0, 10),
        numbers(0, 9),
        numbers(-1, 1),
        numbers(-15, 15),
        np.random.default_rng(3).poisson(3, 4 * N_SETS),
        np.random.default_rng(3).negative_binomial(1, 0.1, 4 * N_SETS),
        np.exp(np.random.default_rng(3).normal(3, 1, 4 * N_SETS)).round(1),
        np.where(np.arange(4 * N_SETS) % 3, 1.0, 9.0),  # two values: 9 may be as good a number as 1
        with_code(numbers(20, 30), 999, 1),  # not repeated
        with_code(numbers(20, 130), 99, 9),  # within the range of the others: cannot be found
        numbers(0, 0.5, 1) + 0.4,  # 0.9 is no code
    ],
)
def test_honest_numbers_are_left_in_peace(values):
    assert told(PooledStudies.from_frame(pool_frame(x=values)).problems) == set()


def test_counts_of_any_spread_are_left_in_peace():
    rng = np.random.default_rng(0)
    for mean in np.linspace(0.3, 5, 40):
        pool = PooledStudies.from_frame(pool_frame(x=rng.poisson(mean, 4 * N_SETS)))
        assert told(pool.problems) == set()


def test_bundled_data_are_left_in_peace():
    pool = PooledStudies.from_frame(bc.datasets.load_infertility(), reference="spontaneous")
    assert told(pool.problems) == set()


def test_ids_and_case_status_are_not_measured():
    frame = pool_frame()
    frame.loc[4:7, "set"] = 999999
    assert told(PooledStudies.from_frame(frame).problems) == set()


def test_codes_are_told_by_file(tmp_path):
    frame = pool_frame(x=with_code(numbers(18, 45, 1), 99, 30))
    paths = []
    for name, part in frame.groupby("study"):
        paths.append(str(tmp_path / f"{name}.csv"))
        part.to_csv(paths[-1], index=False)
    found = [one for one in bc.read_studies(paths).problems if one.code == "missing-code"]
    expected = [(path, int((pd.read_csv(path)["x"] == 99).sum())) for path in paths]
    assert [(one.file, one.count) for one in found] == expected
    assert all(one.level == "warning" for one in found)


def test_a_code_of_one_study_is_found_although_another_has_larger_values():
    # local values have the unit of their study
    frame = pool_frame()
    other = frame[frame["study"] == "L"].assign(study="M", set=lambda f: f["set"] + 1000)
    other["local"] = other["local"] * 40
    frame.loc[frame.index[-4:], "local"] = 999
    found = told(PooledStudies.from_frame(pd.concat([frame, other], ignore_index=True)).problems)
    assert found == {("local", 4, 999)}


def test_codes_among_the_pairs_turn_the_gate_amber_and_are_named_by_value():
    frame = pool_frame()
    pairs = np.flatnonzero(frame["local"].notna() & frame["reference"].notna())
    frame.loc[pairs[:4], "local"] = 999
    frame.loc[pairs[:4], "reference"] = 999
    quality = bc.calibrate(PooledStudies.from_frame(frame)).quality[0]
    assert quality.light != "green"
    assert any("codes for missing (999)" in words for _, words in quality.reasons())
    assert not any("999" in words for _, words in quality.reasons(places=False))
