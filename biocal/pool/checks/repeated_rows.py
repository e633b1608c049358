"""Rows that occur twice, and persons who occur twice in one set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.pool.checks.columns import ColumnRoles
from biocal.pool.checks.notices import Level, ProblemLog, counted
from biocal.pool.tables.table import TableStack

# With so few distinct values of the biomarker, equal rows are expected by chance.  Our choice.
_FEW_VALUES = 20
_LOOKED_AT = 100_000
# In a study of fewer sets, all of them may be repeated by chance where values are few.  Our choice.
_FEW_SETS = 10
# Above this share of persons in several sets the ids probably restart in each set.  Our choice.
_MANY_SHARED = 0.5
# Sets of no more rows than this are compared row against row rather than sorted.  Our choice.
_SMALL_SET = 30


def repeated_rows(
    stack: TableStack,
    frame: pd.DataFrame,
    roles: ColumnRoles,
    codes: tuple[NDArray[np.intp], NDArray[Any], NDArray[np.intp] | None],
    assays: tuple[NDArray[np.float64], NDArray[np.float64]],
    duplicates: str,
    log: ProblemLog,
) -> NDArray[np.intp]:
    """Return rows to leave out, increasing: persons entered twice in a set, and copies of whole sets.

    A set is repeated when every row of it occurs two times, or three, and so on, in all columns but the person's;
    the rows without a set of a study count as one set.  Where the biomarker has few distinct values, that may be
    chance: sets are then judged only where all sets of their study are repeated.  Single rows that are equal
    are counted.

    Parameters
    ----------
    codes : tuple of ndarray (n,)
        Set, study, and person or None.
    assays : pair of ndarray, shape (n,)
        Local and reference values.
    duplicates : {"refuse", "first"}
        Whether they are errors, or left out and counted.
    """
    set_code, study, person_code = codes
    twice = np.empty(0, dtype=np.intp)
    level: Level = "error" if duplicates == "refuse" else "warning"
    advice = "give each once, or --duplicates first keeps the first" if level == "error" else "left out"
    if person_code is not None:
        known = np.flatnonzero((person_code >= 0) & (set_code >= 0))
        key = set_code[known].astype(np.int64) * (int(person_code.max(initial=0)) + 1) + person_code[known]
        if pd.Series(key).duplicated().any():
            first, again = _repeats(key)
            twice, first = known[again], known[first]
            case = frame[roles.case].to_numpy()
            for rows, how, words in (
                (case[twice] == case[first], level, f"; {advice}"),
                (case[twice] != case[first], "error", ", once as a case and once as a control"),
            ):
                of = first[rows]
                stack.tell_rows(
                    log,
                    how,
                    "person-twice",
                    twice[rows],
                    lambda k, of=of, words=words: (  # type: ignore[misc]
                        f"the same person is in this set already, in {_place(stack, of[k])}{words}"
                    ),
                    column=roles.person,
                )
    local, reference = assays
    measured = np.nan_to_num(np.where(np.isnan(local), reference, local), nan=-np.inf)
    unit = np.where(set_code >= 0, set_code, int(set_code.max(initial=-1)) + 1 + study)
    candidates = _rows_with_equal_keys(unit, measured)
    candidates = candidates[~np.isin(candidates, twice)]
    rows, group = _equal_rows(frame, roles.person, unit, candidates)
    if not rows.size:
        return twice
    size = np.bincount(unit)
    size -= np.bincount(unit[twice], minlength=size.size)
    copies, distinct = _copies(unit, rows, group, size)
    blank = np.ones(size.size, dtype=np.bool_)
    blank[set_code[set_code >= 0]] = False
    copies[blank & (distinct < 2)] = 1  # a lone row, there twice
    study_of = np.zeros(size.size, dtype=np.intp)
    study_of[unit] = study
    if np.unique(_first_known(measured, _LOOKED_AT)).size <= _FEW_VALUES:
        some = np.isin(study_of, study_of[(copies == 1) & (size > 0)]) | (
            np.bincount(study_of[size > 0], minlength=int(study_of.max()) + 1)[study_of] < _FEW_SETS
        )
        copies[some] = 1
    order = np.argsort(group, kind="stable")
    start = np.flatnonzero(np.diff(group[order], prepend=-1))
    times = np.bincount(group)[group[order]]
    number = np.arange(order.size) - np.repeat(start, np.diff(np.append(start, order.size)))
    of_row = copies[unit[rows[order]]]
    surplus = (of_row > 1) & (number >= times // of_row)
    chosen = np.argsort(rows[order][surplus])
    again = rows[order][surplus][chosen]
    origin = rows[order][np.repeat(start, np.diff(np.append(start, order.size)))][surplus][chosen]
    stack.tell_rows(
        log,
        level,
        "set-repeated",
        again,
        lambda k: (
            f"every row of this set is there {copies[unit[again[k]]]} times (this one also in "
            f"{_place(stack, origin[k])}), as when rows are added a second time; {advice}"
        ),
        column=roles.set,
    )
    alone = int((times - 1)[(number == 0) & (of_row == 1)].sum())
    if alone:
        message = f"{counted(alone, 'row')} equal in every column to another of the same set; used"
        log.add("note", "row-twice", message, count=alone)
    return np.sort(np.concatenate([twice, again]))


def _equal_rows(
    frame: pd.DataFrame, person: str | None, unit: NDArray[np.intp], rows: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows that are equal to another of their set in every column but the person's, and a number for each kind."""
    group = pd.factorize(unit[rows])[0].astype(np.int64)
    for name in (name for name in frame.columns if name != person):
        codes = pd.factorize(frame[name].iloc[rows])[0].astype(np.int64)
        group = pd.factorize(group * (int(codes.max(initial=-1)) + 2) + codes + 1)[0].astype(np.int64)
        several = np.bincount(group)[group] > 1 if group.size else np.empty(0, dtype=np.bool_)
        rows, group = rows[several], group[several]
    return rows, pd.factorize(group)[0].astype(np.intp)


def _copies(
    unit: NDArray[np.intp], rows: NDArray[np.intp], group: NDArray[np.intp], size: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """How often each set is there (1: once), and how many kinds of equal rows it has."""
    _, first = np.unique(group, return_index=True)
    owner, times = unit[rows[first]], np.bincount(group)
    copies = np.zeros(size.size, dtype=np.intp)
    np.gcd.at(copies, owner, times)
    whole = np.bincount(unit[rows], minlength=size.size) == size
    copies[~whole | (copies == 0)] = 1
    return copies, np.bincount(owner, minlength=size.size)


def _place(stack: TableStack, row: int) -> str:
    place = stack.place(int(row))
    return f"{place['file']}:{place['line']}" if place["file"] else f"row {place['line']}"


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
    sets, values = set_code[order], measured[order]
    same = (sets[1:] == sets[:-1]) & (values[1:] == values[:-1])
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
