"""Which residual variance of the calibration applies to whom: the study's, or its level of a categorical modifier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from biocal.calibration.rows import Codes
from biocal.study.covariates import DesignColumns
from biocal.study.pooled import PooledStudies

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

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
