r"""Season standardisation: study-specific harmonics fitted in controls and taken off the exposure.

The exposure of person i of study s becomes ``x_i - a_s'(h(t_i) - h(t_0))``, h the harmonics of the day of blood
draw, t_0 the reference date; towards the annual mean h(t_0) counts as 0, the harmonics having mean 0 over a year
(Gail et al. 2016; METHODS section 12).  The harmonics solve, over the study's controls,
``sum e_i (1, h(t_i)) = 0`` with ``e_i = x_i - c_s - a_s'h(t_i)``, x_i the value that the reference laboratory
measured or full calibration's mean.  These are estimating functions of the stack like the others.  Each set's persons
have the harmonics less what the set's own controls give to them (:mod:`biocal.fitting.methods.season_own_set`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import SeasonDesignError
from biocal.fitting.methods.season_own_set import OwnSetLeftOut, leave_own_set_out
from biocal.fitting.problem.problem import PooledProblem
from biocal.kernels.sandwich import StackedScores
from biocal.model.calibration.lines import CalibrationFit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: Share of a harmonic's spread that is left when the others explain it, below which it is not identified.
_IDENTIFIED = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class SeasonFit:
    """Fitted harmonics of all studies of a problem.

    Attributes
    ----------
    studies : ndarray of int, shape (S,)
        Studies of the problem, indices into its study names.
    coefficients : ndarray, shape (S, 1 + h)
        Annual mean and harmonics, on the scale of the exposure.
    code : ndarray of int, shape (n,)
        Position of each person's study in `studies`.
    shift : ndarray, shape (n,)
        a'(h(t_i) - h(t_0)) by the harmonics of the person's set, taken off the exposure.
    residual : ndarray, shape (n,)
        e_i; 0 for cases, who take no part.
    calibrated : ndarray of bool, shape (n,)
        Controls whose x_i is the calibration's prediction and depends on its parameters.
    inverse_bread : ndarray, shape (S, 1 + h, 1 + h)
        Inverse of the sum over the study's controls of (1, h)(1, h)'.
    of_sets : OwnSetLeftOut
        Harmonics of each set, without its own controls.
    """

    studies: IntArray
    coefficients: FloatArray
    code: IntArray
    shift: FloatArray
    residual: FloatArray
    calibrated: BoolArray
    inverse_bread: FloatArray
    of_sets: OwnSetLeftOut

    @property
    def n_parameters(self) -> int:
        """S (1 + h)."""
        return int(self.coefficients.size)


def fit_season(problem: PooledProblem, exposure: FloatArray, calibrated: BoolArray) -> SeasonFit:
    """Fit the harmonics of every study by least squares in its controls.

    Parameters
    ----------
    problem : PooledProblem
        With a season.
    exposure : ndarray, shape (n,)
        x_i, on the reference scale.
    calibrated : ndarray of bool, shape (n,)
        Persons whose x_i depends on the calibration.

    Raises
    ------
    SeasonDesignError
        A study's controls do not identify its harmonics (attribute ``studies``).
    """
    assert problem.season is not None
    studies, code = np.unique(problem.study, return_inverse=True)
    code = code.ravel().astype(np.intp)
    columns = with_level(problem.season.harmonics)
    coefficients = np.empty((studies.size, columns.shape[0]))
    inverse_bread = np.empty((studies.size, columns.shape[0], columns.shape[0]))
    residual = np.zeros(exposure.size)
    unidentified = []
    for s, study in enumerate(studies):
        mine = np.flatnonzero((code == s) & problem.is_control)
        design, response = columns[:, mine].T, exposure[mine]
        _, r = np.linalg.qr(design)
        if mine.size <= columns.shape[0] or np.abs(np.diagonal(r)).min() < _IDENTIFIED * np.sqrt(mine.size):
            unidentified.append(int(study))
            continue
        inverse_bread[s] = np.linalg.inv(design.T @ design)
        coefficients[s] = np.linalg.lstsq(design, response, rcond=None)[0]
        residual[mine] = response - design @ coefficients[s]
    if unidentified:
        raise _not_identified(problem, unidentified)
    set_study = np.empty(problem.n_sets, dtype=np.intp)
    set_study[problem.set_code] = code
    controls = np.flatnonzero(problem.is_control)
    of_sets = leave_own_set_out(
        columns,
        residual,
        controls,
        problem.set_code,
        set_study,
        coefficients,
        inverse_bread,
        keep_all=problem.season.with_own_set,
    )
    moved = problem.season.harmonics - problem.season.origin[:, None]
    shift = np.einsum("nh,hn->n", of_sets.coefficients[problem.set_code, 1:], moved)
    return SeasonFit(
        studies.astype(np.intp),
        coefficients,
        code,
        shift,
        residual,
        calibrated & problem.is_control,
        inverse_bread,
        of_sets,
    )


def with_level(harmonics: FloatArray) -> FloatArray:
    """A row of ones above the harmonics: (1 + h, n)."""
    return np.vstack([np.ones((1, harmonics.shape[1])), harmonics])


def _not_identified(problem: PooledProblem, studies: list[int]) -> SeasonDesignError:
    assert problem.season is not None
    needed = 1 + problem.season.harmonics.shape[0]
    found = []
    for study in studies:
        mine = (problem.study == study) & problem.is_control
        n_dates = np.unique(problem.season.harmonics[:, mine].round(9), axis=1).shape[1]
        found.append(
            f"study {problem.study_names[study]}: {int(mine.sum())} controls drawn at "
            f"{n_dates} time{'' if n_dates == 1 else 's'} of the year, more than {needed} controls at "
            f"{needed} or more are needed"
        )
    fewer = "one harmonic instead of two, or " if needed > 3 else ""
    return SeasonDesignError(
        f"the season cannot be told: {'; '.join(found)}. Fit {fewer}without season standardisation, or leave such "
        "a study out",
        studies=tuple(problem.study_names[study] for study in studies),
    )


def stack_season(
    stacked: StackedScores,
    problem: PooledProblem,
    season: SeasonFit,
    calibration: CalibrationFit | None,
    by_exposure: FloatArray,
) -> StackedScores:
    """Add the season's estimating functions to a stack.

    Parameters
    ----------
    stacked : StackedScores
        Of calibration, if the exposure depends on it, and outcome.
    problem : PooledProblem
    season : SeasonFit
    calibration : CalibrationFit or None
        The one in the stack.
    by_exposure : ndarray, shape (p, n)
        dU / dx_i of everybody, calibrated or measured.

    Returns
    -------
    StackedScores
        First-step parameters are those of the stack and then the harmonics, study by study.

    Notes
    -----
    With H the sum of (1, h)(1, h)' and C_i the calibration's row the bread of the first step is
    [[B11, 0], [-sum (1, h)_i C_i', H]], the sum over calibrated controls.  With
    v_j = sum over set j of dU/dx_i (0, h(t_i) - h(t_0))' and M_j = (H - H_j)^-1 the cross block of the harmonics with
    beta is sum_j v_j M_j H, the exposure falling as they rise, and that of the calibration gains
    -sum_j v_j M_j sum (1, h)_k C_k' over the set's calibrated controls.
    """
    assert problem.season is not None
    rows = np.flatnonzero(problem.is_control)
    scores = _wide(season, with_level(problem.season.harmonics) * season.residual)[:, rows].T
    by_set = _by_harmonics_of_sets(problem, season, by_exposure)
    cross = _cross_of_season(problem, season, by_set)
    inverse = season_inverse_bread(season)
    unit = problem.set_unit[problem.set_code[rows]]
    outside = np.full(rows.size, -1, dtype=np.intp)
    if stacked.cross is None:
        return replace(
            stacked,
            cross=cross,
            calibration_scores=scores,
            calibration_unit=unit,
            calibration_study=outside,
            inverse_calibration_bread=inverse,
        )
    assert stacked.calibration_scores is not None
    assert stacked.calibration_unit is not None
    assert stacked.calibration_study is not None
    assert stacked.inverse_calibration_bread is not None
    assert calibration is not None
    before, n_season = stacked.inverse_calibration_bread, season.n_parameters
    n_first, n_scores = before.shape
    through_own = _calibration_through_own_set(problem, season, calibration, by_set)
    before_cross = stacked.cross.copy()
    before_cross[:, : through_own.shape[1]] -= through_own
    by_calibration = _by_calibration(problem, season, calibration)
    lower = np.zeros((n_season, n_first))  # residual variances that the mean does not need come last
    lower[:, : by_calibration.shape[1]] = by_calibration
    whole = np.zeros((n_first + n_season, n_scores + n_season))
    whole[:n_first, :n_scores] = before
    whole[n_first:, :n_scores] = inverse @ lower @ before
    whole[n_first:, n_scores:] = inverse
    padded = np.zeros((stacked.calibration_scores.shape[0] + rows.size, n_scores + n_season))
    padded[: -rows.size, :n_scores] = stacked.calibration_scores
    padded[-rows.size :, n_scores:] = scores
    return replace(
        stacked,
        cross=np.hstack([before_cross, cross]),
        calibration_scores=padded,
        calibration_unit=np.concatenate([stacked.calibration_unit, unit]),
        calibration_study=np.concatenate([stacked.calibration_study, outside]),
        inverse_calibration_bread=whole,
    )


def _by_harmonics_of_sets(problem: PooledProblem, season: SeasonFit, by_exposure: FloatArray) -> FloatArray:
    """v_j M_j of every set: dU by the harmonics of the set times (H - H_j)^-1, minus the sign: (n_sets, p, 1 + h)."""
    assert problem.season is not None
    moved = problem.season.harmonics - problem.season.origin[:, None]
    by_set = np.zeros((problem.n_sets, by_exposure.shape[0], 1 + moved.shape[0]))
    for k, row in enumerate(by_exposure):
        for h, wave in enumerate(moved, start=1):  # the annual mean does not move the exposure
            by_set[:, k, h] = np.bincount(problem.set_code, weights=row * wave, minlength=problem.n_sets)
    return by_set @ season.of_sets.inverse_bread


def _cross_of_season(problem: PooledProblem, season: SeasonFit, by_set: FloatArray) -> FloatArray:
    """Block of the bread of beta by the studies' harmonics, (p, S (1 + h))."""
    set_study = np.empty(problem.n_sets, dtype=np.intp)
    set_study[problem.set_code] = season.code
    parts = [
        by_set[set_study == s].sum(axis=0) @ np.linalg.inv(season.inverse_bread[s])
        for s in range(season.studies.size)
    ]
    return np.hstack(parts)


def _calibration_through_own_set(
    problem: PooledProblem, season: SeasonFit, calibration: CalibrationFit, by_set: FloatArray
) -> FloatArray:
    """dU by the calibration through what sets' own controls are left out with, (p, G)."""
    assert problem.season is not None
    rows = np.flatnonzero(season.calibrated & ~season.of_sets.keeps_part[problem.set_code])
    columns = with_level(problem.season.harmonics[:, rows])
    weights = np.einsum("npq,qn->pn", by_set[problem.set_code[rows]], columns)
    return calibration.fold(weights, problem.calibration_rows.take(rows))


def season_covariance(
    problem: PooledProblem, season: SeasonFit, calibration: CalibrationFit | None
) -> FloatArray:
    """Sandwich covariance of annual means and harmonics, the calibration's uncertainty carried: (S, 1+h, 1+h)."""
    assert problem.season is not None
    rows = np.flatnonzero(problem.is_control)
    scores = _wide(season, with_level(problem.season.harmonics) * season.residual)[:, rows].T
    inverse = season_inverse_bread(season)
    influence = np.zeros((problem.n_units, season.n_parameters))
    np.add.at(influence, problem.set_unit[problem.set_code[rows]], scores @ inverse.T)
    if calibration is not None and season.calibrated.any():
        of_mean = calibration.mean_scores()
        transfer = inverse @ _by_calibration(problem, season, calibration) @ of_mean.inverse_bread
        np.add.at(influence, problem.calibrators.unit, of_mean.scores @ transfer.T)
    covariance = influence.T @ influence
    width = season.coefficients.shape[1]
    blocks = [covariance[s : s + width, s : s + width] for s in range(0, season.n_parameters, width)]
    return np.asarray(blocks)


def season_inverse_bread(season: SeasonFit) -> FloatArray:
    """Block diagonal inverse of H, shape (S (1 + h), S (1 + h))."""
    n_studies, width = season.coefficients.shape
    inverse = np.zeros((n_studies * width, n_studies * width))
    for s in range(n_studies):
        part = slice(s * width, (s + 1) * width)
        inverse[part, part] = season.inverse_bread[s]
    return inverse


def _by_calibration(problem: PooledProblem, season: SeasonFit, calibration: CalibrationFit) -> FloatArray:
    """Sum over calibrated controls of (1, h)_i times the derivative of their mean: shape (S (1 + h), G)."""
    assert problem.season is not None
    level = with_level(problem.season.harmonics) * season.calibrated
    parts = []
    for s in range(season.studies.size):
        mine = np.flatnonzero(season.code == s)
        parts.append(calibration.fold(level[:, mine], problem.calibration_rows.take(mine)))
    return np.vstack(parts)


def _wide(season: SeasonFit, columns: FloatArray) -> FloatArray:
    """Columns (1 + h, n) in the place of each person's study: (S (1 + h), n)."""
    n_studies, width = season.coefficients.shape
    wide = np.zeros((n_studies, width, columns.shape[1]))
    wide[season.code, :, np.arange(columns.shape[1])] = columns.T
    return wide.reshape(n_studies * width, -1)
