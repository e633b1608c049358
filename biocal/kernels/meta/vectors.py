"""Combine one vector a study: multivariate fixed effect and random effects.

Study s reports b_s (p,) with covariance V_s (p, p), taken as known.  With W_s = (V_s + T)^-1 the pooled
vector is mu = (sum W)^-1 sum W b with covariance (sum W)^-1; T is 0 under the fixed effect, or the
unstructured between-study covariance by restricted maximum likelihood (`inverse_variance_reml_vectors`).

References
----------
.. [1] Jackson D, Riley R, White IR. Multivariate meta-analysis: potential and promise. Stat Med
       2011;30:2481-2498, doi:10.1002/sim.4172.
.. [2] Jackson D, White IR, Riley RD. Quantifying the impact of between-study heterogeneity in multivariate
       meta-analyses. Stat Med 2012;31:3805-3820, doi:10.1002/sim.5453 (the multivariate Q).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biocal.kernels.meta.heterogeneity import (
    Heterogeneity,
    heterogeneity_from_q,
    require_option,
    require_two_studies,
    require_vectors_and_covariances,
)
from biocal.kernels.meta.reml import RemlSearch
from biocal.kernels.meta.reml_vectors import between_covariance_by_reml

FloatArray = NDArray[np.float64]

VectorPoolingMethod = Literal["fixed", "reml"]
VECTOR_POOLING_METHODS: tuple[VectorPoolingMethod, ...] = ("fixed", "reml")


@dataclass(frozen=True, slots=True)
class PooledVector:
    """One vector combined over studies.

    Attributes
    ----------
    method : {"fixed", "reml"}
        Source of the between-study covariance.
    n_studies : int
        k.
    estimate : ndarray, shape (p,)
        The pooled vector.
    covariance : ndarray, shape (p, p)
        Its covariance, T taken as known.
    between_covariance : ndarray, shape (p, p)
        T.  0 by assumption under the fixed effect; NaN, not estimable, for random effects of one study.
    between_rank : int
        Rank of T; less than p: the maximum lies on the boundary (variances of 0 or correlations of +-1).
    heterogeneity : Heterogeneity
        Q = sum (b_s - mu_F)' V_s^-1 (b_s - mu_F) at the fixed effect mu_F, on (k - 1) p degrees of freedom,
        with its I^2 and H^2.
    matrix_weights : ndarray, shape (k, p, p)
        A_s = (sum W)^-1 W_s, so that the pooled vector is sum A_s b_s and sum A_s = I.
    weights : ndarray, shape (k,)
        tr(A_s) / p: positive, sums to 1, the same in any units or linear recoding of the columns.
    restricted_log_likelihood : float
        At the maximum, for REML; else NaN.
    search : RemlSearch or None
        How the REML maximum was found.
    remarks : tuple of str
        Everything about this result that a reader must be told, in whole sentences.
    """

    method: VectorPoolingMethod
    n_studies: int
    estimate: FloatArray
    covariance: FloatArray
    between_covariance: FloatArray
    between_rank: int
    heterogeneity: Heterogeneity
    matrix_weights: FloatArray
    weights: FloatArray
    restricted_log_likelihood: float
    search: RemlSearch | None
    remarks: tuple[str, ...]

    @property
    def prediction_covariance(self) -> FloatArray:
        """Covariance (p, p) of a new study's true vector about the pooled one: T plus `covariance`."""
        return self.between_covariance + self.covariance


