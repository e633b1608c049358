"""The calibration of a batch of replicates at once: the same least squares as :mod:`biocal.model.calibration`.

All replicates of a scenario share studies, sets and the size of every calibration subset, so that normal
equations, residuals and scores are a few array operations over a leading replicate axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.soundness.digits import TOLD
from biocal.fitting.soundness.fits import NO_VARIANCE, STEEPEST
from biocal.kernels.newton import COLLINEAR_PIVOT, Optimum, smallest_ratios, solve_scaled
from biocal.kernels.sets.likelihood import CONSTANT_WITHIN_SETS
from biocal.model.calibration.lines import LEAST_FREEDOM
from biocal.model.outcome.conditional import MAYBE_FLAT

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: How much stricter than the general code: it sums in another order, and near its limits rounding decides.
_STRICTER = 10.0
#: Share of its size by which a column must differ within sets; what is constant there differs by 1e-13 of the
#: largest value, which may be some thousand times as large as those that are looked at.
_HARDLY_VARIES = 1e4 * CONSTANT_WITHIN_SETS
#: Persons who tell a column's size.
_LOOKED_AT = 128
#: Smallest eigenvalue of a unit-diagonal Gram matrix whose normal equations keep half their digits.
_WELL_CONDITIONED = 1e-8


def sound_calibrations(
    gram: FloatArray, design: FloatArray, freedom: FloatArray, local_studies: IntArray
) -> BoolArray:
    """Whether calibrations are far from what least squares refuses or repairs, (B,).

    Parameters
    ----------
    gram : ndarray, shape (B, G, G)
        C'C.
    design : ndarray, shape (B, n_pairs, G)
        Rows C_i: 1 and W of each local study, then the covariates.
    freedom : ndarray, shape (B, L)
        Residual degrees of freedom.
    local_studies : ndarray of int, shape (B, n_pairs)
        Local study of each pair.
    """
    sound = np.asarray(np.isfinite(gram).all(axis=(1, 2)) & (freedom >= LEAST_FREEDOM * 1.01).all(axis=1))
    n_studies = freedom.shape[1]
    for study in range(n_studies):
        sound &= _varies(design[..., 2 * study + 1], local_studies == study)
    for column in range(2 * n_studies, design.shape[-1]):
        sound &= _varies(design[..., column], np.ones(local_studies.shape, dtype=bool))
    sound[sound] &= _unit_eigenvalues(gram[sound]) > _WELL_CONDITIONED
    return sound


def _varies(values: FloatArray, mine: BoolArray) -> BoolArray:
    """Whether values (B, n) of some pairs differ beyond the rounding of their size, (B,)."""
    highest = np.where(mine, values, -np.inf).max(axis=1)
    lowest = np.where(mine, values, np.inf).min(axis=1)
    return np.asarray((highest - lowest) * TOLD > np.maximum(np.abs(highest), np.abs(lowest)))


def sound_knots(exposure: FloatArray, knots: FloatArray) -> BoolArray:
    """Whether knots lie where the general code places or accepts them, (B,).

    Parameters
    ----------
    exposure : ndarray, shape (B, n)
        Full calibration's exposure of the controls.
    knots : ndarray, shape (K,) or (B, K)
        Given ones, which must lie within the exposures; or each replicate's quantiles, which must differ.
    """
    if knots.ndim == 1:
        return np.asarray((exposure.min(axis=1) <= knots[0]) & (exposure.max(axis=1) >= knots[-1]))
    size = np.abs(knots[:, 0]) + np.abs(knots[:, -1])
    return np.asarray((np.diff(knots, axis=1) > 1e-11 * size[:, None]).all(axis=1))


def identified(optimum: Optimum, columns: FloatArray) -> BoolArray:
    """Whether no column is constant within sets or a combination of others, and none separates, (B,).

    Parameters
    ----------
    optimum : Optimum
    columns : ndarray, shape (B, p, n)
    """
    start = optimum.information_start
    diagonal = np.diagonal(start, axis1=-2, axis2=-1)
    # The size of a column from some persons: looking at everybody would take longer than the rest of this.
    some = columns[:, :, :: max(1, columns.shape[2] // _LOOKED_AT)]
    size = np.abs(some).max(axis=2)
    rounding = columns.shape[2] * (_HARDLY_VARIES * size) ** 2
    sound = np.asarray(np.isfinite(start).all(axis=(1, 2)) & (diagonal > rounding).all(axis=1))
    sound &= optimum.converged & (optimum.flatness >= MAYBE_FLAT)
    sound[sound] &= _unit_eigenvalues(start[sound]) > _STRICTER * COLLINEAR_PIVOT
    return sound


def has_variance(meat: FloatArray, information: FloatArray) -> BoolArray:
    """Whether the sandwich has a variance of its own along every direction, (B,): its ratio to the model-based one."""
    finite = np.isfinite(meat).all(axis=(1, 2)) & np.isfinite(information).all(axis=(1, 2))
    found = np.zeros(finite.size, dtype=bool)
    found[finite] = smallest_ratios(meat[finite], information[finite]) > _STRICTER * NO_VARIANCE
    return found


def moderate(tilt: FloatArray, variance: FloatArray) -> BoolArray:
    """Whether a residual SD of the calibration makes a log odds ratio within reason for everybody, (B,).

    Parameters
    ----------
    tilt : ndarray, shape (B, 1, n)
        Slope of the log odds ratio at each person's exposure.
    variance : ndarray, shape (B, L)
        Residual variances of the local studies.
    """
    steepest = np.maximum(tilt.max(axis=(1, 2)), -tilt.min(axis=(1, 2)))
    return np.asarray(steepest * np.sqrt(variance.max(axis=1)) < STEEPEST / 2)


def _unit_eigenvalues(gram: FloatArray) -> FloatArray:
    """Smallest eigenvalue of each Gram matrix (B, p, p) with its diagonal scaled to 1, (B,)."""
    if gram.shape[0] == 0 or gram.shape[-1] == 0:
        return np.ones(gram.shape[0])
    scale = 1.0 / np.sqrt(np.maximum(np.diagonal(gram, axis1=-2, axis2=-1), 1e-300))
    return np.asarray(np.linalg.eigvalsh(gram * scale[:, :, None] * scale[:, None, :])[:, 0])


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
