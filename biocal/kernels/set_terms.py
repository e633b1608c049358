"""The records that the two likelihood kernels return for a block of matched sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PersonTerms:
    """Each person's part, rows in the block's order.

    Attributes
    ----------
    probability : ndarray, shape (..., n_rows, n_sets)
        P(person is in the drawn subset), the subset having the size of the rarer role.
    slope : ndarray, shape (..., p, n_rows, n_sets)
        Cov(T, indicator of the person), T the sum of the score columns over the subset.
    """

    probability: FloatArray
    slope: FloatArray


@dataclass(frozen=True, slots=True)
class SetTerms:
    """Terms of a block of sets.

    Attributes
    ----------
    loglik : ndarray, shape (..., n_sets)
        Log conditional likelihood of each set.
    score : ndarray, shape (..., p, n_sets)
        T_0 - E(T) of each set.
    information : ndarray, shape (..., p, p), or None
        Cov(T) summed over the sets.
    persons : PersonTerms or None
        Asked for by ``persons=True``.
    """

    loglik: FloatArray
    score: FloatArray
    information: FloatArray | None
    persons: PersonTerms | None
