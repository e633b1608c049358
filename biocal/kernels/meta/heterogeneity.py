"""How much more the studies differ than their own variances explain: Q, I^2, H^2, and tau^2 by moments.

References
----------
.. [1] Cochran WG. The combination of estimates from different experiments. Biometrics 1954;10:101-129.
.. [2] Higgins JPT, Thompson SG. Quantifying heterogeneity in a meta-analysis. Stat Med 2002;21:1539-1558.
.. [3] DerSimonian R, Laird N. Meta-analysis in clinical trials. Control Clin Trials 1986;7:177-188,
       eq. 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biocal.errors import InputError, OptionError

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


# Smallest eigenvalue of a within-study correlation matrix we still call positive definite.  A sandwich or an
# inverse information with less is numerically singular: its inverse weight would be rounding error.  Ours.
SMALLEST_EIGENVALUE = 1e-12

# Two halves of a covariance matrix may differ by rounding, relative to the standard deviations; not by more.
ASYMMETRY_TOLERANCE = 1e-8


def require_estimates_and_variances(
    estimates: ArrayLike, variances: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Scalar estimates (k,) and variances (k,) as float arrays; InputError numbers the studies at fault."""
    values, spread = _as_floats(estimates, "estimates"), _as_floats(variances, "variances")
    if values.ndim != 1 or values.shape != spread.shape or values.size == 0:
        raise InputError(
            f"estimates and variances must be one number a study, equally many and at least one; "
            f"their shapes are {values.shape} and {spread.shape}"
        )
    _refuse(~np.isfinite(values), "an estimate that is not finite")
    _refuse(~(np.isfinite(spread) & (spread > 0)), "a variance that is not a positive finite number")
    return values, spread


def require_vectors_and_covariances(
    estimates: ArrayLike, covariances: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Vectors (k, p) and covariances (k, p, p) as float arrays; InputError numbers the studies at fault."""
    values, within = _as_floats(estimates, "estimates"), _as_floats(covariances, "covariances")
    if values.ndim != 2 or values.size == 0 or within.shape != (*values.shape, values.shape[1]):
        raise InputError(
            f"estimates must have shape (studies, columns) and covariances (studies, columns, columns); "
            f"their shapes are {values.shape} and {within.shape}"
        )
    _refuse((~np.isfinite(values)).any(axis=1), "an estimate that is not finite")
    _refuse((~np.isfinite(within)).any(axis=(1, 2)), "a covariance that is not finite")
    variances = np.diagonal(within, axis1=1, axis2=2)
    _refuse((~(variances > 0)).any(axis=1), "a variance that is not positive")
    sd = np.sqrt(variances)
    correlation = within / sd[:, :, None] / sd[:, None, :]
    transposed = np.swapaxes(correlation, 1, 2)
    _refuse(
        np.abs(correlation - transposed).max(axis=(1, 2)) > ASYMMETRY_TOLERANCE, "an asymmetric covariance"
    )
    smallest = np.linalg.eigvalsh((correlation + transposed) / 2)[:, 0]
    _refuse(~(smallest > SMALLEST_EIGENVALUE), "a covariance that is not positive definite")
    return values, (within + np.swapaxes(within, 1, 2)) / 2


def require_option(name: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a ``value`` of option ``name`` that is not ``allowed``, listing those that are."""
    if value not in allowed:
        listed = ", ".join(repr(option) for option in allowed)
        raise OptionError(
            f"{name} is {value!r}; it must be one of {listed}", option=name, allowed=tuple(allowed)
        )


def require_level(level: float) -> None:
    """Refuse a confidence level outside (0, 1)."""
    if not 0 < level < 1:
        raise OptionError(f"level is {level!r}; it must lie between 0 and 1, such as 0.95", option="level")


def require_two_studies(n_studies: int) -> None:
    """Refuse to leave out the only study."""
    if n_studies < 2:
        raise InputError("leaving one study out needs at least two studies; there is only one")


def _as_floats(values: ArrayLike, name: str) -> FloatArray:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers, with the same columns in every study ({error})") from error


def _refuse(bad: NDArray[np.bool_] | np.bool_, fault: str) -> None:
    """Raise if any study is ``bad`` (k,); attribute ``studies`` holds their indices, counted from 0."""
    bad = np.atleast_1d(bad)
    if bad.any():
        studies = tuple(int(index) for index in np.flatnonzero(bad))
        places = ", ".join(str(index + 1) for index in studies)
        raise InputError(
            f"{len(studies)} of {len(bad)} studies have {fault} (number {places} in order, counted from 1); "
            "leave them out by name or mend their fit",
            studies=studies,
        )
