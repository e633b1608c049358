"""From the centre's sums to the fits that users know from the pooled analysis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from biocal.fitting.problem.scale import GRID_POINTS, scale_notes
from biocal.fitting.sums.fits import CountedStudy, SummedFits, calibration_of_sums, comparison_of_sums
from biocal.fitting.sums.records import Task
from biocal.pool.formulas.levels import factors_of_agreed
from biocal.pool.matched_sets import StudyFlow
from biocal.remote.sites.centre.centre import Centre
from biocal.remote.sites.messages.plausible import StudyCounts
from biocal.remote.sites.site.histogram import MergedDistribution
from biocal.results.calibration.results import CalibrationResults
from biocal.results.fit.comparison import Comparison
from biocal.results.labels import Labels
from biocal.results.model import BySums, ExposureScale, ModelInfo, Sample


def federated_comparison(centre: Centre) -> Comparison:
    """The fits of a session whose answers are all in."""
    plan = centre.plan
    labels = Labels(plan.exposure_name, plan.unit, plan.outcome_name)
    assert centre.distribution is not None
    shown = _calibration_results(centre, labels)
    scale = _scale(centre, centre.distribution)
    effects, obstacle_to_joint = centre.modifier.effects(centre.kept_names)
    info = ModelInfo(
        covariates=plan.covariates,
        matching=plan.matching,
        modifier=plan.modifier,
        calibration_covariates=plan.calibration_covariates,
        calibration_coefficients=plan.calibration_coefficients,
        knot_rule="common",
        omitted=centre.omitted,
        calibration_names=centre.calibration_names,
        labels=labels,
        scale=scale,
        modifier_levels=centre.modifier_levels(),
        level=plan.level,
        asked=plan.asked(),
        modifier_effects=effects,
        joint_obstacle=obstacle_to_joint,
        factors=factors_of_agreed(
            plan.formula_texts(), next(iter(centre.inventories.values())).columns, centre.agreed.levels or {}
        ),
        notes=(
            *_federated_notes(centre),
            *centre.digits,
            *centre.modifier.notes,
            *scale_notes(scale, plan.unit),
            *shown.notes,
        ),
    )
    return comparison_of_sums(_summed(centre), info, _sample(centre), shown)


def require_finite(comparison: Comparison) -> None:
    """Raise ArithmeticError for a fit that holds what is no number, or a variance below 0."""
    for fit in comparison.values():
        variances = np.diagonal(fit.vcov)
        if not (np.isfinite(fit.estimates).all() and np.isfinite(fit.vcov).all() and (variances > 0).all()):
            raise ArithmeticError(f"{fit.method}: estimates or variances that cannot be")


def _summed(centre: Centre) -> SummedFits:
    basis = centre.agreed.basis
    assert basis is not None
    origins = [Task("full" if method == "induced" else method) for method in centre.plan.methods]
    start = np.zeros(len(centre.terms(Task("full"))))
    return SummedFits(
        centre.plan.methods,
        basis,
        centre.kept_names,
        centre.calibration,
        centre.ascents().optima,
        centre.sandwiches,
        {task: centre.points[task].at(start).loglik for task in origins},
        _calibrated_share(centre),
        centre.where(),
        centre.modifier,
    )


def _calibrated_share(centre: Centre) -> float:
    answers = centre.residuals.values()
    controls = sum(answer.local_controls for answer in answers)
    calibrated = sum(answer.calibrated_controls or 0 for answer in answers)
    return calibrated / controls if controls else 0.0


def _scale(centre: Centre, distribution: MergedDistribution) -> ExposureScale:
    """Reference exposure and grid, from the merged bins where they are quantiles."""
    plan, controls = centre.plan, distribution.exposures()
    low, median, high = (float(q) for q in np.quantile(controls, [0.01, 0.5, 0.99]))
    rule = "median of full calibration's exposure in controls, from merged bins"
    anchor = median
    if plan.reference is not None:
        rule, anchor = "as asked", plan.reference
    grid = np.asarray(plan.at, dtype=float)
    if not plan.at:
        grid = np.unique(np.append(np.linspace(low, high, GRID_POINTS), anchor))
    return ExposureScale(anchor, rule, grid, low, high, controls, _control_sd(centre))


def _control_sd(centre: Centre) -> float:
    """Standard deviation of the controls' exposure, exact: sites send sums of squares about their own means."""
    parts = [(one.bins.counts, one.bins.means, one.square) for one in centre.residuals.values()]
    sizes = np.array([counts.sum() for counts, _, _ in parts], dtype=float)
    means = np.array([counts @ own / counts.sum() for counts, own, _ in parts])
    overall = float(sizes @ means / sizes.sum())
    square = sum(one for _, _, one in parts) + float(sizes @ (means - overall) ** 2)
    return float(np.sqrt(square / max(sizes.sum() - 1, 1)))


