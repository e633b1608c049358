"""How the studies' vectors differ: the between-study covariance, by restricted maximum likelihood.

Study s reports b_s (p,) with within-study covariance V_s (p, p), taken as known, and b_s ~ N(mu, V_s + T).
The search maximises the restricted log-likelihood [1]_ over positive semi-definite T, W_s = (V_s + T)^-1:

    l = 1/2 sum_s log|W_s| - 1/2 log|sum_s W_s| - 1/2 sum_s r_s' W_s r_s
        - 1/2 (k - 1) p log(2 pi) + 1/2 p log k,            r_s = b_s - mu,

mu the inverse-variance mean at that T.  Inputs are checked by the caller.

References
----------
.. [1] Jackson D, Riley R, White IR. Multivariate meta-analysis: potential and promise. Stat Med
       2011;30:2481-2498, doi:10.1002/sim.4172.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ConvergenceError
from biocal.kernels.meta.reml import RemlSearch, between_variance_by_reml, restricted_constant

FloatArray = NDArray[np.float64]

# All in the whitened units of `between_covariance_by_reml`, where the typical within-study covariance is I.
DECREMENT_TOLERANCE = 1e-20  # squared Newton step in the metric of the Hessian: T good to about 1e-10
ROUNDING_DECREMENT = 1e-10  # below this the change of l drowns in rounding, and l cannot judge a step
CURVATURE_FLOOR = 1e-12  # relative to the largest: directions the likelihood does not see take no wild steps
LONGEST_STEP = 3.0  # of the Cholesky factor; keeps the first steps from overshooting
UPHILL_TOLERANCE = 1e-7  # eigenvalue of dl/dT above which an absent direction of T would raise l
NULL_EIGENVALUE = 1e-10  # eigenvalues of T below this are zero: the maximum lies on the boundary
SAME_MAXIMUM = 1e-8  # two values of l that differ less are one maximum
FARTHEST_START = 1e6  # of an eigenvalue of a starting value: beyond, a study that hardly counts speaks
MAX_ITERATIONS = 200


@dataclass(frozen=True, slots=True)
class BetweenCovariance:
    """Between-study covariance ``matrix`` (p, p), its ``rank``, l there, the search."""

    matrix: FloatArray
    rank: int
    restricted_log_likelihood: float
    search: RemlSearch


@dataclass(frozen=True, slots=True)
class _Terms:
    """Pieces of l at one T: W_s (k, p, p), (sum W)^-1 (p, p), W_s r_s (k, p), l, dl/dT (p, p)."""

    precisions: FloatArray
    pooled_covariance: FloatArray
    weighted_residuals: FloatArray
    loglik: float
    gradient: FloatArray


@dataclass(frozen=True, slots=True)
class _Climb:
    """Where one starting value led."""

    between: FloatArray
    loglik: float
    score_norm: float
    iterations: int
    decrement: float
    converged: bool


def between_covariance_by_reml(
    estimates: FloatArray, covariances: FloatArray, *, max_iterations: int = MAX_ITERATIONS
) -> BetweenCovariance:
    """Maximise the restricted likelihood of vectors over all positive semi-definite T.

    Parameters
    ----------
    estimates : ndarray, shape (k, p)
        At least two studies.
    covariances : ndarray, shape (k, p, p)
        Positive definite.
    max_iterations : int, default 200
        Newton steps allowed from each starting value.

    Returns
    -------
    BetweenCovariance
        The unstructured between-study covariance.

    Raises
    ------
    ConvergenceError
        The search that reached highest did not converge (attributes ``iterations``, ``decrement``).

    Notes
    -----
    The problem is first whitened by the harmonic mean of the V_s, so that units and collinear columns do not
    matter.  T = LL' with a free lower triangle L reaches the boundary; Newton's method uses the exact Hessian
    with the signs of its eigenvalues turned to point uphill.  A point counts as a maximum only if, besides,
    no direction absent from T would raise l (the largest eigenvalue of dl/dT is not positive); otherwise that
    direction is added and the climb goes on.  The likelihood may have several maxima: five starting values
    are tried, the highest is taken, and the search record tells how many agree.  That this is the highest of
    all is likely, not proved.
    """
    k, p = estimates.shape
    root = _typical_root(covariances)
    half = np.linalg.solve(root, covariances)
    within = np.linalg.solve(root, np.swapaxes(half, 1, 2))
    within = (within + np.swapaxes(within, 1, 2)) / 2
    # On the most precise study: the others' distances lose no digits to one that hardly counts and lies far away.
    sure = estimates[np.argmin(np.trace(within, axis1=1, axis2=2))]
    white = np.linalg.solve(root, (estimates - sure).T).T
    climbs = [_climb(white, within, start, max_iterations) for start in _starting_values(white, within)]
    best = max(climbs, key=lambda climb: climb.loglik)
    _require_convergence(best, [c for c in climbs if c.converged])
    heights = [climb.loglik for climb in climbs if climb.converged]
    none = _terms(white, within, np.zeros((p, p)))
    if best.loglik - none.loglik < SAME_MAXIMUM:
        # Level ground, as where one study outweighs all others: no heterogeneity explains them as well.
        best = replace(best, between=np.zeros((p, p)), loglik=none.loglik, score_norm=0.0)
    between = root @ best.between @ root.T
    log_scale = float(np.sum(np.log(np.diag(root))))
    search = RemlSearch(
        converged=True,
        iterations=best.iterations,
        n_starts=len(climbs),
        n_at_maximum=int(sum(best.loglik - height < SAME_MAXIMUM for height in heights)),
        n_local_maxima=1 + int(np.sum(np.diff(np.sort(heights)) > SAME_MAXIMUM)),
        score_norm=best.score_norm,
    )
    rank = int(np.sum(np.linalg.eigvalsh(best.between) > NULL_EIGENVALUE))
    loglik = best.loglik - (k - 1) * log_scale + restricted_constant(k, p)
    return BetweenCovariance((between + between.T) / 2, rank, loglik, search)


def _require_convergence(best: _Climb, converged: list[_Climb]) -> None:
    """Accept the highest point if it, or a maximum as high, met the convergence rule."""
    if any(best.loglik - climb.loglik < SAME_MAXIMUM for climb in converged):
        return
    raise ConvergenceError(
        f"the between-study covariance was not found after {best.iterations} Newton steps (decrement "
        f"{best.decrement:.3g}); pool fewer columns, or use the fixed-effect or a univariate model",
        iterations=best.iterations,
        decrement=best.decrement,
    )


def _typical_root(covariances: FloatArray) -> FloatArray:
    """Lower Cholesky factor (p, p) of the harmonic mean of the within-study covariances."""
    precision = np.linalg.inv(covariances).mean(axis=0)
    typical = np.linalg.inv((precision + precision.T) / 2)
    return np.asarray(np.linalg.cholesky((typical + typical.T) / 2), dtype=np.float64)


def _starting_values(estimates: FloatArray, covariances: FloatArray) -> list[FloatArray]:
    """Cholesky factors of five starting values of T, all of full rank (a zero column would stay zero)."""
    p = estimates.shape[1]
    centred = estimates - estimates.mean(axis=0)
    observed = centred.T @ centred / (len(estimates) - 1)
    value, vector = np.linalg.eigh(observed - covariances.mean(axis=0))
    moments = (vector * np.clip(value, 0, FARTHEST_START)) @ vector.T
    single = np.array(
        [between_variance_by_reml(centred[:, j], covariances[:, j, j]).tau_squared for j in range(p)]
    )
    value, vector = np.linalg.eigh(observed)
    observed = (vector * np.clip(value, 0, FARTHEST_START)) @ vector.T
    single = np.minimum(single, FARTHEST_START)
    unit = np.eye(p)
    matrices = [
        moments + 0.01 * unit,
        np.diag(single) + 0.01 * unit,
        observed + 0.01 * unit,
        0.01 * unit,
        unit,
    ]
    return [np.linalg.cholesky(matrix) for matrix in matrices]


def _climb(estimates: FloatArray, covariances: FloatArray, start: FloatArray, max_iterations: int) -> _Climb:
    """Newton's method for L (p, p) from one start, leaving points that only look stationary."""
    factor, converged, decrement, iterations = start, False, np.inf, 0
    terms = _terms(estimates, covariances, factor @ factor.T)
    while not converged and iterations < max_iterations:
        iterations += 1
        step, decrement = _newton_step(terms, factor)
        factor, terms, moved = _advance(estimates, covariances, factor, terms, step, decrement)
        if decrement < DECREMENT_TOLERANCE or not moved:
            slope, direction = np.linalg.eigh(terms.gradient)
            converged = bool(slope[-1] <= UPHILL_TOLERANCE) and decrement < ROUNDING_DECREMENT
            if slope[-1] <= UPHILL_TOLERANCE and not moved:
                break
            if not converged:
                factor, terms = _add_direction(estimates, covariances, factor, direction[:, -1])
    value, vector = np.linalg.eigh(factor @ factor.T)
    between = (vector * np.where(value > NULL_EIGENVALUE, value, 0.0)) @ vector.T
    terms = _terms(estimates, covariances, between)
    score_norm = float(np.abs(terms.gradient @ between).max())
    return _Climb(between, terms.loglik, score_norm, iterations, float(decrement), converged)


