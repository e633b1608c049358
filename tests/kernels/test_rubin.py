"""Rubin's rules against their formulas written out, and against published and closed-form limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from biocal.kernels.rubin import pool_imputations, pool_statistics

#: The same arithmetic in another order.
SAME = 1e-12


def drawn(m: int = 5, p: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(20261126)
    roots = rng.normal(size=(m, p, p + 4))
    return rng.normal(1.0, 0.4, (m, p)), roots @ roots.transpose(0, 2, 1) / 10


def test_one_coefficient_is_pooled_as_in_the_text_books_formulas():
    estimates, covariances = drawn()
    m, b, u = 5, estimates[:, 1], covariances[:, 1, 1]
    pooled = pool_imputations(estimates, covariances)
    between = np.var(b, ddof=1)
    total = u.mean() + (1 + 1 / m) * between
    r = (1 + 1 / m) * between / u.mean()
    df = (m - 1) * (1 + 1 / r) ** 2
    each = np.eye(3)
    np.testing.assert_allclose(pooled.estimate[1], b.mean(), rtol=SAME)
    np.testing.assert_allclose(pooled.total[1, 1], total, rtol=SAME)
    np.testing.assert_allclose(pooled.relative_increase(each)[1], r, rtol=SAME)
    np.testing.assert_allclose(pooled.df(each)[1], df, rtol=SAME)
    np.testing.assert_allclose(pooled.fraction_missing(each)[1], (r + 2 / (df + 3)) / (r + 1), rtol=SAME)


def test_a_contrast_is_pooled_as_the_contrast_of_each_imputation():
    estimates, covariances = drawn()
    weights = np.array([0.3, -1.0, 2.0])
    whole = pool_imputations(estimates, covariances)
    alone = pool_imputations(
        (estimates @ weights)[:, None], np.einsum("p,mpq,q->m", weights, covariances, weights)[:, None, None]
    )
    one = np.ones((1, 1))
    np.testing.assert_allclose(whole.df(weights[:, None]), alone.df(one), rtol=1e-10)
    np.testing.assert_allclose(weights @ whole.total @ weights, alone.total[0, 0], rtol=1e-10)


def test_barnard_and_rubin_never_exceed_the_complete_datas_degrees_of_freedom():
    estimates, covariances = drawn()
    small = pool_imputations(estimates, covariances, 40.0)
    large = pool_imputations(estimates, covariances)
    each = np.eye(3)
    share = small.relative_increase(each) / (1 + small.relative_increase(each))
    observed = 41 / 43 * 40 * (1 - share)
    np.testing.assert_allclose(1 / small.df(each), 1 / large.df(each) + 1 / observed, rtol=SAME)
    assert (small.df(each) < 40).all()


def test_equal_imputations_are_complete_data():
    estimates, covariances = drawn()
    same = pool_imputations(np.repeat(estimates[:1], 4, axis=0), np.repeat(covariances[:1], 4, axis=0))
    each = np.eye(3)
    np.testing.assert_array_equal(same.df(each), np.inf)
    np.testing.assert_array_equal(same.fraction_missing(each), 0.0)
    test = same.test("overall", np.arange(3))
    wald = estimates[0] @ np.linalg.solve(covariances[0], estimates[0])
    np.testing.assert_allclose([test.statistic, test.p_value], [wald, stats.chi2.sf(wald, 3)], rtol=1e-10)


def test_d1_by_its_formula():
    estimates, covariances = drawn()
    m, k = 5, 3
    pooled = pool_imputations(estimates, covariances)
    within, between = covariances.mean(axis=0), np.cov(estimates.T)
    r = (1 + 1 / m) * np.trace(between @ np.linalg.inv(within)) / k
    d1 = estimates.mean(axis=0) @ np.linalg.inv(within) @ estimates.mean(axis=0) / (k * (1 + r))
    t = k * (m - 1)
    df = 4 + (t - 4) * (1 + (1 - 2 / t) / r) ** 2
    test = pooled.test("overall", np.arange(3))
    np.testing.assert_allclose(test.statistic, k * d1, rtol=1e-10)
    np.testing.assert_allclose(test.df_denominator, df, rtol=1e-10)
    np.testing.assert_allclose(test.p_value, stats.f.sf(d1, k, df), rtol=1e-8)


def test_d1_of_one_coefficient_is_the_square_of_its_t():
    estimates, covariances = drawn()
    pooled = pool_imputations(estimates, covariances)
    test = pooled.test("one", np.array([2]))
    t = pooled.estimate[2] / np.sqrt(pooled.total[2, 2])
    np.testing.assert_allclose(test.statistic, t**2, rtol=1e-10)


def test_d2_by_its_formula():
    statistics, k = np.array([9.0, 12.5, 7.1, 10.2]), 3
    m = 4
    r = (1 + 1 / m) * np.var(np.sqrt(statistics), ddof=1)
    d2 = (statistics.mean() / k - (m + 1) / (m - 1) * r) / (1 + r)
    df = k ** (-3 / m) * (m - 1) * (1 + 1 / r) ** 2
    test = pool_statistics("heterogeneity", statistics, k)
    assert test.p_value == pytest.approx(stats.f.sf(d2, k, df), rel=1e-8)
    assert test.statistic == pytest.approx(k * d2)
