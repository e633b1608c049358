"""Variance pieces of a scenario: expectations evaluated on one very large study of the same design.

Not replicates of the planned study: one study so large that its own scatter hardly matters, drawn from a
fixed stream, with every control of a local study measured in both laboratories.  What is left of the scatter is
told as the numerical error of the standard errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.methods.plug_in import fit_plug_in, plug_in_exposure
from biocal.fitting.problem.problem import Calibrators, PooledProblem
from biocal.kernels.splines import default_probabilities, quantile_knots
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis, LinearBasis, SplineBasis
from biocal.simulation.design.scenario import Scenario
from biocal.simulation.drawing.draw import draw
from biocal.simulation.fitting.problem import problem_of
from biocal.simulation.planning.variance import (
    SPREADS,
    CalibratorLaw,
    VariancePieces,
    calibrator_law,
    solve_scaled,
    spread_weights,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Persons of the very large study: standard errors are then known to about half a percent.
PERSONS = 160_000
#: Matched sets by which the numerical error is judged are taken as independent; shown at one standard error.
_FEWEST_CALIBRATORS = 3


def expected_pieces(scenario: Scenario, *, seed: int, extreme_share: float) -> tuple[VariancePieces, Basis]:
    """Variance pieces of full calibration under a scenario.

    Parameters
    ----------
    scenario : Scenario
        With a rare disease and no heterogeneity between studies.
    seed : int
        Of the one large study.
    extreme_share : float
        See :func:`biocal.simulation.planning.variance.spread_weights`.

    Returns
    -------
    VariancePieces, Basis
        The pieces, and the exposure terms with the knots in use.

    Raises
    ------
    FitError
        The model cannot be fitted even to so large a study: collinear columns, no convergence.
    """
    factor = max(1, -(-PERSONS // sum(study.n_persons for study in scenario.studies)))
    problem = large_problem(scenario, factor, seed)
    calibration = problem.calibrators.fit(problem.local_names) if problem.local_names else None
    basis = basis_of(scenario, problem, calibration)
    fitted = limit_fit(problem, basis, calibration)
    laws: dict[str, tuple[CalibratorLaw, ...]] = {spread: () for spread in SPREADS}
    if calibration is not None:
        laws = _laws(problem, calibration, extreme_share)
    local = [study for study in scenario.studies if not study.is_reference]
    pieces = VariancePieces(
        terms=fitted.terms,
        exposure_positions=fitted.exposure_positions,
        beta=fitted.beta,
        outcome=fitted.outcome * factor,
        transfer=fitted.transfer,
        laws=laws,
        study_names=problem.local_names,
        n_sets=sum(study.sets for study in scenario.studies),
        most=tuple(study.n_controls for study in local),
        hc3=scenario.fit.calibration_variance == "hc3",
        numerical_error=fitted.numerical_error,
    )
    return pieces, basis


@dataclass(frozen=True, slots=True, eq=False)
class LimitFit:
    """Full calibration fitted to a very large study.

    Attributes
    ----------
    terms : tuple of str, length p
    exposure_positions : ndarray of int, shape (K,)
    beta : ndarray, shape (p,)
    outcome : ndarray, shape (p, p)
        Sandwich of the large study with the calibration known.
    transfer : ndarray, shape (p, G)
        B22^-1 B21, the same for any number of sets.
    numerical_error : float
        Relative, of standard errors.
    """

    terms: tuple[str, ...]
    exposure_positions: IntArray
    beta: FloatArray
    outcome: FloatArray
    transfer: FloatArray
    numerical_error: float


def large_problem(scenario: Scenario, factor: int, seed: int) -> PooledProblem:
    """One drawn study with so many times the sets, every control of a local study calibrated."""
    large = enlarged(scenario, factor)
    return with_all_controls_calibrated(problem_of(draw(large, seed, 0, [0]), large, 0))


def limit_fit(problem: PooledProblem, basis: Basis, calibration: CalibrationFit | None) -> LimitFit:
    """Fit full calibration and take the sandwich apart."""
    exposure = plug_in_exposure(problem, "full", calibration)
    model, outcome, stacked = fit_plug_in(problem, exposure, basis, calibration)
    inverse = solve_scaled(stacked.information, np.eye(outcome.beta.size))
    influence = stacked.outcome_scores @ inverse
    transfer = np.zeros((outcome.beta.size, 0)) if stacked.cross is None else inverse @ stacked.cross
    positions = model.exposure_positions[0]
    return LimitFit(
        model.terms,
        positions,
        outcome.beta,
        influence.T @ influence,
        transfer,
        _numerical_error(influence[:, positions]),
    )


def enlarged(scenario: Scenario, factor: int) -> Scenario:
    """The same with so many times the sets, and no more calibrators than a line needs."""
    studies = tuple(
        replace(
            study,
            sets=factor * study.sets,
            calibrators=None if study.is_reference else _FEWEST_CALIBRATORS,
        )
        for study in scenario.studies
    )
    return replace(scenario, studies=studies, methods=("full",))


def with_all_controls_calibrated(problem: PooledProblem) -> PooledProblem:
    """The problem as if every control of a local study had both measurements."""
    local = np.flatnonzero(~problem.is_reference & problem.is_control)
    calibrators = Calibrators(
        problem.calibration_rows.take(local),
        problem.reference_assay[local],
        problem.set_unit[problem.set_code[local]],
        problem.calibrators.layout,
        leverage_scores=False,
    )
    return replace(problem, calibrators=calibrators)


def basis_of(scenario: Scenario, problem: PooledProblem, calibration: CalibrationFit | None) -> Basis:
    """Exposure terms: given knots, or those at quantiles of full calibration's exposure in controls."""
    plan = scenario.fit
    if plan.exposure == "linear":
        return LinearBasis()
    if not isinstance(plan.knots, int):
        return SplineBasis(plan.knots)
    exposure = plug_in_exposure(problem, "full", calibration).value[problem.is_control]
    knots = quantile_knots(exposure, default_probabilities(plan.knots))
    return SplineBasis(tuple(float(knot) for knot in knots))


def _laws(
    problem: PooledProblem, calibration: CalibrationFit, extreme_share: float
) -> dict[str, tuple[CalibratorLaw, ...]]:
    """Expectations for each study and spread, over its controls."""
    rows = problem.calibrators.rows
    squared = calibration.residuals**2
    laws: dict[str, list[CalibratorLaw]] = {spread: [] for spread in SPREADS}
    for study in range(len(problem.local_names)):
        mine = np.flatnonzero(rows.study == study)
        own = rows.take(mine)
        for spread in SPREADS:
            weights = spread_weights(own.columns[1], spread, extreme_share)
            laws[spread].append(
                calibrator_law(
                    own, calibration.layout, squared[mine], study, weights, random=spread == "random"
                )
            )
    return {spread: tuple(each) for spread, each in laws.items()}


def _numerical_error(influence: FloatArray) -> float:
    """Relative standard error of predicted standard errors, the largest of the exposure's coefficients.

    Of the mean of squared influences over the sets; half of that for the root.
    """
    squares = influence**2
    spread = squares.std(axis=0) / np.sqrt(squares.shape[0])
    return float(np.max(0.5 * spread / squares.mean(axis=0)))
