"""Rows that occur twice, and persons who occur twice in one set."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.study.columns import ColumnRoles
from biocal.study.notices import ProblemLog, counted
from biocal.study.table_stack import TableStack

# With so few distinct values of the biomarker, equal rows are expected by chance.  Our choice.
_FEW_VALUES = 20
_LOOKED_AT = 100_000
# Above this share of persons in several sets the ids probably restart in each set.  Our choice.
_MANY_SHARED = 0.5
# Sets of no more rows than this are compared row against row rather than sorted.  Our choice.
_SMALL_SET = 30


def tell_repeated_rows(
    stack: TableStack,
    frame: pd.DataFrame,
    roles: ColumnRoles,
    set_code: NDArray[np.intp],
    person_code: NDArray[np.intp] | None,
    assays: tuple[NDArray[np.float64], NDArray[np.float64]],
    log: ProblemLog,
) -> None:
    """Warn of rows equal in every column, and of persons entered twice in a set.

    Parameters
    ----------
    set_code, person_code : ndarray of int, shape (n,)
    assays : pair of ndarray, shape (n,)
        Local and reference values; where the biomarker has few distinct values equal rows are
        no reason for suspicion and are not told.
    """
    if person_code is not None:
        known = (person_code >= 0) & (set_code >= 0)
        key = set_code * (int(person_code.max(initial=0)) + 1) + person_code
        first, again = _repeats(np.where(known, key, -1 - np.arange(key.size)))
        _tell(
            stack,
            log,
            "person-twice",
            first,
            again,
            "the same person is in this set already, in",
            roles.person,
        )
    local, reference = assays
    measured = np.where(np.isnan(local), reference, local)
    if np.unique(_first_known(measured, _LOOKED_AT)).size <= _FEW_VALUES:
        return
    candidates = _rows_with_equal_keys(set_code, measured)
    if candidates.size:
        rows = frame.iloc[candidates]
        group = (
            rows.groupby(list(rows.columns), sort=False, dropna=False, observed=True)
            .ngroup()
            .to_numpy()
            .astype(np.intp)
        )
        first, again = _repeats(group)
        words = "equal in every column to"
        _tell(stack, log, "row-twice", candidates[first], candidates[again], words, None)


def tell_shared_persons(
    roles: ColumnRoles, set_code: NDArray[np.intp], person_code: NDArray[np.intp], log: ProblemLog
) -> None:
    """Count the persons who are in several sets; so many that the ids look wrong are a warning."""
    known = (person_code >= 0) & (set_code >= 0)
    width = int(set_code.max(initial=0)) + 1
    pairs = pd.unique(person_code[known].astype(np.int64) * width + set_code[known])
    n_sets = np.bincount(pairs // width)
    n_sets = n_sets[n_sets > 0]
    n_shared = int((n_sets > 1).sum())
    if n_shared == 0:
        return
    message = f"{counted(n_shared, 'person')} in several sets; sets that share a person are one unit in standard errors"
    if n_shared <= _MANY_SHARED * n_sets.size:
        log.add("note", "person-in-several-sets", message, column=roles.person, count=n_shared)
        return
    message += "; they are most of the persons: are the ids unique within a study, and not only within a set?"
    log.add("warning", "person-in-several-sets", message, column=roles.person, count=n_shared)


def _rows_with_equal_keys(set_code: NDArray[np.intp], measured: NDArray[np.float64]) -> NDArray[np.intp]:
    """Rows that share set and value with another, increasing."""
    largest = int(np.bincount(set_code + 1).max(initial=0))
    if largest <= _SMALL_SET and (set_code[1:] >= set_code[:-1]).all():
        return _equal_in_turn(set_code, measured, largest)
    order = np.lexsort((measured, set_code))
    same = (np.diff(set_code[order]) == 0) & (np.diff(measured[order]) == 0)
    marked = np.zeros(order.size, dtype=np.bool_)
    marked[order[1:][same]] = True
    marked[order[:-1][same]] = True
    return np.flatnonzero(marked)


def _equal_in_turn(
    set_code: NDArray[np.intp], measured: NDArray[np.float64], largest: int
) -> NDArray[np.intp]:
    """The same where each set's rows follow one another: every row against those after it, nothing sorted."""
    marked = np.zeros(measured.size, dtype=np.bool_)
    for step in range(1, largest):
        same = measured[step:] == measured[:-step]
        same &= set_code[step:] == set_code[:-step]
        marked[step:] |= same
        marked[:-step] |= same
    return np.flatnonzero(marked)


def _first_known(measured: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """The first values that are not missing, not more than so many."""
    head = measured[:most]
    known = head[~np.isnan(head)]
    return known if known.size == head.size else measured[~np.isnan(measured)][:most]


def _repeats(key: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions whose key occurred before, and the first position of that key."""
    _, first_of, inverse = np.unique(key, return_index=True, return_inverse=True)
    first = first_of[inverse]
    again = np.flatnonzero(first != np.arange(key.size))
    return first[again], again


def _tell(
    stack: TableStack,
    log: ProblemLog,
    code: str,
    first: NDArray[np.intp],
    again: NDArray[np.intp],
    words: str,
    column: str | None,
) -> None:
    def message(k: int) -> str:
        place = stack.place(int(first[k]))
        where = f"{place['file']}:{place['line']}" if place["file"] else f"row {place['line']}"
        return f"{words} {where}; used as it is"

    stack.tell_rows(log, "warning", code, again, message, column=column)
