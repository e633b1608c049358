"""The plug-in estimators: naive, full, internalized.

Each replaces the exposure by one value a person and fits the conditional logistic model; they differ
only in that value (Wu et al. 2022, section 2; METHODS section 3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.calibration.regression import CalibrationFit
from biocal.exposure.terms import Basis
from biocal.kernels.sandwich import StackedScores
from biocal.outcome.conditional_logistic import OutcomeFit, fit_conditional_logistic
from biocal.pooling.model_columns import ModelColumns, lay_out_columns
from biocal.pooling.problem import PooledProblem
from biocal.pooling.season import SeasonFit, fit_season, stack_season
from biocal.pooling.soundness import require_moderate_slope

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

PLUG_IN_METHODS = ("naive", "internalized", "full")


@dataclass(frozen=True, slots=True)
class PlugInExposure:
    """One exposure a person.

    Attributes
    ----------
    value : ndarray, shape (n,)
        In the unit of the reference laboratory (naive: of whichever laboratory measured it).
    calibrated : ndarray of bool, shape (n,)
        Persons whose value is the calibration's prediction and so depends on its parameters.
    season : SeasonFit or None
        The season that was taken off `value`.
    """

    value: FloatArray
    calibrated: BoolArray
    season: SeasonFit | None = None


def plug_in_exposure(
    problem: PooledProblem, method: str, calibration: CalibrationFit | None
) -> PlugInExposure:
    """Exposure that `method` uses for each person.

    naive: X in reference studies, W elsewhere, as if the scales agreed.  full: X in reference studies and
    mu(W, V) for everybody in local studies, calibration persons included.  internalized: as full, but the
    observed X for persons of the calibration subset.

    Where the problem has a season, it is taken off: naive's own, fitted to its own values; for the others the
    season of full calibration's exposure, internalized included, so that they differ in nothing else.

    Raises
    ------
    SeasonDesignError
        A study's controls do not tell its season.
    """
    exposure = _level_of_the_day(problem, method, calibration)
    if problem.season is None:
        return exposure
    fitted = _level_of_the_day(problem, "full", calibration) if method == "internalized" else exposure
    season = fit_season(problem, fitted.value, fitted.calibrated)
    return replace(exposure, value=exposure.value - season.shift, season=season)


def _level_of_the_day(
    problem: PooledProblem, method: str, calibration: CalibrationFit | None
) -> PlugInExposure:
    """The exposure before any standardisation."""
    reference = problem.is_reference
    if method == "naive":
        value = np.where(reference, problem.reference_assay, problem.local_assay)
        return PlugInExposure(value, np.zeros(value.size, dtype=bool))
    calibrated = ~reference
    if method == "internalized":
        calibrated = calibrated & ~problem.in_calibration
    if calibration is None:
        return PlugInExposure(problem.reference_assay, np.zeros(reference.size, dtype=bool))
    value = np.where(calibrated, calibration.predict(problem.calibration_rows), problem.reference_assay)
    return PlugInExposure(value, calibrated)


def fit_plug_in(
    problem: PooledProblem, exposure: PlugInExposure, basis: Basis, calibration: CalibrationFit | None
) -> tuple[ModelColumns, OutcomeFit, StackedScores]:
    """Fit the outcome model on a plug-in exposure and stack its scores with the calibration's.

    Returns
    -------
    ModelColumns, OutcomeFit, StackedScores
        The columns and their names, the fit, and what the sandwich is made of.
    """
    model, outcome = fit_plug_in_outcome(problem, exposure, basis)
    season, cross = exposure.season, None
    depends = calibration is not None and bool(
        exposure.calibrated.any() or (season is not None and season.calibrated.any())
    )
    by_exposure = np.zeros((model.n_terms, 0))
    if depends or season is not None:
        by_exposure = exposure_derivative(model, outcome, basis, exposure.value, problem)
    if calibration is not None and depends:
        slopes = outcome.beta @ model.slopes(basis.slopes(exposure.value), problem)
        require_moderate_slope(slopes, exposure.value, exposure.calibrated, problem, calibration)
        # dU/dc = sum_i dU/dx_i C_i', and the bread is minus that.
        weights = np.where(exposure.calibrated, by_exposure, 0.0)
        cross = -calibration.fold(weights, problem.calibration_rows)
    stacked = stack(problem, outcome, calibration if depends else None, cross)
    if season is not None:
        stacked = stack_season(stacked, problem, season, calibration, by_exposure)
    return model, outcome, stacked


def exposure_derivative(
    model: ModelColumns, outcome: OutcomeFit, basis: Basis, exposure: FloatArray, problem: PooledProblem
) -> FloatArray:
    """dU/dx_i = (y_i - pi_i) g_i - Cov(T, 1_i) (beta'g_i) for exposures taken as they are, (p, n)."""
    slopes = model.slopes(basis.slopes(exposure), problem)
    return np.asarray(outcome.residual * slopes - outcome.slope * (outcome.beta @ slopes))


def fit_plug_in_outcome(
    problem: PooledProblem, exposure: PlugInExposure, basis: Basis
) -> tuple[ModelColumns, OutcomeFit]:
    """Fit the outcome model on a plug-in exposure; nothing is stacked."""
    model = lay_out_columns(basis, problem)
    columns = model.build(basis.columns(exposure.value), problem)
    return model, fit_conditional_logistic(problem.layout, columns, model.terms)


def stack(
    problem: PooledProblem, outcome: OutcomeFit, calibration: CalibrationFit | None, cross: FloatArray | None
) -> StackedScores:
    """Scores and bread of calibration and outcome model on the same independent units (METHODS section 6)."""
    scores = np.zeros((problem.n_units, outcome.beta.size))
    np.add.at(scores, problem.set_unit, outcome.set_scores.T)
    if calibration is None or cross is None:
        return StackedScores(scores, outcome.information, None, None, None, None, None)
    calibrators, of_mean = problem.calibrators, calibration.mean_scores()
    return StackedScores(
        scores,
        outcome.information,
        cross,
        of_mean.scores,
        calibrators.unit,
        calibrators.rows.study,
        of_mean.inverse_bread,
    )
