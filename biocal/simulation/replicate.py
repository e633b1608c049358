"""One batch of replicates: draw, calibrate, fit every method, read off the curve.

A replicate that fails is a row with its error, never an end of the run: this is the only module, besides the
command line's outermost edge, that catches every exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.calibration.regression import lay_out_parameters
from biocal.calibration.rows import CalibrationRows
from biocal.exposure.terms import Basis, LinearBasis, SplineBasis
from biocal.kernels.delta import contrast_errors
from biocal.kernels.rcs import default_probabilities
from biocal.kernels.set_layout import SetLayout, lay_out_sets
from biocal.pooling.estimate import calibrate_problem, estimate_method
from biocal.pooling.independent_units import join_by_person
from biocal.pooling.problem import Calibrators, PooledProblem
from biocal.simulation.batch_calibration import BatchCalibration, calibrate_batch
from biocal.simulation.batch_plug_in import BatchEstimates, BatchSets, fit_batch
from biocal.simulation.generate import Drawn, draw
from biocal.simulation.quantities import fill_wald_tests, no_quantities
from biocal.simulation.replicate_rows import MethodRows, all_failed, replicate_rows
from biocal.simulation.scenario import Scenario

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


def fit_drawn(drawn: Drawn, scenario: Scenario) -> dict[str, tuple[FloatArray, FloatArray, list[str]]]:
    """Curves of every method: log OR (B, m), standard errors (B, m), errors ("" for none) by method."""
    found = estimate_drawn(drawn, scenario)
    return {method: (each.log_or, each.std_error, each.errors) for method, each in found.items()}


def estimate_drawn(drawn: Drawn, scenario: Scenario) -> dict[str, MethodRows]:
    """What every method finds in a batch: its curve, and the coefficients and tests that are asked for."""
    batch = drawn.reference_assay.shape[0]
    at = np.asarray(scenario.estimand.at, dtype=float)
    reference = float(scenario.estimand.reference)
    sets, arranged = _arranged(drawn, scenario)
    covariates = _calibration_covariates(arranged, scenario)
    outcome_covariates, _ = _outcome_covariates(arranged, scenario)
    has_local = bool((sets.local_index >= 0).any())
    calibration: BatchCalibration | None = None
    if has_local:
        calibration = calibrate_batch(
            sets.local_index,
            arranged.local_assay,
            arranged.reference_assay,
            arranged.in_calibration,
            covariates,
            leverage_scores=scenario.fit.calibration_variance == "hc3",
        )
    knots = _knots(arranged, scenario, calibration)
    found: dict[str, MethodRows] = {}
    heterogeneity: dict[str, list[float]] = {}
    for method in scenario.methods:
        quantities = no_quantities(scenario, batch)
        if method in BATCHED and drawn.person is None and scenario.fit.modifier is None:
            exposure, calibrated, known = _exposure(arranged, method, sets.local_index, calibration)
            estimates = fit_batch(
                sets,
                exposure,
                calibrated,
                known,
                calibration,
                arranged.local_assay,
                covariates,
                outcome_covariates,
                knots,
                at,
                reference,
            )
        else:
            nothing = np.full((batch, at.size), np.nan)
            unsound = np.zeros(batch, dtype=bool)
            estimates = BatchEstimates(
                nothing, nothing.copy(), quantities.beta.copy(), quantities.vcov.copy(), unsound
            )
        errors = [""] * batch
        for row in np.flatnonzero(~estimates.sound):
            errors[row] = _one_by_one(drawn, scenario, method, int(row), knots, at, reference, estimates)
        quantities = replace(quantities, beta=estimates.beta, vcov=estimates.vcov)
        if scenario.estimand.tests:
            fill_wald_tests(quantities, scenario)
        if "heterogeneity" in scenario.estimand.tests:
            column = scenario.estimand.tests.index("heterogeneity")
            tested = method if method in BATCHED else "full"  # as the test that accompanies a fit
            if tested not in heterogeneity:
                heterogeneity[tested] = [
                    _heterogeneity(drawn, scenario, tested, row, knots) for row in range(batch)
                ]
            quantities.p_values[:, column] = heterogeneity[tested]
        found[method] = MethodRows(estimates.log_or, estimates.std_error, errors, quantities)
    return found


def problem_of(
    drawn: Drawn, scenario: Scenario, row: int, *, everybody_reference: bool = False
) -> PooledProblem:
    """One replicate as the problem that every estimator takes.

    Parameters
    ----------
    drawn : Drawn
    scenario : Scenario
    row : int
        Position in the batch.
    everybody_reference : bool
        As if the reference laboratory had measured everybody.
    """
    sets = _sets(drawn, scenario)
    local_index = np.full_like(sets.local_index, -1) if everybody_reference else sets.local_index
    local_names = (
        ()
        if everybody_reference
        else tuple(
            str(name) for name, local in zip(drawn.study_names, _is_local_study(drawn), strict=True) if local
        )
    )
    covariates = _calibration_covariates(drawn, scenario)[row]
    outcome_covariates, outcome_names = _outcome_covariates(drawn, scenario)
    modifying = [k for k, name in enumerate(outcome_names) if name == scenario.fit.modifier]
    n = drawn.study.size
    rows = CalibrationRows(
        local_index, np.vstack([np.ones(n), drawn.local_assay[row], covariates]), np.maximum(local_index, 0)
    )
    calibrating = np.flatnonzero(drawn.in_calibration[row] & (local_index >= 0))
    n_sets = int(drawn.set_code[-1]) + 1
    set_unit, n_units = np.arange(n_sets), n_sets
    if drawn.person is not None:  # sets that share a person of the cohort are one independent unit
        unit, n_units = join_by_person(drawn.set_code, drawn.person[row], n_sets)
        set_unit = np.empty(n_sets, dtype=np.intp)
        set_unit[drawn.set_code] = unit
    layout = lay_out_parameters(
        len(local_names), rows.columns.shape[0], np.arange(len(local_names)), by_study=False
    )
    return PooledProblem(
        study=drawn.study,
        set_code=drawn.set_code,
        is_case=drawn.is_case,
        local_assay=drawn.local_assay[row],
        reference_assay=drawn.reference_assay[row],
        is_reference=local_index < 0,
        in_calibration=drawn.in_calibration[row],
        covariates=outcome_covariates[row],
        modifier=outcome_covariates[row, modifying],
        modifier_main=(),  # its own effect is among the covariates
        calibration_rows=rows,
        calibrators=Calibrators(
            rows.take(calibrating),
            drawn.reference_assay[row, calibrating],
            set_unit[drawn.set_code[calibrating]],
            layout,
            scenario.fit.calibration_variance == "hc3",
        ),
        set_unit=set_unit,
        n_units=n_units,
        layout=sets.layout,
        study_names=tuple(drawn.study_names),
        local_names=local_names,
        covariate_names=outcome_names,
        modifier_names=tuple(outcome_names[k] for k in modifying),
    )


def _one_by_one(
    drawn: Drawn,
    scenario: Scenario,
    method: str,
    row: int,
    knots: FloatArray | None,
    at: FloatArray,
    reference: float,
    estimates: BatchEstimates,
) -> str:
    """Fit one replicate by the general code, into `estimates`; returns its error, "" for none."""
    try:
        problem = problem_of(drawn, scenario, row, everybody_reference=method == "reference")
        basis = _basis(knots, row)
        found = estimate_method(
            problem, "naive" if method == "reference" else method, basis, calibrate_problem(problem)
        )
        difference = basis.columns(at) - basis.columns(np.array([reference]))
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


def _heterogeneity(
    drawn: Drawn, scenario: Scenario, method: str, row: int, knots: FloatArray | None
) -> float:
    """p-value of the test that accompanies a method's fit; nan where it cannot be made."""
    from biocal.pooling.two_stage import heterogeneity_between_studies

    try:
        problem = problem_of(drawn, scenario, row, everybody_reference=method == "reference")
        exposure = "naive" if method == "reference" else method
        tests, _ = heterogeneity_between_studies(
            problem, exposure, _basis(knots, row), calibrate_problem(problem)
        )
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