def combine_vectors(
    estimates: ArrayLike, covariances: ArrayLike, *, method: VectorPoolingMethod = "reml"
) -> PooledVector:
    """Combine one vector a study by inverse variance.

    Parameters
    ----------
    estimates : array_like, shape (k, p)
        One vector a study; every study has every column.
    covariances : array_like, shape (k, p, p)
        Their covariance matrices.
    method : {"reml", "fixed"}
        Random effects with unstructured between-study covariance, or the fixed effect.

    Returns
    -------
    PooledVector
        With a single study: that study, T NaN under random effects, and a remark.

    Raises
    ------
    InputError
        Shapes that do not fit, values not finite, a covariance not symmetric or not positive definite
        (attribute ``studies``).
    OptionError
        Unknown method.
    ConvergenceError
        The restricted maximum was not found.

    Examples
    --------
    >>> pooled = combine_vectors([[1.0, 0.0], [3.0, 1.0]], [np.eye(2), 3 * np.eye(2)], method="fixed")
    >>> pooled.estimate
    array([1.5 , 0.25])
    """
    require_option("method", method, VECTOR_POOLING_METHODS)
    b, within = require_vectors_and_covariances(estimates, covariances)
    k, p = b.shape
    fixed_mean, fixed_covariance, fixed_precisions = _weighted_mean(b, within)
    centred = b - fixed_mean
    heterogeneity = heterogeneity_from_q(
        float(np.einsum("si,sij,sj->", centred, fixed_precisions, centred)), (k - 1) * p
    )
    between, rank, loglik, search, remarks = _between_covariance(b, within, method)
    if rank == 0:
        mean, covariance, precisions = fixed_mean, fixed_covariance, fixed_precisions
    else:
        mean, covariance, precisions = _weighted_mean(b, within + between)
    matrix_weights = covariance @ precisions
    return PooledVector(
        method=method,
        n_studies=k,
        estimate=mean,
        covariance=covariance,
        between_covariance=between,
        between_rank=rank,
        heterogeneity=heterogeneity,
        matrix_weights=matrix_weights,
        weights=np.trace(matrix_weights, axis1=1, axis2=2) / p,
        restricted_log_likelihood=loglik,
        search=search,
        remarks=remarks,
    )


def leave_one_study_out_of_vectors(
    estimates: ArrayLike, covariances: ArrayLike, *, method: VectorPoolingMethod = "reml"
) -> tuple[PooledVector, ...]:
    """Combine k times, each time without one study and with T estimated anew.

    Parameters are those of `combine_vectors`; element s of the result leaves out study s.

    Raises
    ------
    InputError
        As `combine_vectors`, and when there are fewer than two studies.
    """
    b, within = require_vectors_and_covariances(estimates, covariances)
    require_two_studies(len(b))
    return tuple(
        combine_vectors(np.delete(b, left_out, axis=0), np.delete(within, left_out, axis=0), method=method)
        for left_out in range(len(b))
    )


def _weighted_mean(
    estimates: FloatArray, covariances: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Pooled vector (p,), its covariance (p, p), the precisions W_s (k, p, p).

    Columns are first brought to a common size, so that units do not cost precision.
    """
    size = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2).min(axis=0))
    outer = np.outer(size, size)
    precisions = np.linalg.inv(covariances / outer)
    precisions = (precisions + np.swapaxes(precisions, 1, 2)) / 2
    total = precisions.sum(axis=0)
    covariance = np.linalg.inv(total)
    # Centred on the most precise study: those that hardly count may be anywhere.
    sure = estimates[np.argmax(np.trace(precisions, axis1=1, axis2=2))]
    shifted = (estimates - sure) / size
    mean = np.linalg.solve(total, np.einsum("sij,sj->i", precisions, shifted))
    return sure + mean * size, (covariance + covariance.T) / 2 * outer, precisions / outer


def _between_covariance(
    estimates: FloatArray, covariances: FloatArray, method: VectorPoolingMethod
) -> tuple[FloatArray, int, float, RemlSearch | None, tuple[str, ...]]:
    """T, its rank, the restricted log-likelihood, the search, remarks."""
    k, p = estimates.shape
    if method == "fixed":
        return np.zeros((p, p)), 0, np.nan, None, ()
    if k == 1:
        told = "There is a single study: the result is that study, and T cannot be estimated."
        return np.full((p, p), np.nan), 0, np.nan, None, (told,)
    found = between_covariance_by_reml(estimates, covariances)
    return (
        found.matrix,
        found.rank,
        found.restricted_log_likelihood,
        found.search,
        _remarks(k, p, found.rank, found.search),
    )


def _remarks(n_studies: int, n_columns: int, rank: int, search: RemlSearch) -> tuple[str, ...]:
    told = []
    if n_studies - 1 < n_columns:
        told.append(
            f"{n_studies} studies cannot determine a between-study covariance of {n_columns} columns; "
            "judge heterogeneity by single contrasts."
        )
    if rank < n_columns:
        told.append(
            f"The between-study covariance lies on the boundary: rank {rank} of {n_columns}"
            + (" (no heterogeneity beyond the within-study variances)." if rank == 0 else ".")
        )
    if search.n_local_maxima > 1:
        told.append(
            f"The restricted likelihood has {search.n_local_maxima} local maxima among {search.n_starts} "
            "starting values; the highest was taken."
        )
    return tuple(told)
