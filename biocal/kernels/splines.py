"""Restricted cubic splines: knots, columns and their first derivatives.

The basis is Harrell's (Regression Modeling Strategies, 2nd ed., section 2.4.5) with the divisor
``(t_K - t_1)**2``, which is ``norm=2`` of R's ``Hmisc::rcspline.eval``: every column is in the unit
of the exposure.  Published programs without a divisor have coefficients smaller by that factor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biocal.errors import OptionError

FloatArray = NDArray[np.float64]

#: Harrell's default quantiles (Regression Modeling Strategies, table 2.3; R's ``rms::rcs``).
HARRELL_PROBABILITIES: dict[int, tuple[float, ...]] = {
    3: (0.10, 0.50, 0.90),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.50, 0.725, 0.95),
    6: (0.05, 0.23, 0.41, 0.59, 0.77, 0.95),
    7: (0.025, 0.1833, 0.3417, 0.50, 0.6583, 0.8167, 0.975),
}


#: Ours: far beyond what matched sets can tell apart.
MOST_KNOTS = 50


def default_probabilities(n_knots: int) -> tuple[float, ...]:
    """Harrell's probabilities for 3 to 7 knots.

    Raises
    ------
    OptionError
        Another number of knots.
    """
    if n_knots not in HARRELL_PROBABILITIES:
        raise OptionError(
            f"knots must be a number from 3 to 7, not {n_knots}; for others give the knots or their "
            "probabilities yourself",
            allowed=tuple(HARRELL_PROBABILITIES),
        )
    return HARRELL_PROBABILITIES[n_knots]


def quantile_knots(values: ArrayLike, probabilities: ArrayLike) -> FloatArray:
    """Knots at quantiles of type 7 (the default of NumPy and R).

    Parameters
    ----------
    values : array_like, shape (n,)
        Exposure, in its unit.
    probabilities : array_like, shape (K,)
        Increasing, inside (0, 1).

    Returns
    -------
    ndarray, shape (K,)
        Knots in the unit of `values`, checked by :func:`require_knots`.
    """
    return require_knots(np.quantile(np.asarray(values, dtype=float), np.asarray(probabilities, dtype=float)))


def require_knots(knots: ArrayLike) -> FloatArray:
    """Return knots as an array after checking that there are 3 or more, finite and increasing.

    Raises
    ------
    OptionError
        Fewer than 3, not finite, unsorted, or equal knots (attribute ``knots``).
    """
    points = np.asarray(knots, dtype=float)
    shown = ", ".join(f"{point:.6g}" for point in points.ravel()[:12])
    if points.ndim != 1 or points.size < 3:
        raise OptionError(f"a spline needs at least 3 knots, found {points.size} ({shown})", knots=points)
    if points.size > MOST_KNOTS:
        raise OptionError(f"a spline has {MOST_KNOTS} knots at most, found {points.size:,}", knots=points)
    if not np.isfinite(points).all():
        raise OptionError(f"knots must be finite numbers, found {shown}", knots=points)
    steps = np.diff(points)
    if (steps < 0).any():
        raise OptionError(f"knots must be in increasing order, found {shown}", knots=points)
    if (steps <= 1e-12 * (abs(points[-1]) + abs(points[0]))).any():
        raise OptionError(
            f"knots must differ from each other, found {shown}; with many tied values give the knots yourself",
            knots=points,
        )
    return points


def spline_columns(exposure: ArrayLike, knots: ArrayLike, out: FloatArray | None = None) -> FloatArray:
    """Columns f_1 = x, f_2, ..., f_{K-1} of the restricted cubic spline.

    Parameters
    ----------
    exposure : array_like, shape (..., n)
        Exposure, in its unit.
    knots : array_like, shape (..., K)
        Increasing knots; leading axes broadcast with those of `exposure`.
    out : ndarray, shape (..., K-1, n), optional
        Where the columns go.

    Returns
    -------
    ndarray, shape (..., K-1, n)
        All columns in the unit of the exposure.

    Notes
    -----
    Beyond the last knot the columns are straight lines.  They are evaluated as such, because the
    difference of cubes cancels there and would lose all digits far out.
    """
    x, t, span_squared = _prepare(exposure, knots)
    n_knots = t.shape[-1]
    last, penultimate = t[..., -1:], t[..., -2:-1]
    clipped = np.minimum(x, last)
    beyond = x - clipped
    tail = _cubed_above(clipped, penultimate, np.empty_like(clipped))
    columns = np.empty((*x.shape[:-1], n_knots - 1, x.shape[-1])) if out is None else out
    columns[..., 0, :] = x
    part = np.empty_like(clipped)
    for j in range(n_knots - 2):
        knot = t[..., j : j + 1]
        column = _cubed_above(clipped, knot, columns[..., j + 1, :])
        column -= np.multiply(tail, (last - knot) / (last - penultimate), out=part)
        column += np.multiply(beyond, 3.0 * (last - knot) * (penultimate - knot), out=part)
        column /= span_squared
    return columns


def _cubed_above(x: FloatArray, knot: FloatArray, out: FloatArray) -> FloatArray:
    """(x - knot)^3 above the knot and 0 below, into `out`."""
    above = np.subtract(x, knot)
    np.maximum(above, 0.0, out=above)
    np.multiply(above, above, out=out)
    out *= above
    return out


def spline_slopes(exposure: ArrayLike, knots: ArrayLike) -> FloatArray:
    """First derivatives of :func:`spline_columns` with respect to the exposure.

    Parameters and shapes as there; the columns are without unit.
    """
    x, t, span_squared = _prepare(exposure, knots)
    n_knots = t.shape[-1]
    last, penultimate = t[..., -1:], t[..., -2:-1]
    clipped = np.minimum(x, last)
    tail = np.maximum(clipped - penultimate, 0.0)
    tail = tail * tail
    slopes = np.empty((*x.shape[:-1], n_knots - 1, x.shape[-1]))
    slopes[..., 0, :] = 1.0
    for j in range(n_knots - 2):
        knot = t[..., j : j + 1]
        above = np.maximum(clipped - knot, 0.0)
        slopes[..., j + 1, :] = (3.0 / span_squared) * (
            above * above - tail * ((last - knot) / (last - penultimate))
        )
    return slopes


def spline_curvatures(exposure: ArrayLike, knots: ArrayLike) -> FloatArray:
    """Second derivatives of :func:`spline_columns`, per unit of the exposure; zero outside the outer knots."""
    x, t, span_squared = _prepare(exposure, knots)
    n_knots = t.shape[-1]
    last, penultimate = t[..., -1:], t[..., -2:-1]
    inside = x < last
    tail = np.maximum(x - penultimate, 0.0)
    curvatures = np.zeros((*x.shape[:-1], n_knots - 1, x.shape[-1]))
    for j in range(n_knots - 2):
        knot = t[..., j : j + 1]
        above = np.maximum(x - knot, 0.0)
        curvature = (6.0 / span_squared) * (above - tail * ((last - knot) / (last - penultimate)))
        curvatures[..., j + 1, :] = np.where(inside, curvature, 0.0)
    return curvatures


def _prepare(exposure: ArrayLike, knots: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Arrays of exposure (..., n) and knots (..., K), and the squared span (..., 1)."""
    x = np.asarray(exposure, dtype=float)
    t = np.asarray(knots, dtype=float)
    span = t[..., -1:] - t[..., :1]
    if t.ndim > 1:
        x = np.broadcast_to(x, (*np.broadcast_shapes(x.shape[:-1], t.shape[:-1]), x.shape[-1]))
    return x, t, span * span


