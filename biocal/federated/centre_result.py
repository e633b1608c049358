"""From the centre's sums to the fits that users know from the pooled analysis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from biocal.calibration.regression import CalibrationFit
from biocal.federated.answers import StudyCounts
from biocal.federated.centre import Centre
from biocal.federated.histogram import MergedDistribution
from biocal.kernels.delta import WaldTest, wald_test
from biocal.kernels.sandwich import SandwichCovariance
from biocal.pooling.calibrate import covariate_coefficients, dropped_notes
from biocal.pooling.estimate import PLAIN_SANDWICH, STACKED_SANDWICH, plug_in_notes
from biocal.pooling.exposure_scale import GRID_POINTS, scale_notes
from biocal.results.calibration import CalibrationResults, StudyCalibration, calibration_notes
from biocal.results.comparison import Comparison
from biocal.results.fits import Fit, FitStatus
from biocal.results.increments import LinearTrend
from biocal.results.model import ExposureScale, Labels, ModelInfo, Sample
from biocal.study.matched_sets import StudyFlow
from biocal.sums.calibration import SummedCalibration
from biocal.sums.sandwich import sandwich_of_parts
from biocal.sums.tasks import Task

FloatArray = NDArray[np.float64]


def federated_comparison(centre: Centre) -> Comparison:
    """The fits of a session whose answers are all in."""
    plan = centre.plan
    labels = Labels(plan.exposure_name, plan.unit, plan.outcome_name)
    assert centre.distribution is not None
    shown = _calibration_results(centre, labels)
    scale = _scale(centre, centre.distribution)
    first = next(iter(centre.calibrations.values()))
    info = ModelInfo(
        covariates=plan.covariates,
        matching=plan.matching,
        modifier="",
        calibration_covariates=plan.calibration_covariates,
        calibration_coefficients=plan.calibration_coefficients,
        knot_rule="common",
        omitted=centre.omitted,
        calibration_names=first.calibration_names,
        labels=labels,
        scale=scale,
        modifier_levels=None,
        level=plan.level,
        notes=(*_federated_notes(centre), *scale_notes(scale, plan.unit), *shown.notes),
    )
    sample = _sample(centre)
    fits = {method: _fit(centre, method, info, sample, shown) for method in plan.methods}
    return Comparison(fits, {})


def _fit(centre: Centre, method: str, info: ModelInfo, sample: Sample, shown: CalibrationResults) -> Fit:
    basis = centre.agreed.basis
    assert basis is not None
    optima = centre.ascents().optima
    main, straight = Task(method), Task(method, straight=True)
    covariance, stacked = sandwich_of_parts(centre.sandwiches[main], centre.calibration)
    trend: tuple[WaldTest, ...] = ()
    along = straight if straight in centre.sandwiches else main
    line = sandwich_of_parts(centre.sandwiches[along], centre.calibration)[0]
    linear = LinearTrend(
        optima[along].point[0][:1],
        line.vcov[:1, :1],
        float(sum(part.loglik for part in centre.sandwiches[along])),
        optima[along].point[0].size,
    )
    if along is straight:
        trend = (wald_test("trend", linear.estimates, linear.vcov, np.zeros(1, dtype=np.intp)),)
    n_terms, n_exposure = len(centre.terms(main)), len(basis.names)
    origin = Task("full") if method == "induced" else main
    calibrated = bool(centre.local_names)
    return Fit(
        method=method,
        terms=centre.terms(main),
        estimates=optima[main].point[0],
        vcov=covariance.vcov,
        vcov_uncorrected=covariance.vcov_uncorrected,
        calibration_parts=_parts(covariance, len(centre.local_names), n_terms),
        exposure_positions=np.arange(n_exposure)[None, :],
        loglik=float(sum(part.loglik for part in centre.sandwiches[main])),
        loglik_null=centre.points[origin].at(np.zeros(n_terms)).loglik,
        basis=basis,
        info=info,
        sample=sample,
        calibration=shown,
        local_names=centre.local_names,
        status=FitStatus(int(optima[main].iterations[0]), float(optima[main].decrement[0])),
        variance=STACKED_SANDWICH if stacked else PLAIN_SANDWICH,
        extra_tests=trend,
        linear=linear,
        notes=()
        if method == "induced"
        else plug_in_notes(method, basis, share=_calibrated_share(centre), calibrated=calibrated),
    )


def _parts(covariance: SandwichCovariance, n_local: int, p: int) -> FloatArray:
    found = covariance.calibration_parts
    return found if found.shape[0] else np.zeros((n_local, p, p))


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
    return ExposureScale(anchor, rule, grid, low, high, controls)


def _federated_notes(centre: Centre) -> tuple[str, ...]:
    """What differs from the pooled fit, and what sites withheld."""
    notes = [
        "a federated fit: no rows were seen; the controls' exposure is known in bins, and the test of heterogeneity "
        "between studies is not made"
    ]
    notes += _knot_notes(centre)
    withheld = [one.name for _, one in centre.studies if one.losses is None]
    if withheld:
        notes.append(
            f"rows left out are not counted for {', '.join(withheld)}: some count is below the site's minimum; rows "
            "read are shown as the rows used"
        )
    if any(inventory.shapes is None for inventory in centre.inventories.values()):
        notes.append("sizes of sets are not shown: at some site a size is rarer than its minimum")
    return tuple(notes)


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
    fitted, first = centre.calibration, next(iter(centre.calibrations.values()))
    names = first.calibration_names
    errors = None if fitted is None else np.sqrt(np.diagonal(fitted.covariance()))
    rows = [_study_calibration(one, fitted, errors) for _, one in centre.studies]
    studies = tuple(rows)
    notes = calibration_notes(studies)
    if fitted is None or errors is None:
        return CalibrationResults(studies, (), names, notes, labels)
    as_fit = _without_persons(fitted)
    covariates = covariate_coefficients(as_fit, errors, names, fitted.names)
    notes += dropped_notes(as_fit, names, fitted.names)
    return CalibrationResults(studies, covariates, names, notes, labels)


def _without_persons(fitted: SummedCalibration) -> CalibrationFit:
    nobody = np.empty(0)
    return CalibrationFit(
        fitted.gamma,
        nobody,
        nobody,
        fitted.inverse_bread,
        np.empty((0, fitted.gamma.size)),
        fitted.variance,
        fitted.freedom,
        fitted.layout,
        fitted.dropped,
        np.empty(0, dtype=np.intp),
    )


def _study_calibration(
    one: StudyCounts, fitted: SummedCalibration | None, errors: FloatArray | None
) -> StudyCalibration:
    nan, nobody = float("nan"), np.empty(0)
    used = one.cases + one.controls if one.measured is None else one.measured
    unknown = (nan, nan, nan, nan, nan, nobody, nobody)
    if one.kind == "reference" or fitted is None or errors is None:
        return StudyCalibration(one.name, "reference", used, 0, 0.0, 1.0, nan, nan, nan, nan, *unknown, nan)
    s = fitted.names.index(one.name)
    moments, coefficients = fitted.moments[s], fitted.coefficients()[s]
    position = fitted.layout.position[s]
    rss = float(fitted.variance[s] * fitted.freedom[s])
    square = moments.response_square
    return StudyCalibration(
        one.name,
        "local",
        used,
        moments.n,
        float(coefficients[0]),
        float(coefficients[1]),
        float(errors[position[0]]),
        float(errors[position[1]]),
        float(np.sqrt(fitted.variance[s])),
        1.0 - rss / square if square > 0 else nan,
        *unknown,
        intercept_at_mean=float(coefficients[0] + coefficients[2:] @ moments.means[1:]),
    )


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
