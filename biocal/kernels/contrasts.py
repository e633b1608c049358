"""Contrasts of estimated coefficients: standard errors, Wald statistics, intervals, tail probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class WaldTest:
    """A Wald test that some combinations of coefficients are 0.

    Attributes
    ----------
    test : str
        What is tested.
    statistic : float
        Chi-squared.
    df : int
        Degrees of freedom.
    p_value : float
        Upper tail, from the survival function.
    df_denominator : float
        Infinite; finite after multiple imputation, where statistic / df is compared with F.
    """

    test: str
    statistic: float
    df: int
    p_value: float
    df_denominator: float = float("inf")


def contrast_errors(contrasts: FloatArray, vcov: FloatArray) -> FloatArray:
    """Standard errors of contrasts.

    Parameters
    ----------
    contrasts : ndarray, shape (p, m)
        One contrast a column.
    vcov : ndarray, shape (p, p)
    """
    variance = np.einsum("pm,pq,qm->m", contrasts, vcov, contrasts)
    # Rounding can leave -1e-18 where the contrast is a hair from 0.
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def wald_test(name: str, beta: FloatArray, vcov: FloatArray, positions: IntArray) -> WaldTest:
    """Test that the coefficients at `positions` are all 0; nan with no position."""
    from scipy.special import chdtrc

    df = int(np.size(positions))
    if df == 0:
        return WaldTest(name, float("nan"), 0, float("nan"))
    part = beta[positions]
    block = vcov[np.ix_(positions, positions)]
    scale = 1.0 / np.sqrt(np.diagonal(block))
    statistic = float((part * scale) @ np.linalg.solve(block * np.outer(scale, scale), part * scale))
    return WaldTest(name, statistic, df, float(chdtrc(df, statistic)))


def two_sided_p(statistic: FloatArray) -> FloatArray:
    """Two-sided normal tail probability."""
    from scipy.special import ndtr

    return np.asarray(2.0 * ndtr(-np.abs(statistic)))


def normal_quantile(level: float) -> float:
    """Half-width of a two-sided normal interval in standard errors: 1.96 at .95."""
    from scipy.special import ndtri

    return float(-ndtri((1.0 - level) / 2.0))


def interval_quantile(level: float, df: FloatArray | None = None) -> FloatArray:
    """Half-width of a two-sided interval in standard errors: normal, or t with `df` where these are finite."""
    from scipy.special import stdtrit

    normal = normal_quantile(level)
    if df is None:
        return np.asarray(normal)
    finite = np.where(np.isfinite(df), df, 1.0)
    return np.asarray(np.where(np.isfinite(df), -stdtrit(finite, (1.0 - level) / 2.0), normal))


def two_sided_t(statistic: FloatArray, df: FloatArray | None = None) -> FloatArray:
    """Two-sided tail probability: normal, or t with `df` where these are finite."""
    from scipy.special import stdtr

    normal = two_sided_p(statistic)
    if df is None:
        return normal
    finite = np.where(np.isfinite(df), df, 1.0)
    return np.asarray(np.where(np.isfinite(df), 2.0 * stdtr(finite, -np.abs(statistic)), normal))


def differences_from_first(n_groups: int, k: int) -> FloatArray:
    """Contrasts of the vectors (k each) of groups 1, 2, ... with that of group 0: (k (L - 1), k L)."""
    against_first = np.hstack([-np.ones((n_groups - 1, 1)), np.eye(n_groups - 1)])
    return np.asarray(np.kron(against_first, np.eye(k)))


def equality_test(name: str, estimates: FloatArray, vcov: FloatArray) -> WaldTest:
    """Test that the coefficient vectors of several groups are equal.

    Parameters
    ----------
    name : str
    estimates : ndarray, shape (L, K)
    vcov : ndarray, shape (L K, L K)
        Joint covariance, group after group; with independent groups it is block diagonal, and the statistic is
        the Q of a fixed-effect meta-analysis of the vectors.

    Returns
    -------
    WaldTest
        On K (L - 1) degrees of freedom; nan with one group, or where a covariance is unknown.
    """
    n_groups, k = estimates.shape
    if n_groups < 2 or not np.isfinite(vcov).all():
        return WaldTest(name, float("nan"), 0, float("nan"))
    contrasts = differences_from_first(n_groups, k)
    difference = contrasts @ estimates.ravel()
    return wald_test(
        name, difference, contrasts @ vcov @ contrasts.T, np.arange(difference.size, dtype=np.intp)
    )
