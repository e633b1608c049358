"""Calibration coefficients and residual variances stacked: theta = (gamma, sigma^2 of each variance group).

What the sandwich needs of them, whichever way they were estimated: estimating functions of every pair and
the inverse of their bread.  Least squares has ``r_i C_i`` and ``r_i^2 - sigma_g^2 mean(1 - h)``; Huber's
estimate and censored regression bring their own (:mod:`biocal.model.calibration.huber`, ``tobit``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class JointScores:
    """Estimating functions and bread of (gamma, variance).

    Attributes
    ----------
    scores : ndarray, shape (n_pairs, G + n_groups)
        They sum to 0 over the pairs.
    inverse_bread : ndarray, shape (G + n_groups, G + n_groups)
        Inverse of minus the derivative of the summed scores; not symmetric.
    """

    scores: FloatArray
    inverse_bread: FloatArray


def variance_scores(
    residuals: FloatArray, variance: FloatArray, freedom: FloatArray, group: IntArray
) -> FloatArray:
    """Estimating functions r_i^2 - sigma_g^2 mean(1 - h), each in its group's column: (n_pairs, n_groups).

    Parameters
    ----------
    residuals : ndarray, shape (n_pairs,)
    variance, freedom : ndarray, shape (n_groups,)
        sigma_g^2 and sum(1 - h).
    group : ndarray of int, shape (n_pairs,)
    """
    n_groups = variance.size
    share = freedom / np.maximum(np.bincount(group, minlength=n_groups), 1)
    scores = np.zeros((group.size, n_groups))
    scores[np.arange(group.size), group] = residuals**2 - (variance * share)[group]
    return scores


def inverse_bread_with_variances(
    scores: FloatArray, inverse_bread: FloatArray, freedom: FloatArray, group: IntArray
) -> FloatArray:
    """Inverse of least squares' bread with the residual variances last: (G + n_groups, G + n_groups).

    The bread is [[sum C C', 0], [R, D]], R_g = 2 sum over the group of r_i C_i', D_g = sum of 1 - h_i.

    Parameters
    ----------
    scores : ndarray, shape (n_pairs, G)
        r_i C_i.
    inverse_bread : ndarray, shape (G, G)
        Inverse of sum C C'.
    freedom : ndarray, shape (n_groups,)
    group : ndarray of int, shape (n_pairs,)
    """
    lower = np.zeros((freedom.size, scores.shape[1]))
    np.add.at(lower, group, 2 * scores)
    return inverse_of_stacked_bread(inverse_bread, lower, freedom)


def inverse_of_stacked_bread(inverse_bread: FloatArray, lower: FloatArray, freedom: FloatArray) -> FloatArray:
    """Inverse of [[B11, 0], [R, D]] from B11's inverse (G, G), R (n_groups, G) and D's diagonal (n_groups,)."""
    n_groups, size = lower.shape
    inverse = np.zeros((size + n_groups, size + n_groups))
    inverse[:size, :size] = inverse_bread
    inverse[size:, :size] = -(lower @ inverse_bread) / freedom[:, None]
    inverse[size:, size:] = np.diag(1.0 / freedom)
    return inverse
