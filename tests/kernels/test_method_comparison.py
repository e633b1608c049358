"""Lines that relate two laboratories, against minimisation, enumeration and numbers worked by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from biocal.kernels.method_comparison import MOST_PAIRS, bland_altman, deming, passing_bablok

SAME = 1e-12  # the same arithmetic in another order
MINIMISED = 1e-6  # a minimiser's last steps


def draw(seed=4, n=40, slope=0.8):
    rng = np.random.default_rng(seed)
    truth = rng.normal(50, 12, n)
    return truth + rng.normal(0, 3, n), 5 + slope * truth + rng.normal(0, 3, n)


def test_deming_minimises_the_squared_distances_to_the_line():
    x, y = draw()
    line = deming(x, y)

    def distance(theta):
        intercept, slope = theta
        return np.sum((y - intercept - slope * x) ** 2) / (1 + slope**2)

    found = minimize(distance, [0.0, 1.0], method="BFGS", options={"gtol": 1e-10}).x
    np.testing.assert_allclose([line.intercept, line.slope], found, rtol=MINIMISED, atol=1e-5)


def test_deming_of_the_exchanged_laboratories_is_the_inverse_line():
    x, y = draw()
    one, other = deming(x, y), deming(y, x)
    np.testing.assert_allclose(other.slope, 1 / one.slope, rtol=SAME)
    np.testing.assert_allclose(other.intercept, -one.intercept / one.slope, rtol=1e-10)


def test_deming_recovers_the_true_line_that_least_squares_flattens():
    x, y = draw(n=20_000)
    # standard error about 3 sqrt(1 + .64) / (12 sqrt(20000)) = .0023
    np.testing.assert_allclose(deming(x, y).slope, 0.8, atol=0.01)
    assert np.polyfit(x, y, 1)[0] < 0.77


@pytest.mark.parametrize("n", [7, 8])
def test_passing_and_bablok_by_enumeration(n):
    rng = np.random.default_rng(n)
    x, y = rng.integers(0, 9, n).astype(float), rng.integers(0, 9, n).astype(float)
    slopes = []
    for i, j in itertools.combinations(range(n), 2):
        dx, dy = x[j] - x[i], y[j] - y[i]
        if dx == 0 and dy == 0:
            continue
        slope = float(np.inf * np.sign(dy)) if dx == 0 else dy / dx
        if slope != -1:
            slopes.append(slope)
    slopes.sort()
    below = sum(slope < -1 for slope in slopes)
    count = len(slopes)
    if count % 2:
        expected = slopes[(count + 1) // 2 + below - 1]
    else:
        expected = (slopes[count // 2 + below - 1] + slopes[count // 2 + below]) / 2
    line = passing_bablok(x, y)
    np.testing.assert_allclose(line.slope, expected, rtol=SAME)
    np.testing.assert_allclose(line.intercept, np.median(y - expected * x), rtol=SAME)


def test_passing_and_bablok_on_an_exact_line_with_limits_about_it():
    x = np.array([1.0, 2.0, 4.0, 7.0, 9.0, 12.0])
    line = passing_bablok(x, 3 + 1.5 * x)
    np.testing.assert_allclose((line.intercept, line.slope), (3, 1.5), rtol=SAME)
    np.testing.assert_allclose((line.slope_low, line.slope_high), (1.5, 1.5), rtol=SAME)
    wide = passing_bablok(*draw(n=60))
    assert wide.slope_low < wide.slope < wide.slope_high


def test_the_limits_of_passing_and_bablok_cover():
    covered = 0
    for seed in range(300):
        line = passing_bablok(*draw(seed=seed, n=40, slope=1.0))
        covered += line.slope_low <= 1.0 <= line.slope_high
    # 95 %, standard error of a share .95 of 300: .0126
    assert 0.95 - 4 * 0.0126 < covered / 300


def test_bias_and_limits_worked_by_hand():
    # differences 1, 2, 3: mean 2, SD 1
    agreement = bland_altman(np.array([10.0, 20.0, 30.0]), np.array([11.0, 22.0, 33.0]))
    np.testing.assert_allclose(
        (agreement.bias, agreement.low, agreement.high), (2, 2 - 1.959963984540054, 2 + 1.959963984540054)
    )


def test_what_cannot_be_computed_is_blank():
    many = np.arange(MOST_PAIRS + 1.0)
    assert np.isnan(passing_bablok(many, many).slope)
    flat = deming(np.array([1.0, 2.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0, 2.0]))
    assert np.isnan(flat.slope)
