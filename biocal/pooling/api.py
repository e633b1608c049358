"""`fit`: the one entry to all estimators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from biocal.calibration.regression import CalibrationFit
from biocal.errors import BiocalError, CalibrationDesignError, OptionError
from biocal.exposure.terms import ExposureSpecification, Linear, rcs
from biocal.kernels.delta import WaldTest, wald_test
from biocal.pooling.bootstrap import BootstrapOptions, Progress, bootstrap_fits
from biocal.pooling.calibrate import calibration_results, partial_association, require_coefficients
from biocal.pooling.estimate import (
    METHODS,
    EstimationOptions,
    MethodEstimate,
    calibrate_problem,
    estimate_method,
    require_methods,
)
from biocal.pooling.exposure_scale import lay_out_scale, learn_basis, scale_notes
from biocal.pooling.modifier_levels import modifier_levels
from biocal.pooling.prepare import ModelFormulas, PreparedPool, prepare
from biocal.pooling.problem import PooledProblem
from biocal.pooling.two_stage import heterogeneity_between_studies
from biocal.results.calibration import CalibrationResults
from biocal.results.comparison import Comparison
from biocal.results.fits import Fit, FitStatus
from biocal.results.model import ExposureBasis, Labels, ModelInfo, Sample
from biocal.study.covariates import design_columns
from biocal.study.pooled import PooledStudies

#: A left-out calibration covariate with a smaller p-value is worth a warning.
_MATTERS = 0.05


def fit(
    pool: PooledStudies,
    *,
    method: str | Sequence[str] = "full",
    exposure: ExposureSpecification | None = None,
    covariates: str | None = None,
    matching: str | None = None,
    modifier: str | None = None,
    calibration_covariates: str = "outcome",
    calibration_coefficients: str = "common",
    knot_rule: str = "common",
    reference: float | None = None,
    at: Sequence[float] | None = None,
    level: float = 0.95,
    exposure_name: str = "exposure",
    unit: str = "",
    outcome_name: str = "",
    residual_law: str = "normal",
    calibration_variance: str = "robust",
    keep_going: bool | None = None,
    bootstrap: int | None = None,
    seed: int | None = None,
    jobs: int = 1,
    strata: str = "calibrators",
    progress: Progress | None = None,
) -> Any:
    """Fit the pooled dose-response model.

    Parameters
    ----------
    pool : PooledStudies
        From :func:`biocal.read_studies` or :meth:`PooledStudies.from_frame`.
    method : str or sequence of str, default "full"
        naive, internalized, full, induced, two-stage, or "all"; a sequence (or "all") gives a
        :class:`Comparison`.
    exposure : ExposureSpecification, optional
        :func:`biocal.rcs` (default, 4 knots), :func:`biocal.linear` or :func:`biocal.categories`.
    covariates : str, optional
        Outcome covariates, a patsy formula such as ``"bmi + C(smoking)"``.
    matching : str, optional
        Matching factors, a formula; they enter the calibration, not the outcome model.
    modifier : str, optional
        Effect modifier: products with all exposure columns; the calibration then includes it and its
        product with the local value.
    calibration_covariates : str, default "outcome"
        "outcome" (covariates and matching factors), "none" (the published rule), or a formula.
    calibration_coefficients : {"common", "by-study"}
        Of the calibration covariates.
    knot_rule : {"common", "published"}
        See :func:`biocal.pooling.exposure_scale.learn_basis`.
    reference : float, optional
        Reference exposure; default the median of full calibration's exposure over the controls.
    at : sequence of float, optional
        Exposures at which curves are tabulated.
    level : float, default 0.95
        Confidence level.
    exposure_name, unit, outcome_name : str
        For tables and figures.
    residual_law : {"normal", "smearing"}
        induced: law of the reference value about its calibrated mean; "smearing" takes the calibration's
        own residuals, and then only the bootstrap gives intervals.
    calibration_variance : {"robust", "hc3"}
        The calibration's part of the sandwich: from the residuals as they are, or divided by 1 - leverage,
        which widens intervals where calibration subsets are small.
    keep_going : bool, optional
        With several methods: record one that fails and go on; default only for "all".
    bootstrap : int, optional
        Bootstrap replicates: matched sets redrawn within study, those holding calibrators apart, calibrated
        and fitted anew; percentile and normal limits beside the sandwich's, in ``bootstrap`` of each fit.
        Methods share the resamples.
    seed : int, optional
        Seed of the bootstrap; by default one is drawn and recorded.
    jobs : int, default 1
        Processes for the bootstrap, -1 for one a processor; the numbers do not depend on it.
    strata : {"calibrators", "deciles"}
        Bootstrap strata; "deciles" where the calibration subset was spread over deciles of the local value.
    progress : callable, optional
        Called with (replicates done, replicates) as the bootstrap goes on.

    Returns
    -------
    Fit or Comparison
        A :class:`Fit` when `method` names one method, else a :class:`Comparison`.

    Raises
    ------
    InputError
        Options or data that cannot be used.
    FitError
        Collinear columns, separation, no convergence.

    Notes
    -----
    Estimators of [1]_, section 2; covariance by one stacked sandwich over matched sets.

    References
    ----------
    .. [1] Wu, Gail, Smith-Warner, Ziegler, Wang. Cancers 2022;14:2783; arXiv:1911.09254.

    Examples
    --------
    >>> import biocal as bc
    >>> frame = bc.datasets.load_infertility()
    >>> pool = bc.PooledStudies.from_frame(frame, reference="spontaneous")
    >>> fit = bc.fit(pool, exposure=bc.linear(), covariates="induced")
    >>> fit.params.round(4).to_dict()
    {'exposure': 1.9859, 'induced': 1.409}
    """
    methods = (method,) if isinstance(method, str) else tuple(method)
    everything = "all" in methods
    if everything:
        methods = METHODS
    require_methods(methods)
    if not 0.0 < level < 1.0:
        raise OptionError(f"a confidence level lies between 0 and 1, not {level}", level=level)
    options = _options(residual_law)
    redrawing = None if bootstrap is None else BootstrapOptions(bootstrap, seed, jobs, strata, progress)
    formulas = ModelFormulas(
        covariates,
        matching,
        modifier,
        calibration_covariates,
        require_coefficients(calibration_coefficients),
        _leverage_scores(calibration_variance),
    )
    prepared = prepare(pool, formulas)
    problem = prepared.problem
    calibration, obstacle = _calibrate(prepared, methods)
    specification = rcs(4) if exposure is None else exposure
    shown = None
    if calibration is not None or not problem.local_names:
        labels = Labels(exposure_name, unit, outcome_name)
        shown = calibration_results(
            pool,
            calibration,
            prepared.calibration_pool_rows,
            problem.calibrators.rows,
            prepared.calibration_names,
            labels,
        )
    scale = lay_out_scale(problem, calibration, reference, at)
    info = ModelInfo(
        covariates=covariates or "",
        matching=matching or "",
        modifier=modifier or "",
        calibration_covariates=calibration_covariates,
        calibration_coefficients=calibration_coefficients,
        knot_rule=knot_rule,
        omitted=prepared.omitted,
        calibration_names=prepared.calibration_names,
        labels=Labels(exposure_name, unit, outcome_name),
        scale=scale,
        modifier_levels=modifier_levels(pool, modifier, prepared),
        level=level,
        notes=(
            *((obstacle,) if obstacle else ()),
            *scale_notes(scale, unit),
            *prepared.notes,
            *(shown.notes if shown else ()),
            *_left_out_of_calibration(pool, prepared, formulas),
        ),
    )
    sample = _sample(pool, prepared)
    fits: dict[str, Fit] = {}
    failed: dict[str, BiocalError] = {}
    for name in methods:
        try:
            basis = learn_basis(specification, problem, name, calibration, knot_rule=knot_rule)
            found = estimate_method(problem, name, basis, calibration, options)
            trend = _trend(problem, name, specification, calibration, options)
            if name != "two-stage":  # it has the test already
                found = found.with_told(*heterogeneity_between_studies(problem, name, basis, calibration))
            fits[name] = _result(found, basis, info, sample, shown, problem.local_names, trend)
        except BiocalError as error:
            error.add_note(f"method {name}")
            if not (everything if keep_going is None else keep_going):
                raise
            failed[name] = error
    if not fits:
        raise next(iter(failed.values()))
    if redrawing is not None:
        fits = bootstrap_fits(fits, problem, specification, calibration, options, redrawing)
    if isinstance(method, str) and not everything:
        return fits[method]
    return Comparison(fits, {name: str(error) for name, error in failed.items()})


def _leverage_scores(calibration_variance: str) -> bool:
    if calibration_variance not in ("robust", "hc3"):
        raise OptionError(
            f"the calibration variance is robust or hc3, not {calibration_variance!r}",
            allowed=("robust", "hc3"),
        )
    return calibration_variance == "hc3"


def _options(residual_law: str) -> EstimationOptions:
    if residual_law not in ("normal", "smearing"):
        raise OptionError(
            f"the residual law is normal or smearing, not {residual_law!r}", allowed=("normal", "smearing")
        )
    return EstimationOptions(residual_law="normal" if residual_law == "normal" else "smearing")


def _calibrate(prepared: PreparedPool, methods: tuple[str, ...]) -> tuple[CalibrationFit | None, str]:
    """The calibration; when only naive is asked, an obstacle to it is told instead of raised."""
    try:
        return calibrate_problem(prepared.problem), ""
    except CalibrationDesignError as error:
        if set(methods) != {"naive"}:
            raise
        return None, f"no calibration was possible ({error}); knots and axes are those of the naive exposure"


def _trend(
    problem: PooledProblem,
    method: str,
    specification: ExposureSpecification,
    calibration: CalibrationFit | None,
    options: EstimationOptions,
) -> tuple[WaldTest, ...]:
    """Linear trend: the Wald test of the linear fit by the same method."""
    if specification.kind == "linear":
        return ()
    straight = estimate_method(problem, method, Linear().learn(), calibration, options)
    positions = straight.model.exposure_positions.ravel()
    return (wald_test("trend", straight.outcome.beta, straight.covariance.vcov, positions),)


def _result(
    found: MethodEstimate,
    basis: ExposureBasis,
    info: ModelInfo,
    sample: Sample,
    shown: CalibrationResults | None,
    local_names: tuple[str, ...],
    trend: tuple[WaldTest, ...],
) -> Fit:
    return Fit(
        method=found.method,
        terms=found.model.terms,
        estimates=found.outcome.beta,
        vcov=found.covariance.vcov,
        vcov_uncorrected=found.covariance.vcov_uncorrected,
        calibration_parts=found.covariance.calibration_parts,
        exposure_positions=found.model.exposure_positions,
        loglik=found.outcome.loglik,
        loglik_null=found.outcome.loglik_null,
        basis=basis,
        info=info,
        sample=sample,
        calibration=shown,
        local_names=local_names,
        status=FitStatus(found.outcome.iterations, found.outcome.decrement),
        variance=found.variance,
        extra_tests=(*trend, *found.tests),
        notes=found.notes,
        influence=found.covariance.influence,
        studies=None if found.studies is None else replace(found.studies, info=info),
    )


def _sample(pool: PooledStudies, prepared: PreparedPool) -> Sample:
    problem = prepared.problem
    local_controls = problem.is_control & ~problem.is_reference
    return Sample(
        n_studies=pool.n_studies,
        n_reference_studies=int(pool.is_reference_study.sum()),
        n_sets=problem.n_sets,
        n_cases=int(problem.is_case.sum()),
        n_controls=int(problem.is_control.sum()),
        n_calibrators=problem.calibrators.response.size,
        calibrated_controls=int((problem.in_calibration & local_controls).sum()),
        local_controls=int(local_controls.sum()),
        flow=prepared.outcome_rows.flow,
        set_shapes=prepared.outcome_rows.set_shapes,
        files=pool.files,
        dropped_sets=prepared.outcome_rows.dropped_sets,
    )


def _left_out_of_calibration(
    pool: PooledStudies, prepared: PreparedPool, formulas: ModelFormulas
) -> tuple[str, ...]:
    """Warn when the calibration has no covariates although they would say something (METHODS section 2)."""
    problem = prepared.problem
    if prepared.calibration_names or not problem.local_names:
        return ()
    parts = [design_columns(pool, formula) for formula in (formulas.covariates, formulas.matching) if formula]
    parts = [part for part in parts if part.names]
    if not parts:
        return ()
    values = np.column_stack([part.values for part in parts])[prepared.calibration_pool_rows].T
    calibrators = problem.calibrators
    test = partial_association(calibrators.rows, values, calibrators.response, problem.local_names)
    if test is None or test.p_value >= _MATTERS:
        return ()
    names = ", ".join(name for part in parts for name in part.names)
    return (
        f"the calibration leaves out {names}, which predict the reference value beyond the local one "
        f"(Wald p = {test.p_value:.2g}): calibrated estimates are biased; use calibration covariates 'outcome'",
    )
