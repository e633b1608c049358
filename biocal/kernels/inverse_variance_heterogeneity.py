"""How much more the studies differ than their own variances explain: Q, I^2, H^2, and tau^2 by moments.

References
----------
.. [1] Cochran WG. The combination of estimates from different experiments. Biometrics 1954;10:101-129.
.. [2] Higgins JPT, Thompson SG. Quantifying heterogeneity in a meta-analysis. Stat Med 2002;21:1539-1558.
.. [3] DerSimonian R, Laird N. Meta-analysis in clinical trials. Control Clin Trials 1986;7:177-188,
       eq. 8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """How much more the estimates differ than their variances explain, judged at the fixed effect.

    Attributes
    ----------
    q, df, p_value : float, int, float
        Cochran's Q [1]_ (for vectors its multivariate form), its degrees of freedom, and the upper tail of
        chi-square.
    i_squared : float
        max(0, (Q - df) / Q) [2]_, a fraction.  NaN with a single study.
    h_squared : float
        Q / df, not truncated at 1.  NaN with a single study.
    """

    q: float
    df: int
    p_value: float
    i_squared: float
    h_squared: float


def heterogeneity_from_q(q: float, df: int) -> Heterogeneity:
    """Cochran's Q with the measures that follow from it; all but Q and df are NaN when ``df`` is 0."""
    from scipy.special import chdtrc

    if df == 0:
        return Heterogeneity(q, df, np.nan, np.nan, np.nan)
    i_squared = (q - df) / q if q > df else 0.0
    return Heterogeneity(q, df, float(chdtrc(df, q)), i_squared, q / df)


def heterogeneity_of_numbers(estimates: FloatArray, variances: FloatArray) -> Heterogeneity:
    """Cochran's Q of scalar estimates (k,) about their fixed-effect mean."""
    weights = 1 / variances
    shifted = estimates - estimates[np.argmin(variances)]
    centred = shifted - weights @ shifted / weights.sum()
    return heterogeneity_from_q(float(weights @ centred**2), len(estimates) - 1)


def sums_of_others(weights: FloatArray) -> FloatArray:
    """Sum of the other studies' weights, along the last axis, added up and never subtracted.

    One study may outweigh the others by more than there are digits; the total less its weight would be rounding.
    """
    before = np.cumsum(weights, axis=-1)
    behind = np.cumsum(weights[..., ::-1], axis=-1)[..., ::-1]
    others = np.zeros_like(weights)
    others[..., 1:] = before[..., :-1]
    others[..., :-1] += behind[..., 1:]
    return others


def trace_of_projection(weights: FloatArray) -> FloatArray:
    """tr P = sum w - sum w^2 / sum w along the last axis, P the weights' residual projection."""
    return np.asarray(np.sum(weights * sums_of_others(weights), axis=-1) / weights.sum(axis=-1))


def trace_of_squared_projection(weights: FloatArray) -> FloatArray:
    """tr PP = sum w^2 - 2 sum w^3 / sum w + (sum w^2 / sum w)^2 along the last axis."""
    total = weights.sum(axis=-1, keepdims=True)
    diagonal = weights * sums_of_others(weights) / total
    share = weights / total
    aside = weights**2 * sums_of_others(share**2)
    return np.asarray(np.sum(diagonal**2 + aside, axis=-1))


def measures_from_tau(tau_squared: float, variances: FloatArray) -> tuple[float, float]:
    """I^2 = tau^2 / (tau^2 + v) and H^2 = tau^2 / v + 1 [2]_; NaN for a single study.

    v = (k - 1) / (sum w - sum w^2 / sum w), w = 1 / v_s, is the typical within-study variance.
    """
    if len(variances) < 2:
        return np.nan, np.nan
    w = 1 / variances
    typical = float((len(w) - 1) / trace_of_projection(w))
    return tau_squared / (tau_squared + typical), tau_squared / typical + 1


def tau_squared_by_moments(
    variances: FloatArray, heterogeneity: Heterogeneity
) -> tuple[float, float, tuple[str, ...]]:
    """DerSimonian-Laird tau^2 [3]_, the square root of its variance under normality, remarks.

    The variance is that of the quadratic form Q / tr P when b_s ~ N(mu, v_s + tau^2):
    2 sum_ij P_ij^2 (v_i + t)(v_j + t) / (tr P)^2, in which P V P = P simplifies the sums.
    """
    w = 1 / variances
    trace = float(trace_of_projection(w))
    raw = (heterogeneity.q - heterogeneity.df) / trace
    tau_squared = max(0.0, raw)
    trace_of_square = float(trace_of_squared_projection(w))
    variance = 2 * (heterogeneity.df + 2 * tau_squared * trace + tau_squared**2 * trace_of_square) / trace**2
    told = f"The DerSimonian-Laird moment estimate of tau^2 is negative ({raw:.4g}) and is set to 0."
    return tau_squared, float(np.sqrt(variance)), ((told,) if raw < 0 else ())
