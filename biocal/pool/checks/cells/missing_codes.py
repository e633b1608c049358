"""Heaps of one extreme value that is a usual code for missing, such as 99, 999, -9 or 88.8."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.pool.checks.notices import ProblemLog, counted
from biocal.pool.tables.cells import Codes, number_text
from biocal.pool.tables.table import TableStack

FloatArray = NDArray[np.float64]

# Digits of a usual code, sign and decimal point aside: 7, 88, 999, 99.9, and 96, 997, 998 beside them.
_CODE = re.compile(r"7+|8+|9+|9+[678]")
# A code stands apart from the rest by this share of the rest's range.  Our choice: 9 beyond 1 to 6, 99 beyond
# ages of 20 to 70, but not 9 at the end of 0 to 9 nor 99 at the end of ages up to 90.
_GAP = 0.5
# Cells with the value: a single digit may be a rare count.  Our choice.
_FEWEST, _FEWEST_OF_ONE_DIGIT = 2, 3
# Codes of one column that are peeled off an end: 7, 8, 9, 97, 98, 99 and some.
_MOST_CODES = 12


def tell_missing_codes(
    stack: TableStack, columns: Mapping[str, pd.Series[Any]], study: Codes, log: ProblemLog
) -> None:
    """Warn of values that look like codes for missing, by column, value, count and file.

    A value of a numeric column is told when all of this holds, in the whole pool or within a study: its digits
    are those of a usual code (7, 8 or 9 alone or repeated, 96 to 98, 996 to 998 and so on; with any decimal
    point or a minus sign; or -1); it occurs at least twice (three times for a single digit); and it lies far
    outside the other values.  Far outside is above their largest by at least half of their range (the lowest
    code by more than 1 as well); for a negative value, that no other value is negative (and, for -1 to -6, that
    the largest is 2 or more).  The other values are at least two.  A code within the range of real values
    cannot be found.
    """
    by_study = None
    if study.size and study.min() != study.max():
        order = np.argsort(study, kind="stable")
        by_study = (order, np.flatnonzero(np.diff(study[order])) + 1)
    for name, column in columns.items():
        if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
            continue
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        codes = set(codes_in(values))
        if by_study is not None:
            for part in np.split(values[by_study[0]], by_study[1]):
                codes.update(codes_in(part))
        for code in sorted(codes):
            for table, rows in stack.parts():
                count = int(np.count_nonzero(values[rows] == code))
                if count:
                    word = number_text(code)
                    message = (
                        f"{counted(count, 'cell')} with the value {word}, far outside the other values: is it a code "
                        "for missing? It is used as a number; leave such cells blank"
                    )
                    log.add(
                        "warning", "missing-code", message, file=table.name or None, column=name, count=count
                    )


def codes_in(values: FloatArray) -> Iterator[float]:
    """Codes for missing, as `tell_missing_codes` finds them, at the upper and the lower end of some values."""
    yield from _codes_at_end(values, 1.0)
    yield from _codes_at_end(values, -1.0)


def _codes_at_end(values: FloatArray, sign: float) -> Iterator[float]:
    """Codes above (sign 1) or below (sign -1) the rest of some values."""
    candidates: list[float] = []
    rest = values
    while len(candidates) <= _MOST_CODES:
        end = _largest(rest) if sign > 0 else _smallest(rest)
        if not _is_usual(end) or (sign < 0 <= end):
            break
        candidates.append(end)
        rest = values[values < end] if sign > 0 else values[values > end]
    if not candidates or np.isnan(end):
        return
    low, high = _smallest(rest), _largest(rest)
    # counts that go on to 7, 8 and 9 have no gap below
    if low == high or (sign > 0 and candidates[-1] - high <= 1):
        return
    for code in candidates:
        enough = _FEWEST_OF_ONE_DIGIT if code in (7, 8, 9) else _FEWEST
        if sign > 0:
            far = code - high >= _GAP * (high - low)
        else:
            far = low >= 0 and (high >= 2 or code <= -7)
        if far and np.count_nonzero(values == code) >= enough:
            yield code


def _largest(values: FloatArray) -> float:
    """The largest number, NaN when there is none."""
    return float(np.fmax.reduce(values, initial=np.nan))


def _smallest(values: FloatArray) -> float:
    return float(np.fmin.reduce(values, initial=np.nan))


def _is_usual(value: float) -> bool:
    if not np.isfinite(value):
        return False
    word = number_text(abs(value)).replace(".", "")
    return value == -1 or (abs(value) >= 7 and _CODE.fullmatch(word) is not None)
