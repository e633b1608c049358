"""Combine one estimate a study: fixed effect, DerSimonian-Laird and restricted maximum likelihood.

Study s reports b_s with variance v_s, taken as known.  With weights w_s = 1 / (v_s + tau^2) the pooled value
is mu = sum w b / sum w with variance 1 / sum w.  The methods differ in tau^2: 0 under the fixed effect,
by moments [1]_, or by restricted maximum likelihood (`inverse_variance_reml`).  Vectors are combined in
`inverse_variance_vectors`.

References
----------
.. [1] DerSimonian R, Laird N. Meta-analysis in clinical trials. Control Clin Trials 1986;7:177-188,
       eq. 8.
.. [2] Hartung J, Knapp G. A refined method for the meta-analysis of controlled clinical trials with binary
       outcome. Stat Med 2001;20:3875-3889.
.. [3] Higgins JPT, Thompson SG. Quantifying heterogeneity in a meta-analysis. Stat Med 2002;21:1539-1558.
.. [4] Higgins JPT, Thompson SG, Spiegelhalter DJ. A re-evaluation of random-effects meta-analysis.
       J R Stat Soc A 2009;172:137-159, eq. 12.
.. [5] Jackson D, Law M, Ruecker G, Schwarzer G. The Hartung-Knapp modification for random-effects
       meta-analysis: a useful refinement but are there any residual concerns? Stat Med 2017;36:3923-3934.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biocal.kernels.meta.heterogeneity import (
    Heterogeneity,
    heterogeneity_of_numbers,
    measures_from_tau,
    require_estimates_and_variances,
    require_level,
    require_option,
    require_two_studies,
    tau_squared_by_moments,
)
from biocal.kernels.meta.reml import RemlSearch, between_variance_by_reml

FloatArray = NDArray[np.float64]

PoolingMethod = Literal["fixed", "dersimonian-laird", "reml"]
StandardError = Literal["normal", "hartung-knapp", "hartung-knapp-at-least-normal"]
POOLING_METHODS: tuple[PoolingMethod, ...] = ("fixed", "dersimonian-laird", "reml")
STANDARD_ERRORS: tuple[StandardError, ...] = ("normal", "hartung-knapp", "hartung-knapp-at-least-normal")
#: A Hartung-Knapp ratio this close to 1 is 1: sums over studies are rounded.
_ROUNDING_OF_RATIO = 1e-9
#: So few studies say next to nothing of tau^2, in words.
_FEW_STUDIES = {2: "two", 3: "three"}


@dataclass(frozen=True, slots=True)
class PooledEstimate:
    """One number combined over studies, on the scale of the estimates (log OR if they are).

    Attributes
    ----------
    method : {"fixed", "dersimonian-laird", "reml"}
        How tau^2 was obtained.
    standard_error_kind : {"normal", "hartung-knapp", "hartung-knapp-at-least-normal"}
        What was *used*; a single study always has "normal".
    n_studies : int
        k.
    estimate, std_error, statistic, p_value, conf_low, conf_high : float
        The pooled value and its test against 0; normal, or t on k - 1 with Hartung-Knapp.
    df : float
        k - 1 with Hartung-Knapp, otherwise infinity.
    level : float
        Of both intervals.
    tau_squared, tau_squared_std_error : float
        Between-study variance.  0 by assumption (standard error NaN) under the fixed effect; NaN, not
        estimable, for random effects of a single study.
    heterogeneity : Heterogeneity
        Q, I^2 = (Q - df) / Q and H^2, the same for every method.
    i_squared_from_tau, h_squared_from_tau : float
        tau^2 / (tau^2 + v) and tau^2 / v + 1, v the typical within-study variance
        (k - 1) / (sum w - sum w^2 / sum w), w = 1 / v_s [3]_.  Software that reports I^2 from tau^2 prints
        these; for DerSimonian-Laird they equal the Q-based values, unless truncated.  NaN for the fixed
        effect.
    hartung_knapp_ratio : float
        sum w (b - mu)^2 / (k - 1): Hartung-Knapp variance over normal variance.  Below 1 the refinement
        makes the interval's standard error smaller.  NaN for a single study.
    prediction_low, prediction_high : float
        Interval for the effect in a new study, mu +- t(k - 2) sqrt(tau^2 + std_error^2) [4]_; NaN below three
        studies and for the fixed effect, which has no such thing.
    weights : ndarray, shape (k,)
        Shares of the studies in the pooled value; they sum to 1.
    restricted_log_likelihood : float
        At the maximum, for REML; else NaN.
    search : RemlSearch or None
        How the REML maximum was found.
    remarks : tuple of str
        Everything about this result that a reader must be told, in whole sentences.
    """

    method: PoolingMethod
    standard_error_kind: StandardError
    n_studies: int
    estimate: float
    std_error: float
    statistic: float
    p_value: float
    conf_low: float
    conf_high: float
    df: float
    level: float
    tau_squared: float
    tau_squared_std_error: float
    heterogeneity: Heterogeneity
    i_squared_from_tau: float
    h_squared_from_tau: float
    hartung_knapp_ratio: float
    prediction_low: float
    prediction_high: float
    weights: FloatArray
    restricted_log_likelihood: float
    search: RemlSearch | None
    remarks: tuple[str, ...]


def combine_estimates(
    estimates: ArrayLike,
    variances: ArrayLike,
    *,
    method: PoolingMethod = "reml",
    standard_error: StandardError = "normal",
    level: float = 0.95,
) -> PooledEstimate:
    """Combine one estimate a study by inverse variance.

    Parameters
    ----------
    estimates, variances : array_like, shape (k,)
        One estimate a study and its squared standard error.
    method : {"reml", "dersimonian-laird", "fixed"}
        Source of tau^2.
    standard_error : {"normal", "hartung-knapp", "hartung-knapp-at-least-normal"}
        "hartung-knapp" multiplies the variance by `hartung_knapp_ratio` and uses t on k - 1 [2]_.  The ratio
        can be below 1, which shortens the interval just when the studies happen to agree; the third option
        uses max(1, ratio), the ad hoc correction discussed in [5]_.  A remark tells when this matters.
    level : float, default 0.95
        Of the confidence and the prediction interval.

    Returns
    -------
    PooledEstimate
        With a single study: that study, normal interval, tau^2 NaN, and a remark.  With two: no prediction
        interval, and Hartung-Knapp on one degree of freedom.

    Raises
    ------
    InputError
        Shapes that do not fit, values not finite, variances not positive (attribute ``studies``).
    OptionError
        Unknown method or standard error; level outside (0, 1).

    Examples
    --------
    >>> pooled = combine_estimates([0.1, 0.4, -0.2, 0.5, 0.3], [0.02, 0.03, 0.01, 0.05, 0.04])
    >>> print(f"{pooled.estimate:.6f} {pooled.std_error:.6f} {pooled.tau_squared:.6f}")
    0.183038 0.133932 0.061902
    """
    require_option("method", method, POOLING_METHODS)
    require_option("standard_error", standard_error, STANDARD_ERRORS)
    require_level(level)
    b, v = require_estimates_and_variances(estimates, variances)
    heterogeneity = heterogeneity_of_numbers(b, v)
    tau_squared, tau_error, loglik, search, remarks = _between_variance(b, v, method, heterogeneity)
    precision = 1 / (v + (0.0 if np.isnan(tau_squared) else tau_squared))
    weights = precision / precision.sum()
    sure = b[np.argmin(v)]
    mean = float(sure + weights @ (b - sure))
    k = len(b)
    ratio = float(precision @ (b - mean) ** 2 / (k - 1)) if k > 1 else np.nan
    used, factor, told = _variance_factor(standard_error, ratio, method, tau_squared)
    std_error = float(np.sqrt(factor / precision.sum()))
    df = np.inf if used == "normal" else float(k - 1)
    statistic, p_value, half_width = _test_and_half_width(mean, std_error, df, level)
    prediction = _prediction_half_width(k, tau_squared, std_error, method, level)
    i_tau, h_tau = (np.nan, np.nan) if method == "fixed" else measures_from_tau(tau_squared, v)
    if method != "fixed" and k in _FEW_STUDIES:
        remarks = (*remarks, *_few_study_remarks(k, level))
    return PooledEstimate(
        method=method,
        standard_error_kind=used,
        n_studies=k,
        estimate=mean,
        std_error=std_error,
        statistic=statistic,
        p_value=p_value,
        conf_low=mean - half_width,
        conf_high=mean + half_width,
        df=df,
        level=level,
        tau_squared=tau_squared,
        tau_squared_std_error=tau_error,
        heterogeneity=heterogeneity,
        i_squared_from_tau=i_tau,
        h_squared_from_tau=h_tau,
        hartung_knapp_ratio=ratio,
        prediction_low=mean - prediction,
        prediction_high=mean + prediction,
        weights=weights,
        restricted_log_likelihood=loglik,
        search=search,
        remarks=(*remarks, *told),
    )


def leave_one_study_out(
    estimates: ArrayLike,
    variances: ArrayLike,
    *,
    method: PoolingMethod = "reml",
    standard_error: StandardError = "normal",
    level: float = 0.95,
) -> tuple[PooledEstimate, ...]:
    """Combine k times, each time without one study and with tau^2 estimated anew.

    Parameters are those of `combine_estimates`; element s of the result leaves out study s.

    Raises
    ------
    InputError
        As `combine_estimates`, and when there are fewer than two studies.
    """
    b, v = require_estimates_and_variances(estimates, variances)
    require_two_studies(len(b))
    return tuple(
        combine_estimates(
            np.delete(b, left_out),
            np.delete(v, left_out),
            method=method,
            standard_error=standard_error,
            level=level,
        )
        for left_out in range(len(b))
    )


def _between_variance(
    estimates: FloatArray, variances: FloatArray, method: PoolingMethod, heterogeneity: Heterogeneity
) -> tuple[float, float, float, RemlSearch | None, tuple[str, ...]]:
    """tau^2, its standard error, the restricted log-likelihood, the search, remarks."""
    if method == "fixed":
        return 0.0, np.nan, np.nan, None, ()
    if len(estimates) == 1:
        told = "There is a single study: the result is that study, and tau^2 cannot be estimated."
        return np.nan, np.nan, np.nan, None, (told,)
    if method == "dersimonian-laird":
        tau_squared, std_error, remarks = tau_squared_by_moments(variances, heterogeneity)
        return tau_squared, std_error, np.nan, None, remarks
    reml = between_variance_by_reml(estimates, variances)
    n_maxima = reml.search.n_local_maxima
    several = f"The restricted likelihood of tau^2 has {n_maxima} local maxima; the highest was taken."
    remarks = (several,) if n_maxima > 1 else ()
    return reml.tau_squared, reml.std_error, reml.restricted_log_likelihood, reml.search, remarks


def _few_study_remarks(n_studies: int, level: float) -> tuple[str, ...]:
    """What the intervals of two or three studies mean."""
    df = n_studies - 1
    told = (
        f"With {_FEW_STUDIES[n_studies]} studies tau2 is hardly known. The normal interval (z: "
        f"{_upper_quantile(np.inf, level):.3g} standard errors) takes it as known and is too short when the studies "
        f"differ; the Hartung-Knapp interval (t on {df} df: {_upper_quantile(df, level):.3g} standard errors) does not,"
        " and is wide."
    )
    if n_studies > 2:
        return (told,)
    return told, "With two studies there is no prediction interval (it needs at least three)."


def _variance_factor(
    asked: StandardError, ratio: float, method: PoolingMethod, tau_squared: float
) -> tuple[StandardError, float, tuple[str, ...]]:
    """Kind of standard error used, factor on the normal variance, remarks."""
    if asked == "normal":
        return asked, 1.0, ()
    if np.isnan(ratio):
        return "normal", 1.0, ("Hartung-Knapp needs two studies; the normal standard error is shown.",)
    told = []
    if method == "fixed":
        told.append("Hartung-Knapp is meant for random effects; here it rescales a fixed-effect variance.")
    below = ratio < 1 - _ROUNDING_OF_RATIO
    # With tau^2 above 0 the ratio is near 1 by its estimation, however much the studies differ.
    if below and tau_squared == 0 and asked == "hartung-knapp":
        told.append(
            f"The Hartung-Knapp variance is smaller than the normal one (ratio {ratio:.3g}): the estimates agree "
            "more than their standard errors would have them; rely on the wider interval."
        )
    if asked == "hartung-knapp-at-least-normal":
        if below:
            told.append(
                f"The Hartung-Knapp ratio {ratio:.3g} is below 1 and was set to 1; the t quantile stays."
            )
        return asked, max(1.0, ratio), tuple(told)
    return asked, ratio, tuple(told)


def _test_and_half_width(
    estimate: float, std_error: float, df: float, level: float
) -> tuple[float, float, float]:
    """Wald statistic, two-sided p-value and half width of the interval; t on ``df``, infinity is normal."""
    from scipy.special import ndtr, stdtr

    # Identical estimates have Hartung-Knapp standard error 0: their ratio is infinite, or 0/0.
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = float(np.divide(estimate, std_error))
    lower_tail = ndtr(-abs(statistic)) if np.isinf(df) else stdtr(df, -abs(statistic))
    return statistic, float(2 * lower_tail), _upper_quantile(df, level) * std_error


def _upper_quantile(df: float, level: float) -> float:
    """Two-sided critical value of t on ``df``, of the normal if that is infinite."""
    from scipy.special import ndtri, stdtrit

    tail = (1 - level) / 2
    return float(-ndtri(tail)) if np.isinf(df) else float(-stdtrit(df, tail))


def _prediction_half_width(
    n_studies: int, tau_squared: float, std_error: float, method: PoolingMethod, level: float
) -> float:
    if method == "fixed" or n_studies < 3:
        return np.nan
    return _upper_quantile(n_studies - 2, level) * float(np.sqrt(tau_squared + std_error**2))
