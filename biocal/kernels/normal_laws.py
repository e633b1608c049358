"""Expectations under a residual law: Gauss-Hermite nodes, and what tilting by exp(h) does to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ConvergenceError, OptionError

FloatArray = NDArray[np.float64]

#: NumPy computes Gauss-Hermite rules to full accuracy up to this order.
MAX_NODES = 100


def normal_nodes(n_nodes: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Hermite rule for the standard normal law (the probabilists' weight).

    Parameters
    ----------
    n_nodes : int
        1 to 100; the rule is exact for polynomials up to degree 2 n - 1.

    Returns
    -------
    nodes, weights : ndarray, shape (n_nodes,)
        Nodes in standard deviations, increasing and symmetric; weights that sum to 1.  Not to be
        written to: the same arrays are returned every time.

    Raises
    ------
    OptionError
        Another number of nodes.

    Examples
    --------
    >>> nodes, weights = normal_nodes(3)
    >>> float(round(weights @ nodes**4, 12))
    3.0
    """
    if not 1 <= n_nodes <= MAX_NODES:
        raise OptionError(
            f"the number of quadrature nodes must lie from 1 to {MAX_NODES}, not {n_nodes}", nodes=n_nodes
        )
    return _hermite_rule(int(n_nodes))


@cache
def _hermite_rule(n_nodes: int) -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_nodes)
    # The rule is symmetric; its computed values are so to the last digit only after this.
    nodes, weights = (nodes - nodes[::-1]) / 2, (weights + weights[::-1]) / 2
    weights /= weights.sum()
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights


def tilted(exponent: FloatArray, log_weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """log E[exp(h)], and the probabilities of the nodes under the law tilted by exp(h).

    Parameters
    ----------
    exponent : ndarray, shape (n_nodes, ...)
        h at the nodes.
    log_weights : ndarray, broadcasting with `exponent`
        Logs of weights that sum to 1; -inf for a node that does not count. At least one finite at each place.

    Returns
    -------
    log_mean : ndarray, shape (...)
    probability : ndarray, shape (n_nodes, ...)
        Sums to 1 over the first axis.
    """
    work = exponent + log_weights
    top = work.max(axis=0)
    work -= top
    np.exp(work, out=work)
    total = work.sum(axis=0)
    work /= total
    return top + np.log(total), work


_MOST_ITERATIONS = 100
#: Newton decrement, relative to the number of values, that ends the ascent.
_TOLERANCE = 1e-13


@dataclass(frozen=True, slots=True)
class CensoredLaw:
    """A law fitted by censored maximum likelihood.

    Attributes
    ----------
    kind : {"normal", "lognormal"}
    mean, sd : float
        Of the values, or of their logarithms.
    loglik : float
        In the unit of the values, so that the two kinds compare.
    """

    kind: Literal["normal", "lognormal"]
    mean: float
    sd: float
    loglik: float

    def mean_below(self, limit: FloatArray) -> FloatArray:
        """E[W | W < limit], shape of `limit`."""
        from scipy.special import log_ndtr

        if self.kind == "normal":
            z = (limit - self.mean) / self.sd
            return np.asarray(self.mean - self.sd * np.exp(-z * z / 2 - log_ndtr(z)) / np.sqrt(2 * np.pi))
        z = (np.log(limit) - self.mean) / self.sd
        return np.asarray(np.exp(self.mean + self.sd**2 / 2 + log_ndtr(z - self.sd) - log_ndtr(z)))


def fit_censored_law(values: FloatArray, limits: FloatArray) -> CensoredLaw:
    """Fit both laws and keep the likelier one.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Measured values, two different ones at least.
    limits : ndarray, shape (m,)
        Detection limits, positive, of the values below them.

    Returns
    -------
    CensoredLaw
        Normal where a value is not positive.  A normal law whose mean below a limit would be negative though
        every value is positive is passed over.

    Raises
    ------
    ConvergenceError
        No maximum was found.
    """
    normal = CensoredLaw("normal", *_fit_normal(values, limits))
    if (values <= 0).any():
        return normal
    mean, sd, loglik = _fit_normal(np.log(values), np.log(limits))
    lognormal = CensoredLaw("lognormal", mean, sd, loglik - float(np.log(values).sum()))
    impossible = limits.size > 0 and bool((normal.mean_below(limits) <= 0).any())
    return lognormal if impossible or lognormal.loglik >= normal.loglik else normal


def _fit_normal(values: FloatArray, limits: FloatArray) -> tuple[float, float, float]:
    """Mean, SD and log-likelihood; Olsen's parameters mu / sd and 1 / sd make it concave.

    Olsen, Econometrica 1978;46:1211-1215.
    """
    centre, scale = float(values.mean()), float(values.std())
    w, low = (values - centre) / scale, (limits - centre) / scale
    point = np.array([0.0, 1.0])
    here = _loglik(point, w, low)
    for _ in range(_MOST_ITERATIONS):
        score, information = _derivatives(point, w, low)
        step = np.linalg.solve(information, score)
        if float(step @ score) <= _TOLERANCE * (w.size + low.size):
            point = point + step
            mean, sd = centre + scale * point[0] / point[1], scale / point[1]
            return float(mean), float(sd), _loglik(point, w, low) - w.size * float(np.log(scale))
        shrink = 1.0
        while shrink > 1e-10:
            there = point + shrink * step
            if there[1] > 0 and (value := _loglik(there, w, low)) >= here:
                break
            shrink /= 2
        else:
            break
        point, here = there, value
    raise ConvergenceError("the law of values with some below their detection limit was not found")


def _loglik(point: FloatArray, w: FloatArray, low: FloatArray) -> float:
    from scipy.special import log_ndtr

    d, h = point
    u = h * w - d
    normal = np.log(h) - u * u / 2 - np.log(2 * np.pi) / 2
    return float(normal.sum() + log_ndtr(h * low - d).sum())


def _derivatives(point: FloatArray, w: FloatArray, low: FloatArray) -> tuple[FloatArray, FloatArray]:
    from scipy.special import log_ndtr

    d, h = point
    u, z = h * w - d, h * low - d
    ratio = np.exp(-z * z / 2 - log_ndtr(z)) / np.sqrt(2 * np.pi)
    curve = ratio * (ratio + z)
    score = np.array([u.sum() - ratio.sum(), (1 / h - u * w).sum() + (ratio * low).sum()])
    across = -w.sum() - (curve * low).sum()
    first = w.size + curve.sum()
    second = w.size / h**2 + (w * w).sum() + (curve * low * low).sum()
    return score, np.array([[first, across], [across, second]])
