"""Properties that hold for every pool, whatever its shape: from a data frame to curves and tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
from enumeration import enumerate_sets
from fuzz_profile import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from pooled_fits import fit_frame
from random_pools import PoolShape, pool_shapes
from stacked_by_hand import StackedByHand

import biocal as bc
from biocal.errors import BiocalError
from biocal.model.exposure import LinearBasis, SplineBasis

METHODS = ("naive", "internalized", "full", "induced", "two-stage")
PLUG_IN = ("naive", "internalized", "full")
#: Of a standard error: two rows in another order, or another unit, end Newton's steps elsewhere within its rule.
SAME_MAXIMUM = 1e-5
#: Relative, between covariances at such points.
SAME_COVARIANCE = 1e-4
#: Extrapolated central differences of the estimating functions.
DIFFERENCES = 1e-4


def fitted(frame, method, exposure, **options):
    """The fit, or the error that names why there is none."""
    try:
        return bc.fit(bc.PooledStudies.from_frame(frame), method=method, exposure=exposure, **options)
    except BiocalError as error:
        return error


def assert_finite(fit):
    """No number that a user sees is NaN or infinite, except where there is none to tell."""
    assert np.isfinite(fit.params).all()
    vcov = fit.cov_params().to_numpy()
    assert np.isfinite(vcov).all()
    np.testing.assert_allclose(vcov, vcov.T, rtol=1e-9)
    scale = np.sqrt(np.diagonal(vcov))
    assert (scale > 0).all()
    assert np.linalg.eigvalsh(vcov / np.outer(scale, scale)).min() > -1e-8
    tidy = fit.tidy()
    assert np.isfinite(tidy.select_dtypes("number").to_numpy(dtype=float)).all()
    assert tidy["p_value"].between(0, 1).all()
    for curve in fit.dose_responses():
        table = curve.tidy()
        assert np.isfinite(table[["log_or", "std_error"]].to_numpy(dtype=float)).all()
        assert not table["exposure"].isna().any()
        assert not table[["or", "or_low", "or_high"]].isna().any().any()
    for test in fit.tests():
        assert np.isfinite(test.statistic)
        assert 0 <= test.p_value <= 1
    assert "nan" not in fit.summary().lower().split()


def scaled(fit):
    """Estimates in standard errors, and the correlation of the estimates: free of units."""
    vcov = fit.cov_params().to_numpy()
    errors = np.sqrt(np.diagonal(vcov))
    return fit.params.to_numpy() / errors, errors, vcov / np.outer(errors, errors)


def assert_same(one, two, *, covariance=1.0, units=1.0):
    """Two outcomes are one; `two` has `covariance` times the variance, and its coefficients times `units`."""
    if isinstance(one, BiocalError) or isinstance(two, BiocalError):
        assert type(one) is type(two), (one, two)
        return
    z1, errors1, correlation1 = scaled(one)
    z2, errors2, correlation2 = scaled(two)
    np.testing.assert_allclose(
        z2 * np.sqrt(covariance), z1, rtol=0, atol=SAME_MAXIMUM * (1 + np.abs(z1).max())
    )
    np.testing.assert_allclose(errors2, errors1 * np.sqrt(covariance) * units, rtol=SAME_COVARIANCE)
    np.testing.assert_allclose(correlation2, correlation1, rtol=0, atol=SAME_COVARIANCE)


def knots_of(shape: PoolShape):
    return bc.rcs([one * shape.scale for one in (4.0, 5.0, 6.5)])


@examples(25)
@given(
    shape=pool_shapes(),
    method=st.sampled_from(METHODS),
    exposure=st.sampled_from([bc.linear(), bc.rcs(3), bc.rcs(4), "knots", "cuts"]),
    covariates=st.sampled_from([None, "z"]),
)
def test_a_fit_is_finite_or_an_error_that_says_why(shape, method, exposure, covariates):
    if exposure == "cuts":
        exposure = bc.categories([4 * shape.scale, 5.5 * shape.scale])
    elif exposure == "knots":
        exposure = knots_of(shape)
    found = fitted(shape.draw(), method, exposure, covariates=covariates)
    if isinstance(found, BiocalError):
        assert str(found)
    else:
        assert_finite(found)


@examples(20)
@given(shape=pool_shapes(most_studies=5), method=st.sampled_from(METHODS), spline=st.booleans())
def test_names_order_and_types_of_ids_do_not_matter(shape, method, spline):
    frame = shape.draw()
    exposure = knots_of(shape) if spline else bc.linear()
    rng = np.random.default_rng(shape.seed)
    other = frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
    number = pd.factorize(other["set"])[0]
    other["set"] = [f" set-{one}" for one in rng.permutation(number.max() + 1)[number]]
    # the order of studies turns round
    other["study"] = other["study"].map({f"S{k}": f"cohort {100 - k}" for k in range(12)})
    other = other[["z", "reference", "set", "case", "local", "study"]]
    one, two = (fitted(each, method, exposure, covariates="z") for each in (frame, other))
    assert_same(one, two)


@examples(20)
@given(
    shape=pool_shapes(most_studies=5),
    method=st.sampled_from(METHODS),
    spline=st.booleans(),
    factor=st.sampled_from([1e-3, 2.496, 1e4]),
)
def test_the_unit_of_all_measurements_does_not_matter(shape, method, spline, factor):
    frame = shape.draw()
    other = frame.assign(local=frame["local"] * factor, reference=frame["reference"] * factor)
    one = fitted(frame, method, knots_of(shape) if spline else bc.linear(), covariates="z")
    knots = bc.rcs([knot * factor for knot in knots_of(shape).knots])
    two = fitted(other, method, knots if spline else bc.linear(), covariates="z")
    units = np.ones(3 if spline else 2)
    units[:-1] /= factor
    assert_same(one, two, units=units)


@examples(15)
@given(shape=pool_shapes(most_studies=4), method=st.sampled_from(METHODS[:4]), spline=st.booleans())
def test_the_pool_twice_has_half_the_covariance(shape, method, spline):
    frame = shape.draw()
    # a study that is another one's equal to the last value is refused: each gets a set without a case, which is dropped
    lone = frame[frame["case"] == 0].groupby("study", sort=False).head(1).assign(set="lone")
    lone["reference"] = lone["reference"].where(lone["local"].isna())
    if "person" in lone:
        lone["person"] = "lone"
    again = pd.concat([frame, lone])
    twice = pd.concat([frame, again.assign(study=again["study"] + " again")], ignore_index=True)
    exposure = knots_of(shape) if spline else bc.linear()
    options = {"covariates": "z", "calibration_covariates": "none"}
    one, two = (fitted(each, method, exposure, **options) for each in (frame, twice))
    assert_same(one, two, covariance=0.5)
    if not isinstance(one, BiocalError) and method in PLUG_IN:
        np.testing.assert_allclose(two.loglik, 2 * one.loglik, rtol=1e-9)


@examples(12)
@given(shape=pool_shapes(most_studies=4, reference_only=True), spline=st.booleans())
def test_without_local_studies_all_methods_are_one(shape, spline):
    frame = shape.draw()
    exposure = knots_of(shape) if spline else bc.linear()
    naive, *others = (fitted(frame, method, exposure, covariates="z") for method in METHODS[:4])
    for other in others:
        assert_same(naive, other)


@examples(12)
@given(shape=pool_shapes(most_studies=3, sets=(3, 6)), method=st.sampled_from(PLUG_IN), spline=st.booleans())
def test_the_engine_agrees_with_every_subset_written_out(shape, method, spline):
    frame = shape.draw()
    basis = SplineBasis(knots_of(shape).knots) if spline else LinearBasis()
    try:
        fit = fit_frame(frame, method, basis, covariates="z")
    except BiocalError:
        assume(False)
    from biocal.fitting.methods.plug_in import plug_in_exposure

    problem = fit.prepared.problem
    exposure = plug_in_exposure(problem, method, fit.calibration).value
    columns = np.vstack([basis.columns(exposure), problem.covariates])
    assume(len(fit.beta) == len(columns))
    unit = np.abs(columns).max(axis=1)
    slow = enumerate_sets(fit.beta @ columns, columns / unit[:, None], problem.is_case, problem.set_code)
    np.testing.assert_allclose(fit.outcome.loglik, slow.loglik, rtol=1e-9, atol=1e-9)
    information = fit.outcome.information / np.outer(unit, unit)
    size = np.sqrt(np.outer(np.diagonal(information), np.diagonal(information)))
    assert (np.abs(information - slow.information) <= 1e-8 * size).all()
    step = np.linalg.solve(slow.information, slow.score.sum(axis=1))
    assert slow.score.sum(axis=1) @ step < 1e-8, "the score is nought at the maximum"


SMALL_SHAPES = ((1, 1), (1, 2), (2, 1), (2, 2))


@examples(8)
@given(
    shape=pool_shapes(most_studies=3, sets=(5, 7), shapes=SMALL_SHAPES, sound=True),
    method=st.sampled_from(PLUG_IN),
    published=st.booleans(),
)
def test_the_sandwich_agrees_with_the_stack_written_out(shape, method, published):
    frame = shape.draw()
    # differences of steps of 1e-4 need columns of order one
    frame[["local", "reference"]] /= shape.scale
    frame["study"] = frame["study"].where(frame["local"].notna(), "R " + frame["study"])
    rule = {"calibration_covariates": "none"} if published else {}
    try:
        fit = fit_frame(frame, method, LinearBasis(), covariates="z", **rule)
    except BiocalError:
        assume(False)
    assume(np.abs(fit.beta).max() < 5)  # steeper ones leave the differences no digits
    reference = tuple(sorted(name for name in set(frame["study"]) if name.startswith("R ")))
    local = len(set(frame["study"])) > len(reference)
    columns = ("z",) if local and not published else ()
    by_hand = StackedByHand(
        frame, method, covariates=("z",), calibration=columns, reference_studies=reference
    )
    calibrated = method != "naive" and local
    gamma = fit.calibration.gamma if calibrated else np.zeros(by_hand.n_gamma)
    theta = np.concatenate([gamma, fit.beta])
    psi = by_hand.psi(theta)
    assert (np.abs(psi.sum(axis=0)) <= 1e-5 * np.abs(psi).sum(axis=0) + 1e-9).all()
    wanted = by_hand.covariance(theta)
    size = np.sqrt(np.outer(np.diagonal(wanted), np.diagonal(wanted)))
    assert (np.abs(fit.vcov - wanted) <= DIFFERENCES * size).all()
