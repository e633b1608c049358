"""Two laboratories' values of the same specimens compared: what a laboratory looks at beside a calibration.

None of these predicts the reference value from the local one: Deming's and Passing and Bablok's lines treat
both laboratories as measuring with error and estimate how their *true* values relate, so that they are
steeper than least squares by about 1 / reliability.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Pairs above which Passing and Bablok's line is not computed: it looks at every two of them (our choice).
MOST_PAIRS = 2000
#: Normal quantile of the limits of agreement and of 95 % intervals.
_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Agreement:
    """Bland and Altman's bias and limits of agreement, in the unit of the values.

    Attributes
    ----------
    bias : float
        Mean of second minus first.
    low, high : float
        Bias -+ 1.96 SD of the differences.
    """

    bias: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ComparisonLine:
    """second = intercept + slope * first; limits of the slope are NaN where there are none."""

    intercept: float
    slope: float
    slope_low: float = float("nan")
    slope_high: float = float("nan")


def bland_altman(first: FloatArray, second: FloatArray) -> Agreement:
    """Bias and limits of agreement (Bland and Altman, Lancet 1986;1:307-310).

    Parameters
    ----------
    first, second : ndarray, shape (n,)
        Two or more pairs.
    """
    difference = second - first
    bias, spread = float(difference.mean()), float(difference.std(ddof=1))
    return Agreement(bias, bias - _Z * spread, bias + _Z * spread)


def deming(first: FloatArray, second: FloatArray) -> ComparisonLine:
    """Deming's line for equal error variances: orthogonal regression.

    Parameters
    ----------
    first, second : ndarray, shape (n,)
        Neither constant.

    Notes
    -----
    slope = (d + sqrt(d^2 + 4 s_xy^2)) / (2 s_xy), d = s_yy - s_xx (Deming, Statistical Adjustment of Data,
    1943; Linnet, Clin Chem 1993;39:424-432).  NaN where the values are uncorrelated.
    """
    x, y = first - first.mean(), second - second.mean()
    sxx, syy, sxy = float(x @ x), float(y @ y), float(x @ y)
    if sxy == 0.0:
        return ComparisonLine(float("nan"), float("nan"))
    d = syy - sxx
    slope = (d + np.sqrt(d * d + 4 * sxy * sxy)) / (2 * sxy)
    return ComparisonLine(float(second.mean() - slope * first.mean()), float(slope))


def passing_bablok(first: FloatArray, second: FloatArray) -> ComparisonLine:
    """Passing and Bablok's line: the shifted median of the slopes between every two pairs.

    Parameters
    ----------
    first, second : ndarray, shape (n,)
        In the same unit: the shift is made for slopes near 1.

    Returns
    -------
    ComparisonLine
        With the 95 % limits of the slope; NaN with more than `MOST_PAIRS` pairs.

    Notes
    -----
    Slopes 0/0 and -1 are left out, the median is shifted by the number of slopes below -1 (Passing and
    Bablok, J Clin Chem Clin Biochem 1983;21:709-720).  Equal first values have the slope +infinity, whatever the
    order of the pairs; a vertical line has an infinite slope.  Values are compared as the decimals they were
    reported with: a slope is -1 where first + second is the same for both pairs, and sums of binary fractions
    would miss that (.1 + .2 is not .3).
    """
    n = first.size
    nothing = ComparisonLine(float("nan"), float("nan"))
    if n > MOST_PAIRS or n < 3:
        return nothing
    x, y, total = _decimal_places(first, second)
    one, other = np.triu_indices(n, 1)
    dx, dy, above_minus_one = x[other] - x[one], y[other] - y[one], total[other] - total[one]
    kept = above_minus_one != 0  # neither -1 nor 0/0
    dx, dy, above_minus_one = dx[kept], dy[kept], above_minus_one[kept]
    slopes = np.sort(np.divide(dy, dx, out=np.full(dx.size, np.inf), where=dx != 0))
    shift, count = int((np.sign(dx) * np.sign(above_minus_one) < 0).sum()), slopes.size
    if count == 0:
        return nothing
    half = _Z * np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = round((count - half) / 2)
    places = [(count - 1) // 2 + shift, count // 2 + shift, low + shift - 1, count - low + shift]
    middle, above, lowest, highest = (float(slopes[p]) if 0 <= p < count else float("nan") for p in places)
    slope = (middle + above) / 2
    with np.errstate(invalid="ignore"):  # an infinite slope times 0
        intercept = float(np.median(second - slope * first))
    return ComparisonLine(intercept, slope, lowest, highest)


def _decimal_places(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Both values as multiples of their last decimal place, and the ranks of their exact sums."""
    # A double keeps every decimal of 15 digits; the 16th is rounding of a change of unit.
    x, y = ([Decimal(f"{value:.15g}") for value in values.tolist()] for values in (first, second))
    exponents = [int(value.as_tuple().exponent) for value in (*x, *y)]
    # Whole numbers below 2^53 have exact differences; further places than 200 below the largest count for nothing.
    unit = max(min(exponents), max(value.adjusted() for value in (*x, *y)) - 200)
    whole = [
        np.array([float(Fraction(value) / Fraction(10) ** unit) for value in values]) for values in (x, y)
    ]
    sums = np.array([Fraction(a) + Fraction(b) for a, b in zip(x, y, strict=True)], dtype=object)
    return whole[0], whole[1], np.unique(sums, return_inverse=True)[1].astype(float)
