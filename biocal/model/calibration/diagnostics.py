"""Diagnostics of one study's calibration: residuals, influence, batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ConvergenceError
from biocal.model.calibration.huber import fit_huber

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Fewer pairs show no sign of curvature or of unequal variance (our choice).
PAIRS_FOR_SIGNS = 10
#: Fewer pairs are no batch (our choice).
PAIRS_A_BATCH = 5
#: Residuals below this share of the response are rounding: the line is exact (our choice).
EXACT_LINE = 1e-10

_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class OwnLine:
    """Least squares of one study's response on the form's columns of its local values.

    Attributes
    ----------
    slope, se_slope : float
    residuals, leverage, slope_change, cook : ndarray, shape (n,)
        `slope_change`: slope with a pair minus slope without it.  `cook`: Cook's distance.
    huber_slope : float
        Slope of Huber's M-estimate; NaN where it does not settle, as where most pairs lie on one exact line.
    """

    slope: float
    se_slope: float
    residuals: FloatArray
    leverage: FloatArray
    slope_change: FloatArray
    cook: FloatArray
    huber_slope: float

    def is_exact(self, response: FloatArray) -> bool:
        """Whether what is left of the response is rounding."""
        return float(np.abs(self.residuals).max()) <= EXACT_LINE * float(np.abs(response).max())


def own_line(columns: FloatArray, response: FloatArray) -> OwnLine:
    """Fit one study's pairs by least squares, with the influence of each on the slope.

    Parameters
    ----------
    columns : ndarray, shape (k, n)
        1, W and further columns of W; of full rank.
    response : ndarray, shape (n,)
        Reference values, the covariates' part taken off.

    Notes
    -----
    b - b_(i) = (D'D)^-1 D_i r_i / (1 - h_i) (Belsley, Kuh and Welsch, Regression Diagnostics, 1980, section 2.1).
    Cook's distance: r_i^2 h_i / (k s^2 (1 - h_i)^2) (Cook, Technometrics 1977;19:15-18).
    """
    design = columns.T
    n, k = design.shape
    q, r = np.linalg.qr(design)
    inverse = np.linalg.inv(r)
    coefficients = inverse @ (q.T @ response)
    residuals = response - design @ coefficients
    leverage = np.einsum("ij,ij->i", q, q)
    variance = float(residuals @ residuals) / max(n - k, 1)
    outside = np.maximum(1.0 - leverage, 1e-12)
    change = (q @ inverse[1]) * residuals / outside
    cook = residuals**2 * leverage / (k * max(variance, 1e-300) * outside**2)
    error = float(np.sqrt(variance * (inverse[1] @ inverse[1])))
    robust = _huber_slope(design, response, coefficients, n - k)
    return OwnLine(float(coefficients[1]), error, residuals, leverage, change, cook, robust)


def _huber_slope(design: FloatArray, response: FloatArray, start: FloatArray, freedom: int) -> float:
    if freedom < 1:
        return _NAN
    try:
        one = np.zeros(response.size, dtype=np.intp)
        return float(fit_huber(design, response, one, np.array([float(freedom)]), start).gamma[1])
    except (ConvergenceError, np.linalg.LinAlgError):
        return _NAN


def unequal_variance(local: FloatArray, residuals: FloatArray) -> float:
    """p-value of Koenker's studentised Breusch-Pagan test against a variance linear in the local value.

    n R^2 of the squared residuals on the local value (Koenker, J Econometrics 1981;17:107-112); NaN with fewer
    than `PAIRS_FOR_SIGNS` pairs, or where nothing varies.
    """
    from scipy.special import chdtrc

    squared = residuals**2 - np.mean(residuals**2)
    total = float(squared @ squared)
    if local.size < PAIRS_FOR_SIGNS or np.ptp(local) == 0 or total == 0:
        return _NAN
    z = (local - local.mean()) / local.std()
    explained = float(z @ squared) ** 2 / local.size
    return float(chdtrc(1, local.size * explained / total))


def curvature(columns: FloatArray, response: FloatArray) -> float:
    """p-value of the F test of a squared term beside a line; NaN with fewer than `PAIRS_FOR_SIGNS` pairs.

    Parameters
    ----------
    columns : ndarray, shape (2, n)
        1 and W.
    response : ndarray, shape (n,)
    """
    from scipy.special import fdtrc

    local = columns[1]
    if local.size < PAIRS_FOR_SIGNS or np.ptp(local) == 0:
        return _NAN
    z = (local - local.mean()) / local.std()
    line = np.column_stack([np.ones(z.size), z])
    straight, bent = (_rss(design, response) for design in (line, np.column_stack([line, z * z])))
    freedom = z.size - 3
    if straight <= 1e-24 * float(response @ response):
        return _NAN
    return float(fdtrc(1, freedom, (straight - bent) / max(bent / freedom, np.finfo(float).tiny)))


def spread_by_third(local: FloatArray, residuals: FloatArray) -> tuple[float, float, float]:
    """Root mean square of the residuals in the lowest, middle and highest third of the local values."""
    if local.size < 3:
        return _NAN, _NAN, _NAN
    parts = np.array_split(residuals[np.argsort(local, kind="stable")], 3)
    low, middle, high = (float(np.sqrt(np.mean(part**2))) for part in parts)
    return low, middle, high


def batch_lines(
    local: FloatArray, response: FloatArray, batch: IntArray
) -> tuple[dict[int, tuple[int, float, float, float]], float]:
    """Lines of the batches, and the p-value of the F test of one line for all.

    Parameters
    ----------
    local, response : ndarray, shape (n,)
    batch : ndarray of int, shape (n,)
        -1 for a pair without one.

    Returns
    -------
    dict of int to tuple
        Pairs, intercept, slope and its standard error of each batch with `PAIRS_A_BATCH` pairs or more and
        different local values.
    float
        NaN with fewer than two of them.
    """
    from scipy.special import fdtrc

    codes = [int(b) for b in np.unique(batch[batch >= 0])]
    enough = [b for b in codes if (batch == b).sum() >= PAIRS_A_BATCH and np.ptp(local[batch == b]) > 0]
    lines, apart = {}, 0.0
    for b in enough:
        mine = batch == b
        columns = np.vstack([np.ones(int(mine.sum())), local[mine]])
        one = own_line(columns, response[mine])
        apart += float(one.residuals @ one.residuals)
        intercept = float(response[mine].mean() - one.slope * local[mine].mean())
        lines[b] = (int(mine.sum()), intercept, one.slope, one.se_slope)
    if len(enough) < 2:
        return lines, _NAN
    used = np.isin(batch, enough)
    together = _rss(np.column_stack([np.ones(int(used.sum())), local[used]]), response[used])
    more, freedom = 2 * (len(enough) - 1), int(used.sum()) - 2 * len(enough)
    if freedom < 1 or apart <= 0:
        return lines, _NAN
    return lines, float(fdtrc(more, freedom, (together - apart) / more / (apart / freedom)))


def _rss(design: FloatArray, response: FloatArray) -> float:
    residuals = response - design @ np.linalg.lstsq(design, response, rcond=None)[0]
    return float(residuals @ residuals)
