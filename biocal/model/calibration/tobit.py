"""Censored regression (Tobit) for calibrators whose reference value is below its detection limit.

Normal residuals about the calibrated mean, one variance a group; a pair known only to be below its limit
counts with the probability of that (Tobin, Econometrica 1958;26:24-36).  With one group it is R's
``survival::survreg(dist = "gaussian")``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ConvergenceError
from biocal.model.calibration.stacked import JointScores

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

_MOST_ITERATIONS = 200
#: Newton decrement, relative to the log-likelihood, at which one last step ends the ascent.
_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class TobitEstimate:
    """Coefficients and variances at the maximum.

    Attributes
    ----------
    gamma : ndarray, shape (G,)
    variance : ndarray, shape (n_groups,)
        The maximum-likelihood sigma_g^2 times `correction`.
    correction : ndarray, shape (n_groups,)
        Pairs over sum(1 - h): a group without a censored pair then has the variance of least squares.
    residuals : ndarray, shape (n_pairs,)
        Of a censored pair the expected one, E[X | X < limit] - mu.
    loglik : float
    joint : JointScores
        Of gamma and `variance`.
    """

    gamma: FloatArray
    variance: FloatArray
    correction: FloatArray
    residuals: FloatArray
    loglik: float
    joint: JointScores


@dataclass(frozen=True, slots=True)
class _Terms:
    """Log-likelihood with its derivatives in (gamma, log sigma)."""

    loglik: float
    scores: FloatArray
    information: FloatArray


def hazard(z: FloatArray) -> FloatArray:
    """phi(z) / Phi(z), accurate far in the tail."""
    from scipy.special import log_ndtr

    return np.asarray(np.exp(-z * z / 2 - log_ndtr(z)) / np.sqrt(2 * np.pi))


def fit_tobit(
    design: FloatArray,
    response: FloatArray,
    censored: BoolArray,
    group: IntArray,
    freedom: FloatArray,
    start: tuple[FloatArray, FloatArray],
) -> TobitEstimate:
    """Maximise the censored normal likelihood.

    Parameters
    ----------
    design : ndarray, shape (n_pairs, G)
        C_i, of full rank among the pairs that are not censored.
    response : ndarray, shape (n_pairs,)
        Reference values; of censored pairs the limit.
    censored : ndarray of bool, shape (n_pairs,)
    group : ndarray of int, shape (n_pairs,)
        Which variance applies.
    freedom : ndarray, shape (n_groups,)
        sum(1 - h), h the leverage in the design of all pairs.
    start : tuple of ndarray
        gamma (G,) and sigma (n_groups,) to start from.

    Raises
    ------
    ConvergenceError
        No maximum was found.
    """
    size = design.shape[1]
    point = np.concatenate([start[0], np.log(start[1])])
    here = _terms(point, design, response, censored, group)
    for _ in range(_MOST_ITERATIONS):
        score = here.scores.sum(axis=0)
        step = _ascent(here.information, score)
        decrement = float(step @ score) / 2
        if decrement <= _TOLERANCE * (abs(here.loglik) + 1.0):
            point = point + step
            return _estimate(point, size, design, response, censored, group, freedom)
        shrink = 1.0
        while shrink > 1e-10:
            there = _terms(point + shrink * step, design, response, censored, group)
            if np.isfinite(there.loglik) and there.loglik >= here.loglik:
                break
            shrink /= 2
        else:
            break
        point, here = point + shrink * step, there
    raise ConvergenceError(
        "the censored regression of the calibration has no maximum that could be found; use a substitution rule "
        "(--below-limit lod/2)",
        iterations=_MOST_ITERATIONS,
    )


def _ascent(information: FloatArray, score: FloatArray) -> FloatArray:
    """Newton's step on standardised parameters, negative curvature turned round."""
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diagonal(information)), 1e-300))
    values, axes = np.linalg.eigh(information * np.outer(scale, scale))
    values = np.maximum(np.abs(values), 1e-10 * np.abs(values).max())
    return np.asarray(scale * (axes @ ((axes.T @ (scale * score)) / values)))


def _terms(
    point: FloatArray, design: FloatArray, response: FloatArray, censored: BoolArray, group: IntArray
) -> _Terms:
    from scipy.special import log_ndtr

    n, size = design.shape
    n_groups = point.size - size
    log_sigma = point[size:][group]
    sigma = np.exp(log_sigma)
    z = (response - design @ point[:size]) / sigma
    low = np.where(censored, z, 0.0)
    lam = hazard(low)
    curve = lam * (lam + low)
    normal = -log_sigma - z * z / 2 - np.log(2 * np.pi) / 2
    loglik = float(np.where(censored, log_ndtr(low), normal).sum())
    by_mean = np.where(censored, -lam, z) / sigma
    by_scale = np.where(censored, -lam * low, z * z - 1.0)
    scores = np.zeros((n, size + n_groups))
    scores[:, :size] = by_mean[:, None] * design
    scores[np.arange(n), size + group] = by_scale
    # minus the second derivatives
    mean_mean = np.where(censored, curve, 1.0) / sigma**2
    mean_scale = np.where(censored, curve * low - lam, 2 * z) / sigma
    scale_scale = np.where(censored, curve * low**2 - lam * low, 2 * z * z)
    information = np.zeros((size + n_groups, size + n_groups))
    information[:size, :size] = (design * mean_mean[:, None]).T @ design
    for g in range(n_groups):
        mine = group == g
        information[:size, size + g] = mean_scale[mine] @ design[mine]
        information[size + g, :size] = information[:size, size + g]
        information[size + g, size + g] = scale_scale[mine].sum()
    return _Terms(loglik, scores, information)


def _estimate(
    point: FloatArray,
    size: int,
    design: FloatArray,
    response: FloatArray,
    censored: BoolArray,
    group: IntArray,
    freedom: FloatArray,
) -> TobitEstimate:
    terms = _terms(point, design, response, censored, group)
    gamma, sigma = point[:size], np.exp(point[size:])
    correction = np.bincount(group, minlength=freedom.size) / freedom
    variance = sigma**2 * correction
    # From log sigma to the variance: d log sigma / d variance = 1 / (2 variance), at scores that sum to 0.
    turn = np.concatenate([np.ones(size), 1.0 / (2 * variance)])
    inverse = np.asarray(np.linalg.inv(terms.information * np.outer(turn, turn)), dtype=np.float64)
    joint = JointScores(terms.scores * turn, inverse)
    z = (response - design @ gamma) / sigma[group]
    residuals = np.where(censored, -hazard(np.where(censored, z, 0.0)), z) * sigma[group]
    return TobitEstimate(gamma, variance, correction, residuals, terms.loglik, joint)
