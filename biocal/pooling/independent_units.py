"""Which rows depend on each other: matched sets, and sets that share a person."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.study.matched_sets import OutcomeRows
from biocal.study.pooled import PooledStudies

IntArray = NDArray[np.intp]


def unit_codes(
    pool: PooledStudies, chosen: OutcomeRows, calibrating: IntArray
) -> tuple[IntArray, IntArray, int]:
    """Independent units of the sandwich.

    The unit is the matched set; a calibration person outside any set is a unit alone.  With a person
    column, units that share a person are one cluster (connected components).

    Parameters
    ----------
    pool : PooledStudies
    chosen : OutcomeRows
        Rows and sets of the outcome model.
    calibrating : ndarray of int, shape (n_pairs,)
        Rows of the pool in the calibration subset.

    Returns
    -------
    set_unit : ndarray of int, shape (n_sets,)
    pair_unit : ndarray of int, shape (n_pairs,)
    n_units : int
    """
    # Outcome rows are ordered by set: the first of each tells its set.
    firsts = chosen.rows[np.flatnonzero(np.diff(chosen.set_code, prepend=-1))]
    key = np.concatenate([pool.set_code[firsts], _row_keys(pool, calibrating)])
    values, unit = np.unique(key, return_inverse=True)
    set_unit, pair_unit, n_units = unit[: firsts.size], unit[firsts.size :], values.size
    if pool.person_code is not None:
        of_rows = np.concatenate([set_unit[chosen.set_code], pair_unit])
        person = np.concatenate([pool.person_code[chosen.rows], pool.person_code[calibrating]])
        joined, n_units = join_by_person(of_rows, person, n_units)
        set_unit[chosen.set_code] = joined[: chosen.rows.size]
        pair_unit = joined[chosen.rows.size :]
    return set_unit.astype(np.intp), pair_unit.astype(np.intp), n_units


def units_of_pool(pool: PooledStudies) -> IntArray:
    """Independent unit of every row of a pool, whatever of it is analysed; shape (n,)."""
    values, unit = np.unique(_row_keys(pool, np.arange(pool.n_rows)), return_inverse=True)
    if pool.person_code is None:
        return unit.astype(np.intp)
    return join_by_person(unit, pool.person_code, values.size)[0]


def _row_keys(pool: PooledStudies, rows: IntArray) -> IntArray:
    """A key for some rows of the pool: their set, or themselves when they are in none."""
    code = pool.set_code[rows]
    return np.where(code >= 0, code, len(pool.set_labels) + rows)


def distinct_pairs(pool: PooledStudies, rows: IntArray) -> IntArray:
    """Calibration rows, each pair of measurements once.

    A control who serves in several sets has a row in each, but was measured once: rows of one person with the
    same two values are one calibration pair.  Rows without a person column, or with a blank person, all count.

    Parameters
    ----------
    pool : PooledStudies
    rows : ndarray of int, shape (n,)
        Rows of the pool in the calibration subset.

    Returns
    -------
    ndarray of int
        The first row of each pair, in the order given.
    """
    if pool.person_code is None:
        return rows
    person = pool.person_code[rows].astype(float)
    person = np.where(person < 0, -1.0 - np.arange(rows.size), person)
    key = np.column_stack([pool.study[rows], person, pool.local_assay[rows], pool.reference_assay[rows]])
    _, first = np.unique(key, axis=0, return_index=True)
    return np.asarray(rows[np.sort(first)])


def join_by_person(unit: IntArray, person: IntArray, n_units: int) -> tuple[IntArray, int]:
    """Units that share a person made one; rows with a blank person (-1) join nothing."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    known = person >= 0
    size = n_units + int(person.max(initial=-1)) + 1
    edges = coo_array(
        (np.ones(int(known.sum()), dtype=np.int8), (unit[known], n_units + person[known])), shape=(size, size)
    )
    _, component = connected_components(edges, directed=False)
    _, joined = np.unique(component[:n_units], return_inverse=True)
    return joined[unit].astype(np.intp), int(joined.max(initial=-1)) + 1


def count_units(unit: IntArray) -> int:
    """Number of different units among codes from 0, (m,): counted, which takes no sorting or hashing of millions."""
    return int(np.count_nonzero(np.bincount(unit)))


def shared_person_notes(set_unit: IntArray) -> tuple[str, ...]:
    """What is told of sets that share a person; nothing when every set stands alone.

    Parameters
    ----------
    set_unit : ndarray of int, shape (n_sets,)
        Independent unit of each set of the outcome model.
    """
    if (set_unit[1:] > set_unit[:-1]).all():
        return ()
    return shared_person_words(set_unit.size, count_units(set_unit))


def shared_person_words(n_sets: int, n_units: int) -> tuple[str, ...]:
    """The same from the numbers of sets and of the independent units that they make."""
    if n_units == n_sets:
        return ()
    return (
        f"persons in several sets: the {n_sets:,} sets make {n_units:,} independent units in standard "
        "errors and bootstrap, those that share a person being one",
    )