def _terms(estimates: FloatArray, covariances: FloatArray, between: FloatArray) -> _Terms:
    root = np.linalg.cholesky(covariances + between)
    inverse_root = np.linalg.inv(root)
    precisions = np.swapaxes(inverse_root, 1, 2) @ inverse_root
    total = precisions.sum(axis=0)
    total_root = np.linalg.cholesky(total)
    pooled_covariance = np.linalg.inv(total)
    mean = pooled_covariance @ np.einsum("sij,sj->i", precisions, estimates)
    residuals = estimates - mean
    weighted = np.einsum("sij,sj->si", precisions, residuals)
    log_determinants = np.log(np.diagonal(root, axis1=1, axis2=2)).sum() + np.log(np.diag(total_root)).sum()
    gradient = 0.5 * (
        np.sum(precisions @ pooled_covariance @ precisions - precisions, axis=0) + weighted.T @ weighted
    )
    loglik = float(-log_determinants - 0.5 * np.sum(residuals * weighted))
    return _Terms(precisions, pooled_covariance, weighted, loglik, (gradient + gradient.T) / 2)


def _gradient_change(terms: _Terms, direction: FloatArray) -> FloatArray:
    """Derivative of dl/dT (p, p) along a symmetric ``direction`` (p, p) of T."""
    w, omega, u = terms.precisions, terms.pooled_covariance, terms.weighted_residuals
    change_w = -(w @ direction @ w)
    change_omega = -omega @ change_w.sum(axis=0) @ omega
    residual_change = omega @ np.einsum(
        "sij,sj->i", w, u @ direction
    )  # minus the change of mu, all studies alike
    change_u = np.einsum("sij,sj->si", w, residual_change - u @ direction)
    half = change_w @ omega @ w
    change = np.sum(half + np.swapaxes(half, 1, 2) + w @ change_omega @ w - change_w, axis=0)
    cross = change_u.T @ u
    result: FloatArray = 0.5 * (change + cross + cross.T)
    return result


