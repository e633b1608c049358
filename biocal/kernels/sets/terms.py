"""The records that the two likelihood kernels return for a block of matched sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.sets.layout import SetBlock

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


IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class LikelihoodSlope:
    """Log-likelihood and score at one point, a leading axis for the problems of a batch.

    Attributes
    ----------
    loglik : ndarray, shape (B,)
    score : ndarray, shape (B, p)
    """

    loglik: FloatArray
    score: FloatArray


@dataclass(frozen=True, slots=True)
class LikelihoodTerms:
    """Log-likelihood and derivatives at one point, a leading axis for the problems of a batch.

    Attributes
    ----------
    loglik : ndarray, shape (B,)
    score : ndarray, shape (B, p)
    information : ndarray, shape (B, p, p)
        Sum over the sets of Cov(T).
    """

    loglik: FloatArray
    score: FloatArray
    information: FloatArray


@dataclass(frozen=True, slots=True)
class DetailedTerms:
    """What the sandwich needs at the maximum.

    Attributes
    ----------
    loglik : ndarray, shape (B,)
    set_scores : ndarray, shape (B, p, n_sets)
        U_j; zero for sets without information.
    information : ndarray, shape (B, p, p)
    residual : ndarray, shape (B, n_persons)
        y_i - P(i is a case | the set); zero outside informative sets.
    slope : ndarray, shape (B, p, n_persons)
        Cov(T, indicator that i is a case).
    """

    loglik: FloatArray
    set_scores: FloatArray
    information: FloatArray
    residual: FloatArray
    slope: FloatArray


@dataclass(frozen=True, slots=True)
class BlockDetails:
    """The same of one block of sets.

    Attributes
    ----------
    block : SetBlock
    loglik : ndarray, shape (B, n_sets)
    score : ndarray, shape (B, p, n_sets)
    information : ndarray, shape (B, p, p)
        Summed over the sets.
    persons : ndarray of int, shape (m,)
        Row numbers, padding left out.
    residual : ndarray, shape (B, m)
    slope : ndarray, shape (B, p, m)
    spread : ndarray, shape (q, n_sets), or None
        Of the first problem; see :func:`~biocal.kernels.sets.spread.spread_of_sets`.
    """

    block: SetBlock
    loglik: FloatArray
    score: FloatArray
    information: FloatArray
    persons: IntArray
    residual: FloatArray
    slope: FloatArray
    spread: FloatArray | None = None

    def largest_slopes(self) -> FloatArray:
        """Largest absolute slope of each set, shape (B, p, n_sets)."""
        rows, real, size = self.block.rows, self.block.real, np.abs(self.slope)
        if real is not None:
            padded = np.zeros((*size.shape[:-1], *rows.shape))
            padded[..., real] = size
            return np.asarray(padded.max(axis=-2))
        return np.asarray(size.reshape(*size.shape[:-1], *rows.shape).max(axis=-2))
