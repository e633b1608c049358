"""Rubin's rules against their formulas written out, and against published and closed-form limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from biocal.kernels.meta.rubin import pool_imputations, pool_statistics

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


#: m, k, complete-data df; k D1, Reiter's denominator df and p-value by mitml 0.4-4 of R (function .D1).
MITML = [
    (5, 3, 80, 7.29422326383, 61.8547486098, 0.0735065809592),
    (5, 2, 60, 2.82435632381, 40.742279559, 0.255283397746),
    (3, 3, 40, 7.44348247303, 31.5454709538, 0.0790569257807),
    (20, 3, 120, 5.46901532284, 116.196923321, 0.146811066655),
    (10, 1, 50, 0.464209718695, 42.1244789876, 0.499391818192),
    (8, 4, 30, 15.3209763004, 27.4298057465, 0.0134527178642),
]
PRINTED = 1e-11  # relative: mitml's numbers have twelve digits


def made_up(m: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and covariances of closed form, typed alike into R."""
    place, number = np.meshgrid(np.arange(1, k + 1), np.arange(1, m + 1))
    estimates = 0.2 * place + 0.11 * np.sin(3 * place * number + number * number)
    apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    covariances = [np.where(apart == 0, 0.05 + 0.004 * one, 0.01 / (apart + 1)) for one in range(1, m + 1)]
    return estimates, np.array(covariances)


@pytest.mark.parametrize(("m", "k", "complete", "statistic", "df", "p_value"), MITML)
def test_small_samples_have_reiters_degrees_of_freedom_as_mitml(m, k, complete, statistic, df, p_value):
    test = pool_imputations(*made_up(m, k), float(complete)).test("overall", np.arange(k))
    found = [test.statistic, test.df_denominator, test.p_value]
    np.testing.assert_allclose(found, [statistic, df, p_value], rtol=PRINTED)


def test_reiters_formula_in_60_digits():
    from mpmath import mp, mpf

    with mp.workdps(60):
        m, k, complete = 6, 3, 70
        estimates, covariances = made_up(m, k)
        within, between = covariances.mean(axis=0), np.cov(estimates.T)
        r = mpf(1 + mpf(1) / m) * mpf(float(np.trace(between @ np.linalg.inv(within)))) / k
        t = mpf(k * (m - 1))
        a, full = r * t / (t - 2), mpf(complete + 1) / (complete + 3) * complete
        near, far = full - 2 * (1 + a), full - 4 * (1 + a)
        # the terms in the order in which the paper prints them
        z = 1 / far + 1 / (t - 4) * (
            a**2 * near / ((1 + a) ** 2 * far)
            + 8 * a**2 * near / ((1 + a) * far**2)
            + 4 * a**2 / ((1 + a) * far)
            + 4 * a**2 / (far * near)
            + 16 * a**2 * near / far**3
            + 8 * a**2 / far**2
        )
        by_hand = float(4 + 1 / z)
    test = pool_imputations(estimates, covariances, float(complete)).test("overall", np.arange(k))
    assert test.df_denominator == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("m", [2, 3, 5])
def test_one_coefficient_and_few_imputations_are_tested_by_barnard_and_rubins_t(m):
    estimates, covariances = made_up(m, 1)
    pooled = pool_imputations(estimates, covariances, 45.0)
    test = pooled.test("trend", np.arange(1))
    t = pooled.estimate[0] / np.sqrt(pooled.total[0, 0])
    df = pooled.df(np.ones((1, 1)))[0]
    assert test.statistic == pytest.approx(t**2, rel=SAME)
    assert test.df_denominator == pytest.approx(df, rel=1e-10)
    assert test.p_value == pytest.approx(2 * stats.t.sf(abs(t), df), rel=1e-10)


def test_many_rows_and_equal_imputations_are_the_limits_of_reiters_degrees_of_freedom():
    estimates, covariances = made_up(6, 3)
    positions = np.arange(3)
    large = pool_imputations(estimates, covariances).test("overall", positions)
    many = pool_imputations(estimates, covariances, 1e9).test("overall", positions)
    assert many.df_denominator == pytest.approx(large.df_denominator, rel=1e-6)
    same = pool_imputations(np.repeat(estimates[:1], 6, axis=0), np.repeat(covariances[:1], 6, axis=0), 60.0)
    assert same.test("overall", positions).df_denominator == pytest.approx(61 / 63 * 60, rel=1e-10)


@pytest.mark.parametrize("complete", [1.0, 3.0, 6.0, 9.0])
def test_degrees_of_freedom_stay_positive_and_below_those_of_complete_data(complete):
    for m, k in ((2, 2), (3, 1), (5, 3), (20, 2)):
        df = pool_imputations(*made_up(m, k), complete).test("overall", np.arange(k)).df_denominator
        assert 0 < df < complete


def test_contrasts_of_what_is_pooled_are_pooled_contrasts():
    estimates, covariances = drawn()
    contrasts = np.array([[1.0, -1.0, 0.0], [0.5, 0.5, -1.0]]).T
    whole = pool_imputations(estimates, covariances, 30.0).along(contrasts)
    apart = pool_imputations(
        estimates @ contrasts, np.einsum("pc,mpq,qd->mcd", contrasts, covariances, contrasts), 30.0
    )
    found, wanted = (one.test("x", np.arange(2)) for one in (whole, apart))
    assert found.p_value == pytest.approx(wanted.p_value, rel=1e-10)
