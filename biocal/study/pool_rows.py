"""A pool cut down to some of its rows, as if the others had not been read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MatchedSetError
from biocal.study.pooled import PooledStudies

IntArray = NDArray[np.intp]


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
    return replace(
        pool,
        frame=pool.frame.iloc[rows].reset_index(drop=True),
        study_names=tuple(pool.study_names[s] for s in studies),
        study=study.astype(np.intp),
        set_code=set_code,
        set_labels=tuple(pool.set_labels[code] for code in sets),
        is_case=pool.is_case[rows],
        local_assay=pool.local_assay[rows],
        reference_assay=pool.reference_assay[rows],
        is_reference_study=pool.is_reference_study[studies],
        in_calibration=pool.in_calibration[rows],
        person_code=None if pool.person_code is None else pool.person_code[rows],
        file_index=pool.file_index[rows],
        line=pool.line[rows],
    )
