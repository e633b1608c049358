"""The plug-in estimators: naive, full, internalized.

Each replaces the exposure by one value a person and fits the conditional logistic model; they differ
only in that value (Wu et al. 2022, section 2; METHODS section 3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.methods.season import SeasonFit, fit_season, stack_season
from biocal.fitting.problem.model_columns import ModelColumns, lay_out_columns
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.soundness.fits import InformativeSets, require_moderate_slope
from biocal.kernels.newton import Optimum
from biocal.kernels.sandwich import StackedScores, inverse_of_information
from biocal.kernels.sets.likelihood import ConditionalLikelihood
from biocal.kernels.sets.spread import SetSpread, SpreadByUnit
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis
from biocal.model.outcome.conditional import OutcomeFit, maximise_conditional

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
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
    value = calibration.predict(problem.calibration_rows)
    np.copyto(value, problem.reference_assay, where=~calibrated)
    return PlugInExposure(value, calibrated)


def fit_plug_in(
    problem: PooledProblem, exposure: PlugInExposure, basis: Basis, calibration: CalibrationFit | None
) -> tuple[ModelColumns, OutcomeFit, StackedScores]:
    """Fit the outcome model on a plug-in exposure and stack its scores with the calibration's.

    Returns
    -------
    ModelColumns, OutcomeFit, StackedScores
        The columns and their names, the fit without its scores by set and person, and what the sandwich is
        made of.

    Notes
    -----
    What persons give is summed block of sets by block of sets, and never held for all of them; only a season
    takes everybody's derivative at once.
    """
    model, likelihood, optimum = _maximise_plug_in(problem, exposure, basis)
    season, cross = exposure.season, None
    depends = calibration is not None and bool(
        exposure.calibrated.any() or (season is not None and season.calibrated.any())
    )
    beta, n_terms = optimum.point[0], model.n_terms
    loglik, information = 0.0, np.zeros((n_terms, n_terms))
    scores = np.zeros((problem.n_units, n_terms))
    by_everybody = np.zeros((n_terms, problem.is_case.size if season is not None else 0))
    telling = InformativeSets(n_terms, problem.n_sets)
    positions = model.exposure_positions.ravel()
    directions = inverse_of_information(optimum.information[0])[:, positions]
    by_unit = SpreadByUnit(problem.n_units, positions.size)
    if calibration is not None and depends:
        require_moderate_slope(model, basis, beta, exposure.value, exposure.calibrated, problem, calibration)
    for found in likelihood.sweep(optimum.point, directions):
        loglik += float(found.loglik.sum())
        information += found.information[0]
        add_by_unit(scores, problem.set_unit[found.block.sets], found.score[0])
        telling.add(found.block.sets, found.largest_slopes()[0])
        assert found.spread is not None
        by_unit.add(problem.set_unit[found.block.sets], found.spread)
        if not depends and season is None:
            continue
        persons = found.persons
        by_exposure = derivative_by_exposure(
            model, basis, beta, exposure.value, problem, persons, found.residual[0], found.slope[0]
        )
        if season is not None:
            by_everybody[:, persons] = by_exposure
        if calibration is not None and depends:
            # dU/dc = sum_i dU/dx_i C_i', and the bread is minus that.
            weights = np.where(exposure.calibrated[persons], by_exposure, 0.0)
            part = calibration.fold(weights, problem.calibration_rows.take(persons))
            cross = -part if cross is None else cross - part
    outcome = without_details(
        optimum,
        loglik,
        information,
        float(optimum.loglik_start[0]),
        telling.found(),
        by_unit.found(directions, positions),
    )
    stacked = _stacked(problem, scores, information, calibration if depends else None, cross)
    if season is not None:
        stacked = stack_season(stacked, problem, season, calibration, by_everybody)
    return model, outcome, stacked


def derivative_by_exposure(
    model: ModelColumns,
    basis: Basis,
    beta: FloatArray,
    exposure: FloatArray,
    problem: PooledProblem,
    persons: IntArray | slice,
    residual: FloatArray,
    slope: FloatArray,
) -> FloatArray:
    """dU/dx_i = (y_i - pi_i) g_i - Cov(T, 1_i) (beta'g_i) for exposures taken as they are, (p, m).

    Parameters
    ----------
    model : ModelColumns
    basis : Basis
    beta : ndarray, shape (p,)
    exposure : ndarray, shape (n,)
        Of everybody.
    problem : PooledProblem
    persons : ndarray of int, shape (m,), or slice
        Whose derivative is wanted.
    residual : ndarray, shape (m,)
        y_i - pi_i.
    slope : ndarray, shape (p, m)
        Cov(T, 1_i).
    """
    slopes = model.exposure_part(basis.slopes(exposure[persons]), problem.modifier[:, persons])
    return np.asarray(residual * slopes - slope * (beta @ slopes))


def exposure_derivative(
    model: ModelColumns, outcome: OutcomeFit, basis: Basis, exposure: FloatArray, problem: PooledProblem
) -> FloatArray:
    """The same of everybody, (p, n), from a fit with its residuals and slopes."""
    return derivative_by_exposure(
        model, basis, outcome.beta, exposure, problem, slice(None), outcome.residual, outcome.slope
    )


def plug_in_coefficients(
    problem: PooledProblem, exposure: PlugInExposure, basis: Basis
) -> tuple[ModelColumns, FloatArray]:
    """Terms and coefficients of the outcome model on a plug-in exposure alone; nothing is stacked."""
    model, _, optimum = _maximise_plug_in(problem, exposure, basis)
    return model, optimum.point[0]


def _maximise_plug_in(
    problem: PooledProblem, exposure: PlugInExposure, basis: Basis
) -> tuple[ModelColumns, ConditionalLikelihood, Optimum]:
    model = lay_out_columns(basis, problem)
    columns = model.of_persons(basis, exposure.value, problem)
    return model, *maximise_conditional(problem.layout, columns, model.terms)


def without_details(
    optimum: Optimum,
    loglik: float,
    information: FloatArray,
    loglik_null: float,
    informative: BoolArray,
    spread: SetSpread,
) -> OutcomeFit:
    """The record of a fit whose scores by set and person are summed already."""
    n_terms = optimum.point.shape[1]
    return OutcomeFit(
        beta=optimum.point[0],
        loglik=loglik,
        loglik_null=loglik_null,
        information=information,
        set_scores=np.empty((n_terms, 0)),
        residual=np.empty(0),
        slope=np.empty((n_terms, 0)),
        iterations=int(optimum.iterations[0]),
        decrement=float(optimum.decrement[0]),
        informative=informative,
        spread=spread,
    )


def stack(
    problem: PooledProblem, outcome: OutcomeFit, calibration: CalibrationFit | None, cross: FloatArray | None
) -> StackedScores:
    """Scores and bread of calibration and outcome model on the same independent units (METHODS section 6)."""
    scores = np.zeros((problem.n_units, outcome.beta.size))
    add_by_unit(scores, problem.set_unit, outcome.set_scores)
    return _stacked(problem, scores, outcome.information, calibration, cross)


def add_by_unit(scores: FloatArray, unit: IntArray, set_scores: FloatArray) -> None:
    """Add the scores of some sets (p, m), whose units are given (m,), to those of the units (n_units, p)."""
    if (unit[1:] > unit[:-1]).all():
        scores[unit] += set_scores.T
    else:
        np.add.at(scores, unit, set_scores.T)


def _stacked(
    problem: PooledProblem,
    scores: FloatArray,
    information: FloatArray,
    calibration: CalibrationFit | None,
    cross: FloatArray | None,
) -> StackedScores:
    if calibration is None or cross is None:
        return StackedScores(scores, information, None, None, None, None, None)
    calibrators, of_mean = problem.calibrators, calibration.mean_scores()
    return StackedScores(
        scores,
        information,
        cross,
        of_mean.scores,
        calibrators.unit,
        calibrators.rows.study,
        of_mean.inverse_bread,
    )
