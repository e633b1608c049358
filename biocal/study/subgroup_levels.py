"""Levels of a variable by which an analysis is split, and the rows of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ColumnError, OptionError
from biocal.study.columns import columns_there
from biocal.study.condition_truth import Words, column_values, take_values
from biocal.study.natural_order import natural_key
from biocal.study.pooled import PooledStudies
from biocal.study.row_selection import case_column_note, case_rows, describes_case, select_rows
from biocal.study.spelling import one_spelling

IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: More levels than this are no subgroups but a measurement (our choice; a pool may well have thirty studies).
MOST_LEVELS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """Rows of a pool by level.

    Attributes
    ----------
    variable : str
        As asked for.
    levels : tuple of str
    rows : ndarray of bool, shape (n_levels, n)
        Rows of each level; a control may belong to the levels of several cases of its set.
    known : ndarray of bool, shape (n,)
        Rows whose level is known.
    of_case : ndarray of bool, shape (n_studies,)
        Studies in which the set goes with its case.
    notes : tuple of str
    """

    variable: str
    levels: tuple[str, ...]
    rows: BoolArray
    known: BoolArray
    of_case: BoolArray
    notes: tuple[str, ...]


def group_rows(pool: PooledStudies, variable: str, *, of_case: bool = False) -> Grouping:
    """Split the rows of a pool by a column, or by whether a condition holds.

    Parameters
    ----------
    pool : PooledStudies
    variable : str
        A column with few values, or a condition such as ``bmi >= 30``, whose levels are yes and no.
    of_case : bool, default False
        The column describes the case (tumour site, say): every control takes the value of its set's case, whatever
        its own.  Without, that is so in studies in which the column is blank for all controls.

    Raises
    ------
    ColumnError
        No such column.
    OptionError
        A single level, or more than `MOST_LEVELS`.
    FormulaError
        A condition that cannot be understood.
    """
    variable = one_spelling(variable)
    if variable in pool.frame.columns:
        grouping = _by_column(pool, variable, of_case)
    elif variable.isidentifier() or of_case:
        near = columns_there(variable, pool.frame.columns)
        raise ColumnError(f"there is no column '{variable}' in the data{near}", column=variable)
    else:
        grouping = _by_condition(pool, variable)
    if len(grouping.levels) < 2:
        found = f"one value, {grouping.levels[0]}" if grouping.levels else "no value"
        raise OptionError(
            f"'{variable}' has {found}, for all rows in matched sets; subgroups need two", variable=variable
        )
    return grouping


def _by_column(pool: PooledStudies, variable: str, of_case: bool) -> Grouping:
    values = column_values(pool.frame[variable])
    studies = np.ones(pool.n_studies, dtype=np.bool_) if of_case else describes_case(pool, values)
    words = _as_words(values)
    in_set = pool.set_code >= 0
    takes = studies[pool.study] & ~pool.is_case & in_set
    own = np.where(takes, -1, np.arange(pool.n_rows))
    rounds = [own] if not takes.any() else [np.where(takes, row, own) for row in case_rows(pool)]
    codes = []
    for rows in rounds:
        taken = take_values(words, rows)
        assert isinstance(taken, Words)
        codes.append(taken.codes)
    present = np.unique(np.concatenate([code[in_set] for code in codes]))
    used = sorted((int(c) for c in present if c >= 0), key=lambda c: natural_key(words.levels[c]))
    if len(used) > MOST_LEVELS:
        raise OptionError(
            f"'{variable}' has {len(used):,} different values; subgroups need a column with at most {MOST_LEVELS}, or "
            f"a condition such as '{variable} >= ...'",
            variable=variable,
        )
    rows_of = np.array([np.any([code == c for code in codes], axis=0) for c in used], dtype=np.bool_)
    known = np.any([code >= 0 for code in codes], axis=0)
    note = case_column_note(pool, variable, studies) if not of_case else ""
    return Grouping(
        variable,
        tuple(words.levels[c] for c in used),
        rows_of.reshape(len(used), pool.n_rows),
        np.asarray(known),
        studies,
        (note,) if note else (),
    )


def _by_condition(pool: PooledStudies, condition: str) -> Grouping:
    found, opposite = select_rows(pool, condition), select_rows(pool, f"not ({condition.strip()})")
    rows = np.array([found.selected, opposite.selected])  # a control of two cases may be in both
    in_set = pool.set_code >= 0
    used = [k for k in range(2) if rows[k, in_set].any()]
    return Grouping(
        found.condition,
        tuple(("yes", "no")[k] for k in used),
        rows[used],
        np.asarray(rows.any(axis=0)),
        np.zeros(pool.n_studies, dtype=np.bool_),
        found.notes,
    )


def _as_words(values: object) -> Words:
    """Numbers and dates as words, one a value."""
    if isinstance(values, Words):
        return values
    numbers = np.asarray(values)
    absent = np.isnat(numbers) if numbers.dtype.kind == "M" else np.isnan(numbers)
    distinct, place = np.unique(numbers[~absent], return_inverse=True)
    codes = np.full(numbers.size, -1, dtype=np.intp)
    codes[~absent] = place
    if numbers.dtype.kind == "M":
        return Words(codes, tuple(str(np.datetime_as_string(day, unit="D")) for day in distinct))
    return Words(codes, tuple(f"{value:.15g}" for value in distinct))
