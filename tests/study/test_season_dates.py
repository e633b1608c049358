"""The season's column: months, names and dates of several kinds, and what is told of cells that are neither."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from biocal.errors import ColumnError, DataProblemsError, OptionError
from biocal.pool.pooled import PooledStudies
from biocal.pool.reading import read_studies
from biocal.pool.season_dates import day_in_words, reference_day, season_column


def pool_with(column, n=6):
    frame = pd.DataFrame({"study": "A", "set": np.arange(n) // 2, "case": np.arange(n) % 2, "reference": 1.0})
    frame["drawn"] = column
    return PooledStudies.from_frame(frame)


def days(column):
    return season_column(pool_with(column), "drawn")


def test_a_month_stands_at_its_middle():
    found = days([1, 2, 7, 12, 6, 6])
    np.testing.assert_allclose(
        found.day[:4], [365.25 / 24, 365.25 / 8, 6.5 / 12 * 365.25, 11.5 / 12 * 365.25]
    )
    assert found.month.tolist() == [1, 2, 7, 12, 6, 6]
    assert found.read_as.startswith("months")


def test_names_of_months_are_months():
    np.testing.assert_array_equal(
        days(["Jan", "february", "JUL", "Dec.", "June", "jun"]).day, days([1, 2, 7, 12, 6, 6]).day
    )


WRITTEN = {
    "ISO": "%Y-%m-%d",
    "ISO with time": "%Y-%m-%d %H:%M:%S",
    "German": "%d.%m.%Y",
    "SAS": "%d%b%Y",
    "British": "%d/%m/%Y",
    "American": "%m/%d/%Y",
    "words": "%B %d, %Y",
    "packed": "%Y%m%d",
}
DATES = [
    datetime.date(2003, 1, 1),
    datetime.date(2003, 7, 15),
    datetime.date(2004, 7, 15),
    datetime.date(2004, 12, 31),
    datetime.date(2001, 2, 28),
    datetime.date(1999, 3, 1),
]
OF_YEAR = [1.0, 196.0, 196.0, 365.0, 59.0, 60.0]  # a leap year's days after February count one less


@pytest.mark.parametrize("form", WRITTEN)
def test_dates_written_in_one_way_give_days_of_the_year(form):
    found = days([date.strftime(WRITTEN[form]) for date in DATES])
    assert found.day.tolist() == OF_YEAR
    assert found.month.tolist() == [1, 7, 7, 12, 2, 3]
    assert found.read_as.startswith("dates")


def test_dates_of_pandas_and_of_python_and_packed_numbers_are_the_same():
    for column in (
        pd.to_datetime(DATES),
        pd.to_datetime(DATES).tz_localize("Europe/Berlin"),
        DATES,
        [int(date.strftime("%Y%m%d")) for date in DATES],
    ):
        assert days(column).day.tolist() == OF_YEAR


def test_blank_cells_are_missing():
    for column in (
        [1, None, 3, 4, 5, 6],
        ["2003-07-15", None, *["2003-07-16"] * 4],
        ["Jan", "", *["Feb"] * 4],
    ):
        found = days(column)
        assert np.isnan(found.day).tolist() == [False, True, False, False, False, False]
        assert found.month[1] == 0


@pytest.mark.parametrize(
    ("cells", "bad", "words"),
    [
        (["1", "13", "3", "4", "0", "6"], ["13", "0"], "month"),
        (["1", "2", "3", "4", "5", "6.5"], ["6.5"], "month"),
        (
            ["2003-07-15", "2003-02-30", "2003-07-15", "2003-07-15", "x", "2003-07-15"],
            ["2003-02-30", "x"],
            "date",
        ),
    ],
)
def test_impossible_cells_are_told_by_file_line_and_column(tmp_path, cells, bad, words):
    path = tmp_path / "a.csv"
    rows = [f"A,{i // 2},{i % 2},{40 + i},{cell}" for i, cell in enumerate(cells)]
    path.write_text("\n".join(["study,set,case,reference,drawn", *rows]) + "\n", encoding="utf-8")
    with pytest.raises(DataProblemsError) as caught:
        season_column(read_studies([str(path)]), "drawn")
    problems = caught.value.problems
    assert [p.line for p in problems] == [cells.index(word) + 2 for word in bad]
    assert all(p.file == str(path) and p.column == "drawn" for p in problems)
    assert all(f"'{word}'" in p.message and words in p.message for word, p in zip(bad, problems, strict=True))


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([21.5, 30.0, 25, 27, 31, 40], "numbers from 21.5 to 40"),
        (["red", "green", "blue", "red", "red", "red"], "neither months nor dates"),
        (["01/02/2003", "03/04/2003", "05/06/2003", "07/08/2003", "09/10/2003", "11/12/2003"], "alike"),
        ([None] * 6, "blank in every row"),
    ],
)
def test_other_columns_are_refused_in_words(column, words):
    with pytest.raises(ColumnError, match=words):
        days(column)


def test_an_unknown_column_and_one_with_a_part_are_refused():
    pool = pool_with([1, 2, 3, 4, 5, 6])
    with pytest.raises(ColumnError, match="did you mean 'drawn'"):
        season_column(pool, "drwan")
    with pytest.raises(ColumnError, match="another part"):
        season_column(pool, "set")


def test_references_are_the_annual_mean_a_date_or_a_day():
    assert reference_day("annual") is None
    assert reference_day("2026-07-01") == 182.0
    assert reference_day(datetime.date(2024, 7, 1)) == 182.0  # the year does not matter
    assert reference_day("182") == reference_day(182) == 182.0
    for wrong in ("July", "0", 367, "2026-02-30", ""):
        with pytest.raises(OptionError, match="annual, a date"):
            reference_day(wrong)


def test_days_in_words():
    assert [day_in_words(day) for day in (1.0, 31.0, 32.0, 182.0, 365.25)] == [
        *("1 January", "31 January", "1 February", "1 July", "31 December")
    ]
