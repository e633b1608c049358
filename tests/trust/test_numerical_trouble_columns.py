"""Columns nearly combinations of others, of any scale, far from 0: as exact as can be, or refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from troubled_pools import METHODS, errors_against_80_digits, fit, pool_frame, told

import biocal as bc
from biocal.errors import CalibrationDesignError, SingularInformationError

EPSILON = 2.2e-16
#: Of a standard error: Newton's last step squares what the stopping rule leaves.
SAME_COEFFICIENTS = 1e-9
#: Covariances of sound fits, in products of standard errors.
SAME_COVARIANCE = 1e-9
#: Nearly collinear: the rounding of the information (a few hundred sums) over 1 - R2.
ROUNDINGS = 300.0
#: Offsets: rounding of inner products over the share of their size that is not the offset.
ROUNDINGS_OF_OFFSET = 30.0


SLOW = pytest.mark.slow


@pytest.mark.parametrize("method", [pytest.param("naive", marks=SLOW), "internalized", "full"])
@pytest.mark.parametrize("knots", [pytest.param((), marks=SLOW), (3.5, 5.0, 6.5)])
def test_a_plain_pool_is_as_in_80_digits(method, knots):
    beta, vcov, _ = errors_against_80_digits(
        pool_frame(), method, knots=knots, covariates=("z1",), calibration=("z1",)
    )
    assert beta < SAME_COEFFICIENTS
    assert vcov < SAME_COVARIANCE


def with_twin(exponent, *, larger=False):
    """z2 with a correlation of 1 - 10^-exponent to z1."""
    frame = pool_frame(larger=larger)
    correlation = 1 - 10.0**-exponent
    noise = np.random.default_rng(7).normal(size=len(frame))
    return frame.assign(z2=correlation * frame["z1"] + np.sqrt(1 - correlation**2) * noise)


def check_nearly_collinear(exponent):
    frame, bound = with_twin(exponent), ROUNDINGS * EPSILON / (2 * 10.0**-exponent)
    beta, vcov, found = errors_against_80_digits(frame, "full", covariates=("z1", "z2"))
    assert beta < SAME_COEFFICIENTS
    assert vcov < SAME_COVARIANCE + bound
    assert any("z1, z2: nearly combinations" in note for note in told(found)) == (exponent >= 8)
    beta, vcov, _ = errors_against_80_digits(frame, "full", covariates=("z1",), calibration=("z1", "z2"))
    assert beta < SAME_COEFFICIENTS
    assert vcov < SAME_COVARIANCE + bound


@pytest.mark.parametrize("exponent", [4, 11])
def test_nearly_collinear_columns_lose_no_more_than_their_condition_costs(exponent):
    check_nearly_collinear(exponent)


@SLOW
@pytest.mark.parametrize("exponent", range(2, 12))
def test_every_nearly_collinear_pair_loses_no_more_than_its_condition_costs(exponent):
    check_nearly_collinear(exponent)


@pytest.mark.parametrize("exponent", [12, 14])
@pytest.mark.parametrize("method", METHODS)
def test_columns_collinear_to_rounding_are_refused_by_name(exponent, method):
    frame = with_twin(exponent, larger=True)
    if method == "two-stage":  # studies leave the second column out; the fit tells of it
        found = fit(frame, method, covariates="z1 + z2", calibration_covariates="none")
        assert any("z2 is left out" in note for note in told(found))
        return
    with pytest.raises(SingularInformationError, match="z2 cannot be told apart from z1") as caught:
        fit(frame, method, covariates="z1 + z2", calibration_covariates="none")
    assert caught.value.terms == ("z2",)


@pytest.mark.parametrize("exponent", [pytest.param(12, marks=SLOW), 14])
def test_calibration_covariates_collinear_to_rounding_keep_the_fit(exponent):
    beta, vcov, _ = errors_against_80_digits(
        with_twin(exponent), "full", covariates=("z1",), calibration=("z1", "z2")
    )
    assert beta < SAME_COEFFICIENTS
    assert vcov < ROUNDINGS * EPSILON / (2 * 10.0**-exponent)


def in_units(found, units):
    """Estimates and standard errors per unit of the plain pool."""
    return found.params.to_numpy() * units, np.sqrt(np.diagonal(found.cov_params())) * units


def assert_same(found, plain, units, *, errors, of_errors):
    beta, size = in_units(plain, 1.0)
    other, other_size = in_units(found, units)
    assert (np.abs(other - beta) <= errors * size).all()
    np.testing.assert_allclose(other_size, size, rtol=of_errors)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spline", [False, True])
def test_scales_of_1e9_and_1e_minus_9_mixed_in_one_model_change_nothing(method, spline):
    frame = pool_frame(larger=True)
    knots = np.array([3.5, 5.0, 6.5])
    plain = fit(frame, method, covariates="z1", exposure=bc.rcs(knots) if spline else bc.linear())
    for scale, of_covariate in ((1e-9, 1e9), (1e9, 1e-9)):
        other = frame.assign(
            local=frame["local"] * scale,
            reference=frame["reference"] * scale,
            z1=frame["z1"] * of_covariate,
        )
        exposure = bc.rcs(knots * scale) if spline else bc.linear()
        found = fit(other, method, covariates="z1", exposure=exposure)
        units = np.array([scale] * (2 if spline else 1) + [of_covariate])
        assert_same(found, plain, units, errors=1e-10, of_errors=1e-10)


@pytest.mark.parametrize("method", ["naive", "full", *(pytest.param(one, marks=SLOW) for one in METHODS[3:])])
def test_an_offset_costs_what_its_digits_cost_and_is_told(method):
    frame = pool_frame(larger=True)
    plain = fit(frame, method, covariates="z1")
    for offset in (1e3, 1e6, 2e7):
        ratio = offset / np.ptp(frame["z1"])
        for columns in (["local", "reference"], ["z1"]):
            found = fit(
                frame.assign(**{one: frame[one] + offset for one in columns}), method, covariates="z1"
            )
            assert_same(
                found,
                plain,
                1.0,
                errors=SAME_COEFFICIENTS + 1e3 * EPSILON * ratio,
                of_errors=SAME_COVARIANCE + ROUNDINGS_OF_OFFSET * EPSILON * ratio**2,
            )
            warned = [note for note in told(found) if "subtract a constant" in note]
            assert bool(warned) == (offset > 1e7), (offset, columns)


@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize("column", ["local", "z1"])
def test_an_offset_that_leaves_too_few_digits_is_refused_by_name(method, column):
    frame = pool_frame(larger=True)
    frame[column] += 1e9
    with pytest.raises(CalibrationDesignError, match="too few digits are left") as caught:
        fit(frame, method, covariates="z1")
    assert column in str(caught.value) or "local values of study A" in str(caught.value)
    assert "Subtract a constant" in str(caught.value)


def test_naive_needs_no_calibration_and_keeps_what_digits_there_are():
    frame = pool_frame()
    plain = fit(frame, "naive", covariates="z1")
    other = frame.assign(local=frame["local"] + 1e9, reference=frame["reference"] + 1e9)
    found = fit(other, "naive", covariates="z1")
    assert_same(found, plain, 1.0, errors=1e-6, of_errors=1e-6)


@pytest.mark.parametrize("gap", [pytest.param(1e-3, marks=SLOW), pytest.param(1e-6, marks=SLOW), 1e-9])
@pytest.mark.parametrize("place", ["inner", "last", "all"])
def test_knots_that_nearly_coincide_give_the_curve_of_80_digits(gap, place):
    middle = {"inner": (4.0, 5.0, 5.0 + gap, 6.5), "last": (4.0, 5.0, 6.5 - gap, 6.5)}
    knots = middle.get(place, (5.0 - gap, 5.0, 5.0 + gap))
    beta, vcov, found = errors_against_80_digits(pool_frame(), "full", knots=knots)
    # Differences of knots keep the digits that their values leave them.
    assert beta < SAME_COEFFICIENTS + 1e2 * EPSILON / gap
    assert vcov < SAME_COVARIANCE + 1e3 * EPSILON / gap
    warned = any("nobody has an exposure between the knots" in note for note in told(found))
    assert warned or gap > 1e-6


def test_knots_in_a_gap_of_the_data_are_told_and_knots_outside_refused():
    frame = pool_frame()
    far = frame[frame["study"] == "R"].copy()
    far["reference"] += np.where(far["reference"] > 5, 100.0, 0.0)
    far["local"] = np.nan
    found = fit(far, "full", exposure=bc.rcs([20.0, 50.0, 80.0]))
    assert any("between the knots 20 and 50; 50 and 80" in note for note in told(found))
    beta, vcov, _ = errors_against_80_digits(far, "full", knots=(20.0, 50.0, 80.0))
    assert beta < SAME_COEFFICIENTS
    assert vcov < SAME_COVARIANCE
    for knots in ([-30.0, -20.0, -10.0], [4.0, 5.0, 1000.0]):
        with pytest.raises(ValueError, match="lie outside the exposure's range"):
            fit(far, "full", exposure=bc.rcs(knots))


def test_thousands_of_ties_at_a_knot_are_fitted_and_equal_quantile_knots_refused():
    rng = np.random.default_rng(2)
    n = 3_000
    frame = pd.DataFrame({"study": "R", "set": np.repeat(np.arange(n), 2), "case": np.tile([1, 0], n)})
    frame["reference"] = np.where(rng.random(2 * n) < 0.7, 5.0, rng.normal(5.2, 2, 2 * n))
    frame["local"] = np.nan
    given = fit(frame, "full", exposure=bc.rcs([3.0, 5.0, 7.0]))
    hair = frame.assign(reference=frame["reference"].where(frame["reference"] != 5.0, 5.0 + 1e-9))
    moved = fit(hair, "full", exposure=bc.rcs([3.0, 5.0, 7.0]))
    # the columns have two derivatives at a knot
    np.testing.assert_allclose(moved.params, given.params, atol=1e-8)
    np.testing.assert_allclose(moved.cov_params(), given.cov_params(), rtol=1e-6)
    with pytest.raises(ValueError, match="with many tied values give the knots yourself"):
        fit(frame, "full", exposure=bc.rcs(4))
