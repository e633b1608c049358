"""Conditional likelihood of sets with one person in the rarer role: 1:m, and n:1 by sign.

Everything is a function of differences against that person: with d_i = q_i - q_0 and
eta_i = d_i'beta, the set's likelihood is 1 / (1 + sum_i exp(eta_i)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.sets.draw_paths import aligned
from biocal.kernels.sets.terms import PersonTerms, SetTerms

FloatArray = NDArray[np.float64]

#: Sums of exponentials of less need no guard against overflow.
_PLAIN_EXPONENT = 500.0


def one_case_terms(
    eta: FloatArray, columns: FloatArray, *, information: bool = True, persons: bool = False
) -> SetTerms:
    """Log-likelihood, score and information of sets from differences against the single person.

    Parameters
    ----------
    eta : ndarray, shape (..., m, n_sets)
        Differences of linear predictors; -inf for padding.
    columns : ndarray, shape (..., p, m, n_sets)
        Differences of the score columns.
    information : bool, default True
        Whether Cov(T) is needed.
    persons : bool, default False
        Whether each person's probability and its derivative are needed.
    """
    loglik, weight, own = _shares(eta)
    p = columns.shape[-3]
    lead = np.broadcast_shapes(weight.shape[:-2], columns.shape[:-3])
    if columns.shape[-2] == 1:
        return _pair_terms(loglik, weight, own, columns, information, persons)
    weighted = np.multiply(
        weight[..., None, :, :],
        columns,
        out=aligned(*lead, p, *np.broadcast_shapes(weight.shape[-2:], columns.shape[-2:])),
    )
    mean = weighted.sum(axis=-2)
    score = -mean
    gram: FloatArray | None = None
    if information:
        flat = columns.reshape(*columns.shape[:-3], p, -1)
        gram = np.matmul(weighted.reshape(*lead, p, -1), np.swapaxes(flat, -1, -2))
        # score is minus mean, and not the same array: for so few columns gemm is faster than BLAS's syrk.
        gram += np.matmul(score, np.swapaxes(mean, -1, -2))
    detail: PersonTerms | None = None
    if persons:
        # Order of the set: the single person, then the others.
        m, n_sets = weight.shape[-2:]
        probability = np.empty((*lead, m + 1, n_sets))
        probability[..., 0, :] = own
        probability[..., 1:, :] = weight
        slopes = np.empty((*lead, p, m + 1, n_sets))
        np.multiply(probability[..., None, :, :], -mean[..., None, :], out=slopes)
        slopes[..., 1:, :] += weighted
        detail = PersonTerms(probability, slopes)
    return SetTerms(loglik, score, gram, detail)


def one_case_slope(eta: FloatArray, columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log-likelihood (...) and score (..., p) summed over the sets; eta and columns as for :func:`one_case_terms`."""
    loglik, weight, _ = _shares(eta)
    flat = columns.reshape(*columns.shape[:-2], -1)
    expected = np.matmul(flat, weight.reshape(*weight.shape[:-2], -1, 1))[..., 0]
    return loglik.sum(axis=-1), -expected


def one_case_null_terms(columns: FloatArray) -> SetTerms:
    """The same at eta = 0, where all persons of a set are as likely; columns (..., p, m, n_sets), no padding."""
    size = columns.shape[-2] + 1
    flat = columns.reshape(*columns.shape[:-2], -1)
    score = columns.sum(axis=-2)
    score *= -1.0 / size
    # Products of different arrays: for so few columns BLAS's gemm is faster than its syrk.
    gram = _products(flat) / size
    gram -= _products(score)
    loglik = np.full((*columns.shape[:-3], columns.shape[-1]), -np.log(size))
    return SetTerms(loglik, score, gram, None)


def _products(rows: FloatArray) -> FloatArray:
    """rows rows' (..., p, p) for rows (..., p, n), in two parts, since NumPy calls syrk for the whole."""
    half = (rows.shape[-2] + 1) // 2
    across = np.swapaxes(rows, -1, -2)
    return np.concatenate(
        [np.matmul(rows[..., :half, :], across), np.matmul(rows[..., half:, :], across)], axis=-2
    )


def _shares(eta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log-likelihood (..., n_sets), and probabilities of the others (..., m, n_sets) and of the single person."""
    if eta.max(initial=-np.inf) < _PLAIN_EXPONENT:
        top: FloatArray | float = 0.0
        single: FloatArray | float = 1.0
        weight = np.exp(eta, out=aligned(*eta.shape))
    else:
        # Sets that need no guard get none, and so the same digits in whatever company they are.
        largest = eta.max(axis=-2)
        top = np.where(largest < _PLAIN_EXPONENT, 0.0, largest)
        weight, single = np.exp(eta - top[..., None, :]), np.exp(-top)
    total = weight.sum(axis=-2)
    total += single
    inverse = 1.0 / total
    weight *= inverse[..., None, :]
    return -(top + np.log(total)), weight, single * inverse


def _pair_terms(
    loglik: FloatArray,
    weight: FloatArray,
    own: FloatArray,
    columns: FloatArray,
    information: bool,
    persons: bool,
) -> SetTerms:
    """The same for one pair a set: weight (..., 1, n), own = 1 - weight (..., n), columns (..., p, 1, n)."""
    difference = columns[..., 0, :]
    other = weight[..., 0, :]
    score = -other[..., None, :] * difference
    gram: FloatArray | None = None
    if information:
        gram = np.matmul(-own[..., None, :] * score, np.swapaxes(difference, -1, -2))
    detail: PersonTerms | None = None
    if persons:
        slope = (own * other)[..., None, :] * difference
        detail = PersonTerms(np.stack([own, other], axis=-2), np.stack([-slope, slope], axis=-2))
    return SetTerms(loglik, score, gram, detail)
