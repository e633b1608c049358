"""Passing and Bablok's line of decimals against exact fractions, every two pairs one by one."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from biocal.kernels.method_comparison import passing_bablok

#: Quotients of whole numbers are rounded once, their mean once more.
SAME = 1e-14


def exact_line(first: list[str], second: list[str]) -> tuple[float, float, float, float]:
    """Intercept, slope and its limits by fractions of the values as written."""
    x, y = [Fraction(v) for v in first], [Fraction(v) for v in second]
    n, finite, vertical, below = len(x), [], 0, 0
    for i in range(n):
        for j in range(i + 1, n):
            if x[i] == x[j]:
                vertical += y[i] != y[j]
                continue
            slope = (y[j] - y[i]) / (x[j] - x[i])
            below += slope < -1
            if slope != -1:
                finite.append(slope)
    finite.sort()
    count = len(finite) + vertical

    def at(place: int) -> Fraction | float:
        return finite[place] if 0 <= place < len(finite) else math.inf if 0 <= place < count else math.nan

    half = 1.959963984540054 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = round((count - half) / 2)
    middle, above = at((count - 1) // 2 + below), at(count // 2 + below)
    if not (isinstance(middle, Fraction) and isinstance(above, Fraction)):
        slope, intercept = (float(middle) + float(above)) / 2, math.nan
        return intercept, slope, float(at(low + below - 1)), float(at(count - low + below))
    slope = (middle + above) / 2
    rest = sorted(b - slope * a for a, b in zip(x, y, strict=True))
    intercept = (rest[(n - 1) // 2] + rest[n // 2]) / 2
    return float(intercept), float(slope), float(at(low + below - 1)), float(at(count - low + below))


def written(rng: np.random.Generator, n: int, decimals: int, law: str) -> tuple[list[str], list[str]]:
    """Values of few distinct decimals: many ties, many slopes of exactly -1."""
    x = rng.integers(0, 12, n)
    falls = rng.random(n) < (0.8 if law == "falling" else 0.3)
    y = np.where(falls, 11 - x, x + rng.integers(-2, 3, n) + 3)
    first, second = ([f"{v / 10**decimals:.{decimals}f}" for v in w] for w in (x, y))
    return first, second


def found(first: list[str], second: list[str]) -> list[float]:
    line = passing_bablok(np.array(first, dtype=float), np.array(second, dtype=float))
    return [line.intercept, line.slope, line.slope_low, line.slope_high]


@pytest.mark.parametrize("decimals", [1, 2, 4])
@pytest.mark.parametrize("law", ["rising", "falling"])
def test_the_line_of_decimals_with_ties_is_that_of_exact_fractions(decimals, law):
    for seed in range(60):
        rng = np.random.default_rng([seed, decimals])
        first, second = written(rng, int(rng.integers(4, 25)), decimals, law)
        np.testing.assert_allclose(
            found(first, second)[1:], exact_line(first, second)[1:], rtol=SAME, equal_nan=True
        )
        # The intercept is a difference of values up to 14: absolute rounding.
        if math.isfinite(exact_line(first, second)[1]):
            np.testing.assert_allclose(found(first, second)[0], exact_line(first, second)[0], atol=1e-13)


@pytest.mark.parametrize("exponent", [-300, -150, -7, -1, 1, 6, 22, 150, 290])
def test_values_times_a_power_of_ten_have_the_same_slope_and_limits(exponent):
    rng = np.random.default_rng(4)
    first, second = written(rng, 25, 2, "falling")
    scaled = [[f"{v}e{exponent}" for v in values] for values in (first, second)]
    # Beyond 15 places a scaled whole number is rounded once.
    np.testing.assert_allclose(found(*scaled)[1:], found(first, second)[1:], rtol=SAME)


def test_the_order_of_the_pairs_does_not_matter_where_first_values_are_equal():
    first, second = ["1.1", "1.1", "1.1", "2.3", "2.3"], ["0.9", "1.4", "1.2", "2.2", "2.6"]
    expected = exact_line(first, second)
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(5)
        shuffled = [[values[k] for k in order] for values in (first, second)]
        np.testing.assert_allclose(found(*shuffled), expected, rtol=1e-13, equal_nan=True)


def test_small_steps_on_large_values_keep_their_slopes():
    first = ["1000000.01", "1000000.02", "1000000.04", "1000000.07", "1000000.11"]
    second = ["2000000.02", "2000000.03", "2000000.06", "2000000.09", "2000000.16"]
    np.testing.assert_allclose(
        found(first, second)[1:], exact_line(first, second)[1:], rtol=SAME, equal_nan=True
    )


def test_equal_first_values_alone_have_a_vertical_line():
    intercept, slope, *_ = found(["0.3"] * 4, ["0.4", "0.3", "0.2", "0.1"])
    assert not np.isfinite(intercept)
    assert slope == np.inf


def test_rounding_of_a_change_of_unit_does_not_hide_slopes_of_minus_one():
    first, second = written(np.random.default_rng(9), 25, 1, "falling")
    x, y = (np.array(values, dtype=float) * 2.496 for values in (first, second))
    line = passing_bablok(x, y)
    np.testing.assert_allclose(
        [line.slope, line.slope_low, line.slope_high],
        exact_line(first, second)[1:],
        rtol=1e-12,
        equal_nan=True,
    )


def test_values_hundreds_of_orders_apart_raise_nothing():
    line = passing_bablok(np.array([1e-300, 1.0, 2.0, 1e300]), np.array([1e-300, 1.0, 2.0, 1e300]))
    assert line.slope == pytest.approx(1.0, rel=SAME)
