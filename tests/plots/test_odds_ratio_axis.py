from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from biocal.results.plots.odds_ratio_axis import (
    odds_ratio,
    odds_ratio_limits,
    odds_ratio_ticks,
    use_odds_ratio_ticks,
)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.45, 2.2, [0.5, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0]),
        (0.1, 10.0, [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]),
        (0.93, 1.08, [0.95, 1.0, 1.05]),
        (1e-6, 1e6, [1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e6]),
    ],
)
def test_ticks_are_numbers_people_say(low, high, expected):
    assert odds_ratio_ticks(low, high) == expected


@given(below=st.floats(0.001, 12.0), above=st.floats(0.001, 12.0))
def test_ticks_are_few_ascending_inside_and_contain_one(below, above):
    low, high = float(np.exp(-below)), float(np.exp(above))
    ticks = odds_ratio_ticks(low, high)
    assert 1.0 in ticks
    assert 1 <= len(ticks) <= 7
    assert np.all(np.diff(ticks) > 0)
    assert ticks[0] >= low * (1 - 1e-8)
    assert ticks[-1] <= high * (1 + 1e-8)


@pytest.mark.parametrize("limits", [(0.0, 2.0), (2.0, 1.0), (1.0, np.inf), (-1.0, 1.0)])
def test_ticks_of_impossible_limits_do_not_fail(limits):
    assert odds_ratio_ticks(*limits) == [1.0]


def test_limits_contain_curves_and_bands_that_are_near():
    low, high, cut = odds_ratio_limits(np.array([-0.3, 0.2]), np.array([-0.6, 0.0]), np.array([0.0, 0.5]))
    assert low < np.exp(-0.6)
    assert high > np.exp(0.5)
    assert not cut


def test_limits_cut_a_hopeless_band_and_say_so():
    low, high, cut = odds_ratio_limits(np.array([0.0, 0.1]), np.array([0.0, -50.0]), np.array([0.0, 50.0]))
    assert cut
    assert 0.1 < low < 1 < high < 10


def test_limits_of_a_flat_curve_do_not_magnify_nothing():
    low, high, _ = odds_ratio_limits(np.zeros(3), np.zeros(3), np.zeros(3))
    assert low <= 1 / 1.15
    assert high >= 1.15


def test_limits_pass_over_what_is_not_finite():
    missing = np.array([0.1, np.nan])
    assert np.isfinite(odds_ratio_limits(missing, missing, np.array([np.inf, np.nan]))[:2]).all()


def test_odds_ratio_of_an_enormous_logarithm_is_finite_and_positive():
    values = odds_ratio(np.array([-5000.0, 5000.0]))
    assert np.isfinite(values).all()
    assert (values > 0).all()


def test_ticks_follow_when_the_user_changes_the_limits():
    axes = Figure().subplots()
    axes.set_yscale("log")
    use_odds_ratio_ticks(axes.yaxis)
    axes.set_ylim(0.45, 2.2)
    assert list(axes.get_yticks()) == [0.5, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0]
    axes.set_ylim(0.1, 10)
    assert next(iter(axes.get_yticks())) == 0.1
    axes.figure.draw_without_rendering()
    assert [text.get_text() for text in axes.get_yticklabels()][:2] == ["0.1", "0.2"]
