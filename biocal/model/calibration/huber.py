"""Huber's M-estimate of a calibration, with his proposal 2 for the scale of each variance group.

Coefficients solve ``sum clip(r_i, -k s, k s) C_i = 0``; a group's scale ``sum min(r_i^2, k^2 s^2) =
s^2 beta_k sum(1 - h)``, beta_k the expectation of ``min(z^2, k^2)`` under a standard normal law (Huber and
Ronchetti, Robust Statistics, 2nd ed., sections 7.7 and 7.8).  Both are smooth enough for a sandwich, which
the usual median of absolute residuals is not, and the pair has one solution.  With lines of their own it
is ``MASS::rlm(scale.est = "proposal 2")`` study by study.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ConvergenceError
from biocal.model.calibration.stacked import JointScores

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Huber's constant: 95 % efficient under normal errors (the default of R's MASS::rlm).
TUNING = 1.345
#: Largest relative change of a fitted value or scale at which the iteration ends.
_TOLERANCE = 1e-12
_MOST_ITERATIONS = 2000
#: Scales below this share of the residuals' size under least squares are those of an exact line.
_NO_SCALE = 1e-10


@dataclass(frozen=True, slots=True)
class HuberEstimate:
    """Coefficients and scales.

    Attributes
    ----------
    gamma : ndarray, shape (G,)
    variance : ndarray, shape (n_groups,)
        s^2.
    residuals : ndarray, shape (n_pairs,)
    joint : JointScores
        Of gamma and s^2.
    """

    gamma: FloatArray
    variance: FloatArray
    residuals: FloatArray
    joint: JointScores


def normal_expectation(k: float) -> float:
    """E min(z^2, k^2), z standard normal."""
    inside = math.erf(k / math.sqrt(2.0))
    density = math.exp(-k * k / 2) / math.sqrt(2 * math.pi)
    return inside - 2 * k * density + k * k * (1 - inside)


def fit_huber(
    design: FloatArray, response: FloatArray, group: IntArray, freedom: FloatArray, start: FloatArray
) -> HuberEstimate:
    """Iterate to the M-estimate.

    Parameters
    ----------
    design : ndarray, shape (n_pairs, G)
        C_i, of full rank.
    response : ndarray, shape (n_pairs,)
    group : ndarray of int, shape (n_pairs,)
        Which scale applies.
    freedom : ndarray, shape (n_groups,)
        sum(1 - h) of each group, h the least-squares leverage.
    start : ndarray, shape (G,)
        Least squares.

    Raises
    ------
    ConvergenceError
        The iteration did not settle, as where more than half of a study's pairs lie on one exact line.
    """
    gamma, residuals = start, response - design @ start
    variance = np.bincount(group, weights=residuals**2, minlength=freedom.size) / freedom
    size = max(float(np.abs(response).max()), 1e-150)
    # exact lines leave residuals of rounding or 0, whose scale must not divide anything
    floor = (_NO_SCALE * size) ** 2
    variance = np.maximum(variance, floor)
    for _ in range(_MOST_ITERATIONS):
        before = (gamma, variance)
        variance = np.maximum(_next_variance(residuals, variance, group, freedom), floor)
        limit = TUNING * np.sqrt(variance[group])
        weight = np.minimum(1.0, limit / np.maximum(np.abs(residuals), 1e-300))
        root = np.sqrt(weight)
        gamma = gamma + np.linalg.lstsq(design * root[:, None], residuals * root, rcond=None)[0]
        residuals = response - design @ gamma
        moved = np.abs(design @ (gamma - before[0])).max() / size
        if max(moved, np.abs(variance / before[1] - 1.0).max()) <= _TOLERANCE:
            return HuberEstimate(
                gamma, variance, residuals, _joint(design, residuals, variance, group, freedom)
            )
    raise ConvergenceError(
        f"Huber's estimate of the calibration did not settle in {_MOST_ITERATIONS} iterations; do many pairs lie "
        "on one exact line? Use --calibration-estimator least-squares",
        iterations=_MOST_ITERATIONS,
    )


def _next_variance(
    residuals: FloatArray, variance: FloatArray, group: IntArray, freedom: FloatArray
) -> FloatArray:
    clipped = np.minimum(residuals**2, TUNING**2 * variance[group])
    total = np.bincount(group, weights=clipped, minlength=freedom.size)
    return np.asarray(total / (normal_expectation(TUNING) * freedom))


def _joint(
    design: FloatArray, residuals: FloatArray, variance: FloatArray, group: IntArray, freedom: FloatArray
) -> JointScores:
    """Scores and bread, with psi' = 1 inside the corners and the scale's part outside."""
    n, size = design.shape
    n_groups = freedom.size
    expectation = normal_expectation(TUNING)
    limit = TUNING * np.sqrt(variance[group])
    inside = np.abs(residuals) <= limit
    clipped = np.clip(residuals, -limit, limit)
    share = freedom / np.maximum(np.bincount(group, minlength=n_groups), 1)
    of_scale = np.zeros((n, n_groups))
    of_scale[np.arange(n), group] = clipped**2 - (expectation * variance * share)[group]
    bread = np.zeros((size + n_groups, size + n_groups))
    bread[:size, :size] = design[inside].T @ design[inside]
    outside = np.where(inside, 0.0, np.sign(residuals))
    for g in range(n_groups):
        mine = group == g
        # d clip(r) / d s^2 = sign(r) k / (2 s) outside the corners
        bread[:size, size + g] = (
            -(outside[mine] @ design[mine]) * TUNING / (2 * max(math.sqrt(variance[g]), 1e-300))
        )
        bread[size + g, :size] = 2 * residuals[mine & inside] @ design[mine & inside]
        bread[size + g, size + g] = expectation * freedom[g] - TUNING**2 * (mine & ~inside).sum()
    return JointScores(np.hstack([clipped[:, None] * design, of_scale]), np.linalg.inv(bread))
