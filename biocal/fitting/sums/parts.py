"""Scores, information and the parts of the sandwich of one likelihood, summed over a part of the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.methods.induced import induced_likelihood
from biocal.fitting.methods.plug_in import PlugInExposure, exposure_derivative, plug_in_exposure, stack
from biocal.fitting.problem.model_columns import ModelColumns, lay_out_columns
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.soundness.calibrators_in_sets import CalibratorSets
from biocal.fitting.soundness.fits import informative_units
from biocal.fitting.sums.records import SandwichAnswer, Scores, StudyMeat, Task
from biocal.fitting.sums.rows import own_positions, study_rows
from biocal.kernels.sandwich import inverse_of_information
from biocal.kernels.sets.likelihood import ConditionalLikelihood
from biocal.kernels.sets.spread import SetSpread, SpreadByUnit, spread_of_persons
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.calibration.stacked import variance_scores
from biocal.model.exposure import Basis
from biocal.model.outcome.conditional import OutcomeFit
from biocal.model.outcome.induced import InducedLikelihood

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class PartModel:
    """One task's model on a part of the rows.

    Attributes
    ----------
    problem : PooledProblem
    task : Task
    basis : Basis
    calibration : CalibrationFit or None
    exposure : PlugInExposure
    model : ModelColumns
    induced : InducedLikelihood or None
        For induced where exposures are uncertain; else the plain conditional likelihood serves.
    """

    problem: PooledProblem
    task: Task
    basis: Basis
    calibration: CalibrationFit | None
    exposure: PlugInExposure
    model: ModelColumns
    induced: InducedLikelihood | None

    def columns(self, beta: FloatArray) -> FloatArray:
        """Gradient of the log relative risks at beta, shape (p, n)."""
        if self.induced is not None:
            return self.induced.columns(beta)
        return self.model.build(self.basis.columns(self.exposure.value), self.problem)


def part_model(
    problem: PooledProblem, calibration: CalibrationFit | None, basis: Basis, task: Task
) -> PartModel:
    """Lay out a task's model.

    Parameters
    ----------
    problem : PooledProblem
        With the covariates that all parts keep.
    calibration : CalibrationFit or None
        Of :func:`~biocal.fitting.sums.rows.calibration_of_lines`.
    basis : Basis
        The task's own terms.
    task : Task
    """
    method = "full" if task.method == "induced" else task.method
    exposure = plug_in_exposure(problem, method, calibration)
    model = lay_out_columns(basis, problem)
    induced = None
    if task.method == "induced" and calibration is not None and exposure.calibrated.any():
        # Person by person: parts must not differ by what each interpolates.
        induced = induced_likelihood(
            problem, model, basis, calibration, exposure, residual_law="normal", nodes=20, interpolate=False
        )
    return PartModel(problem, task, basis, calibration, exposure, model, induced)


def scores_at(one: PartModel, beta: FloatArray) -> Scores:
    """Log-likelihood, score, information, and the information expected (the same unless induced) at beta (p,)."""
    if one.induced is not None:
        terms = one.induced.evaluate(beta)
        return Scores(terms.loglik, terms.score, terms.information, terms.expected)
    plain = ConditionalLikelihood(one.problem.layout, one.columns(beta)).evaluate(beta[None])
    return Scores(float(plain.loglik[0]), plain.score[0], plain.information[0], plain.information[0])


def sandwich_at(one: PartModel, beta: FloatArray, information: FloatArray | None = None) -> SandwichAnswer:
    """Parts of the stacked sandwich at the final point beta (p,), by study.

    With the information of all parts (p, p) also how it is spread over the sets, which tells of the largest of them.
    """
    outcome, by_mean, by_variance = _details(one, beta)
    studies = _by_study(one, outcome, by_mean, by_variance)
    units = informative_units(one.problem, outcome)
    spread = None if information is None else _spread(one, beta, outcome.slope, information)
    return SandwichAnswer(outcome.loglik, outcome.information, studies, units, spread=spread)


def _spread(one: PartModel, beta: FloatArray, slope: FloatArray, information: FloatArray) -> SetSpread:
    """The exposure's information by unit, from the persons' slopes (p, n); the largest units by study."""
    problem, positions = one.problem, one.model.exposure_positions.ravel()
    directions = inverse_of_information(information)[:, positions]
    by_unit = SpreadByUnit(problem.n_units, positions.size)
    by_unit.add(problem.set_unit[problem.set_code], spread_of_persons(directions, slope, one.columns(beta)))
    found = by_unit.found(directions, positions)
    studies = _unit_study(one)[found.units]
    return replace(found, names=tuple((problem.study_names[s], "") for s in studies))


def _details(one: PartModel, beta: FloatArray) -> tuple[OutcomeFit, FloatArray | None, FloatArray | None]:
    """The model at its final point, and persons' parts of dU/dmu and dU/dsigma^2, (p, n) each."""
    problem, columns = one.problem, one.columns(beta)
    nan = float("nan")
    if one.induced is not None:
        found = one.induced.details(beta)
        outcome = OutcomeFit(
            beta,
            found.terms.loglik,
            nan,
            found.terms.information,
            found.set_scores,
            found.residual,
            found.slope,
            0,
            0.0,
        )
        return outcome, found.by_mean, found.by_variance
    plain = ConditionalLikelihood(problem.layout, columns).details(beta[None])
    outcome = OutcomeFit(
        beta,
        float(plain.loglik[0]),
        nan,
        plain.information[0],
        plain.set_scores[0],
        plain.residual[0],
        plain.slope[0],
        0,
        0.0,
    )
    if one.calibration is None or one.task.method == "naive":
        return outcome, None, None
    derivative = exposure_derivative(one.model, outcome, one.basis, one.exposure.value, problem)
    return outcome, np.where(one.exposure.calibrated, derivative, 0.0), None