def _federated_notes(centre: Centre) -> tuple[str, ...]:
    """What differs from the pooled fit, and what sites withheld."""
    notes = [
        "a federated fit: no rows were seen; the controls' exposure is known in bins, and the test of heterogeneity "
        "between studies is not made"
    ]
    notes += _knot_notes(centre)
    withheld = _uncounted(centre)
    if withheld:
        notes.append(
            f"rows left out are not counted for {', '.join(withheld)}: some count is below the site's minimum; rows "
            "read are shown as the rows used"
        )
    if any(inventory.shapes is None for inventory in centre.inventories.values()):
        notes.append("sizes of sets are not shown: at some site a size is rarer than its minimum")
    return tuple(notes)


def _uncounted(centre: Centre) -> tuple[str, ...]:
    """Studies whose sites do not tell how many rows were left out."""
    return tuple(one.name for _, one in centre.studies if one.losses is None)


def _knot_notes(centre: Centre) -> list[str]:
    specification, distribution = centre.plan.specification(), centre.distribution
    probabilities = getattr(specification, "probabilities", None)
    assert distribution is not None
    assert centre.agreed.basis is not None
    if not specification.needs_data or probabilities is None:
        return []
    knots = getattr(centre.agreed.basis, "knots", ())
    words = []
    for knot, probability in zip(knots, probabilities, strict=True):
        low, high = distribution.bounds(probability)
        words.append(f"{knot:.4g} ({low:.4g} to {high:.4g})")
    return [
        f"knots are quantiles of merged bins; the pooled ones lie within the limits in brackets: {', '.join(words)}"
    ]


def _sample(centre: Centre) -> Sample:
    studies = [one for _, one in centre.studies]
    pairs = {name: moments.n for name, moments in centre.moments().items()}
    shapes: dict[tuple[int, int], int] = {}
    told = [inventory.shapes for inventory in centre.inventories.values()]
    for one in told if all(part is not None for part in told) else []:
        for shape, n in (one or {}).items():
            shapes[shape] = shapes.get(shape, 0) + n
    answers = centre.residuals.values()
    return Sample(
        n_studies=len(studies),
        n_reference_studies=sum(one.kind == "reference" for one in studies),
        n_sets=sum(one.sets for one in studies),
        n_cases=sum(one.cases for one in studies),
        n_controls=sum(one.controls for one in studies),
        n_calibrators=sum(pairs.values()),
        calibrated_controls=sum(answer.calibrated_controls or 0 for answer in answers),
        local_controls=sum(answer.local_controls for answer in answers),
        flow=tuple(_flow(one, pairs.get(one.name, 0)) for one in studies),
        set_shapes=shapes,
        sums=BySums("federated", len(centre.plan.sites), _uncounted(centre)),
    )


def _flow(one: StudyCounts, pairs: int) -> StudyFlow:
    losses = one.losses or {}
    lost = ("calibration_only", "without_local", "missing_covariate", "rows_in_dropped_sets")
    return StudyFlow(
        study=one.name,
        rows_read=one.cases + one.controls + sum(losses.get(key, 0) for key in lost),
        calibration_only=losses.get("calibration_only", 0),
        without_local=losses.get("without_local", 0),
        missing_covariate=losses.get("missing_covariate", 0),
        missing_by_variable={},
        sets_without_case=losses.get("sets_without_case", 0),
        sets_without_control=losses.get("sets_without_control", 0),
        rows_in_dropped_sets=losses.get("rows_in_dropped_sets", 0),
        sets=one.sets,
        cases=one.cases,
        controls=one.controls,
        calibration_pairs=pairs,
    )


def _calibration_results(centre: Centre, labels: Labels) -> CalibrationResults:
    """The calibration in the words of its studies; ranges of local values, single persons' values, stay blank."""
    studies = [
        CountedStudy(one.name, one.kind, one.cases + one.controls if one.measured is None else one.measured)
        for _, one in centre.studies
    ]
    return calibration_of_sums(studies, centre.calibration, centre.calibration_names, labels)


def describe_session(centre: Centre) -> Sequence[str]:
    """Counts of the session so far, for its status."""
    if not centre.inventories:
        return ()
    studies = [one for _, one in centre.studies]
    local = sum(one.kind == "local" for one in studies)
    return (
        f"{len(studies)} studies ({local} local), {sum(one.sets for one in studies):,} matched sets, "
        f"{sum(one.cases for one in studies):,} cases, {sum(one.controls for one in studies):,} controls",
    )
