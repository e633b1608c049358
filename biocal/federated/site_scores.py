"""The sums that a site sends of the outcome models: scores and information, and the parts of the sandwich."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.calibration.joint import variance_scores
from biocal.calibration.regression import CalibrationFit
from biocal.errors import MessageError
from biocal.exposure.terms import Basis
from biocal.federated.agreed import Agreed
from biocal.federated.guard import (
    require_columns_carried,
    require_spread_weight,
    require_varying_sets,
)
from biocal.federated.site_problem import SiteProblem, own_positions, site_calibration, study_rows
from biocal.federated.site_sums import varying_columns
from biocal.federated.tasks import Task, task_basis
from biocal.kernels.matched_set import ConditionalLikelihood
from biocal.outcome.conditional_logistic import OutcomeFit
from biocal.outcome.induced import InducedLikelihood
from biocal.pooling.induced import induced_likelihood
from biocal.pooling.model_columns import ModelColumns, lay_out_columns
from biocal.pooling.plug_in import PlugInExposure, exposure_derivative, plug_in_exposure, stack

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class SiteModel:
    """One task's model on a site's rows.

    Attributes
    ----------
    site : SiteProblem
    task : Task
    basis : Basis
    calibration : CalibrationFit or None
    exposure : PlugInExposure
    model : ModelColumns
    induced : InducedLikelihood or None
        For induced where exposures are uncertain; else the plain conditional likelihood serves.
    """

    site: SiteProblem
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
        return self.model.build(self.basis.columns(self.exposure.value), self.site.problem)


def site_model(site: SiteProblem, agreed: Agreed, task: Task) -> SiteModel:
    """Lay out a task's model; raises MessageError when something agreed is absent."""
    if agreed.basis is None or agreed.kept is None:
        raise MessageError("agreed: scores are asked for before exposure terms and covariates are settled")
    problem, basis = site.problem, task_basis(task, agreed.basis)
    calibration = site_calibration(site, agreed)
    method = "full" if task.method == "induced" else task.method
    exposure = plug_in_exposure(problem, method, calibration)
    model = lay_out_columns(basis, problem)
    induced = None
    if task.method == "induced" and calibration is not None and exposure.calibrated.any():
        if not np.isfinite(calibration.variance).all():
            raise MessageError("agreed.lines: without residual variances")
        # Person by person: sites must not differ by what each interpolates.
        induced = induced_likelihood(
            problem, model, basis, calibration, exposure, residual_law="normal", nodes=20, interpolate=False
        )
    return SiteModel(site, task, basis, calibration, exposure, model, induced)


def score_sums(
    site: SiteProblem, agreed: Agreed, tasks: Mapping[Task, FloatArray], minimum: int
) -> dict[str, Any]:
    """Log-likelihood, score and information of each task at its point.

    Raises
    ------
    DisclosureError
        Few sets contribute to a sum, or carry its weight at the point.
    """
    found = {}
    for task, beta in tasks.items():
        one = site_model(site, agreed, task)
        _require_guarded(one, beta, minimum)
        if one.induced is not None:
            terms = one.induced.evaluate(beta)
            found[task.name] = {
                "loglik": terms.loglik,
                "score": terms.score.tolist(),
                "information": terms.information.tolist(),
                "expected": terms.expected.tolist(),
            }
            continue
        plain = ConditionalLikelihood(site.problem.layout, one.columns(beta)).evaluate(beta[None])
        information = plain.information[0].tolist()
        found[task.name] = {
            "loglik": float(plain.loglik[0]),
            "score": plain.score[0].tolist(),
            "information": information,
            "expected": information,
        }
    return found


def _require_guarded(one: SiteModel, beta: FloatArray, minimum: int) -> None:
    problem, zero = one.site.problem, np.zeros(one.model.n_terms)
    if beta.size != zero.size:
        raise MessageError(f"{one.task.name}: {beta.size} coefficients, but the model has {zero.size} terms")
    require_columns_carried(beta.size, problem.n_sets, f"{one.task.name}: matched sets")
    at_zero = one.columns(zero)
    varies = varying_columns(one.site, at_zero)
    require_varying_sets(varies, one.model.terms, minimum)
    if not beta.any():
        return
    base = _information_by_set(one, zero, at_zero)
    scale = base.sum(axis=1)
    used = scale > 0
    if not used.any():
        return
    there = _information_by_set(one, beta, one.columns(beta))
    before = (base[used] / scale[used, None]).sum(axis=0)
    after = (there[used] / scale[used, None]).sum(axis=0)
    some = before > 0
    require_spread_weight(after[some] / before[some], minimum, one.task.name)


