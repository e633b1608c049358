"""Which rows depend on each other: matched sets, and sets that share a person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from biocal.model.calibration.rows import Codes
from biocal.pool.formulas.covariates import DesignColumns
from biocal.pool.matched_sets import OutcomeRows
from biocal.pool.pooled import PooledStudies

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


FloatArray = NDArray[np.float64]

#: Fewest calibrators for a residual SD of its own in a level of the modifier (our choice).
_PAIRS_PER_VARIANCE = 10


def level_codes(values: FloatArray) -> FloatArray:
    """Number of the level of each person, (n,), from indicator columns (n, km); 0 for the base level."""
    return np.asarray(np.nan_to_num(values) @ np.arange(1, values.shape[1] + 1))


def own_variances(used: FloatArray, pairs: FloatArray) -> FloatArray:
    """Levels of a study that have a residual variance of their own beside that of its first, increasing.

    Parameters
    ----------
    used : ndarray
        Levels in the study's part of the outcome model, increasing.
    pairs : ndarray, shape (n_pairs,)
        Levels of its calibration pairs.
    """
    enough = used.size > 1 and all((pairs == value).sum() >= _PAIRS_PER_VARIANCE for value in used)
    return used[1:] if enough else used[:0]


def one_variance_note(studies: Sequence[str]) -> tuple[str, ...]:
    """Studies whose levels of the modifier share a residual variance for want of pairs, in words."""
    if not studies:
        return ()
    return (
        f"one residual SD of the calibration for all levels of the modifier in {', '.join(studies)}: "
        f"fewer than {_PAIRS_PER_VARIANCE} pairs in a level (used by induced only)",
    )


def own_variances_note(studies: Sequence[str]) -> tuple[str, ...]:
    """Studies in which each level of the modifier has a residual variance, in words."""
    if not studies:
        return ()
    return (
        f"each level of the modifier has a residual variance of its own in {', '.join(studies)}, in place of "
        "one for the study (used by induced only)",
    )


def variance_groups(
    pool: PooledStudies,
    study_local: Codes,
    modifier: DesignColumns | None,
    outcome_rows: IntArray,
    calibrating: IntArray,
    n_local: int,
) -> tuple[Codes, IntArray, tuple[str, ...]]:
    """Which residual variance applies to each row, and what is told of it."""
    if modifier is None:
        return np.maximum(study_local, 0), np.arange(n_local), ()
    group, group_study, pooled = split_variances(
        modifier.values, study_local, outcome_rows, calibrating, n_local
    )
    names = [pool.study_names[k] for k in np.flatnonzero(~pool.is_reference_study)[list(pooled)]]
    split = np.flatnonzero(np.bincount(group_study, minlength=n_local) > 1)
    local_names = [pool.study_names[k] for k in np.flatnonzero(~pool.is_reference_study)]
    several = own_variances_note([local_names[s] for s in split])
    return group, group_study, (*several, *one_variance_note(names))


def split_variances(
    modifier: FloatArray,
    study_local: Codes,
    outcome_rows: IntArray,
    calibrating: IntArray,
    n_local: int,
) -> tuple[Codes, IntArray, tuple[int, ...]]:
    """Which residual variance applies to each row: the study's, or its level of a categorical modifier.

    A level has one of its own in a study only when it holds enough calibrators there.

    Parameters
    ----------
    modifier : ndarray, shape (n, km)
        Columns of the modifier; none without one.
    study_local : ndarray of int, shape (n,)
        Local study, -1 for reference studies.
    outcome_rows, calibrating : ndarray of int
        Rows of the outcome model, whose levels count, and of the calibration subset.
    n_local : int
        Local studies.

    Returns
    -------
    group : ndarray of int, shape (n,)
    group_study : ndarray of int, shape (n_groups,)
    pooled : tuple of int
        Local studies whose levels share one for want of pairs.
    """
    if modifier.shape[1] == 0 or not is_indicator(modifier):
        return np.maximum(study_local, 0), np.arange(n_local), ()
    level = level_codes(modifier)
    group, group_study = np.maximum(study_local, 0), list(range(n_local))
    pooled: list[int] = []
    for s in range(n_local):
        mine = study_local == s
        used = np.unique(level[outcome_rows[mine[outcome_rows]]])
        pairs = level[calibrating[mine[calibrating]]]
        own = own_variances(used, pairs)
        for value in own:
            group[mine & (level == value)] = len(group_study)
            group_study.append(s)
        if used.size > 1 and not own.size:
            pooled.append(s)
    return group, np.asarray(group_study, dtype=np.intp), tuple(pooled)


def is_indicator(values: FloatArray) -> bool:
    """Whether columns (n, km) say which of several levels a person has, the base level by zeros."""
    finite = values[np.isfinite(values).all(axis=1)]
    return bool(np.isin(finite, (0.0, 1.0)).all() and (finite.sum(axis=1) <= 1).all())
