"""Which rows a condition selects, when some columns describe the case of a matched set rather than the person.

Time to diagnosis and tumour site belong to cases and are blank for controls.  A condition on such a column is a
condition on the set: the set goes with its case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.study.condition_truth import (
    ColumnValues,
    Truth,
    column_values,
    evaluate_condition,
    is_missing,
    take_values,
)
from biocal.study.pooled import PooledStudies
from biocal.study.row_condition import Reference, read_condition

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
        See :func:`biocal.study.row_condition.read_condition`.

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
