"""One batch of replicates: draw, calibrate, fit every method, read off the curve.

A replicate that fails is a row with its error, never an end of the run: this is the only module, besides the
command line's outermost edge, that catches every exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import CalibrationDesignError
from biocal.fitting.methods.estimate import calibrate_problem, estimate_method
from biocal.fitting.problem.problem import PooledProblem
from biocal.kernels.contrasts import contrast_errors
from biocal.kernels.splines import default_probabilities
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis, LinearBasis, SplineBasis
from biocal.simulation.design.scenario import Scenario
from biocal.simulation.drawing.draw import Drawn, draw
from biocal.simulation.fitting.batch import BatchCalibration, calibrate_batch, sound_knots
from biocal.simulation.fitting.batch_plug_in import BatchEstimates, BatchSets, fit_batch
from biocal.simulation.fitting.problem import (
    basis_by_rule,
    calibrated_by_rule,
    calibration_covariates_of,
    layouts_of,
    outcome_covariates_of,
    problem_of,
    sets_of,
    specification_of,
)
from biocal.simulation.fitting.quantities import fill_wald_tests, no_quantities
from biocal.simulation.fitting.rows import MethodRows, all_failed, replicate_rows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: Methods that are one array computation for the whole batch.
BATCHED = ("reference", "naive", "internalized", "full")


def run_batch(
    scenario: Scenario, seed: int, scenario_index: int, replicates: Sequence[int]
) -> dict[str, NDArray[Any]]:
    """Draw and fit some replicates of a scenario.

    Parameters
    ----------
    scenario : Scenario
    seed, scenario_index : int
        With the replicate's number they name its random stream.
    replicates : sequence of int

    Returns
    -------
    dict of str to ndarray
        Columns of replicates.parquet: scenario, replicate, method, exposure, estimate, std_error, conf_low,
        conf_high, truth, converged, error; rows in the order replicate, method, exposure, and after
        the exposures of a method its coefficients and tests, where these are asked for: then with the column
        quantity.
    """
    try:
        drawn = draw(scenario, seed, scenario_index, replicates)
    except MemoryError:  # a matter of this machine, not of the scenario
        raise
    except Exception as failure:  # a scenario that cannot be drawn fails in every replicate, and says why
        return replicate_rows(
            scenario, scenario_index, replicates, all_failed(scenario, len(replicates), failure)
        )
    return replicate_rows(scenario, scenario_index, replicates, estimate_drawn(drawn, scenario))


def estimate_drawn(drawn: Drawn, scenario: Scenario) -> dict[str, MethodRows]:
    """What every method finds in a batch: its curve, and the coefficients and tests that are asked for."""
    batch = drawn.reference_assay.shape[0]
    prepared = _prepare(drawn, scenario)
    found: dict[str, MethodRows] = {}
    heterogeneity: dict[str, list[float]] = {}
    for method in scenario.methods:
        quantities = no_quantities(scenario, batch)
        nothing = np.full((batch, len(scenario.estimand.at)), np.nan)
        estimates = BatchEstimates(
            nothing, nothing.copy(), quantities.beta, quantities.vcov, np.zeros(batch, dtype=bool)
        )
        if method in BATCHED and drawn.person is None and scenario.fit.modifier is None:
            estimates = _fit_together(prepared, scenario, method, estimates)
        errors = [""] * batch
        for row in np.flatnonzero(~estimates.sound):
            errors[row] = _one_by_one(drawn, scenario, method, int(row), prepared, estimates)
        quantities = replace(quantities, beta=estimates.beta, vcov=estimates.vcov)
        if scenario.estimand.tests:
            fill_wald_tests(quantities, scenario)
        if "heterogeneity" in scenario.estimand.tests:
            column = scenario.estimand.tests.index("heterogeneity")
            tested = method if method in BATCHED else "full"  # as the test that accompanies a fit
            if tested not in heterogeneity:
                heterogeneity[tested] = [
                    _heterogeneity(drawn, scenario, tested, row, prepared) for row in range(batch)
                ]
            quantities.p_values[:, column] = heterogeneity[tested]
        found[method] = MethodRows(estimates.log_or, estimates.std_error, errors, quantities)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """What the methods of a batch share.

    Attributes
    ----------
    sets : BatchSets
    arranged : Drawn
        Persons in the order in which the likelihood takes them.
    covariates, outcome_covariates : ndarray, shape (B, k, n)
        V and Z.
    calibration : BatchCalibration or None
    knots : ndarray, shape (K,) or (B, K), or None
    sound : ndarray of bool, shape (B,)
        Calibration and knots are far from what the general code would refuse.
    """

    sets: BatchSets
    arranged: Drawn
    covariates: FloatArray
    outcome_covariates: FloatArray
    calibration: BatchCalibration | None
    knots: FloatArray | None
    sound: BoolArray


def _prepare(drawn: Drawn, scenario: Scenario) -> _Prepared:
    """Calibrate a batch and place its knots."""
    sets, arranged = _arranged(drawn)
    covariates = calibration_covariates_of(arranged, scenario)
    calibration: BatchCalibration | None = None
    sound = np.ones(drawn.reference_assay.shape[0], dtype=bool)
    exposure = arranged.reference_assay
    if (sets.local_index >= 0).any():
        calibration = calibrate_batch(
            sets.local_index,
            arranged.local_assay,
            arranged.reference_assay,
            arranged.in_calibration,
            covariates,
            leverage_scores=scenario.fit.calibration_variance == "hc3",
        )
        exposure, sound = calibration.mean, calibration.sound
    plan, knots = scenario.fit, None
    if plan.exposure != "linear":
        controls = np.take(exposure, np.flatnonzero(~arranged.is_case), axis=1)
        if isinstance(plan.knots, int):
            knots = _quantile_knots(controls, plan.knots)
        else:
            knots = np.asarray(plan.knots, dtype=float)
        sound = sound & sound_knots(controls, knots)
    outcome_covariates = outcome_covariates_of(arranged, scenario)[0]
    return _Prepared(sets, arranged, covariates, outcome_covariates, calibration, knots, sound)


def _fit_together(
    prepared: _Prepared, scenario: Scenario, method: str, nothing: BatchEstimates
) -> BatchEstimates:
    """A plug-in method for the whole batch; nothing where one replicate's numbers stop the array computation."""
    arranged = prepared.arranged
    exposure, calibrated, known = _exposure(arranged, method, prepared.sets.local_index, prepared.calibration)
    try:
        estimates = fit_batch(
            prepared.sets,
            exposure,
            calibrated,
            known,
            prepared.calibration,
            arranged.local_assay,
            prepared.covariates,
            prepared.outcome_covariates,
            prepared.knots,
            np.asarray(scenario.estimand.at, dtype=float),
            float(scenario.estimand.reference),
        )
    except np.linalg.LinAlgError:
        return nothing
    return replace(estimates, sound=estimates.sound & prepared.sound)


