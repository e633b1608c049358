"""How much the studies differ: the between-study variance of a number, by restricted maximum likelihood.

Study s reports b_s with within-study variance v_s, taken as known, and b_s ~ N(mu, v_s + tau^2).  The search
maximises Harville's restricted log-likelihood [1]_ over tau^2 >= 0, w_s = 1 / (v_s + tau^2):

    l = 1/2 sum_s log w_s - 1/2 log sum_s w_s - 1/2 sum_s w_s (b_s - mu)^2
        - 1/2 (k - 1) log(2 pi) + 1/2 log k,

mu the weighted mean at that tau^2.  The last term is 1/2 log|X'X| of the restricted likelihood, which some
software leaves out.  Inputs are checked by the caller.

References
----------
.. [1] Harville DA. Maximum likelihood approaches to variance component estimation and to related
       problems. J Am Stat Assoc 1977;72:320-338, doi:10.1080/01621459.1977.10480998.
.. [2] Viechtbauer W. Bias and efficiency of meta-analytic variance estimators in the random-effects
       model. J Educ Behav Stat 2005;30:261-293, doi:10.3102/10769986030003261.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.meta.heterogeneity import trace_of_projection, trace_of_squared_projection

FloatArray = NDArray[np.float64]

# Points at which the univariate score is looked at.  They are equally spaced in the logarithm of
# (smallest variance + tau^2), the scale on which the score bends; ours.
GRID_POINTS = 1024


@dataclass(frozen=True, slots=True)
class RemlSearch:
    """How a restricted maximum was found.

    Attributes
    ----------
    converged : bool
        Always True in a record that was returned; a search that fails raises.
    iterations : int
        Steps of the search that found the maximum.
    n_starts : int
        Univariate: intervals in which the score was looked at.  Multivariate: starting values.
    n_at_maximum : int
        Univariate: 1.  Multivariate: how many starting values led to the maximum reported.
    n_local_maxima : int
        Distinct local maxima met, the boundary tau^2 = 0 included.  More than 1 is worth telling.
    score_norm : float
        Size of the first-order condition that should vanish there: d l / d log(1 + tau^2 / smallest variance)
        or the largest entry of (dl/dT) T in whitened units.
    """

    converged: bool
    iterations: int
    n_starts: int
    n_at_maximum: int
    n_local_maxima: int
    score_norm: float


@dataclass(frozen=True, slots=True)
class BetweenVariance:
    """Between-study variance of a scalar: ``tau_squared``, its standard error, l there, the search."""

    tau_squared: float
    std_error: float
    restricted_log_likelihood: float
    search: RemlSearch


def between_variance_by_reml(estimates: FloatArray, variances: FloatArray) -> BetweenVariance:
    """Maximise the restricted likelihood of scalar estimates over tau^2 >= 0.

    Parameters
    ----------
    estimates, variances : ndarray, shape (k,)
        At least two studies; variances positive.

    Returns
    -------
    BetweenVariance
        The standard error is from the expected information, sqrt(2 / tr(PP)) [2]_.

    Notes
    -----
    The restricted likelihood of tau^2 can have several maxima.  All of them lie between 0 and
    `largest_possible_tau_squared`; every sign change of the score on a fine grid of that interval is refined
    by Brent's method, and the highest maximum, tau^2 = 0 included, is taken.
    """
    smallest = float(variances.min())
    upper = largest_possible_tau_squared(estimates, variances)
    grid = np.geomspace(smallest, smallest + upper, GRID_POINTS) - smallest
    grid[0], grid[-1] = 0.0, upper
    score = restricted_score(grid, estimates, variances)
    rising = np.flatnonzero((score[:-1] > 0) & (score[1:] <= 0))
    roots = [_refine_root(grid[i], grid[i + 1], estimates, variances) for i in rising]
    candidates = np.array([*([0.0] if score[0] <= 0 else []), *(root for root, _ in roots)])
    heights = restricted_log_likelihood(candidates, estimates, variances)
    best = int(np.argmax(heights))
    tau_squared = float(candidates[best])
    score_there = float(restricted_score(np.array([tau_squared]), estimates, variances)[0])
    search = RemlSearch(
        converged=True,
        iterations=sum(iterations for _, iterations in roots),
        n_starts=GRID_POINTS - 1,
        n_at_maximum=1,
        n_local_maxima=len(candidates),
        score_norm=0.0 if tau_squared == 0 else abs(score_there) * (tau_squared + smallest),
    )
    return BetweenVariance(
        tau_squared, _tau_squared_std_error(tau_squared, variances), float(heights[best]), search
    )


def largest_possible_tau_squared(estimates: FloatArray, variances: FloatArray) -> float:
    """Bound beyond which the restricted score is negative, so that no maximum lies there.

    With u = smallest variance + tau^2, d = range of the variances and SS = sum of (b - mean)^2, the two parts
    of the score obey y'PPy <= SS / u^2 and tr P >= (k - 1) / (u + d); hence it is negative once
    (k - 1) u^2 > SS (u + d).  Our derivation.
    """
    spread = float(np.sum((estimates - estimates.mean()) ** 2))
    smallest, width = float(variances.min()), float(np.ptp(variances))
    df = len(estimates) - 1
    u = (spread + np.sqrt(spread**2 + 4 * df * spread * width)) / (2 * df)
    return max(float(u) * (1 + 1e-6) - smallest, smallest)  # rounding; never an empty interval


def restricted_score(tau_squared: FloatArray, estimates: FloatArray, variances: FloatArray) -> FloatArray:
    """Derivative of l in tau^2, 1/2 (y'PPy - tr P), at each of ``tau_squared`` (m,); shape (m,)."""
    weights, _, centred = _weights_and_residuals(tau_squared, estimates, variances)
    score: FloatArray = 0.5 * (np.sum((weights * centred) ** 2, axis=1) - trace_of_projection(weights))
    return score


def restricted_log_likelihood(
    tau_squared: FloatArray, estimates: FloatArray, variances: FloatArray
) -> FloatArray:
    """Restricted log-likelihood at each of ``tau_squared`` (m,); shape (m,)."""
    weights, total, centred = _weights_and_residuals(tau_squared, estimates, variances)
    quadratic = np.sum(np.log(weights) - weights * centred**2, axis=1)
    loglik: FloatArray = 0.5 * (quadratic - np.log(total)) + restricted_constant(len(estimates), 1)
    return loglik


def _weights_and_residuals(
    tau_squared: FloatArray, estimates: FloatArray, variances: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weights (m, k), their sums (m,) and residuals from the weighted mean (m, k)."""
    weights = 1 / (variances + tau_squared[:, None])
    total = weights.sum(axis=1)
    # A first centring keeps the precision when the estimates are large beside their spread: on the most precise
    # study, since those that hardly count may be anywhere.
    shifted = estimates - estimates[np.argmin(variances)]
    return weights, total, shifted - ((weights @ shifted) / total)[:, None]


def _refine_root(low: float, high: float, estimates: FloatArray, variances: FloatArray) -> tuple[float, int]:
    """Root of the score between two grid points of opposite sign, and the iterations it took."""
    from scipy.optimize import brentq

    def score(tau_squared: float) -> float:
        return float(restricted_score(np.array([tau_squared]), estimates, variances)[0])

    tiny = np.finfo(np.float64).eps
    root, report = brentq(
        score, low, high, xtol=tiny * (variances.min() + low), rtol=4 * tiny, maxiter=500, full_output=True
    )
    return float(root), int(report.iterations)


def _tau_squared_std_error(tau_squared: float, variances: FloatArray) -> float:
    information = float(trace_of_squared_projection(1 / (variances + tau_squared)))
    return float(np.sqrt(2 / information)) if information > 0 else float("inf")


def restricted_constant(n_studies: int, n_columns: int) -> float:
    """Terms of the restricted log-likelihood that do not depend on T, for k studies and p columns."""
    return float(-0.5 * (n_studies - 1) * n_columns * np.log(2 * np.pi) + 0.5 * n_columns * np.log(n_studies))
