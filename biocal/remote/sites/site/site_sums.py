"""The sums that a site sends before any outcome model: counts, calibration, residuals, histogram.

What leaves a site is made here and in :mod:`biocal.remote.sites.site.site_sums`, nowhere else; each sum is guarded
before it is returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MessageError
from biocal.fitting.methods.plug_in import plug_in_exposure
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.sums.parts import PartModel, part_model, sandwich_at, scores_at
from biocal.fitting.sums.records import (
    CalibrationMoments,
    ResidualSums,
    SandwichAnswer,
    StudyMeat,
    Task,
    task_basis,
)
from biocal.fitting.sums.rows import moments_of_pairs, pairs_of, residual_sums_of, varying_columns
from biocal.kernels.sets.likelihood import ConditionalLikelihood
from biocal.pool.formulas.levels import column_kinds
from biocal.pool.matched_sets import StudyFlow
from biocal.pool.pooled import PooledStudies
from biocal.remote.sites.agreed import Agreed
from biocal.remote.sites.messages.modifier_answer import modifier_message
from biocal.remote.sites.plan import Plan
from biocal.remote.sites.site.guard import (
    require_cells,
    require_columns_carried,
    require_levels,
    require_persons,
    require_spread_weight,
    require_varying_sets,
)
from biocal.remote.sites.site.histogram import BinEdges, merge_bins
from biocal.remote.sites.site.site_problem import SiteProblem, site_calibration

#: Counts of what was left out, of :class:`StudyFlow`.
LOSSES = (
    *("calibration_only", "without_local", "missing_covariate", "sets_without_case"),
    *("sets_without_control", "rows_in_dropped_sets"),
)


def inventory(site: SiteProblem, plan: Plan, minimum: int) -> dict[str, Any]:
    """Counts by study, and the levels of columns taken as categories.

    Raises
    ------
    DisclosureError
        A study with few sets or pairs, or a level that few persons have.
    """
    pool, chosen = site.pool, site.prepared.outcome_rows
    studies = [_study_counts(pool, s, flow, minimum) for s, flow in enumerate(chosen.flow)]
    columns: dict[str, Any] = {}
    for part, text in plan.formula_texts().items():
        kinds = column_kinds(pool, text)
        require_levels(kinds, minimum)
        columns[part] = [{"name": k.name, "kind": k.kind, "levels": list(k.levels)} for k in kinds]
    shapes = None
    if all(n >= minimum for n in chosen.set_shapes.values()):
        shapes = [[cases, controls, n] for (cases, controls), n in chosen.set_shapes.items()]
    return {"studies": studies, "columns": columns, "shapes": shapes}


def _study_counts(pool: PooledStudies, study: int, flow: StudyFlow, minimum: int) -> dict[str, Any]:
    name = pool.study_names[study]
    for count, what in (
        (flow.sets, "matched sets"),
        (flow.cases, "cases"),
        (flow.controls, "controls"),
    ):
        require_persons(count, minimum, f"study '{name}': {what} of the outcome model")
    reference = bool(pool.is_reference_study[study])
    losses = {loss: int(getattr(flow, loss)) for loss in LOSSES}
    hidden = any(0 < n < minimum for n in losses.values())
    measured = pool.reference_assay if reference else pool.local_assay
    return {
        "name": name,
        "kind": "reference" if reference else "local",
        "sets": flow.sets,
        "cases": flow.cases,
        "controls": flow.controls,
        "measured": None if hidden else int(np.isfinite(measured[pool.study == study]).sum()),
        "losses": None if hidden else losses,
    }


def calibration_sums(site: SiteProblem, minimum: int) -> dict[str, Any]:
    """Moments of the calibration subsets by study, and which covariates vary within sets.

    Returns
    -------
    dict
        For each local study n, means of the columns after the first (W and the covariates), sums of squares and
        products about these means, the same with the reference value.  Centred, because uncentred sums would lose
        digits.  For reference studies the number, mean and SD of the controls' values.
    """
    problem, names = site.problem, site.prepared.calibration_names
    studies = {}
    for s, name in enumerate(problem.local_names):
        columns, response = pairs_of(problem, s)
        where = f"study '{name}', persons measured in both laboratories"
        require_persons(response.size, minimum, where)
        require_columns_carried(1 + columns.shape[0], response.size, where)
        require_cells(columns[1:], names, minimum, where)
        studies[name] = _moments_message(moments_of_pairs(columns, response))
    references = {}
    for s, name in enumerate(problem.study_names):
        rows = (problem.study == s) & problem.is_reference & problem.is_control
        if rows.any():
            values = problem.reference_assay[rows]
            require_persons(values.size, minimum, f"study '{name}': controls")
            references[name] = {
                "n": int(values.size),
                "mean": float(values.mean()),
                "sd": float(values.std()),
            }
    rows = site.prepared.outcome_rows.rows
    columns = np.vstack([site.covariates.values[rows].T, problem.modifier])
    return {
        "covariate_names": list(site.covariates.names),
        "varies": varying_columns(problem, columns).any(axis=1).tolist(),
        "calibration_names": list(names),
        "studies": studies,
        "references": references,
        "modifier": modifier_message(site, minimum),
    }


def _moments_message(moments: CalibrationMoments) -> dict[str, Any]:
    return {
        "n": moments.n,
        "means": moments.means.tolist(),
        "products": moments.products.tolist(),
        "response_mean": moments.response_mean,
        "response_products": moments.response_products.tolist(),
        "response_square": moments.response_square,
    }


def residual_sums(site: SiteProblem, agreed: Agreed, minimum: int) -> dict[str, Any]:
    """Residual sum of squares and sum of 1 - h by local study, and the histogram of the controls' exposure."""
    problem = site.problem
    calibration = site_calibration(site, agreed)
    studies = {}
    if calibration is not None:
        for s, name in enumerate(problem.local_names):
            studies[name] = _residuals_message(site, residual_sums_of(calibration, problem, s), s, minimum)
    exposure = plug_in_exposure(problem, "full", calibration).value[problem.is_control]
    require_persons(exposure.size, minimum, "controls")
    edges = agreed.edges if agreed.edges is not None else BinEdges(0.0, 1.0)
    bins = merge_bins(exposure, edges, minimum)
    local_controls = problem.is_control & ~problem.is_reference
    calibrated = int((problem.in_calibration & local_controls).sum())
    return {
        "studies": studies,
        "starts": bins.starts.tolist(),
        "counts": bins.counts.tolist(),
        "means": bins.means.tolist(),
        "square": float(((exposure - exposure.mean()) ** 2).sum()),
        # Withheld when few: nothing but a remark on internalized depends on it.
        "calibrated_controls": calibrated if calibrated == 0 or calibrated >= minimum else None,
        "local_controls": int(local_controls.sum()),
    }


def _residuals_message(site: SiteProblem, sums: ResidualSums, local: int, minimum: int) -> dict[str, Any]:
    """Residual sums of one study, each variance's own; raises DisclosureError where few pairs are summed over."""
    name, rows = site.problem.local_names[local], site.problem.calibrators.rows
    where = f"study '{name}': calibration pairs"
    for n in sums.pairs.tolist():
        require_persons(n, minimum, where)
    if sums.gram is not None:  # products within the levels of the modifier
        for group in np.unique(rows.group[rows.study == local]):
            columns = rows.columns[2:, (rows.study == local) & (rows.group == group)]
            require_cells(
                columns, site.prepared.calibration_names, minimum, f"{where} at a level of the modifier"
            )
    return {
        "rss": sums.rss.tolist(),
        "freedom": sums.freedom.tolist(),
        "pairs": sums.pairs.tolist(),
        "gram": None if sums.gram is None else sums.gram.tolist(),
    }


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
        :class:`~biocal.fitting.sums.records.StudyMeat` holds, those that there are.
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
