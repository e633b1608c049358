"""The stacked sandwich: covariance of outcome parameters when calibration parameters are estimated too.

theta = (gamma, beta); psi_j stacks the calibration scores and the outcome score of independent unit j;
the bread is block lower triangular, so that beta's influence is
``B22^{-1} (U_j - B21 B11^{-1} c_j)`` and its covariance the sum of their outer products (Stefanski and
Boos, Am Stat 2002;56:29-38; Sloan et al. 2021, section 2.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class StackedScores:
    """Scores and bread of a two-step estimator.

    Attributes
    ----------
    outcome_scores : ndarray, shape (n_units, p)
        U_j.
    information : ndarray, shape (p, p)
        B22.
    cross : ndarray, shape (p, G), or None
        B21, minus the derivative of the summed score with respect to the first step's parameters: the
        calibration's, then the season's; None when the exposure does not depend on them.
    calibration_scores : ndarray, shape (n_rows, q), or None
        First-step scores of calibration pairs, then of controls for the season.  G columns, or more where
        parameters that the exposure does not depend on are estimated jointly.
    calibration_unit : ndarray of int, shape (n_rows,), or None
        Unit of each row.
    calibration_study : ndarray of int, shape (n_rows,), or None
        Local study 0..L-1 of each calibration pair; -1 for rows that serve the season.
    inverse_calibration_bread : ndarray, shape (G, q), or None
        B11^{-1} (not symmetric when residual variances are among the parameters), its rows for the G
        parameters that the exposure depends on.
    """

    outcome_scores: FloatArray
    information: FloatArray
    cross: FloatArray | None
    calibration_scores: FloatArray | None
    calibration_unit: IntArray | None
    calibration_study: IntArray | None
    inverse_calibration_bread: FloatArray | None


@dataclass(frozen=True, slots=True)
class SandwichCovariance:
    """Covariances of beta.

    Attributes
    ----------
    vcov : ndarray, shape (p, p)
        Stacked sandwich.
    vcov_uncorrected : ndarray, shape (p, p)
        B22^{-1}, model-based, the calibration taken as known.
    calibration_parts : ndarray, shape (L, p, p)
        What each local study's calibration adds, through the season too, cross terms apart.
    influence : ndarray, shape (n_units, p)
        B22^{-1} (U_j - B21 B11^{-1} c_j): rows sum to about 0, their outer products to `vcov`.  (0, p) where
        nobody asks for it.
    """

    vcov: FloatArray
    vcov_uncorrected: FloatArray
    calibration_parts: FloatArray
    influence: FloatArray

    def without_influence(self) -> SandwichCovariance:
        """The covariances alone."""
        return replace(self, influence=np.empty((0, self.vcov.shape[0])))


def stacked_covariance(stacked: StackedScores, n_studies: int) -> SandwichCovariance:
    """Covariance of beta from stacked scores.

    Parameters
    ----------
    stacked : StackedScores
        Scores by independent unit, and bread.
    n_studies : int
        L, local studies.
    """
    p = stacked.information.shape[0]
    inverse = inverse_of_information(stacked.information)
    scores = stacked.outcome_scores
    parts = np.zeros((n_studies, p, p))
    influence = scores @ inverse
    if stacked.cross is not None:
        assert stacked.calibration_scores is not None
        assert stacked.calibration_unit is not None
        assert stacked.calibration_study is not None
        assert stacked.inverse_calibration_bread is not None
        transfer = stacked.cross @ stacked.inverse_calibration_bread
        shift = stacked.calibration_scores @ transfer.T @ inverse
        np.subtract.at(influence, stacked.calibration_unit, shift)
        parts = _calibration_parts(shift, stacked.calibration_unit, stacked.calibration_study, parts)
    return SandwichCovariance(influence.T @ influence, inverse, parts, influence)


def calibration_influence(stacked: StackedScores) -> FloatArray:
    """The part of beta's influence that comes through the calibration pairs, shape (n_units, p)."""
    found = np.zeros(stacked.outcome_scores.shape)
    if stacked.cross is None:
        return found
    assert stacked.calibration_scores is not None
    assert stacked.calibration_unit is not None
    assert stacked.calibration_study is not None
    assert stacked.inverse_calibration_bread is not None
    pairs = stacked.calibration_study >= 0
    transfer = stacked.cross @ stacked.inverse_calibration_bread
    np.subtract.at(found, stacked.calibration_unit[pairs], stacked.calibration_scores[pairs] @ transfer.T)
    return np.asarray(found @ inverse_of_information(stacked.information))


def _calibration_parts(shift: FloatArray, unit: IntArray, study: IntArray, parts: FloatArray) -> FloatArray:
    """Sum over a study's units of the outer products of their calibration influence."""
    for s in range(parts.shape[0]):
        mine = study == s
        _, place = np.unique(unit[mine], return_inverse=True)
        by_unit = np.zeros((place.max(initial=-1) + 1, shift.shape[1]))
        np.add.at(by_unit, place, shift[mine])
        parts[s] = by_unit.T @ by_unit
    return parts


def inverse_of_information(information: FloatArray) -> FloatArray:
    """Inverse of a positive definite matrix, symmetric, by way of its unit-diagonal form."""
    scale = 1.0 / np.sqrt(np.diagonal(information))
    scaled = information * np.outer(scale, scale)
    inverse = np.linalg.solve(scaled, np.eye(scaled.shape[0]))
    inverse = (inverse + inverse.T) / 2
    return np.asarray(inverse * np.outer(scale, scale))
