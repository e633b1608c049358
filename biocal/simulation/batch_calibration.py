"""The calibration of a batch of replicates at once: the same least squares as :mod:`biocal.calibration`.

All replicates of a scenario share studies, sets and the size of every calibration subset, so that normal
equations, residuals and scores are a few array operations over a leading replicate axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.newton import solve_scaled
from biocal.simulation.batch_soundness import sound_calibrations

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class BatchCalibration:
    """Calibrations of B replicates.

    Attributes
    ----------
    gamma : ndarray, shape (B, G)
        Intercept and slope study by study, then the covariates' coefficients.
    inverse_bread : ndarray, shape (B, G, G)
    scores : ndarray, shape (B, n_pairs, G)
        r_i C_i.
    persons : ndarray of int, shape (B, n_pairs)
        Row of each calibration person.
    mean : ndarray, shape (B, n)
        mu(W, V) of persons of local studies; the reference value elsewhere.
    variance : ndarray, shape (B, L)
        Residual variances, RSS / sum(1 - h).
    sound : ndarray of bool, shape (B,)
        Far from what the general code would refuse or repair; the others are to be looked at one by one.
    """

    gamma: FloatArray
    inverse_bread: FloatArray
    scores: FloatArray
    persons: IntArray
    mean: FloatArray
    variance: FloatArray
    sound: BoolArray


def calibrate_batch(
    local_index: IntArray,
    local_assay: FloatArray,
    reference_assay: FloatArray,
    in_calibration: BoolArray,
    covariates: FloatArray,
    *,
    leverage_scores: bool = False,
) -> BatchCalibration:
    """Fit B calibrations with common covariate coefficients.

    Parameters
    ----------
    local_index : ndarray of int, shape (n,)
        Local study 0..L-1, -1 for reference studies.
    local_assay, reference_assay : ndarray, shape (B, n)
    in_calibration : ndarray of bool, shape (B, n)
        The same number in every replicate.
    covariates : ndarray, shape (B, k, n)
        Calibration covariates V; k may be 0.
    leverage_scores : bool
        Scores r_i C_i / (1 - h_i), as HC3.
    """
    batch = local_assay.shape[0]
    n_studies, k = int(local_index.max()) + 1, covariates.shape[1]
    persons = np.nonzero(in_calibration)[1].reshape(batch, -1)
    replicate = np.arange(batch)[:, None]
    study = local_index[persons]
    design = np.zeros((batch, persons.shape[1], 2 * n_studies + k))
    place = np.arange(persons.shape[1])[None, :]
    design[replicate, place, 2 * study] = 1.0
    design[replicate, place, 2 * study + 1] = local_assay[replicate, persons]
    if k:
        design[..., 2 * n_studies :] = np.swapaxes(covariates, 1, 2)[replicate, persons]
    response = reference_assay[replicate, persons]
    transposed = np.swapaxes(design, 1, 2)
    gram = np.matmul(transposed, design)
    inverse = solve_scaled(gram, np.broadcast_to(np.eye(gram.shape[-1]), gram.shape))
    gamma = np.matmul(inverse, np.matmul(transposed, response[..., None]))[..., 0]
    # One step of refinement: normal equations alone would lose half the digits.
    residuals = response - np.matmul(design, gamma[..., None])[..., 0]
    gamma += np.matmul(inverse, np.matmul(transposed, residuals[..., None]))[..., 0]
    residuals = response - np.matmul(design, gamma[..., None])[..., 0]
    scores = residuals[..., None] * design
    leverage = np.einsum("bip,bip->bi", np.matmul(design, inverse), design)
    freedom, rss = (
        np.stack([np.where(study == s, part, 0.0).sum(axis=1) for s in range(n_studies)], axis=1)
        for part in (1.0 - leverage, residuals * residuals)
    )
    if leverage_scores:
        scores /= np.maximum(1.0 - leverage, 1e-8)[..., None]
    # Reference studies get any study's line, and then their reference values instead.
    predicted = np.take(gamma, 2 * np.maximum(local_index, 0) + 1, axis=1)
    predicted *= local_assay
    predicted += np.take(gamma, 2 * np.maximum(local_index, 0), axis=1)
    if k:
        predicted += np.matmul(gamma[:, None, 2 * n_studies :], covariates)[:, 0]
    mean = np.where(local_index >= 0, predicted, reference_assay)
    sound = sound_calibrations(gram, design, freedom, study)
    variance = rss / np.where(freedom > 0, freedom, np.nan)
    return BatchCalibration(gamma, inverse, scores, persons, mean, variance, sound)


def fold_batch(
    weights: FloatArray, local_index: IntArray, local_assay: FloatArray, covariates: FloatArray
) -> FloatArray:
    """Sum over persons of weights_i C_i': shape (B, p, G).

    Parameters
    ----------
    weights : ndarray, shape (B, p, n)
        Zero for persons of local studies whose exposure is not calibrated; reference studies do not count.
    local_index, local_assay, covariates
        As in :func:`calibrate_batch`.
    """
    # Persons of a study come in runs: each is summed at once, and then the runs of a study.
    starts = np.flatnonzero(np.diff(local_index, prepend=-2))
    study = local_index[starts]
    local = study >= 0
    member = (study[local, None] == np.arange(int(study.max()) + 1)).astype(float)
    ones = np.add.reduceat(weights, starts, axis=-1)[..., local]
    slopes = np.add.reduceat(weights * local_assay[:, None], starts, axis=-1)[..., local]
    lines = np.stack([np.matmul(ones, member), np.matmul(slopes, member)], axis=-1)
    lines = lines.reshape(*ones.shape[:2], -1)
    if covariates.shape[1] == 0:
        return lines
    mine = weights * (local_index >= 0)
    return np.concatenate([lines, np.matmul(mine, np.swapaxes(covariates, 1, 2))], axis=-1)
