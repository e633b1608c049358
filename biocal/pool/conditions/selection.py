"""Which rows a condition selects, when some columns describe the case of a matched set rather than the person.

Time to diagnosis and tumour site belong to cases and are blank for controls.  A condition on such a column is a
condition on the set: the set goes with its case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ColumnError, OptionError
from biocal.pool.checks.cells.natural_order import natural_key
from biocal.pool.checks.columns import columns_there
from biocal.pool.conditions.expression import Reference, read_condition
from biocal.pool.conditions.truth import (
    ColumnValues,
    Truth,
    Words,
    column_values,
    evaluate_condition,
    is_missing,
    take_values,
)
from biocal.pool.pooled import PooledStudies
from biocal.pool.tables.spelling import one_spelling

IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class RowSelection:
    """Rows of a pool that a condition selects.

    Attributes
    ----------
    condition : str
    selected : ndarray of bool, shape (n,)
    unknown : ndarray of bool, shape (n,)
        Not selected because a value is missing, so that the condition is neither true nor false.
    notes : tuple of str
        How the condition was read where that is not plain.
    """

    condition: str
    selected: BoolArray
    unknown: BoolArray
    notes: tuple[str, ...] = ()


def select_rows(pool: PooledStudies, condition: str) -> RowSelection:
    """Find the rows for which a condition holds.

    Parameters
    ----------
    pool : PooledStudies
    condition : str
        See :func:`biocal.pool.conditions.expression.read_condition`.

    Returns
    -------
    RowSelection
        A column that is blank for all controls in sets of a study, and filled for cases, describes the case: there
        controls take the value of their set's case, and so do all controls where the condition says
        ``case(column)``.  In a set with several cases a control is selected when the condition holds with the
        value of at least one of them.

    Raises
    ------
    FormulaError
        A condition that cannot be understood or evaluated.
    """
    understood = read_condition(condition, tuple(map(str, pool.frame.columns)))
    names = dict.fromkeys(reference.name for reference in understood.references)
    own = {name: column_values(pool.frame[name]) for name in names}
    of_case = {name: describes_case(pool, own[name]) for name in names}
    takes = {
        reference: np.ones(pool.n_studies, dtype=np.bool_) if reference.of_case else of_case[reference.name]
        for reference in understood.references
    }
    selected = np.zeros(pool.n_rows, dtype=np.bool_)
    unknown = np.zeros(pool.n_rows, dtype=np.bool_)
    for case_row, applies in _cases_in_turn(pool, any(mask.any() for mask in takes.values())):
        values = {
            reference: _values_of(pool, own[reference.name], studies, case_row, reference)
            for reference, studies in takes.items()
        }
        truth: Truth = evaluate_condition(understood, values, pool.n_rows)
        selected |= truth.holds & applies
        unknown |= truth.unknown & applies
    notes = (case_column_note(pool, name, of_case[name]) for name in names)
    return RowSelection(understood.text, selected, unknown & ~selected, tuple(note for note in notes if note))


def describes_case(pool: PooledStudies, values: ColumnValues) -> BoolArray:
    """Studies in which a column is blank for all controls in sets and filled for some case; (n_studies,)."""
    filled = ~is_missing(values) & (pool.set_code >= 0)
    cases = np.bincount(pool.study[filled & pool.is_case], minlength=pool.n_studies)
    controls = np.bincount(pool.study[filled & ~pool.is_case], minlength=pool.n_studies)
    return np.asarray((cases > 0) & (controls == 0))


def case_column_note(pool: PooledStudies, name: str, studies: BoolArray) -> str:
    """Tell that sets go with their case's value of a column; blank when they do not."""
    if not studies.any():
        return ""
    where = (
        ""
        if studies.all()
        else f" in {', '.join(n for n, s in zip(pool.study_names, studies, strict=True) if s)}"
    )
    return f"{name} is blank for controls{where}: it describes the case, and each control takes its set's case's value"


def case_rows(pool: PooledStudies) -> tuple[IntArray, ...]:
    """Row of the first, second, ... case of each row's set, -1 where there is none; each (n,)."""
    cases = np.flatnonzero(pool.is_case & (pool.set_code >= 0))
    cases = cases[np.argsort(pool.set_code[cases], kind="stable")]
    codes = pool.set_code[cases]
    starts = np.searchsorted(codes, codes, side="left")
    rank = np.arange(cases.size) - starts
    found = []
    for k in range(int(rank.max(initial=-1)) + 1):
        of_set = np.full(len(pool.set_labels) + 1, -1, dtype=np.intp)  # the last stands for a blank set
        of_set[codes[rank == k]] = cases[rank == k]
        found.append(of_set[pool.set_code])
    return tuple(found)


def _cases_in_turn(pool: PooledStudies, any_of_case: bool) -> Iterable[tuple[IntArray, BoolArray]]:
    """Each round's case for controls, and the rows for which the round counts; one round without such columns."""
    everybody = np.ones(pool.n_rows, dtype=np.bool_)
    rounds = case_rows(pool) if any_of_case else ()
    if not rounds:
        yield np.full(pool.n_rows, -1, dtype=np.intp), everybody
    for k, row in enumerate(rounds):
        yield row, everybody if k == 0 else (row >= 0) & ~pool.is_case


def _values_of(
    pool: PooledStudies, own: ColumnValues, studies: BoolArray, case_row: IntArray, reference: Reference
) -> ColumnValues:
    """A column's values in one round: controls of some studies take their case's."""
    if not studies.any():
        return own
    rows = np.arange(pool.n_rows)
    takes = studies[pool.study] & ~pool.is_case
    if not reference.of_case:
        takes &= pool.set_code >= 0
    return take_values(own, np.where(takes, case_row, rows))


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