def _newton_step(terms: _Terms, factor: FloatArray) -> tuple[FloatArray, float]:
    """Uphill step of L (p, p) and its decrement, from the exact Hessian with eigenvalues made positive."""
    p = factor.shape[0]
    rows, columns = np.tril_indices(p)
    slope = (2 * terms.gradient @ factor)[rows, columns]
    hessian = np.empty((len(rows), len(rows)))
    for index, (row, column) in enumerate(zip(rows, columns, strict=True)):
        unit = np.zeros((p, p))
        unit[row, column] = 1.0
        half = unit @ factor.T
        change = _gradient_change(terms, half + half.T)
        hessian[index] = (2 * change @ factor + 2 * terms.gradient @ unit)[rows, columns]
    value, vector = np.linalg.eigh((hessian + hessian.T) / 2)
    size = np.abs(value)
    size = np.maximum(size, CURVATURE_FLOOR * max(float(size.max()), 1.0))
    along = vector.T @ slope
    step = np.zeros((p, p))
    step[rows, columns] = vector @ (along / size)
    return step, float(np.sum(along**2 / size))


def _advance(
    estimates: FloatArray,
    covariances: FloatArray,
    factor: FloatArray,
    terms: _Terms,
    step: FloatArray,
    decrement: float,
) -> tuple[FloatArray, _Terms, bool]:
    """Take the step, halved until l rises enough; near the maximum, where l cannot tell, take it whole."""
    share = min(
        1.0, LONGEST_STEP * (1 + float(np.linalg.norm(factor))) / max(float(np.linalg.norm(step)), 1e-300)
    )
    for _ in range(60):
        candidate = factor + share * step
        there = _terms(estimates, covariances, candidate @ candidate.T)
        if decrement < ROUNDING_DECREMENT or there.loglik >= terms.loglik + 1e-4 * share * decrement:
            return candidate, there, True
        share /= 2
    return factor, terms, False


def _add_direction(
    estimates: FloatArray, covariances: FloatArray, factor: FloatArray, direction: FloatArray
) -> tuple[FloatArray, _Terms]:
    """Cholesky factor of T + c vv' with the c > 0, from a coarse list, that raises l most."""
    options = []
    for size in np.geomspace(1e-4, 10, 11):
        stacked = np.vstack([factor.T, np.sqrt(size) * direction])
        candidate = np.linalg.qr(stacked).R.T
        options.append((candidate, _terms(estimates, covariances, candidate @ candidate.T)))
    return max(options, key=lambda option: option[1].loglik)
