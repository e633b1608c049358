"""The column that tells the season: a month or a date, as the day of the year."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.errors import ColumnError, OptionError
from biocal.kernels.splines import mid_month_day
from biocal.pool.checks.columns import columns_there
from biocal.pool.checks.notices import ProblemLog
from biocal.pool.pooled import PooledStudies
from biocal.pool.tables.spelling import one_spelling

FloatArray = NDArray[np.float64]

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
#: Ways in which dates are written; a column has one of them throughout.
_FORMATS = (
    *("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m", "%Y/%m/%d", "%Y%m%d"),
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d%b%Y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y"),
    *("%b %d, %Y", "%B %d, %Y"),
)
#: Formats of which one day may read two ways.
_EITHER_WAY = ("%d/%m/%Y", "%m/%d/%Y")
_WANTED = "months 1 to 12 (or their names), or dates such as 2003-07-15"
#: Days before each month of a common year.
_DAYS_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])


@dataclass(frozen=True, slots=True, eq=False)
class SeasonColumn:
    """When each person's blood was drawn.

    Attributes
    ----------
    name : str
        The column.
    day : ndarray, shape (n,)
        Day of the year, 1 for 1 January, a month standing at its middle; NaN where missing.
    month : ndarray of int, shape (n,)
        Calendar month 1..12, 0 where missing.
    read_as : str
        What the column was taken for, in words.
    """

    name: str
    day: FloatArray
    month: NDArray[np.intp]
    read_as: str


def season_column(pool: PooledStudies, name: str) -> SeasonColumn:
    """Read the column of the season.

    Parameters
    ----------
    pool : PooledStudies
    name : str
        A column of months 1..12, of English names of months, or of dates.

    Raises
    ------
    ColumnError
        No such column, one with a part of its own, or one that holds neither months nor dates.
    DataProblemsError
        Some cells hold what is neither; each with file, line and column.
    """
    name = one_spelling(name)
    if name not in pool.frame.columns:
        columns = [str(column) for column in pool.frame.columns]
        near = columns_there(name, columns)
        raise ColumnError(f"there is no column '{name}' for the season{near}", column=name)
    if name in pool.roles.named:
        raise ColumnError(f"column '{name}' has another part already; it cannot tell the season", column=name)
    column = pool.frame[name]
    missing = column.isna().to_numpy(dtype=np.bool_)
    if missing.all():
        raise ColumnError(f"column '{name}' is blank in every row; the season needs {_WANTED}", column=name)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _of_dates(name, column.dt.day_of_year, column.dt.month, column.dt.is_leap_year, "dates")
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return _of_numbers(pool, name, column.to_numpy(dtype=np.float64, na_value=np.nan))
    return _of_words(pool, name, column.astype(object).where(~missing, None))


def reference_day(reference: object) -> float | None:
    """Day of the year that the exposure is standardised to.

    Parameters
    ----------
    reference : str, int or date
        "annual", a date such as "2026-07-01" (its year does not matter), or a day of the year 1..366.

    Returns
    -------
    float or None
        None for the annual mean.

    Raises
    ------
    OptionError
        Anything else.
    """
    if isinstance(reference, datetime.date):
        return _day_in_mean_year(reference)
    text = str(reference).strip()
    if text.casefold() == "annual":
        return None
    if re.fullmatch(r"\d{1,3}(\.\d*)?", text) and 1 <= float(text) <= 366:
        return float(text)
    try:
        return _day_in_mean_year(datetime.date.fromisoformat(text))
    except ValueError:
        raise OptionError(
            f"the season's reference is annual, a date such as 2026-07-01, or a day of the year 1 to 366, "
            f"not {reference!r}",
            season_reference=reference,
        ) from None


def day_in_words(day: float) -> str:
    """A day of the year as in "1 July"."""
    whole = int(min(max(round(day), 1), 365))
    month = int(np.searchsorted(_DAYS_BEFORE, whole, side="left")) - 1
    return f"{whole - int(_DAYS_BEFORE[month])} {MONTHS[month]}"


def _day_in_mean_year(date: datetime.date) -> float:
    """Day of a common year; 29 February counts as 1 March."""
    return float(_DAYS_BEFORE[date.month - 1] + date.day)


def _of_dates(name: str, of_year: Any, month: Any, leap: Any, read_as: str) -> SeasonColumn:
    """From days of the year; in leap years those after February count one less, as reference days do."""
    day = of_year.to_numpy(dtype=np.float64, na_value=np.nan)
    months = month.to_numpy(dtype=np.float64, na_value=0.0)
    late = leap.to_numpy(dtype=np.bool_) & (months > 2)
    return SeasonColumn(name, np.where(late, day - 1.0, day), _whole(months), read_as)


def _whole(months: FloatArray) -> NDArray[np.intp]:
    return np.nan_to_num(months).astype(np.intp)


def _of_numbers(pool: PooledStudies, name: str, values: FloatArray) -> SeasonColumn:
    present = ~np.isnan(values)
    plausible = present & (values >= 1) & (values <= 12) & (values == np.floor(values))
    if 2 * plausible.sum() >= present.sum():
        _require(pool, name, present & ~plausible, [f"{value:g}" for value in values], "a month 1 to 12")
        return _of_months(name, values)
    if ((values[present] >= 18000101) & (values[present] <= 22001231)).all():
        words = np.array(
            [f"{value:.0f}" if here else None for value, here in zip(values, present, strict=True)]
        )
        return _of_words(pool, name, pd.Series(words, dtype=object))
    raise ColumnError(
        f"column '{name}' holds numbers from {np.nanmin(values):g} to {np.nanmax(values):g}; the season needs "
        f"{_WANTED}",
        column=name,
    )


def _of_months(name: str, months: FloatArray) -> SeasonColumn:
    return SeasonColumn(name, mid_month_day(months), _whole(months), "months, each standing at its middle")


def _of_words(pool: PooledStudies, name: str, words: pd.Series[Any]) -> SeasonColumn:
    """Names of months, or dates in the one format that reads most of the column."""
    present = words.notna().to_numpy(dtype=np.bool_)
    texts = [str(word).strip() if here else "" for word, here in zip(words, present, strict=True)]
    numbers = np.array([_month_of(text) for text in texts])
    if 2 * (numbers > 0).sum() >= present.sum():
        _require(pool, name, present & (numbers == 0), texts, "a month")
        return _of_months(name, np.where(numbers > 0, numbers, np.nan).astype(float))
    series = pd.Series(texts, dtype=object).where(pd.Series(present), None)
    read = {form: pd.to_datetime(series, format=form, errors="coerce") for form in _FORMATS}
    counts = {form: int(dates.notna().sum()) for form, dates in read.items()}
    best = max(counts, key=lambda form: counts[form])
    if 2 * counts[best] < present.sum():
        first = next(text for text in texts if text)
        raise ColumnError(
            f"column '{name}' holds neither months nor dates (such as '{first}'); the season needs {_WANTED}",
            column=name,
        )
    if all(counts[form] == counts[best] for form in _EITHER_WAY):
        raise ColumnError(
            f"dates of column '{name}' read as day/month and as month/day alike (such as "
            f"'{next(text for text in texts if text)}'); write them as 2003-07-15",
            column=name,
        )
    dates = read[best]
    _require(
        pool, name, present & dates.isna().to_numpy(), texts, f"a date like the others ({_example(best)})"
    )
    found = (dates.dt.day_of_year, dates.dt.month, dates.dt.is_leap_year)
    return _of_dates(name, *found, f"dates ({_example(best)})")


def _month_of(text: str) -> int:
    """1..12 for a number, a name or its first three letters; 0 for anything else."""
    if text.isdigit() and 1 <= int(text) <= 12:
        return int(text)
    word = text.rstrip(".").casefold()
    return next((k for k, m in enumerate(MONTHS, 1) if word in (m.casefold(), m[:3].casefold())), 0)


def _example(form: str) -> str:
    return datetime.datetime(2003, 7, 15).strftime(form)


def _require(pool: PooledStudies, name: str, bad: NDArray[np.bool_], texts: list[str], wanted: str) -> None:
    """Tell every cell that is not what the rest of the column is."""
    rows = np.flatnonzero(bad)
    if rows.size == 0:
        return
    log = ProblemLog()
    for file in np.unique(pool.file_index[rows]):
        mine = rows[pool.file_index[rows] == file]
        messages = [f"'{texts[row]}' is not {wanted}; mend it, or leave it blank" for row in mine]
        path = pool.files[int(file)].path if file >= 0 else None
        lines = pool.line[mine].tolist()
        log.add_lines("error", "bad-season", lines, messages.__getitem__, file=path, column=name)
    log.require_no_errors()