def _one_by_one(
    drawn: Drawn, scenario: Scenario, method: str, row: int, prepared: _Prepared, estimates: BatchEstimates
) -> str:
    """Fit one replicate by the general code, into `estimates`; returns its error, "" for none."""
    try:
        problem = problem_of(drawn, scenario, row, everybody_reference=method == "reference")
        basis, calibration = _rules_of(drawn, scenario, method, row, prepared, problem)
        found = estimate_method(problem, "naive" if method == "reference" else method, basis, calibration)
        at = np.asarray(scenario.estimand.at, dtype=float)
        difference = basis.columns(at) - basis.columns(np.array([float(scenario.estimand.reference)]))
        contrasts = np.zeros((found.model.n_terms, at.size))
        contrasts[found.model.exposure_positions[0]] = difference
        estimates.log_or[row] = contrasts.T @ found.outcome.beta
        estimates.std_error[row] = contrast_errors(contrasts, found.covariance.vcov)
        exposure = found.model.exposure_positions.ravel()
        estimates.beta[row] = found.outcome.beta[exposure]
        estimates.vcov[row] = found.covariance.vcov[np.ix_(exposure, exposure)]
    except MemoryError:  # a matter of this machine, not of the replicate
        raise
    except Exception as failure:  # a failed replicate is data
        for values in (estimates.log_or, estimates.std_error, estimates.beta, estimates.vcov):
            values[row] = np.nan
        return f"{type(failure).__name__}: {failure}"
    return ""


