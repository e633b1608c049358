"""Expectations under a residual law: Gauss-Hermite nodes, and what tilting by exp(h) does to them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError

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
