"""The sums that a site sends of the outcome models: scores and information, and the parts of the sandwich.

Each sum is guarded before it is made; the sums themselves are those of :mod:`biocal.sums.scores`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MessageError
from biocal.federated.agreed import Agreed
from biocal.federated.guard import (
    require_columns_carried,
    require_spread_weight,
    require_varying_sets,
)
from biocal.federated.site_problem import SiteProblem, site_calibration
from biocal.kernels.matched_set import ConditionalLikelihood
from biocal.pooling.problem import PooledProblem
from biocal.sums.records import SandwichAnswer, StudyMeat
from biocal.sums.rows import varying_columns
from biocal.sums.scores import PartModel, part_model, sandwich_at, scores_at
from biocal.sums.tasks import Task, task_basis

FloatArray = NDArray[np.float64]


def site_model(site: SiteProblem, agreed: Agreed, task: Task) -> PartModel:
    """Lay out a task's model; raises MessageError when something agreed is absent."""
    if agreed.basis is None or agreed.kept is None:
        raise MessageError("agreed: scores are asked for before exposure terms and covariates are settled")
    calibration = site_calibration(site, agreed)
    if task.method == "induced" and calibration is not None and not np.isfinite(calibration.variance).all():
        raise MessageError("agreed.lines: without residual variances")
    return part_model(site.problem, calibration, task_basis(task, agreed.basis), task)


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
        sums = scores_at(one, beta)
        found[task.name] = {
            "loglik": sums.loglik,
            "score": sums.score.tolist(),
            "information": sums.information.tolist(),
            "expected": sums.expected.tolist(),
        }
    return found


def _require_guarded(one: PartModel, beta: FloatArray, minimum: int) -> None:
    problem, zero = one.problem, np.zeros(one.model.n_terms)
    if beta.size != zero.size:
        raise MessageError(f"{one.task.name}: {beta.size} coefficients, but the model has {zero.size} terms")
    require_columns_carried(beta.size, problem.n_sets, f"{one.task.name}: matched sets")
    at_zero = one.columns(zero)
    varies = varying_columns(problem, at_zero)
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


def _information_by_set(one: PartModel, beta: FloatArray, columns: FloatArray) -> FloatArray:
    """Diagonal of each set's Cov(T), shape (p, n_sets): sum over its persons of Cov(T_k, 1_i) q_ik."""
    problem = one.problem
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
        For each task the log-likelihood and information there; for each study the parts that
        :class:`~biocal.sums.records.StudyMeat` holds, those that there are.
    """
    found = {}
    for task, beta in tasks.items():
        one = site_model(site, agreed, task)
        _require_guarded(one, beta, minimum)
        found[task.name] = _sandwich_message(sandwich_at(one, beta), one.problem, minimum)
    return found


def _sandwich_message(sums: SandwichAnswer, problem: PooledProblem, minimum: int) -> dict[str, Any]:
    """As the answer carries it; a few units that say nothing are not told apart from those that do."""
    everybody = int(np.unique(problem.set_unit).size)
    hidden = 0 < everybody - sums.units < minimum or 0 < sums.units < minimum
    return {
        "loglik": sums.loglik,
        "units": everybody if hidden else sums.units,
        "information": sums.information.tolist(),
        "studies": {name: _meat_message(one) for name, one in sums.studies.items()},
    }


def _meat_message(meat: StudyMeat) -> dict[str, Any]:
    parts = {name: getattr(meat, name) for name in ("outcome", "bread", "cross", "calibration", "lower")}
    return {name: part.tolist() for name, part in parts.items() if part is not None}