def _knots(drawn: Drawn, scenario: Scenario, calibration: BatchCalibration | None) -> FloatArray | None:
    """Knots of all methods: given, or quantiles of full calibration's exposure in controls, (K,) or (B, K)."""
    plan = scenario.fit
    if plan.exposure == "linear":
        return None
    if not isinstance(plan.knots, int):
        return np.asarray(plan.knots, dtype=float)
    exposure = drawn.reference_assay if calibration is None else calibration.mean
    controls = np.take(exposure, np.flatnonzero(~drawn.is_case), axis=1)
    place = np.asarray(default_probabilities(plan.knots)) * (controls.shape[1] - 1)
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, controls.shape[1] - 1)
    controls.partition(np.union1d(below, above), axis=1)
    return np.asarray(controls[:, below] + (place - below) * (controls[:, above] - controls[:, below]))


def _outcome_covariates(drawn: Drawn, scenario: Scenario) -> tuple[FloatArray, tuple[str, ...]]:
    """Z (B, k, n) of the outcome model, and their names."""
    wanted = scenario.fit.covariates
    names = tuple(drawn.covariate_names)
    if wanted is None:
        return drawn.covariates, names
    return drawn.covariates[:, [names.index(name) for name in wanted]], tuple(wanted)


def _calibration_covariates(drawn: Drawn, scenario: Scenario) -> FloatArray:
    """V (B, k, n): outcome covariates and matching factors, or nothing by the published rule."""
    if scenario.fit.calibration_covariates == "outcome":
        return np.concatenate([_outcome_covariates(drawn, scenario)[0], drawn.matching], axis=1)
    return drawn.covariates[:, :0]


def _is_local_study(drawn: Drawn) -> BoolArray:
    reference = np.zeros(len(drawn.study_names), dtype=bool)
    reference[drawn.study] = drawn.is_reference
    return ~reference


def _arranged(drawn: Drawn, scenario: Scenario) -> tuple[BatchSets, Drawn]:
    """Sets and persons in the order in which the likelihood takes them, so that it need not gather them."""
    sets = _sets(drawn, scenario)
    order, layout = _lay_out(*_key_of_layout(drawn))[1]
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


def _sets(drawn: Drawn, scenario: Scenario) -> BatchSets:
    """The sets of a scenario, laid out once a batch size."""
    is_local = _is_local_study(drawn)
    index = np.where(is_local, np.cumsum(is_local) - 1, -1).astype(np.intp)
    layout, _ = _lay_out(*_key_of_layout(drawn))
    return BatchSets(layout, drawn.set_code, index[drawn.study])


def _key_of_layout(drawn: Drawn) -> tuple[bytes, bytes, int]:
    """Sets, roles, and how many columns of numbers a batch carries."""
    width = drawn.reference_assay.shape[0] * (3 + drawn.covariates.shape[1])
    return drawn.set_code.tobytes(), drawn.is_case.tobytes(), width


@lru_cache(maxsize=8)
def _lay_out(set_code: bytes, is_case: bytes, width: int) -> tuple[SetLayout, tuple[IntArray, SetLayout]]:
    """The layout, and the persons' order that suits it with the layout of persons in that order."""
    layout = lay_out_sets(
        np.frombuffer(set_code, dtype=np.intp), np.frombuffer(is_case, dtype=bool), n_columns=width
    )
    return layout, layout.in_order()