#: Days of a mean year; day d of the year stands at the angle 2 pi d / 365.25.
DAYS_PER_YEAR = 365.25
#: Days at which a curve is looked at for its extremes: every sixth of a day (our choice).
_FINE = 6 * 366


def harmonic_columns(day: FloatArray, n_harmonics: int = 1) -> FloatArray:
    """Cosines and sines of the day of the year.

    Parameters
    ----------
    day : ndarray, shape (n,)
        Day of the year, 1 for 1 January; NaN stays NaN.
    n_harmonics : int, default 1
        Pairs: a year's, half a year's, ...

    Returns
    -------
    ndarray, shape (2 n_harmonics, n)
        cos, sin, cos of twice the angle, sin of twice the angle, ...; each has mean 0 over a year.

    Examples
    --------
    >>> harmonic_columns(np.array([365.25, 365.25 / 4])).round(6) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """
    angle = 2 * np.pi * np.asarray(day, dtype=float) / DAYS_PER_YEAR
    rows = [wave(k * angle) for k in range(1, n_harmonics + 1) for wave in (np.cos, np.sin)]
    return np.asarray(rows)


def mid_month_day(month: FloatArray) -> FloatArray:
    """Day of the year in the middle of each month 1..12, twelfths of a mean year (n,)."""
    return (np.asarray(month, dtype=float) - 0.5) * DAYS_PER_YEAR / 12


def swing(coefficients: FloatArray) -> tuple[float, float]:
    """Half the swing of a season and the day of its peak.

    Parameters
    ----------
    coefficients : ndarray, shape (2 n_harmonics,)
        In the order of :func:`harmonic_columns`.

    Returns
    -------
    half_swing : float
        Half of highest less lowest; with one harmonic its amplitude.
    peak_day : float
        Day of the year of the highest value, in (0, 365.25].
    """
    if coefficients.size == 2:
        angle = float(np.arctan2(coefficients[1], coefficients[0]))
        return float(np.hypot(*coefficients)), _in_year(angle * DAYS_PER_YEAR / (2 * np.pi))
    days = np.linspace(0.0, DAYS_PER_YEAR, _FINE + 1)[1:]
    curve = coefficients @ harmonic_columns(days, coefficients.size // 2)
    return float(np.ptp(curve) / 2), float(days[int(np.argmax(curve))])


def _in_year(day: float) -> float:
    return day if day > 0 else day + DAYS_PER_YEAR
