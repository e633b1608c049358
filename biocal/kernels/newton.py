"""Damped Newton ascent for one concave problem or a batch of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Stop when g'H^{-1}g / 2, the rise that a quadratic still promises, is below this share of |loglik| + 1.
#: Newton's last step is taken all the same, and squares what is left: about 1e-20.
DECREMENT_TOLERANCE = 1e-10
MAX_ITERATIONS = 60
#: The approach ends where its next step should leave this share of what ends the ascent, or after so many steps.
_APPROACH_MARGIN = 0.1
_APPROACH_STEPS = 6
#: It is given up where the rise promised has not fallen at least by this factor.
_APPROACH_PROGRESS = 0.25
#: 1 - R^2 of a column on those before it, in the unit-diagonal information at the start.
COLLINEAR_PIVOT = 1e-11
#: Smallest eigenvalue of the information against that at the start below which separation is suspected.
FLAT_INFORMATION = 1e-6


class Slope(Protocol):
    """The cheaper part of an evaluation: loglik (B,), score (B, p)."""

    @property
    def loglik(self) -> FloatArray: ...
    @property
    def score(self) -> FloatArray: ...


class Evaluation(Slope, Protocol):
    """What a trial point returns: loglik (B,), score (B, p), information (B, p, p)."""

    @property
    def information(self) -> FloatArray: ...


@dataclass(frozen=True, slots=True)
class Optimum:
    """Where the ascent ended, a leading axis for the problems of the batch.

    Attributes
    ----------
    point : ndarray, shape (B, p)
    loglik : ndarray, shape (B,)
        At the last point evaluated, one (tiny) step before `point`.
    loglik_start : ndarray, shape (B,)
    decrement : ndarray, shape (B,)
        g'H^{-1}g / 2 at the last evaluation.
    last_step : ndarray, shape (B, p)
    iterations : ndarray of int, shape (B,)
        Evaluations used.
    converged : ndarray of bool, shape (B,)
    flatness : ndarray, shape (B,)
        Smallest eigenvalue of the last information relative to that at the start.
    information_start, information : ndarray, shape (B, p, p)
        At the start, and at the last point evaluated.
    """

    point: FloatArray
    loglik: FloatArray
    loglik_start: FloatArray
    decrement: FloatArray
    last_step: FloatArray
    iterations: NDArray[np.intp]
    converged: BoolArray
    flatness: FloatArray
    information_start: FloatArray
    information: FloatArray


def collinear_columns(information: FloatArray, *, pivot: float = COLLINEAR_PIVOT) -> BoolArray:
    """Columns that are linear combinations of columns before them.

    Parameters
    ----------
    information : ndarray, shape (p, p)
        A Gram matrix.

    Returns
    -------
    ndarray of bool, shape (p,)
        From the pivots 1 - R^2 of a Cholesky factorisation of the unit-diagonal matrix, in which
        a flagged column is passed over.
    """
    p = information.shape[0]
    scale = np.sqrt(np.maximum(np.diagonal(information), 0.0))
    flagged = scale <= 0
    unit = np.where(flagged, 1.0, scale)
    work = information / np.outer(unit, unit)
    for k in range(p):
        if flagged[k]:
            continue
        if work[k, k] < pivot:
            flagged[k] = True
            continue
        column = work[k + 1 :, k] / work[k, k]
        work[k + 1 :, k + 1 :] -= np.outer(column, work[k, k + 1 :])
    return flagged


def solve_scaled(information: FloatArray, right: FloatArray) -> FloatArray:
    """Solve information x = right for a batch, on the unit-diagonal matrix.

    A matrix that is singular to working precision gives the least-norm solution in those units, so that
    an ascent goes on and its end can be examined; callers report singularity by `flatness`.
    """
    scale = 1.0 / np.sqrt(np.maximum(np.diagonal(information, axis1=-2, axis2=-1), 1e-300))
    scaled = information * scale[..., :, None] * scale[..., None, :]
    vector = right.ndim == information.ndim - 1
    rhs = (right[..., None] if vector else right) * scale[..., :, None]
    try:
        solution = np.linalg.solve(scaled, rhs)
    except np.linalg.LinAlgError:
        solution = np.matmul(np.linalg.pinv(scaled, rcond=1e-14, hermitian=True), rhs)
    solution = solution * scale[..., :, None]
    return solution[..., 0] if vector else solution


def maximise(
    evaluate: Callable[[FloatArray], Evaluation],
    start: FloatArray,
    *,
    tolerance: float = DECREMENT_TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
    slope: Callable[[FloatArray], Slope] | None = None,
    first: Evaluation | None = None,
) -> Optimum:
    """Maximise a batch of log-likelihoods.

    Parameters
    ----------
    evaluate : callable
        From points (B, p) to an :class:`Evaluation`.
    start : ndarray, shape (B, p)
        Starting points.
    slope : callable, optional
        The same without the information, where that is much cheaper.  Then the maximum is approached by
        quasi-Newton steps first, and Newton's own begin close to it.
    first : Evaluation, optional
        What `evaluate` gives at `start`, where that is there already.

    Returns
    -------
    Optimum
        A step is halved while it lowers the log-likelihood.  Not raising: a problem that has not
        converged says so in its record.
    """
    point = np.array(start, dtype=float)
    batch, p = point.shape
    here = evaluate(point) if first is None else first
    first_loglik, first_information = here.loglik.copy(), here.information.copy()
    iterations = np.ones(batch, dtype=np.intp)
    if slope is not None:
        point, steps = _approach(slope, point, here, tolerance)
        iterations += steps + 1
        here = evaluate(point)
    loglik, score, information = here.loglik.copy(), here.score.copy(), here.information.copy()
    done, converged = np.zeros(batch, dtype=bool), np.zeros(batch, dtype=bool)
    decrement, last_step = np.full(batch, np.inf), np.zeros((batch, p))
    step = solve_scaled(information, score)
    shrink = np.ones(batch)
    for _ in range(max_iterations):
        promise = np.einsum("bp,bp->b", step, score) / 2
        fresh = ~done & (shrink == 1.0)
        decrement[fresh], last_step[fresh] = promise[fresh], step[fresh]
        reached = fresh & (np.abs(promise) <= tolerance * (np.abs(loglik) + 1.0))
        if reached.any():
            reached &= _sees(information, score)
        point[reached] += step[reached]
        converged |= reached
        done |= reached
        if done.all():
            break
        trial = np.where(done[:, None], point, point + shrink[:, None] * step)
        there = evaluate(trial)
        # Rounding makes equal log-likelihoods differ in the last digits: a fall below that is none.
        allowed = loglik - 1e-12 * (np.abs(loglik) + 1.0)
        better = ~done & (there.loglik >= allowed) & np.isfinite(there.score).all(axis=1)
        iterations += ~done
        point[better] = trial[better]
        loglik[better], score[better] = there.loglik[better], there.score[better]
        information[better] = there.information[better]
        if better.any():
            step[better] = solve_scaled(information[better], score[better])
        shrink = np.where(better, 1.0, shrink / 2)
        done |= shrink < 1e-10
    return Optimum(
        point,
        loglik,
        first_loglik,
        decrement,
        last_step,
        iterations,
        converged,
        smallest_ratios(information, first_information),
        first_information,
        information,
    )


def _sees(information: FloatArray, score: FloatArray) -> BoolArray:
    """Whether no direction that still rises has lost all its information to underflow, (B,).

    So it is far from any maximum, where a step of 0 would pass for convergence.
    """
    return np.asarray(((np.diagonal(information, axis1=-2, axis2=-1) > 0) | (score == 0)).all(axis=-1))


def _approach(
    slope: Callable[[FloatArray], Slope], start: FloatArray, here: Evaluation, tolerance: float
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Points (B, p) near the maxima by BFGS steps from the information at the start; and how many steps.

    Each problem stops by its own numbers.  One whose steps do not come closer fast stays where it was best.
    """
    point, loglik, score = start.copy(), here.loglik.copy(), here.score.copy()
    information = here.information.copy()
    steps = np.zeros(point.shape[0], dtype=np.intp)
    step = solve_scaled(information, score)
    promise = np.einsum("bp,bp->b", step, score) / 2
    enough = tolerance * (np.abs(loglik) + 1.0)
    going = promise > enough
    for _ in range(_APPROACH_STEPS):
        if not going.any():
            break
        trial = np.where(going[:, None], point + step, point)
        there = slope(trial)
        steps += going
        going &= np.isfinite(there.score).all(axis=1) & (there.loglik >= loglik)
        point[going], loglik[going] = trial[going], there.loglik[going]
        fall = score - there.score
        rise = np.einsum("bp,bp->b", fall, step)
        going &= rise > 0
        # The old matrix takes the step to the old score.
        old = np.where(going, np.einsum("bp,bp->b", score, step), 1.0)[:, None, None]
        new = np.where(going, rise, 1.0)[:, None, None]
        update = fall[:, :, None] * fall[:, None, :] / new - score[:, :, None] * score[:, None, :] / old
        information[going] += update[going]
        score[going] = there.score[going]
        step[going] = solve_scaled(information[going], score[going])
        promised = np.einsum("bp,bp->b", step, score) / 2
        progress = promised / promise
        going &= progress < _APPROACH_PROGRESS
        last = going & (promised * progress <= _APPROACH_MARGIN * enough)
        point[last] += step[last]
        going &= ~last
        promise = promised
    return point, steps


def smallest_ratios(matrix: FloatArray, base: FloatArray) -> FloatArray:
    """Smallest generalised eigenvalue of each matrix (B, p, p) against its base, (B,).

    Zeros for all where a base is not positive definite: callers then look at each by itself.
    """
    if matrix.shape[-1] == 0:
        return np.ones(matrix.shape[0])
    scale = 1.0 / np.sqrt(np.maximum(np.diagonal(base, axis1=-2, axis2=-1), 1e-300))
    outer = scale[..., :, None] * scale[..., None, :]
    try:
        root = np.linalg.cholesky(base * outer)
        half = np.linalg.solve(root, matrix * outer)
        eigenvalues = np.linalg.eigvalsh(np.linalg.solve(root, np.swapaxes(half, -1, -2)))
    except np.linalg.LinAlgError:
        return np.zeros(matrix.shape[0])
    smallest: FloatArray = eigenvalues[..., 0]
    return smallest
