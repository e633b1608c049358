"""No row of data is on a page; with a limit no small count is, nor can one be worked out."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from cli_pool import small_pool
from report_pages import Page, small_fit

import biocal as bc
from biocal.report.api import report_html
from biocal.report.disclosure import (
    Disclosure,
    group_bounds,
    hidden_cells,
    hidden_in_column,
    is_small,
    possible_values,
    with_totals,
)

LIMIT = 5


def frame_of_long_numbers() -> pd.DataFrame:
    """The small pool with values of ten digits, which no statistic has by chance."""
    rng = np.random.default_rng(99)
    frame = small_pool()
    for column in ("local", "reference", "bmi"):
        frame[column] = frame[column] + rng.uniform(1e-7, 9e-3, len(frame))
    return frame


def leaky_frame() -> pd.DataFrame:
    """The small pool with few missing values here and there, and a tiny study."""
    frame = small_pool()
    frame.loc[[3, 9, 130, 141], "bmi"] = np.nan
    frame.loc[[60, 61], "local"] = np.nan
    tiny = frame[frame["study"] == "West"].head(6).assign(study="Tiny")
    return pd.concat([frame, tiny], ignore_index=True)


@pytest.fixture(scope="module")
def suppressed() -> Page:
    pool = bc.PooledStudies.from_frame(leaky_frame())
    fits = bc.fit(pool, method=["full", "two-stage"], exposure=bc.linear(), covariates="bmi")
    return Page(report_html(fits, suppress=LIMIT, problems=pool.problems))


@pytest.mark.parametrize("suppress", [0, LIMIT])
def test_no_value_of_the_data_is_on_the_page_or_in_its_downloads(suppress):
    frame = frame_of_long_numbers()
    page = Page(report_html(small_fit(frame, method=["naive", "full", "two-stage"]), suppress=suppress))
    tables = "\n".join(table.to_csv() for table in page.downloads().values())
    told = {f"{float(x):.6f}" for x in re.findall(r"-?\d+\.\d{6,}", page.text + tables)}
    for column in ("local", "reference", "bmi"):
        values = {f"{x:.6f}" for x in frame[column].dropna()}
        assert told.isdisjoint(values), column


def test_no_point_of_a_figure_is_a_pair_of_values():
    frame = frame_of_long_numbers()
    calibration = small_fit(frame, method="full").calibration
    for study in calibration.studies:
        if study.kind == "local":
            means = Disclosure().group_means(study.pairs_local, study.pairs_reference)
            assert means[0].size <= study.n_calibration // 5
            assert not np.isin(means[0], study.pairs_local).any()
            assert not np.isin(means[1], study.pairs_reference).any()


def test_no_set_and_no_place_in_a_file_is_named():
    frame = small_pool().assign(set=lambda f: "set-" + f["set"].astype(str))
    frame.loc[[3, 9], "bmi"] = np.nan
    pool = bc.PooledStudies.from_frame(frame)
    page = report_html(bc.fit(pool, covariates="bmi"), problems=pool.problems)
    assert "set-" not in re.sub(r"off-?set-", "", Page(page).text)


def test_small_counts_are_nowhere(suppressed):
    shown = suppressed.table("Participants by study")
    cells = shown.to_numpy().ravel()
    assert "<5" in cells
    assert not {"1", "2", "3", "4"} & set(cells)
    assert (
        suppressed.table("Odds ratio by study")
        .loc[:, ["Sets", "Cases"]]
        .isin(["1", "2", "3", "4"])
        .sum()
        .sum()
        == 0
    )
    assert "Small counts are hidden" in suppressed.text
    counts = re.findall(r"\b([1-4]) (?:rows?|sets?|persons?|cases?|controls?|pairs?)\b", suppressed.text)
    assert counts == []


def test_downloads_hide_what_the_page_hides(suppressed):
    found = suppressed.downloads()
    assert not {"n", "n_calibration"} & set(found["calibration.csv"].columns)
    assert not {"sets", "cases"} & set(found["studies.csv"].columns)
    flow = found["participants.csv"].astype(str)
    assert not flow.isin(["1", "2", "3", "4"]).any().any()


def test_without_a_limit_everything_is_counted():
    pool = bc.PooledStudies.from_frame(leaky_frame())
    page = Page(report_html(bc.fit(pool, exposure=bc.linear(), covariates="bmi")))
    assert page.table("Participants by study").loc["Tiny", "Cases used"] == "3"
    assert "withheld" not in page.text


@pytest.mark.parametrize("seed", range(12))
def test_no_small_count_follows_from_what_is_shown(seed):
    rng = np.random.default_rng(seed)
    parts = rng.poisson(rng.choice([0.3, 2.0, 6.0, 40.0], size=(rng.integers(1, 7), 5))).astype(np.intp)
    table = with_totals(parts)
    hidden = hidden_cells(table, LIMIT, table + 1.0, ((3, 4),))
    assert hidden[is_small(table, LIMIT)].all()
    for row, column in np.argwhere(is_small(table, LIMIT)):
        low, high = possible_values(table, hidden, LIMIT, (int(row), int(column)))
        assert low <= table[row, column] <= high
        assert high - low >= 1 - 1e-6


def test_one_small_count_by_hand():
    # a row of 2 + 10 + 30 = 42 under 5: the 2, and the cheapest other that hides it
    table = with_totals(np.array([[2, 10, 30], [50, 60, 70], [80, 90, 100]], dtype=np.intp))
    hidden = hidden_cells(table, LIMIT, table.astype(float))
    assert hidden.sum() == 4
    assert hidden[0, :2].all()
    assert hidden[1, :2].all()
    np.testing.assert_allclose(possible_values(table, hidden, LIMIT, (0, 0)), (1, 4))


def test_a_table_without_small_counts_is_shown_whole():
    table = with_totals(np.array([[5, 0], [7, 9]], dtype=np.intp))
    assert not hidden_cells(table, LIMIT, table.astype(float)).any()


def test_a_column_hides_a_second_count_or_its_total():
    np.testing.assert_array_equal(hidden_in_column(np.array([3, 20, 90]), LIMIT), [True, True, False, False])
    np.testing.assert_array_equal(hidden_in_column(np.array([3]), LIMIT), [True, True])
    assert not hidden_in_column(np.array([29, 30]), LIMIT).any()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("3 matched sets were dropped", "fewer than 5 matched sets were dropped"),
        ("1,203 sets and 4 cases", "1,203 sets and fewer than 5 cases"),
        (
            "too few matched sets: 3 for 4 coefficients",
            "too few matched sets: fewer than 5 for 4 coefficients",
        ),
        (
            "no control is as extreme (range 1.25 to 99.5): extrapolated",
            "no control is as extreme: extrapolated",
        ),
        ("knots at 3 cases of 2.3 controls", "knots at fewer than 5 cases of 2.3 controls"),
    ],
)
def test_messages_lose_small_counts_and_values_of_single_persons(message, expected):
    assert Disclosure(LIMIT).text(message) == expected


def test_groups_hold_enough_persons():
    for n in range(1, 60):
        sizes = np.diff(group_bounds(n, LIMIT))
        assert sizes.sum() == (n if n >= LIMIT else 0)
        assert (sizes >= LIMIT).all()
