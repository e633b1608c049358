"""The restricted cubic spline against its formula, hand-worked numbers, derivatives and an independent basis."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from biocal.errors import OptionError
from biocal.kernels.splines import (
    HARRELL_PROBABILITIES,
    default_probabilities,
    quantile_knots,
    require_knots,
    spline_columns,
    spline_curvatures,
    spline_slopes,
)

SAME_ARITHMETIC = 1e-12  # the same formula in another order; cubes of dozens over a squared span
DERIVATIVE = 1e-8  # central differences, step 1e-4, of a cubic

KNOTS = {3: (30.0, 50.0, 75.0), 4: (28.0, 41.0, 57.0, 92.0), 7: (5.0, 9.0, 14.0, 30.0, 31.0, 60.0, 61.5)}


def by_the_formula(x, knots):
    """The columns as the formula of the methods stands, cubes and all, one number at a time."""
    t = list(knots)
    last, penultimate = t[-1], t[-2]

    def cube(u):
        return max(u, 0.0) ** 3

    columns = [[float(v) for v in x]]
    for t_j in t[:-2]:
        columns.append(
            [
                (
                    cube(v - t_j)
                    - cube(v - penultimate) * (last - t_j) / (last - penultimate)
                    + cube(v - last) * (penultimate - t_j) / (last - penultimate)
                )
                / (last - t[0]) ** 2
                for v in x
            ]
        )
    return np.array(columns)


@pytest.mark.parametrize("n_knots", KNOTS)
def test_columns_are_those_of_the_formula(n_knots):
    x = np.linspace(-20, 150, 341)
    expected = by_the_formula(x, KNOTS[n_knots])
    np.testing.assert_allclose(spline_columns(x, KNOTS[n_knots]), expected, rtol=SAME_ARITHMETIC, atol=1e-10)


def test_columns_worked_by_hand():
    # Knots 0, 1, 2: f_2 = [x^3 - 2 (x-1)_+^3 + (x-2)_+^3] / 4, as Hmisc's rcspline.eval(norm=2) has it.
    columns = spline_columns([-1.0, 0.5, 1.0, 1.5, 2.0, 5.0], [0.0, 1.0, 2.0])
    by_hand = [0.0, 0.125 / 4, 1 / 4, (3.375 - 2 * 0.125) / 4, (8 - 2) / 4, (125 - 2 * 64 + 27) / 4]
    np.testing.assert_allclose(columns[1], by_hand, rtol=SAME_ARITHMETIC)
    np.testing.assert_array_equal(columns[0], [-1.0, 0.5, 1.0, 1.5, 2.0, 5.0])


@pytest.mark.parametrize("n_knots", KNOTS)
def test_the_columns_span_the_natural_cubic_splines(n_knots):
    # scipy's natural spline through any heights at the knots lies in the span of 1 and the columns.
    knots = np.array(KNOTS[n_knots])
    heights = np.random.default_rng(3).normal(size=knots.size)
    natural = CubicSpline(knots, heights, bc_type="natural")
    x = np.linspace(knots[0], knots[-1], 200)
    design = np.vstack([np.ones_like(x), spline_columns(x, knots)]).T
    at_knots = np.vstack([np.ones_like(knots), spline_columns(knots, knots)]).T
    weights = np.linalg.solve(at_knots, heights)
    np.testing.assert_allclose(design @ weights, natural(x), rtol=1e-9, atol=1e-9)  # a solve in between


@pytest.mark.parametrize("n_knots", KNOTS)
def test_slopes_and_curvatures_are_the_derivatives(n_knots):
    knots, step = KNOTS[n_knots], 1e-4
    x = np.linspace(-10, 120, 259) + 0.0123  # not on a knot, where the third derivative jumps
    slope = (spline_columns(x + step, knots) - spline_columns(x - step, knots)) / (2 * step)
    curvature = (spline_slopes(x + step, knots) - spline_slopes(x - step, knots)) / (2 * step)
    np.testing.assert_allclose(spline_slopes(x, knots), slope, rtol=DERIVATIVE, atol=DERIVATIVE)
    np.testing.assert_allclose(spline_curvatures(x, knots), curvature, rtol=DERIVATIVE, atol=DERIVATIVE)


@pytest.mark.parametrize("n_knots", KNOTS)
def test_tails_are_straight_however_far_out(n_knots):
    knots = KNOTS[n_knots]
    end = knots[-1] - knots[0]
    for x in (np.array([-1e9, -1e3, knots[0]]), knots[-1] + np.array([0.0, 1.0, 1e6, 1e12])):
        slopes = spline_slopes(x, knots)
        np.testing.assert_array_equal(slopes, np.repeat(slopes[:, :1], x.size, axis=1))
        expected = spline_columns(x[:1], knots) + slopes[:, :1] * (x - x[0])
        np.testing.assert_allclose(spline_columns(x, knots), expected, rtol=SAME_ARITHMETIC, atol=1e-12 * end)
        np.testing.assert_allclose(spline_curvatures(x[1:-1] * 1.0, knots), 0.0, atol=0)
    assert (spline_slopes(np.array([knots[0] - 1.0]), knots)[1:] == 0).all()


def test_the_unit_of_the_exposure_is_the_unit_of_every_column():
    x, factor = np.linspace(0, 120, 50), 2.496
    knots = np.array(KNOTS[4])
    np.testing.assert_allclose(
        spline_columns(factor * x, factor * knots), factor * spline_columns(x, knots), rtol=1e-11, atol=1e-11
    )
    np.testing.assert_allclose(
        spline_slopes(factor * x, factor * knots), spline_slopes(x, knots), rtol=1e-11, atol=1e-12
    )


@pytest.mark.parametrize("function", [spline_columns, spline_slopes, spline_curvatures])
def test_a_batch_is_its_problems_one_by_one(function):
    rng = np.random.default_rng(8)
    x, knots = rng.normal(50, 20, (5, 40)), np.sort(rng.normal(50, 20, (5, 4)))
    batch = function(x, knots)
    assert batch.shape == (5, 3, 40)
    for b in range(5):
        np.testing.assert_array_equal(batch[b], function(x[b], knots[b]))
        np.testing.assert_array_equal(function(x[0], knots)[b], function(x[0], knots[b]))
        np.testing.assert_array_equal(function(x, knots[0])[b], function(x[b], knots[0]))
        np.testing.assert_array_equal(function(x[:1], knots)[b], function(x[0], knots[b]))


def test_missing_values_stay_missing():
    columns = spline_columns([40.0, np.nan], KNOTS[3])
    assert np.isnan(columns[:, 1]).all()
    assert np.isfinite(columns[:, 0]).all()


def test_default_probabilities_are_harrells():
    assert default_probabilities(3) == (0.1, 0.5, 0.9)
    assert default_probabilities(4) == (0.05, 0.35, 0.65, 0.95)
    assert default_probabilities(5) == (0.05, 0.275, 0.5, 0.725, 0.95)
    assert default_probabilities(6) == (0.05, 0.23, 0.41, 0.59, 0.77, 0.95)
    assert default_probabilities(7) == (0.025, 0.1833, 0.3417, 0.5, 0.6583, 0.8167, 0.975)
    assert set(HARRELL_PROBABILITIES) == {3, 4, 5, 6, 7}


@pytest.mark.parametrize("n_knots", [-1, 0, 1, 2, 8])
def test_other_numbers_of_knots_are_refused_with_those_allowed(n_knots):
    with pytest.raises(OptionError, match=f"not {n_knots}") as caught:
        default_probabilities(n_knots)
    assert caught.value.allowed == (3, 4, 5, 6, 7)


def test_quantiles_are_of_type_7():
    # Type 7 of 1..5 at p: 1 + 4p.
    np.testing.assert_allclose(quantile_knots([3, 1, 5, 2, 4], (0.1, 0.5, 0.9)), [1.4, 3.0, 4.6])


@pytest.mark.parametrize(
    ("knots", "words"),
    [
        ([30.0, 50.0], "at least 3 knots"),
        ([], "at least 3 knots"),
        ([[30.0, 50.0, 70.0]], "at least 3 knots"),
        ([30.0, 70.0, 50.0], "increasing order"),
        ([30.0, 50.0, 50.0], "differ from each other"),
        ([0.0, 0.0, 0.0], "differ from each other"),
        ([30.0, np.nan, 50.0], "finite"),
        ([30.0, 50.0, np.inf], "finite"),
    ],
)
def test_bad_knots_are_refused_in_words(knots, words):
    with pytest.raises(OptionError, match=words) as caught:
        require_knots(knots)
    assert np.array_equal(caught.value.knots, np.asarray(knots), equal_nan=True)


def test_quantiles_that_coincide_are_refused():
    with pytest.raises(OptionError, match="tied values"):
        quantile_knots([10.0] * 90 + [20.0] * 10, (0.05, 0.35, 0.65, 0.95))
