"""A pool cut down to some of its rows, as if the others had not been read."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MatchedSetError
from biocal.pool.pooled import PooledStudies

IntArray = NDArray[np.intp]

#: What is numbered anew; every other array with an entry a row keeps those of the rows.
_MADE_ANEW = ("frame", "study_names", "study", "set_code", "set_labels", "is_reference_study")


def take_rows(pool: PooledStudies, rows: IntArray) -> PooledStudies:
    """Keep some rows; studies and sets without any are gone.

    Parameters
    ----------
    pool : PooledStudies
    rows : ndarray of int, shape (k,)
        Increasing row numbers.

    Returns
    -------
    PooledStudies
        Studies keep their kind (reference or local), rows their file and line; files and problems are those of
        the whole pool.

    Raises
    ------
    MatchedSetError
        No rows.
    """
    if rows.size == 0:
        raise MatchedSetError("no row is left", set_ids=(), flow=())
    studies, study = np.unique(pool.study[rows], return_inverse=True)
    in_set = pool.set_code[rows] >= 0
    sets, place = np.unique(pool.set_code[rows][in_set], return_inverse=True)
    set_code = np.full(rows.size, -1, dtype=np.intp)
    set_code[in_set] = place
    of_rows: dict[str, Any] = {
        field.name: value[rows]
        for field in fields(pool)
        if field.name not in _MADE_ANEW
        and isinstance(value := getattr(pool, field.name), np.ndarray)
        and value.shape[:1] == (pool.n_rows,)
    }
    return replace(
        pool,
        **of_rows,
        frame=pool.frame.iloc[rows].reset_index(drop=True),
        study_names=tuple(pool.study_names[s] for s in studies),
        study=study.astype(np.intp),
        set_code=set_code,
        set_labels=tuple(pool.set_labels[code] for code in sets),
        is_reference_study=pool.is_reference_study[studies],
        below_limit=None if pool.below_limit is None else pool.below_limit.take(rows),
    )
