"""Harmonics of the year: mean zero, peak and swing."""

from __future__ import annotations

import numpy as np
import pytest

from biocal.kernels.splines import DAYS_PER_YEAR, harmonic_columns, mid_month_day, swing

SAME_ARITHMETIC = 1e-12


def test_harmonics_have_mean_zero_over_the_months_and_are_orthogonal():
    columns = harmonic_columns(mid_month_day(np.arange(1, 13)), 2)
    np.testing.assert_allclose(columns.mean(axis=1), 0.0, atol=SAME_ARITHMETIC)
    np.testing.assert_allclose(columns @ columns.T, 6 * np.eye(4), atol=20 * SAME_ARITHMETIC)


@pytest.mark.parametrize("peak", [1.0, 15.0, 100.5, 243.0, 365.25])
def test_peak_and_amplitude_of_one_harmonic_are_given_back(peak):
    half, day = swing(7.0 * harmonic_columns(np.array([peak]))[:, 0])
    assert half == pytest.approx(7.0, rel=SAME_ARITHMETIC)
    assert day == pytest.approx(peak, abs=1e-9)


def test_peak_of_two_harmonics_is_that_of_the_curve():
    coefficients = np.array([3.0, -4.0, 1.5, 2.5])
    days = np.linspace(0, DAYS_PER_YEAR, 200_001)
    curve = coefficients @ harmonic_columns(days, 2)
    half, day = swing(coefficients)
    assert half == pytest.approx(np.ptp(curve) / 2, rel=1e-5)  # looked for every sixth of a day
    assert day == pytest.approx(days[curve.argmax()], abs=0.2)


def test_a_second_harmonic_of_nothing_changes_nothing():
    one, two = swing(np.array([3.0, -4.0])), swing(np.array([3.0, -4.0, 0.0, 0.0]))
    assert two[0] == pytest.approx(one[0], rel=1e-5)
    assert two[1] == pytest.approx(one[1], abs=0.2)