def _information_by_set(one: SiteModel, beta: FloatArray, columns: FloatArray) -> FloatArray:
    """Diagonal of each set's Cov(T), shape (p, n_sets): sum over its persons of Cov(T_k, 1_i) q_ik."""
    problem = one.site.problem
    if one.induced is not None:
        slope = one.induced.details(beta).slope
    else:
        slope = ConditionalLikelihood(problem.layout, columns).details(beta[None]).slope[0]
    by_set = [
        np.bincount(problem.set_code, weights=product, minlength=problem.n_sets)
        for product in slope * columns
    ]
    return np.maximum(np.array(by_set), 0.0)


def sandwich_sums(
    site: SiteProblem, agreed: Agreed, tasks: Mapping[Task, FloatArray], minimum: int
) -> dict[str, Any]:
    """Parts of the stacked sandwich of each task at its final point, by study.

    Returns
    -------
    dict
        For each task the log-likelihood and information there; for each study ``outcome`` (sum of U_j U_j'), and
        where the exposure is calibrated ``cross`` (sum of U_j c_j'), ``calibration`` (sum of c_j c_j'), ``bread``
        (the study's part of B21) and, for induced, ``lower`` (its row of the bread for sigma^2).
    """
    found = {}
    for task, beta in tasks.items():
        one = site_model(site, agreed, task)
        _require_guarded(one, beta, minimum)
        outcome, by_mean, by_variance = _details(one, beta)
        found[task.name] = {
            "loglik": outcome.loglik,
            "information": outcome.information.tolist(),
            "studies": _by_study(one, outcome, by_mean, by_variance),
        }
    return found


def _details(one: SiteModel, beta: FloatArray) -> tuple[OutcomeFit, FloatArray | None, FloatArray | None]:
    """The model at its final point, and persons' parts of dU/dmu and dU/dsigma^2, (p, n) each."""
    problem, columns = one.site.problem, one.columns(beta)
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
    one: SiteModel, outcome: OutcomeFit, by_mean: FloatArray | None, by_variance: FloatArray | None
) -> dict[str, Any]:
    problem = one.site.problem
    scores = stack(problem, outcome, None, None).outcome_scores
    unit_study = _unit_study(one)
    local = {name: s for s, name in enumerate(problem.local_names)}
    studies: dict[str, Any] = {}
    for s, name in enumerate(problem.study_names):
        own = scores[unit_study == s]
        sums: dict[str, Any] = {"outcome": (own.T @ own).tolist()}
        if by_mean is not None and name in local:
            sums |= _calibration_parts(one, local[name], s, own, unit_study, by_mean, by_variance)
        studies[name] = sums
    return studies


def _calibration_parts(
    one: SiteModel,
    local: int,
    study: int,
    own: FloatArray,
    unit_study: IntArray,
    by_mean: FloatArray,
    by_variance: FloatArray | None,
) -> dict[str, Any]:
    """Blocks of bread and meat between one study's calibration and the outcome model."""
    problem, calibration = one.site.problem, one.calibration
    assert calibration is not None
    calibrators = problem.calibrators
    positions = own_positions(calibration.layout, local)
    mine = calibrators.rows.study == local
    scores = calibration.scores[mine][:, positions]
    rows = study_rows(problem.calibration_rows, local)
    bread = -calibration.fold_predictor(by_mean, rows)[:, positions]
    lower = None
    if by_variance is not None:
        group = calibrators.rows.group
        lower = 2.0 * scores.sum(axis=0)
        of_variance = variance_scores(calibration.residuals, calibration.variance, calibration.freedom, group)
        scores = np.hstack([scores, of_variance[mine][:, [local]]])
        by_group = -by_variance[:, rows.study == local].sum(axis=1)
        bread = np.column_stack([bread, by_group])
    by_unit = np.zeros((problem.n_units, scores.shape[1]))
    np.add.at(by_unit, calibrators.unit[mine], scores)
    by_unit = by_unit[unit_study == study]
    return {
        "bread": bread.tolist(),
        "cross": (own.T @ by_unit).tolist(),
        "calibration": (by_unit.T @ by_unit).tolist(),
        **({} if lower is None else {"lower": lower.tolist()}),
    }


def _unit_study(one: SiteModel) -> IntArray:
    """Study of each independent unit, shape (n_units,): a unit never leaves its study."""
    problem = one.site.problem
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
