"""Which replicates of a batch are looked at one by one: wherever the general code might refuse, or repair by name.

The checks here are those of :mod:`biocal.calibration.regression`, :mod:`biocal.pooling.offsets`,
:mod:`biocal.outcome.conditional_logistic` and :mod:`biocal.pooling.soundness` for all replicates at once, each a
little stricter than there: a replicate that passes would pass there too, and one that does not is fitted by that
code, which fails it by name or finds its numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.calibration.regression import LEAST_FREEDOM
from biocal.kernels.matched_set import CONSTANT_WITHIN_SETS
from biocal.kernels.newton import COLLINEAR_PIVOT, Optimum, smallest_ratios
from biocal.outcome.conditional_logistic import MAYBE_FLAT
from biocal.pooling.offsets import TOLD
from biocal.pooling.soundness import NO_VARIANCE, STEEPEST

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
