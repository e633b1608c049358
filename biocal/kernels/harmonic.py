"""Harmonics of the year: columns, swing and peak."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

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
