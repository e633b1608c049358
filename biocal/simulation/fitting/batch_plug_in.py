"""The plug-in estimators of a batch of replicates: spline, likelihood and stacked sandwich at once.

The same mathematics as :mod:`biocal.fitting.methods.plug_in`, replicate by replicate the same numbers (a test holds
them together), arranged so that the arrays of some ten replicates stay in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.newton import maximise, solve_scaled
from biocal.kernels.sets.layout import SetLayout
from biocal.kernels.sets.likelihood import ConditionalLikelihood
from biocal.kernels.splines import spline_columns, spline_slopes
from biocal.simulation.fitting.batch import BatchCalibration, fold_batch, has_variance, identified, moderate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class BatchSets:
    """What all replicates share.

    Attributes
    ----------
    layout : SetLayout
    set_code : ndarray of int, shape (n,)
    local_index : ndarray of int, shape (n,)
        Local study, -1 for reference studies.
    """

    layout: SetLayout
    set_code: IntArray
    local_index: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class BatchEstimates:
    """Curves of B replicates.

    Attributes
    ----------
    log_or, std_error : ndarray, shape (B, m)
    beta : ndarray, shape (B, K)
        Coefficients of the exposure columns.
    vcov : ndarray, shape (B, K, K)
        Their covariance.
    sound : ndarray of bool, shape (B,)
        Finite, and far from what the general code would refuse or repair; the others are to be looked at one by one.
    """

    log_or: FloatArray
    std_error: FloatArray
    beta: FloatArray
    vcov: FloatArray
    sound: BoolArray


def fit_batch(
    sets: BatchSets,
    exposure: FloatArray,
    calibrated: bool,
    known: IntArray | None,
    calibration: BatchCalibration | None,
    local_assay: FloatArray,
    calibration_covariates: FloatArray,
    covariates: FloatArray,
    knots: FloatArray | None,
    at: FloatArray,
    reference: float,
) -> BatchEstimates:
    """Fit B replicates by one plug-in method.

    Parameters
    ----------
    sets : BatchSets
    exposure : ndarray, shape (B, n)
        Plug-in exposure.
    calibrated : bool
        Whether the exposure of persons of local studies depends on the calibration.
    known : ndarray of int, shape (B, k), or None
        Of those, persons whose exposure does not.
    calibration : BatchCalibration or None
    local_assay : ndarray, shape (B, n)
    calibration_covariates, covariates : ndarray, shape (B, k, n)
        V and Z.
    knots : ndarray, shape (K,) or (B, K), or None
        None for a linear term.
    at : ndarray, shape (m,)
        Exposures of the curve.
    reference : float
        Reference exposure.
    """
    columns, contrast = _columns(exposure, covariates, knots, at, reference)
    likelihood = ConditionalLikelihood(sets.layout, columns)
    start = np.zeros(columns.shape[:2])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        optimum = maximise(likelihood.evaluate, start, slope=likelihood.slope)
        beta, sound = optimum.point, identified(optimum, columns)
        details = likelihood.details(beta)
        scores = details.set_scores
        if calibrated and calibration is not None:
            slopes = _slopes(exposure, columns.shape[1], knots)
            n_exposure = slopes.shape[1]
            tilt = np.matmul(beta[:, None, :n_exposure], slopes)
            sound &= calibration.sound & moderate(tilt, calibration.variance)
            weights = details.slope
            weights *= -tilt
            slopes *= details.residual[:, None, :]
            weights[:, :n_exposure] += slopes
            if known is not None:
                weights[np.arange(known.shape[0])[:, None], :, known] = 0.0
            cross = -fold_batch(weights, sets.local_index, local_assay, calibration_covariates)
            transfer = np.matmul(cross, calibration.inverse_bread)
            shift = np.matmul(transfer, np.swapaxes(calibration.scores, 1, 2))
            _subtract_by_set(scores, sets.set_code[calibration.persons], shift)
        meat = np.matmul(scores, np.swapaxes(scores, 1, 2))
        half = solve_scaled(details.information, contrast)
        variance = np.einsum("bpm,bpq,bqm->bm", half, meat, half)
        exposure_beta = beta[:, : contrast.shape[1] - covariates.shape[1]].copy()
        own = np.zeros((*contrast.shape[:2], exposure_beta.shape[1]))
        own[:, : own.shape[2]] = np.eye(own.shape[2])
        own = solve_scaled(details.information, own)
        vcov = np.matmul(np.swapaxes(own, 1, 2), np.matmul(meat, own))
        log_or = np.einsum("bp,bpm->bm", beta, contrast)
        error = np.sqrt(np.maximum(variance, 0.0))
    finite = np.isfinite(log_or).all(axis=1) & np.isfinite(error).all(axis=1)
    sound &= finite & has_variance(meat, details.information)
    return BatchEstimates(log_or, error, exposure_beta, vcov, sound)


def _columns(
    exposure: FloatArray, covariates: FloatArray, knots: FloatArray | None, at: FloatArray, reference: float
) -> tuple[FloatArray, FloatArray]:
    """Columns of the linear predictor (B, p, n), and the contrasts of the curve (B, p, m)."""
    if knots is None:
        terms, basis = exposure[:, None, :], (at - reference)[None, :]
    else:
        # One replicate after the other: a row stays in the cache, a batch does not.
        terms = np.empty((exposure.shape[0], knots.shape[-1] - 1, exposure.shape[1]))
        for row in range(exposure.shape[0]):
            spline_columns(exposure[row], knots if knots.ndim == 1 else knots[row], out=terms[row])
        basis = spline_columns(at, knots) - spline_columns(np.array([reference]), knots)
    columns = np.concatenate([terms, covariates], axis=1) if covariates.shape[1] else terms
    contrast = np.zeros((*columns.shape[:2], at.size))
    contrast[:, : terms.shape[1]] = basis
    return columns, contrast


def _slopes(exposure: FloatArray, n_columns: int, knots: FloatArray | None) -> FloatArray:
    """Derivatives of the exposure's columns, (B, K-1, n)."""
    if knots is None:
        return np.ones((exposure.shape[0], 1, exposure.shape[1]))
    slopes = np.empty((exposure.shape[0], knots.shape[-1] - 1, exposure.shape[1]))
    for row in range(exposure.shape[0]):
        slopes[row] = spline_slopes(exposure[row], knots if knots.ndim == 1 else knots[row])
    return slopes


def _subtract_by_set(scores: FloatArray, set_code: IntArray, shift: FloatArray) -> None:
    """scores (B, p, n_sets) less the calibration persons' shifts (B, p, n_pairs), in their sets (B, n_pairs)."""
    batch, p, n_sets = scores.shape
    flat = (set_code + n_sets * np.arange(batch)[:, None]).ravel()
    for row in range(p):
        total = np.bincount(flat, weights=shift[:, row].ravel(), minlength=batch * n_sets)
        scores[:, row] -= total.reshape(batch, n_sets)
