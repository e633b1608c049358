"""Inverse-variance pooling against hand algebra, brute force, invariances and limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from biocal.errors import ConvergenceError, InputError, OptionError
from biocal.kernels.meta import reml_vectors as vector_search
from biocal.kernels.meta.numbers import (
    POOLING_METHODS,
    STANDARD_ERRORS,
    combine_estimates,
    leave_one_study_out,
)
from biocal.kernels.meta.reml import (
    largest_possible_tau_squared,
    restricted_log_likelihood,
    restricted_score,
)
from biocal.kernels.meta.vectors import combine_vectors, leave_one_study_out_of_vectors

SAME_ARITHMETIC = 1e-12  # the same formula in another order
TWO_OPTIMISERS = 1e-6  # an optimiser written for speed against a general one
SAME_MAXIMUM = 1e-8  # one optimiser, the problem recoded: both ends carry its own convergence error
DERIVATIVE = 1e-6  # central differences with a step of 1e-5

RANDOM_METHODS = ("dersimonian-laird", "reml")


def made_up_numbers(seed, k=8, tau=0.3):
    rng = np.random.default_rng(seed)
    variances = rng.uniform(0.005, 0.1, k)
    return 0.4 + rng.normal(size=k) * np.sqrt(variances + tau**2), variances


def made_up_vectors(seed, k=8, p=2, tau=0.3):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(k, p, p + 2)) * rng.uniform(0.1, 0.4, (k, 1, 1))
    within = mixing @ np.swapaxes(mixing, 1, 2) / (p + 2)
    between = tau**2 * (0.5 * np.eye(p) + 0.5)
    noise = [rng.multivariate_normal(np.zeros(p), v + between) for v in within]
    return np.arange(1, p + 1) * 0.2 + np.array(noise), within


def brute_restricted_loglik(estimates, covariances, between):
    """The restricted likelihood as a normal density of contrasts: no formula in common with the kernel."""
    k, p = estimates.shape
    total = np.zeros((k * p, k * p))
    for s in range(k):
        total[s * p : (s + 1) * p, s * p : (s + 1) * p] = covariances[s] + between
    # k - 1 orthonormal contrasts between the studies, the same for each column
    orthogonal = np.linalg.svd(np.ones((1, k)))[2][1:]
    contrasts = np.kron(orthogonal, np.eye(p))
    return stats.multivariate_normal.logpdf(
        contrasts @ estimates.ravel(), np.zeros((k - 1) * p), contrasts @ total @ contrasts.T
    )


# --- by hand ----------------------------------------------------------------------------------------------


def test_two_studies_under_a_fixed_effect_by_hand():
    pooled = combine_estimates([1.0, 3.0], [1.0, 3.0], method="fixed")
    # weights 1 and 1/3; mean (1 + 1) / (4/3) = 1.5; variance 3/4; Q = .25 + 2.25 / 3 = 1
    np.testing.assert_allclose(
        [pooled.estimate, pooled.std_error**2, pooled.heterogeneity.q, *pooled.weights],
        [1.5, 0.75, 1, 0.75, 0.25],
    )
    assert pooled.heterogeneity.df == 1
    assert pooled.heterogeneity.i_squared == 0
    assert pooled.tau_squared == 0
    np.testing.assert_allclose(pooled.p_value, 2 * stats.norm.sf(1.5 / np.sqrt(0.75)), rtol=SAME_ARITHMETIC)


@pytest.mark.parametrize("method", RANDOM_METHODS)
def test_equal_variances_give_the_sample_variance_minus_the_within_variance(method):
    # v = 1 everywhere: the mean is 3, sum of squares 26, sample variance 26 / 2 = 13, tau^2 = 13 - 1
    pooled = combine_estimates(
        [0.0, 2.0, 7.0], [1.0, 1.0, 1.0], method=method, standard_error="hartung-knapp"
    )
    np.testing.assert_allclose(
        [pooled.tau_squared, pooled.estimate, pooled.std_error**2, pooled.hartung_knapp_ratio],
        [12, 3, 13 / 3, 1],
        rtol=SAME_ARITHMETIC,
    )
    heterogeneity = pooled.heterogeneity
    np.testing.assert_allclose(
        [heterogeneity.q, heterogeneity.i_squared, heterogeneity.h_squared], [26, 24 / 26, 13]
    )
    np.testing.assert_allclose([pooled.i_squared_from_tau, pooled.h_squared_from_tau], [12 / 13, 13])
    # t on k - 1 = 2 for the mean, t on k - 2 = 1 for a new study
    half = stats.t.isf(0.025, 2) * np.sqrt(13 / 3)
    np.testing.assert_allclose([pooled.conf_low, pooled.conf_high], [3 - half, 3 + half], rtol=1e-9)
    new = stats.t.isf(0.025, 1) * np.sqrt(12 + 13 / 3)
    np.testing.assert_allclose([pooled.prediction_low, pooled.prediction_high], [3 - new, 3 + new], rtol=1e-9)


def test_equal_variances_give_the_textbook_standard_error_of_the_reml_tau_squared():
    # (k - 1) (tau^2 + v) / sigma^2 is chi-square: Var = 2 (tau^2 + v)^2 / (k - 1)
    pooled = combine_estimates([0.0, 2.0, 7.0], [1.0, 1.0, 1.0])
    np.testing.assert_allclose(pooled.tau_squared_std_error, 13, rtol=SAME_ARITHMETIC)


def test_dersimonian_laird_standard_error_is_that_of_the_quadratic_form():
    b, v = made_up_numbers(3)
    pooled = combine_estimates(b, v, method="dersimonian-laird")
    w = 1 / v
    p = np.diag(w) - np.outer(w, w) / w.sum()
    total = np.diag(v + pooled.tau_squared)
    by_trace = 2 * np.trace(p @ total @ p @ total) / np.trace(p) ** 2
    np.testing.assert_allclose(pooled.tau_squared_std_error**2, by_trace, rtol=SAME_ARITHMETIC)


def test_vectors_with_equal_covariances_give_the_sample_covariance_minus_the_within_covariance():
    rng = np.random.default_rng(5)
    b = rng.normal(size=(9, 3)) * 3
    within = np.array([[0.3, 0.1, 0.0], [0.1, 0.2, 0.05], [0.0, 0.05, 0.4]])
    pooled = combine_vectors(b, np.broadcast_to(within, (9, 3, 3)))
    np.testing.assert_allclose(pooled.between_covariance, np.cov(b.T) - within, atol=1e-9)
    np.testing.assert_allclose(pooled.estimate, b.mean(axis=0), rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(pooled.covariance, np.cov(b.T) / 9, atol=1e-9)
    np.testing.assert_allclose(pooled.weights, 1 / 9, rtol=SAME_ARITHMETIC)


def test_fixed_effect_of_vectors_is_generalised_least_squares():
    b, within = made_up_vectors(2, k=5, p=3)
    pooled = combine_vectors(b, within, method="fixed")
    stacked = np.vstack([np.eye(3)] * 5)
    total = np.zeros((15, 15))
    for s in range(5):
        total[3 * s : 3 * s + 3, 3 * s : 3 * s + 3] = within[s]
    bread = stacked.T @ np.linalg.solve(total, stacked)
    mean = np.linalg.solve(bread, stacked.T @ np.linalg.solve(total, b.ravel()))
    residual = b.ravel() - stacked @ mean
    np.testing.assert_allclose(pooled.estimate, mean, rtol=1e-10)
    np.testing.assert_allclose(pooled.covariance, np.linalg.inv(bread), rtol=1e-10)
    np.testing.assert_allclose(
        pooled.heterogeneity.q, residual @ np.linalg.solve(total, residual), rtol=1e-10
    )
    assert pooled.heterogeneity.df == 12


# --- brute force ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("tau", [0.0, 0.1, 1.0])
def test_reml_is_the_highest_point_of_a_fine_grid(seed, tau):
    b, v = made_up_numbers(seed, k=3 + seed % 5, tau=tau)
    pooled = combine_estimates(b, v)
    # well beyond the bound the search relies on
    grid = np.concatenate([[0], np.geomspace(1e-7, 100 * largest_possible_tau_squared(b, v), 20_000)])
    heights = restricted_log_likelihood(grid, b, v)
    assert pooled.restricted_log_likelihood >= heights.max() - SAME_ARITHMETIC
    top = int(heights.argmax())
    low, high = grid[max(top - 1, 0)], grid[min(top + 1, len(grid) - 1)]
    assert low <= pooled.tau_squared <= high


def test_the_higher_of_two_maxima_is_taken():
    # Two precise studies that agree, and imprecise ones that do not: the score changes sign twice.
    b, v = two_maxima()
    pooled = combine_estimates(b, v)
    grid = np.concatenate([[0], np.geomspace(1e-8, 1e4, 200_000)])
    heights = restricted_log_likelihood(grid, b, v)
    inner = (heights[1:-1] > heights[:-2]) & (heights[1:-1] > heights[2:])
    assert inner.sum() + (heights[0] > heights[1]) == 2
    assert pooled.search is not None
    assert pooled.search.n_local_maxima == 2
    assert any("2 local maxima" in remark for remark in pooled.remarks)
    assert pooled.restricted_log_likelihood >= heights.max()


def two_maxima():
    return np.array([0.0, 0.01, -0.01, 30.0, -30.0]), np.array([0.001, 0.001, 0.001, 40.0, 40.0])


def test_score_is_the_derivative_of_the_restricted_likelihood():
    b, v = made_up_numbers(1)
    at = np.array([0.02, 0.3, 2.0])
    numeric = (restricted_log_likelihood(at + 1e-5, b, v) - restricted_log_likelihood(at - 1e-5, b, v)) / 2e-5
    np.testing.assert_allclose(restricted_score(at, b, v), numeric, rtol=DERIVATIVE)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_restricted_likelihood_is_the_normal_density_of_contrasts(p):
    b, within = made_up_vectors(p, k=6, p=p)
    pooled = combine_vectors(b, within)
    brute = brute_restricted_loglik(b, within, pooled.between_covariance)
    np.testing.assert_allclose(pooled.restricted_log_likelihood, brute, rtol=1e-10)
    if p == 1:
        single = combine_estimates(b[:, 0], within[:, 0, 0])
        np.testing.assert_allclose(single.restricted_log_likelihood, brute, rtol=1e-10)


@pytest.mark.parametrize(
    ("seed", "k", "p", "tau"), [(1, 5, 2, 0.5), (2, 3, 2, 0.3), (3, 6, 3, 0.1), (4, 2, 2, 1.0)]
)
def test_vector_reml_is_not_beaten_by_a_general_optimiser(seed, k, p, tau):
    b, within = made_up_vectors(seed, k=k, p=p, tau=tau)
    pooled = combine_vectors(b, within)

    def minus_loglik(entries):
        lower = np.zeros((p, p))
        lower[np.tril_indices(p)] = entries
        return -brute_restricted_loglik(b, within, lower @ lower.T)

    rng = np.random.default_rng(seed)
    starts = rng.normal(size=(6, p * (p + 1) // 2)) * 0.4
    found = max(-optimize.minimize(minus_loglik, start, method="BFGS").fun for start in starts)
    assert pooled.restricted_log_likelihood >= found - SAME_MAXIMUM
    assert pooled.restricted_log_likelihood <= found + TWO_OPTIMISERS


def test_derivatives_of_the_vector_likelihood_are_right():
    b, within = made_up_vectors(7, k=5, p=3)
    rng = np.random.default_rng(0)
    between = np.cov(rng.normal(size=(3, 9)))
    direction = rng.normal(size=(3, 3))
    direction = direction + direction.T
    terms, ahead, behind = (
        vector_search._terms(b, within, between + h * direction) for h in (0.0, 1e-5, -1e-5)
    )
    np.testing.assert_allclose(
        np.sum(terms.gradient * direction), (ahead.loglik - behind.loglik) / 2e-5, rtol=DERIVATIVE
    )
    np.testing.assert_allclose(
        vector_search._gradient_change(terms, direction),
        (ahead.gradient - behind.gradient) / 2e-5,
        rtol=DERIVATIVE,
        atol=1e-7,
    )


def test_vector_maximum_meets_the_first_order_conditions_on_the_boundary():
    # Rank 1 of 3: the slope vanishes along T and points inwards nowhere else.
    b, within = made_up_vectors(11, k=3, p=3, tau=0.8)
    found = vector_search.between_covariance_by_reml(b, within)
    assert found.rank < 3
    slope = vector_search._terms(b, within, found.matrix).gradient
    np.testing.assert_allclose(slope @ found.matrix, 0, atol=1e-7)
    assert np.linalg.eigvalsh(slope)[-1] <= 1e-6


# --- collapse and invariance ------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.0, 0.4])
def test_vectors_of_one_column_are_numbers(tau):
    b, v = made_up_numbers(9, tau=tau)
    for method in ("fixed", "reml"):
        single = combine_estimates(b, v, method=method)
        vector = combine_vectors(b[:, None], v[:, None, None], method=method)
        np.testing.assert_allclose(vector.between_covariance[0, 0], single.tau_squared, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(vector.estimate[0], single.estimate, rtol=1e-9)
        np.testing.assert_allclose(vector.covariance[0, 0], single.std_error**2, rtol=1e-8)
        np.testing.assert_allclose(vector.weights, single.weights, rtol=1e-8)
        np.testing.assert_allclose(vector.heterogeneity.q, single.heterogeneity.q, rtol=1e-10)


@pytest.mark.parametrize("method", POOLING_METHODS)
@pytest.mark.parametrize("standard_error", STANDARD_ERRORS)
def test_numbers_do_not_depend_on_the_order_of_studies_nor_on_units(method, standard_error):
    b, v = made_up_numbers(4)
    options = {"method": method, "standard_error": standard_error}
    first = combine_estimates(b, v, **options)
    order = np.random.default_rng(0).permutation(len(b))
    shuffled = combine_estimates(b[order], v[order], **options)
    scale, shift = 2500.0, 1e6
    scaled = combine_estimates(b * scale + shift, v * scale**2, **options)
    np.testing.assert_allclose(shuffled.weights, first.weights[order], rtol=1e-9)
    for name in ("estimate", "conf_low", "conf_high", "prediction_low", "prediction_high"):
        np.testing.assert_allclose(getattr(shuffled, name), getattr(first, name), rtol=1e-9)
        np.testing.assert_allclose((getattr(scaled, name) - shift) / scale, getattr(first, name), rtol=1e-6)
    for name in ("hartung_knapp_ratio", "i_squared_from_tau", "h_squared_from_tau"):
        np.testing.assert_allclose(getattr(scaled, name), getattr(first, name), rtol=1e-6)


@pytest.mark.parametrize("method", ["fixed", "reml"])
@pytest.mark.parametrize("tau", [0.0, 0.5])
def test_vectors_follow_a_linear_recoding_of_the_columns(method, tau):
    b, within = made_up_vectors(6, k=7, p=3, tau=tau)
    recoding = np.array([[1000.0, 0.0, 0.0], [3.0, 0.002, 0.0], [-2.0, 0.5, 1.0]])
    first = combine_vectors(b, within, method=method)
    recoded = combine_vectors(b @ recoding.T, recoding @ within @ recoding.T, method=method)
    back = np.linalg.inv(recoding)
    np.testing.assert_allclose(back @ recoded.estimate, first.estimate, rtol=SAME_MAXIMUM)
    for name in ("covariance", "between_covariance", "prediction_covariance"):
        there = back @ getattr(recoded, name) @ back.T
        np.testing.assert_allclose(there, getattr(first, name), rtol=1e-6, atol=SAME_MAXIMUM)
    np.testing.assert_allclose(recoded.weights, first.weights, rtol=SAME_MAXIMUM)
    np.testing.assert_allclose(recoded.heterogeneity.q, first.heterogeneity.q, rtol=SAME_MAXIMUM)
    # l changes by the Jacobian alone: k - 1 contrasts of each column
    jacobian = (len(b) - 1) * np.log(abs(np.linalg.det(recoding)))
    if method == "reml":
        np.testing.assert_allclose(
            recoded.restricted_log_likelihood + jacobian, first.restricted_log_likelihood
        )


def test_vectors_do_not_depend_on_the_order_of_studies():
    b, within = made_up_vectors(8, k=6, p=2)
    order = np.array([3, 1, 5, 0, 2, 4])
    first, shuffled = combine_vectors(b, within), combine_vectors(b[order], within[order])
    np.testing.assert_allclose(shuffled.estimate, first.estimate, rtol=SAME_MAXIMUM)
    np.testing.assert_allclose(shuffled.between_covariance, first.between_covariance, atol=SAME_MAXIMUM)
    np.testing.assert_allclose(shuffled.weights, first.weights[order], rtol=SAME_MAXIMUM)


def test_matrix_weights_sum_to_the_identity_and_reproduce_the_pooled_vector():
    b, within = made_up_vectors(12, k=5, p=3)
    pooled = combine_vectors(b, within)
    np.testing.assert_allclose(pooled.matrix_weights.sum(axis=0), np.eye(3), atol=1e-10)
    np.testing.assert_allclose(np.einsum("sij,sj->i", pooled.matrix_weights, b), pooled.estimate, rtol=1e-10)
    np.testing.assert_allclose(pooled.weights.sum(), 1, rtol=SAME_ARITHMETIC)
    assert (pooled.weights > 0).all()


@pytest.mark.parametrize("method", RANDOM_METHODS)
def test_random_effects_without_heterogeneity_are_the_fixed_effect(method):
    b, v = np.array([0.3, 0.31, 0.29, 0.305]), np.array([0.1, 0.2, 0.05, 0.1])
    fixed, random = combine_estimates(b, v, method="fixed"), combine_estimates(b, v, method=method)
    assert random.tau_squared == 0
    assert random.estimate == fixed.estimate
    assert random.std_error == fixed.std_error
    assert random.heterogeneity == fixed.heterogeneity


def test_vector_random_effects_without_heterogeneity_are_the_fixed_effect():
    rng = np.random.default_rng(0)
    within = made_up_vectors(1, k=6, p=3)[1]
    b = 0.2 + 0.01 * rng.normal(size=(6, 3)) * np.sqrt(np.diagonal(within, axis1=1, axis2=2))
    fixed, random = combine_vectors(b, within, method="fixed"), combine_vectors(b, within)
    assert random.between_rank == 0
    np.testing.assert_array_equal(random.between_covariance, np.zeros((3, 3)))
    np.testing.assert_array_equal(random.estimate, fixed.estimate)
    np.testing.assert_array_equal(random.covariance, fixed.covariance)
    assert any("boundary" in remark for remark in random.remarks)


def test_leaving_one_study_out_estimates_tau_squared_anew():
    b, v = made_up_numbers(5, k=5, tau=0.5)
    left_out = leave_one_study_out(b, v, standard_error="hartung-knapp")
    again = combine_estimates(np.delete(b, 2), np.delete(v, 2), standard_error="hartung-knapp")
    assert len(left_out) == 5
    assert left_out[2].tau_squared == again.tau_squared
    assert left_out[2].conf_low == again.conf_low
    assert len({one.tau_squared for one in left_out}) == 5
    vectors, within = made_up_vectors(5, k=4, p=2)
    without = leave_one_study_out_of_vectors(vectors, within)
    np.testing.assert_array_equal(
        without[1].between_covariance,
        combine_vectors(np.delete(vectors, 1, axis=0), np.delete(within, 1, axis=0)).between_covariance,
    )


# --- intervals --------------------------------------------------------------------------------------------


def test_hartung_knapp_below_normal_is_told_and_the_cautious_option_prevents_it():
    b, v = np.array([0.3, 0.31, 0.29, 0.305]), np.array([0.1, 0.2, 0.05, 0.1])
    normal, plain, cautious = (combine_estimates(b, v, standard_error=kind) for kind in STANDARD_ERRORS)
    assert plain.std_error < normal.std_error
    assert any("smaller than the normal one" in remark for remark in plain.remarks)
    np.testing.assert_allclose(plain.std_error**2, plain.hartung_knapp_ratio * normal.std_error**2)
    assert cautious.std_error == normal.std_error
    assert cautious.conf_high > normal.conf_high  # the t quantile stays
    assert any("set to 1" in remark for remark in cautious.remarks)


@pytest.mark.parametrize("method", RANDOM_METHODS)
def test_studies_that_differ_widely_are_never_said_to_agree(method):
    b, v = np.array([2.0, -1.0, 0.0, 1.0, 0.2]), np.array([0.01, 0.02, 0.05, 0.1, 0.2])
    mean = np.average(b, weights=1 / v)
    q = float(((b - mean) ** 2 / v).sum())
    pooled = combine_estimates(b, v, method=method, standard_error="hartung-knapp")
    assert (pooled.heterogeneity.q, pooled.tau_squared > 0) == (pytest.approx(q), True)
    assert q > 100
    assert pooled.hartung_knapp_ratio < 1
    assert not any("agree" in remark for remark in pooled.remarks)


def test_a_ratio_of_1_but_for_rounding_is_not_told():
    # Deviations of +-d among n studies of one variance v have the ratio n d^2 / (n - 1) / v, here 1.
    b, v = np.array([-0.3, 0.3] * 2), np.full(4, 0.12 * (1 + 1e-12))
    for kind in STANDARD_ERRORS:
        pooled = combine_estimates(b, v, standard_error=kind)
        assert pooled.hartung_knapp_ratio == pytest.approx(1, abs=1e-11)
        assert pooled.hartung_knapp_ratio < 1
        assert pooled.remarks == ()


@pytest.mark.parametrize(("n", "t"), [(2, "12.7"), (3, "4.3")])
@pytest.mark.parametrize("kind", STANDARD_ERRORS)
def test_two_and_three_studies_are_told_what_z_and_t_intervals_mean(n, t, kind):
    b, v = np.array([0.0, 2.0, 1.5])[:n], np.full(n, 0.1)
    pooled = combine_estimates(b, v, standard_error=kind)
    (told,) = [remark for remark in pooled.remarks if "tau2 is hardly known" in remark]
    for part in ("z: 1.96 standard errors", f"t on {n - 1} df: {t} standard errors"):
        assert part in told
    width = float(t) if kind != "normal" else 1.96
    assert (pooled.conf_high - pooled.estimate) / pooled.std_error == pytest.approx(width, abs=0.05)
    many = combine_estimates(np.append(b, [1.0] * 3), np.full(n + 3, 0.1), standard_error=kind)
    assert not any("hardly known" in remark for remark in many.remarks)


def test_truncation_of_the_moment_estimate_is_told():
    pooled = combine_estimates([0.3, 0.31], [0.1, 0.1], method="dersimonian-laird")
    assert pooled.tau_squared == 0
    assert any("negative" in remark and "set to 0" in remark for remark in pooled.remarks)


def test_identical_estimates_pool_without_warnings():
    pooled = combine_estimates([0.5, 0.5, 0.5], [0.1, 0.2, 0.3], standard_error="hartung-knapp")
    assert pooled.std_error == 0
    assert pooled.p_value == 0
    assert pooled.conf_low == pooled.conf_high == 0.5
    assert combine_estimates([0.5] * 3, [0.1, 0.2, 0.3]).heterogeneity.i_squared == 0


def test_tails_do_not_die():
    pooled = combine_estimates([20.0, 20.1], [1.0, 1.0], method="fixed")
    np.testing.assert_allclose(pooled.p_value, 2 * stats.norm.sf(20.05 * np.sqrt(2)), rtol=1e-10)
    assert 0 < pooled.p_value < 1e-170
    assert 0 < combine_estimates([0.0, 50.0], [1.0, 1.0], method="fixed").heterogeneity.p_value < 1e-250


# --- few studies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", RANDOM_METHODS)
def test_a_single_study_is_that_study_and_tau_squared_is_not_estimable(method):
    pooled = combine_estimates([0.4], [0.04], method=method, standard_error="hartung-knapp")
    assert (pooled.estimate, pooled.weights.tolist()) == (0.4, [1.0])
    np.testing.assert_allclose(pooled.std_error, 0.2)
    np.testing.assert_allclose(pooled.conf_high, 0.4 + stats.norm.isf(0.025) * 0.2)
    assert pooled.standard_error_kind == "normal"
    assert np.isnan([pooled.tau_squared, pooled.tau_squared_std_error, pooled.prediction_low]).all()
    assert np.isnan([pooled.heterogeneity.p_value, pooled.heterogeneity.i_squared]).all()
    assert pooled.heterogeneity.df == 0
    assert any("single study" in remark for remark in pooled.remarks)
    assert any("needs two studies" in remark for remark in pooled.remarks)


def test_a_single_vector_is_that_vector_and_t_is_not_estimable():
    pooled = combine_vectors([[0.4, 0.1]], [np.eye(2)])
    np.testing.assert_array_equal(pooled.estimate, [0.4, 0.1])
    np.testing.assert_array_equal(pooled.covariance, np.eye(2))
    assert np.isnan(pooled.between_covariance).all()
    assert pooled.search is None


def test_two_studies_have_no_prediction_interval():
    pooled = combine_estimates([0.0, 2.0], [0.1, 0.1], standard_error="hartung-knapp")
    assert pooled.df == 1
    np.testing.assert_allclose(pooled.tau_squared, 2 - 0.1)
    assert np.isnan([pooled.prediction_low, pooled.prediction_high]).all()
    assert any("no prediction interval" in remark for remark in pooled.remarks)


def test_too_few_studies_for_a_covariance_are_told():
    pooled = combine_vectors([[0.0, 0.0], [2.0, 1.0]], [0.1 * np.eye(2)] * 2)
    # the difference d has variance .2 I + 2 T, and |d|^2 = 5: T = (5 - .2) / 2 along d
    np.testing.assert_allclose(pooled.between_covariance, 2.4 / 5 * np.array([[4, 2], [2, 1]]), rtol=1e-9)
    assert pooled.between_rank == 1
    assert any("cannot determine" in remark for remark in pooled.remarks)


# --- hard problems ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "p", "tau"), [(4, 5, 0.5), (17, 4, 0.0), (17, 4, 3.0), (40, 2, 0.02)])
def test_search_converges_from_most_starting_values(k, p, tau):
    for seed in range(3):
        search = combine_vectors(*made_up_vectors(seed, k=k, p=p, tau=tau)).search
        assert search is not None
        assert search.converged
        assert search.n_at_maximum >= 2
        assert search.score_norm < SAME_MAXIMUM


def test_variances_may_differ_by_many_orders_of_magnitude():
    b, v = np.array([0.1, 0.2, -0.4, 0.3, 1.0]), np.array([1e-9, 1e-3, 1.0, 1e3, 1e9])
    pooled = combine_estimates(b, v)
    grid = np.concatenate([[0], np.geomspace(1e-12, 1e6, 50_000)])
    assert pooled.restricted_log_likelihood >= restricted_log_likelihood(grid, b, v).max() - SAME_ARITHMETIC


def test_a_search_cut_short_raises_with_its_facts():
    b, within = made_up_vectors(1, k=5, p=3, tau=1.0)
    with pytest.raises(ConvergenceError, match="fixed-effect") as caught:
        vector_search.between_covariance_by_reml(b, within, max_iterations=1)
    assert caught.value.iterations == 1
    assert caught.value.decrement > 0


# --- refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimates", "variances", "studies"),
    [
        ([0.1, np.nan, 0.3], [0.1, 0.1, 0.1], (1,)),
        ([0.1, 0.2, np.inf], [0.1, 0.1, 0.1], (2,)),
        ([0.1, 0.2, 0.3], [0.0, 0.1, -1.0], (0, 2)),
        ([0.1, 0.2, 0.3], [0.1, np.inf, 0.1], (1,)),
    ],
)
def test_numbers_that_cannot_be_pooled_are_refused_by_study(estimates, variances, studies):
    with pytest.raises(InputError) as caught:
        combine_estimates(estimates, variances)
    assert caught.value.studies == studies
    assert f"number {studies[0] + 1}" in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "not positive definite"),
        (np.array([[1.0, 1.0], [1.0, 1.0]]), "not positive definite"),
        (np.array([[1.0, 0.5], [0.4, 1.0]]), "asymmetric"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), "not finite"),
        (np.array([[-1.0, 0.0], [0.0, 1.0]]), "not positive"),
    ],
)
def test_covariances_that_cannot_be_inverted_are_refused_by_study(fault, message):
    covariances = np.stack([np.eye(2), fault, np.eye(2)])
    with pytest.raises(InputError, match=message) as caught:
        combine_vectors(np.zeros((3, 2)), covariances)
    assert caught.value.studies == (1,)


def test_vectors_that_are_not_finite_are_refused_by_study():
    with pytest.raises(InputError, match="not finite") as caught:
        combine_vectors([[0.0, 0.0], [np.nan, 0.0]], [np.eye(2)] * 2)
    assert caught.value.studies == (1,)


@pytest.mark.parametrize(
    ("estimates", "variances"), [([], []), ([0.1], [0.1, 0.2]), ([[0.1]], [[0.1]]), (["a"], [0.1])]
)
def test_shapes_that_do_not_fit_are_refused(estimates, variances):
    with pytest.raises(InputError):
        combine_estimates(estimates, variances)


@pytest.mark.parametrize(
    ("estimates", "covariances"),
    [
        ([0.1, 0.2], [np.eye(2)]),
        (np.zeros((2, 2)), np.zeros((2, 3, 3))),
        ([[0.1], [0.1, 0.2]], [np.eye(2)] * 2),
    ],
)
def test_vector_shapes_that_do_not_fit_are_refused(estimates, covariances):
    with pytest.raises(InputError):
        combine_vectors(estimates, covariances)


def test_unknown_options_are_refused_with_the_allowed_ones():
    with pytest.raises(OptionError, match="'fixed', 'dersimonian-laird', 'reml'") as caught:
        combine_estimates([0.1], [0.1], method="ml")
    assert caught.value.allowed == POOLING_METHODS
    with pytest.raises(OptionError, match="standard_error"):
        combine_estimates([0.1], [0.1], standard_error="t")
    with pytest.raises(OptionError, match="method"):
        combine_vectors([[0.1]], [[[0.1]]], method="dersimonian-laird")
    for level in (0, 1, 95, np.nan):
        with pytest.raises(OptionError, match="between 0 and 1"):
            combine_estimates([0.1], [0.1], level=level)


def test_leaving_out_the_only_study_is_refused():
    with pytest.raises(InputError, match="at least two"):
        leave_one_study_out([0.1], [0.1])
    with pytest.raises(InputError, match="at least two"):
        leave_one_study_out_of_vectors([[0.1]], [[[0.1]]])