def _rules_of(
    drawn: Drawn, scenario: Scenario, method: str, row: int, prepared: _Prepared, problem: PooledProblem
) -> tuple[Basis, CalibrationFit | None]:
    """Exposure terms and calibration of one replicate, refused where `bc.fit` refuses them."""
    if prepared.sound[row]:
        return _basis(prepared.knots, row), calibrate_problem(problem)
    if method == "reference" and not specification_of(scenario).needs_data:
        return basis_by_rule(problem, scenario, None), None
    measured = problem_of(drawn, scenario, row) if method == "reference" else problem
    try:
        calibration = calibrated_by_rule(measured, scenario)
    except CalibrationDesignError:
        if method != "naive":  # which needs no calibration, and takes its knots from its own exposure then
            raise
        calibration = None
    return basis_by_rule(measured, scenario, calibration), None if method == "reference" else calibration


def _heterogeneity(drawn: Drawn, scenario: Scenario, method: str, row: int, prepared: _Prepared) -> float:
    """p-value of the test that accompanies a method's fit; nan where it cannot be made."""
    from biocal.fitting.methods.two_stage import heterogeneity_between_studies

    try:
        problem = problem_of(drawn, scenario, row, everybody_reference=method == "reference")
        exposure = "naive" if method == "reference" else method
        basis, calibration = _rules_of(drawn, scenario, method, row, prepared, problem)
        tests, _ = heterogeneity_between_studies(problem, exposure, basis, calibration)
    except MemoryError:
        raise
    except Exception:  # a failed test is data: its row is blank
        return float("nan")
    return tests[0].p_value if tests else float("nan")


def _basis(knots: FloatArray | None, row: int) -> Basis:
    """Exposure terms of one replicate."""
    if knots is None:
        return LinearBasis()
    return SplineBasis(tuple(float(t) for t in (knots if knots.ndim == 1 else knots[row])))


def _exposure(
    drawn: Drawn, method: str, local_index: IntArray, calibration: BatchCalibration | None
) -> tuple[FloatArray, bool, IntArray | None]:
    """Plug-in exposure (B, n), whether it depends on the calibration, and whose in local studies does not."""
    if method == "reference" or calibration is None:
        return drawn.reference_assay, False, None
    if method == "naive":
        return np.where(local_index >= 0, drawn.local_assay, drawn.reference_assay), False, None
    if method == "full":
        return calibration.mean, True, None
    exposure, known = calibration.mean.copy(), calibration.persons
    row = np.arange(known.shape[0])[:, None]
    exposure[row, known] = drawn.reference_assay[row, known]
    return exposure, True, known


def _quantile_knots(controls: FloatArray, number: int) -> FloatArray:
    """Knots of all methods at type-7 quantiles of full calibration's exposure in controls, (B, K)."""
    place = np.asarray(default_probabilities(number)) * (controls.shape[1] - 1)
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, controls.shape[1] - 1)
    controls.partition(np.union1d(below, above), axis=1)
    return np.asarray(controls[:, below] + (place - below) * (controls[:, above] - controls[:, below]))


def _arranged(drawn: Drawn) -> tuple[BatchSets, Drawn]:
    """Sets and persons in the order in which the likelihood takes them, so that it need not gather them."""
    sets = sets_of(drawn)
    order, layout = layouts_of(drawn)[1]
    arranged = replace(
        drawn,
        study=drawn.study[order],
        set_code=drawn.set_code[order],
        is_case=drawn.is_case[order],
        is_reference=drawn.is_reference[order],
        reference_assay=np.take(drawn.reference_assay, order, axis=-1),
        local_assay=np.take(drawn.local_assay, order, axis=-1),
        in_calibration=np.take(drawn.in_calibration, order, axis=-1),
        covariates=np.take(drawn.covariates, order, axis=-1),
        matching=np.take(drawn.matching, order, axis=-1),
        true_exposure=np.take(drawn.true_exposure, order, axis=-1),
        person=None if drawn.person is None else drawn.person[:, order],
    )
    return BatchSets(layout, arranged.set_code, sets.local_index[order]), arranged
