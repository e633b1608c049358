"""Exposure terms: names, columns, what is learned, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from biocal.errors import OptionError
from biocal.kernels.splines import spline_columns, spline_curvatures, spline_slopes
from biocal.model.exposure import CategoryBasis, LinearBasis, SplineBasis, categories, linear, rcs

X = np.array([-3.0, 10.0, 29.999, 30.0, 42.0, 50.0, 75.0, 300.0])


def test_linear_is_the_exposure_itself():
    basis = linear().learn(X)
    assert basis == LinearBasis()
    assert basis.names == ("exposure",)
    np.testing.assert_array_equal(basis.columns(X), X[None])
    np.testing.assert_array_equal(basis.slopes(X), np.ones((1, X.size)))
    np.testing.assert_array_equal(basis.curvatures(X), np.zeros((1, X.size)))
    assert "nmol/L" in basis.describe("nmol/L")


def test_a_spline_has_harrells_primes_and_the_kernels_columns():
    basis = rcs([30, 45, 50, 70]).learn()
    assert basis == SplineBasis((30.0, 45.0, 50.0, 70.0))
    assert basis.names == ("exposure", "exposure'", "exposure''")
    np.testing.assert_array_equal(basis.columns(X), spline_columns(X, basis.knots))
    np.testing.assert_array_equal(basis.slopes(X), spline_slopes(X, basis.knots))
    np.testing.assert_array_equal(basis.curvatures(X), spline_curvatures(X, basis.knots))
    assert "4 knots at 30, 45, 50, 70 nmol/L" in basis.describe("nmol/L")


@pytest.mark.parametrize(("asked", "probabilities"), [(3, (0.1, 0.5, 0.9)), (4, (0.05, 0.35, 0.65, 0.95))])
def test_a_number_of_knots_learns_harrells_quantiles(asked, probabilities):
    exposure = np.random.default_rng(1).gamma(5, 12, 500)
    specification = rcs(asked)
    assert specification.needs_data
    np.testing.assert_array_equal(specification.learn(exposure).knots, np.quantile(exposure, probabilities))


def test_the_default_is_four_knots():
    assert rcs() == rcs(4)


def test_given_probabilities_are_used():
    exposure = np.arange(101.0)
    assert rcs(probs=[0.2, 0.5, 0.75]).learn(exposure).knots == (20.0, 50.0, 75.0)


def test_given_knots_need_no_data_and_are_kept():
    assert not rcs([30, 50, 70]).needs_data
    assert rcs([30, 50, 70]).learn(np.array([20.0, 80.0])).knots == (30.0, 50.0, 70.0)


@pytest.mark.parametrize(("knots", "outside"), [([30, 50, 90], [90.0]), ([1, 2, 3], [1.0, 2.0, 3.0])])
def test_knots_outside_the_data_are_told(knots, outside):
    with pytest.raises(OptionError, match="outside the exposure's range, 20 to 80") as caught:
        rcs(knots).learn(np.array([20.0, 55.0, 80.0]))
    assert caught.value.knots == outside


@pytest.mark.parametrize("knots", [2, 8, 0, [30, 50], [50, 30, 70], [30, 30, 70], [30, np.nan, 70]])
def test_impossible_knots_are_refused(knots):
    with pytest.raises(OptionError, match="knots"):
        rcs(knots)


@pytest.mark.parametrize(
    "probs", [[0, 0.5, 0.9], [0.1, 0.5, 1], [0.5, 0.1, 0.9], [0.1, 0.9], [0.1, 0.5, 0.5]]
)
def test_impossible_probabilities_are_refused(probs):
    with pytest.raises(OptionError, match="knot"):
        rcs(probs=probs)


def test_quantiles_that_coincide_are_refused_when_learned():
    with pytest.raises(OptionError, match="tied values"):
        rcs(4).learn(np.repeat([10.0, 20.0], [95, 5]))


def test_categories_are_half_open():
    basis = categories([30, 50, 75], reference="[50, 75)").learn(X)
    assert basis == CategoryBasis((30.0, 50.0, 75.0), 2)
    assert basis.labels == ("(-inf, 30)", "[30, 50)", "[50, 75)", "[75, inf)")
    assert basis.names == ("exposure(-inf, 30)", "exposure[30, 50)", "exposure[75, inf)")
    np.testing.assert_array_equal(basis.codes(X), [0, 0, 0, 1, 1, 2, 3, 3])
    np.testing.assert_array_equal(
        basis.columns(X), [[1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0, 0], [0] * 6 + [1, 1]]
    )
    np.testing.assert_array_equal(basis.slopes(X), np.zeros((3, X.size)))
    assert "reference [50, 75)" in basis.describe()


@pytest.mark.parametrize("reference", ["[30, 50)", "[30,50)", " [30,  50) ", 1])
def test_a_reference_category_is_found_by_label_or_position(reference):
    assert categories([30, 50], reference=reference).reference == 1


@pytest.mark.parametrize("reference", ["[30, 51)", "30-50", 3, -1])
def test_an_unknown_reference_category_is_told_with_those_there_are(reference):
    with pytest.raises(OptionError) as caught:
        categories([30, 50], reference=reference)
    assert caught.value.allowed == ("(-inf, 30)", "[30, 50)", "[50, inf)")


@pytest.mark.parametrize("cuts", [[], [50, 30], [30, 30], [30, np.inf], [np.nan]])
def test_impossible_cuts_are_refused(cuts):
    with pytest.raises(OptionError, match="cut points must be finite and increasing"):
        categories(cuts)
