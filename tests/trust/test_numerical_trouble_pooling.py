"""Pooling studies whose variances differ by 10^30 or whose covariances are nearly singular, against 80 digits."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from precise_arithmetic import as_array, in_80_digits, precise

from biocal.errors import InputError
from biocal.kernels.meta.numbers import combine_estimates
from biocal.kernels.meta.vectors import combine_vectors

#: Relative: tau^2 is found to the last digits of its score, which sums of a dozen studies leave.
SAME = 1e-9


def restricted(estimates, variances):
    """The restricted log-likelihood as a function of tau^2, but for its constant."""

    def value(tau_squared):
        weights = [1 / (v + tau_squared) for v in variances]
        total = mp.fsum(weights)
        mean = mp.fdot(weights, estimates) / total
        quadratic = mp.fsum(w * (b - mean) ** 2 for w, b in zip(weights, estimates, strict=True))
        return (mp.fsum(mp.log(w) for w in weights) - mp.log(total) - quadratic) / 2

    return value


def largest_on_a_grid(value, scale):
    """tau^2 >= 0 of the largest restricted likelihood: a fine grid, then golden sections."""
    grid = [mp.mpf(0), *(scale * mp.mpf(10) ** (mp.mpf(k) / 4) for k in range(-40, 41))]
    best = max(range(len(grid)), key=lambda k: value(grid[k]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    ratio = (mp.sqrt(5) - 1) / 2
    for _ in range(80):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (left, high) if value(left) < value(right) else (low, right)
    return mp.mpf(0) if best == 0 and value(mp.mpf(0)) >= value(low) else (low + high) / 2


CASES = {
    "ordinary": ([0.1, 0.4, -0.2, 0.5, 0.3], [0.02, 0.03, 0.01, 0.05, 0.04]),
    "far from 0": ([1e6 + b for b in (0.1, 0.4, -0.2, 0.5)], [0.02, 0.03, 0.01, 0.05]),
    "no heterogeneity": ([0.3, 0.31, 0.29], [0.04, 0.05, 0.03]),
    "one outweighs all": ([5.3e8, 7.5e8, 0.57], [5.6e33, 2.1e34, 0.066]),
    "two among giants": ([4.0e9, 0.2, 1.4, -3.0e9], [1e30, 0.01, 0.02, 1e28]),
    "tiny": ([1e-9, 4e-9, -2e-9], [1e-18, 2e-18, 1.5e-18]),
}


@pytest.mark.parametrize("name", CASES)
@in_80_digits
def test_tau_squared_and_the_pooled_estimate_equal_80_digits(name):
    estimates, variances = CASES[name]
    b, v = precise(estimates), precise(variances)
    wanted = largest_on_a_grid(restricted(b, v), min(v))
    weights = [1 / (one + wanted) for one in v]
    mean = mp.fdot(weights, b) / mp.fsum(weights)
    found = combine_estimates(estimates, variances, method="reml")
    np.testing.assert_allclose(found.tau_squared, float(wanted), rtol=1e-6, atol=1e-12 * float(min(v)))
    error = mp.sqrt(1 / mp.fsum(weights))
    assert abs(found.estimate - mean) <= 1e-6 * error
    np.testing.assert_allclose(found.std_error, float(error), rtol=1e-6)
    moments = combine_estimates(estimates, variances, method="dersimonian-laird")
    w = [1 / one for one in v]
    total = mp.fsum(w)
    centre = mp.fdot(w, b) / total
    q = mp.fsum(one * (x - centre) ** 2 for one, x in zip(w, b, strict=True))
    trace = total - mp.fsum(one**2 for one in w) / total
    np.testing.assert_allclose(moments.heterogeneity.q, float(q), rtol=SAME)
    np.testing.assert_allclose(moments.tau_squared, max(0.0, float((q - (len(b) - 1)) / trace)), rtol=SAME)


def nearly_singular(correlation, sizes, seed=1):
    """Vectors of two columns with one correlation, and standard errors `sizes` (k, 2)."""
    shape = np.array([[1.0, correlation], [correlation, 1.0]])
    covariances = np.array([shape * np.outer(one, one) for one in np.asarray(sizes, dtype=float)])
    rng = np.random.default_rng(seed)
    return np.array([rng.multivariate_normal([0.5, -0.3], one) for one in covariances]), covariances


@in_80_digits
def fixed_mean(estimates, covariances):
    """Inverse-variance mean and covariance in 80 digits."""
    total, right = mp.zeros(2), mp.zeros(2, 1)
    for b, v in zip(estimates, covariances, strict=True):
        weight = mp.inverse(mp.matrix([precise(row) for row in v]))
        total += weight
        right += weight * mp.matrix(precise(b))
    return as_array(mp.lu_solve(total, right)).ravel(), as_array(mp.inverse(total))


@pytest.mark.parametrize("distance", [1e-3, 1e-6, 1e-10])
def test_vectors_with_nearly_singular_covariances_pool_as_in_80_digits(distance):
    estimates, covariances = nearly_singular(1 - distance, [[0.2, 2.0], [0.3, 1.0], [0.1, 3.0]])
    found = combine_vectors(estimates, covariances, method="fixed")
    mean, covariance = fixed_mean(estimates, covariances)
    size = np.sqrt(np.diagonal(covariance))
    # the inverse of each covariance loses what its condition costs
    bound = SAME + 1e2 * 2.2e-16 / distance
    assert (np.abs(found.estimate - mean) <= bound * size).all()
    assert (np.abs(found.covariance - covariance) <= bound * np.outer(size, size)).all()


def test_singular_covariances_are_refused_by_study():
    estimates, covariances = nearly_singular(0.5, [[0.2, 2.0], [0.3, 1.0], [0.1, 3.0]])
    covariances[1] = [[0.09, 0.3], [0.3, 1.0]]  # correlation 1
    with pytest.raises(InputError, match="not positive definite") as caught:
        combine_vectors(estimates, covariances)
    assert list(caught.value.studies) == [1]


@pytest.mark.parametrize("giant", [1e4, 1e8, 1e15])
def test_studies_that_say_next_to_nothing_do_not_move_the_pooled_vector(giant):
    estimates, covariances = nearly_singular(0.6, [[0.2, 0.3], [0.25, 0.2], [0.15, 0.2]], seed=4)
    few = combine_vectors(estimates, covariances)
    wide = np.array([[giant, 0.9 * giant]])
    more = np.vstack([estimates, wide])
    giants = np.concatenate([covariances, [giant**2 * 1e4 * np.array([[1.0, 0.3], [0.3, 1.0]])]])
    found = combine_vectors(more, giants)
    size = np.sqrt(np.diagonal(few.covariance))
    assert (np.abs(found.estimate - few.estimate) <= 10 / giant * size).all()
    np.testing.assert_allclose(found.covariance, few.covariance, rtol=10 / giant, atol=1e-7 * size.min() ** 2)


@pytest.mark.parametrize("giant", [1e8, 1e17])
def test_one_study_that_outweighs_all_is_the_pooled_result(giant):
    covariances = np.array([np.eye(2) * size for size in (0.04, giant**2, 4 * giant**2)])
    estimates = np.array([[0.5, -0.3], [0.01 * giant, 0.0], [-0.02 * giant, 0.01 * giant]])
    found = combine_vectors(estimates, covariances)
    np.testing.assert_allclose(found.estimate, estimates[0], rtol=1e-6)
    np.testing.assert_allclose(found.covariance, covariances[0], rtol=1e-6, atol=1e-12)
    assert found.between_rank == 0