def _by_study(
    one: PartModel, outcome: OutcomeFit, by_mean: FloatArray | None, by_variance: FloatArray | None
) -> dict[str, StudyMeat]:
    problem = one.problem
    scores = stack(problem, outcome, None, None).outcome_scores
    unit_study = _unit_study(one)
    local = {name: s for s, name in enumerate(problem.local_names)}
    studies = {}
    for s, name in enumerate(problem.study_names):
        own = scores[unit_study == s]
        if by_mean is None or name not in local:
            studies[name] = StudyMeat(own.T @ own)
            continue
        studies[name] = _with_calibration(one, local[name], s, own, unit_study, by_mean, by_variance)
    return studies


def _with_calibration(
    one: PartModel,
    local: int,
    study: int,
    own: FloatArray,
    unit_study: IntArray,
    by_mean: FloatArray,
    by_variance: FloatArray | None,
) -> StudyMeat:
    """Blocks of bread and meat of the outcome model, and between it and one study's calibration."""
    problem, calibration = one.problem, one.calibration
    assert calibration is not None
    calibrators = problem.calibrators
    positions = own_positions(calibration.layout, local)
    mine = calibrators.rows.study == local
    scores = calibration.scores[mine][:, positions]
    rows = study_rows(problem.calibration_rows, local)
    bread = -calibration.fold_predictor(by_mean, rows)[:, positions]
    lower = None
    if by_variance is not None:
        group, own_groups = calibrators.rows.group, np.flatnonzero(calibration.layout.group_study == local)
        lower = np.array([2.0 * scores[group[mine] == one].sum(axis=0) for one in own_groups])
        of_variance = variance_scores(calibration.residuals, calibration.variance, calibration.freedom, group)
        scores = np.hstack([scores, of_variance[mine][:, own_groups]])
        by_group = [
            -by_variance[:, (rows.study == local) & (rows.group == one)].sum(axis=1) for one in own_groups
        ]
        bread = np.column_stack([bread, *by_group])
    by_unit = np.zeros((problem.n_units, scores.shape[1]))
    np.add.at(by_unit, calibrators.unit[mine], scores)
    by_unit = by_unit[unit_study == study]
    sizes = np.bincount(calibrators.unit[mine])
    sets = CalibratorSets(int(sizes.sum()), int(np.count_nonzero(sizes)), int((sizes * sizes).sum()))
    return StudyMeat(own.T @ own, bread, own.T @ by_unit, by_unit.T @ by_unit, lower, scores.T @ scores, sets)


def _unit_study(one: PartModel) -> IntArray:
    """Study of each independent unit, shape (n_units,): a unit never leaves its study."""
    problem = one.problem
    found = np.full(problem.n_units, -1, dtype=np.intp)
    calibrators = problem.calibrators
    names = list(problem.study_names)
    if problem.local_names:
        of_local = np.array([names.index(name) for name in problem.local_names], dtype=np.intp)
        found[calibrators.unit] = of_local[calibrators.rows.study]
    set_study = np.zeros(problem.n_sets, dtype=np.intp)
    set_study[problem.set_code] = problem.study
    found[problem.set_unit] = set_study
    return found
