"""`fit`: the one entry to all estimators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from biocal.errors import BiocalError, OptionError
from biocal.fitting.assembled import (
    assemble_fit,
    describe_sample,
    season_remarks,
    season_results,
    set_namer,
    trend_test,
    with_few_influences,
)
from biocal.fitting.calibrate import calibration_results, require_coefficients
from biocal.fitting.calibration_quality import read_batches
from biocal.fitting.calibration_step import calibrate_or_explain, left_out_of_calibration
from biocal.fitting.fit_choices import estimation_options, wants_leverage_scores
from biocal.fitting.method_names import METHODS, require_methods
from biocal.fitting.methods.estimate import estimate_method
from biocal.fitting.methods.two_stage import (
    heterogeneity_between_studies,
    slopes_between_studies,
    tested_exposure,
)
from biocal.fitting.problem.missing_covariates import missing_rule
from biocal.fitting.problem.modifier import modifier_levels, own_effects, require_joint_level
from biocal.fitting.problem.prepare import ModelFormulas, prepare
from biocal.fitting.problem.scale import common_exposure, lay_out_scale, learn_basis, scale_notes
from biocal.fitting.problem.season_request import season_request
from biocal.fitting.problem.selection import restricted_pool
from biocal.fitting.problem.units import shared_person_notes
from biocal.fitting.repeated.basis_test import basis_test
from biocal.fitting.repeated.bootstrap import BootstrapOptions, Progress, bootstrap_fits
from biocal.fitting.repeated.curve_models import compare_curves, linear_trend, lost_by_the_line, straight_fit
from biocal.fitting.repeated.parts import PartsAsked
from biocal.fitting.repeated.refit import Analysis
from biocal.fitting.soundness.calibrators_in_sets import calibrators_in_few_sets
from biocal.fitting.soundness.digits import outcome_digit_notes
from biocal.fitting.soundness.fits import knot_notes
from biocal.kernels.contrasts import WaldTest
from biocal.model.calibration.forms import CalibrationModel
from biocal.model.exposure import Basis, ExposureSpecification, rcs
from biocal.pool.checks.limits import below_limit_notes
from biocal.pool.pooled import PooledStudies
from biocal.results.calibration.quality_tables import quality_note
from biocal.results.calibration.results import model_notes
from biocal.results.fit.asked.increments import require_increments
from biocal.results.fit.comparison import Comparison
from biocal.results.fit.fit import Fit
from biocal.results.labels import Labels
from biocal.results.model import AskedTables, ModelInfo


def fit(
    pool: PooledStudies,
    *,
    method: str | Sequence[str] = "full",
    exposure: ExposureSpecification | None = None,
    covariates: str | None = None,
    matching: str | None = None,
    modifier: str | None = None,
    where: str | None = None,
    calibrate_within: bool = False,
    missing: str = "complete",
    by: str | Sequence[str] = (),
    subsite: str | Sequence[str] = (),
    leave_one_out: bool = False,
    calibration_covariates: str = "outcome",
    calibration_coefficients: str = "common",
    calibration_form: str = "linear",
    calibration_estimator: str = "least-squares",
    calibration_knots: int | None = None,
    season: str | None = None,
    season_reference: object = "annual",
    season_harmonics: int = 1,
    season_controls: str = "other-sets",
    batch: str | None = None,
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
    per: float | Sequence[float] | None = None,
    per_sd: bool = False,
    aic: bool = False,
    joint: str | None = None,
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
    where : str, optional
        Restrict the outcome model to rows for which a condition holds, such as
        ``'years_to_diagnosis >= 2 and sex == "female"'``.  A column that is blank for all controls describes the
        case, and the set goes with its case; see :func:`biocal.pool.conditions.selection.select_rows`.
    calibrate_within : bool, default False
        Calibrate within `where`, and within each level of `by` and `subsite`, too; otherwise the calibration
        keeps every calibration control and is common to the levels.
    missing : {"complete", "indicator"}
        Missing covariates: rows leave the outcome model, or gaps are filled and indicator columns added, in the
        calibration too, so that matched sets are kept; see :mod:`biocal.pool.formulas.missing_indicator` for its bias.
    by : str or sequence of str, optional
        Fit each level of a column too, or of a condition such as ``"bmi >= 30"``: see ``subgroups`` of the fit.
        Knots and reference exposure are those of all persons.
    subsite : str or sequence of str, optional
        The same for a column that describes the case, such as the tumour's site: each set goes with its case.
    leave_one_out : bool, default False
        Fit without each study in turn, without its calibration too, also by level: see ``left_out`` of the fit.
    calibration_covariates : str, default "outcome"
        "outcome" (covariates and matching factors), "none" (the published rule), or a formula.
    calibration_coefficients : {"common", "by-study"}
        Of the calibration covariates.
    calibration_form, calibration_estimator, calibration_knots, batch
        See :func:`biocal.calibrate`.
    season : str, optional
        Column of the month (1 to 12) or the date of blood draw: the exposure is standardised to
        `season_reference` by harmonics fitted in each study's controls, before knots and categories; the
        sandwich carries them, and under "outcome" the calibration includes them.
    season_reference : str, int or date, default "annual"
        "annual" (the annual mean), a date such as "2026-07-01", or a day of the year.
    season_harmonics : {1, 2}
        Pairs of cosine and sine.
    season_controls : {"other-sets", "all"}
        Whose season is taken off a matched set: that of the controls of its study's other sets, or of all controls
        of the study; see :mod:`biocal.fitting.methods.season_own_set` for why.
    knot_rule : {"common", "published"}
        See :func:`biocal.fitting.problem.scale.learn_basis`.
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
    per : float or sequence of float, optional
        Increments of the exposure that get an odds ratio, in its unit; see :meth:`Fit.per_unit`.
    per_sd : bool, default False
        One for a standard deviation too; see :meth:`Fit.per_sd`.
    aic : bool, default False
        Fit the line and splines with 3 to 7 knots to the same persons and compare them by AIC.
    joint : str, optional
        Level of the modifier; adds curves of all levels against it at the reference exposure, see
        :meth:`Fit.joint_responses`.

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
        percent = f"; write {level / 100:g} for {level:g} %" if 1.0 < level < 100.0 else ""
        raise OptionError(f"a confidence level lies between 0 and 1, not {level}{percent}", level=level)
    asked = AskedTables(require_increments(per), per_sd, joint)
    options = estimation_options(residual_law)
    redrawing = None if bootstrap is None else BootstrapOptions(bootstrap, seed, jobs, strata, progress)
    parts = PartsAsked.of(by, subsite, leave_one_out=leave_one_out, calibrate_within=calibrate_within)
    parts.require(pool, where)
    pool, selected = restricted_pool(pool, where, calibrate_within=calibrate_within)
    formulas = ModelFormulas(
        covariates,
        matching,
        modifier,
        calibration_covariates,
        require_coefficients(calibration_coefficients),
        wants_leverage_scores(calibration_variance),
        None if calibrate_within else where,
        CalibrationModel.of(calibration_form, calibration_estimator, calibration_knots),
        season_request(season, season_reference, season_harmonics, season_controls),
        missing_rule(missing),
    )
    prepared = prepare(pool, formulas)
    problem = prepared.problem
    calibration, obstacle = calibrate_or_explain(prepared, methods)
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
            read_batches(pool, batch),
        )
    seasons = season_results(prepared, calibration, methods, Labels(exposure_name, unit, outcome_name))
    scale = lay_out_scale(problem, calibration, reference, at)
    levels = modifier_levels(pool, modifier, prepared)
    effects, obstacle_to_joint = own_effects(prepared)
    require_joint_level(joint, levels, obstacle_to_joint, modifier)
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
        modifier_levels=levels,
        level=level,
        asked=asked,
        modifier_effects=effects,
        joint_obstacle=obstacle_to_joint,
        where=where or "",
        notes=(
            *((obstacle,) if obstacle else ()),
            *selected,
            *scale_notes(scale, unit),
            *outcome_digit_notes(problem),
            *below_limit_notes(pool, methods),
            *prepared.notes,
            *shared_person_notes(prepared.problem.set_unit),
            *(model_notes(shown.form, shown.estimator) if shown else ()),
            *(quality_note(shown.quality) if shown else ()),
            *(shown.notes if shown else ()),
            *left_out_of_calibration(pool, prepared, formulas),
            *season_remarks(seasons, specification),
        ),
        season=seasons,
        factors=prepared.factors,
    )
    sample = describe_sample(pool, prepared)
    fits: dict[str, Fit] = {}
    failed: dict[str, BiocalError] = {}
    everybody, _ = common_exposure(problem, calibration)
    few_sets = calibrators_in_few_sets(problem, calibration)
    tested: dict[tuple[str, Basis], tuple[tuple[WaldTest, ...], tuple[str, ...]]] = {}
    slopes: dict[str, tuple[tuple[WaldTest, ...], tuple[str, ...]]] = {}
    for name in methods:
        try:
            basis = learn_basis(specification, problem, name, calibration, knot_rule=knot_rule)
            found = with_few_influences(estimate_method(problem, name, basis, calibration, options))
            found = found.with_told((), knot_notes(basis, everybody), few_sets if name != "naive" else ())
            straight = straight_fit(problem, found, basis, calibration, options)
            found = found.with_told((), lost_by_the_line(found, straight))
            trend = () if basis.kind == "linear" else trend_test(straight)
            linear = linear_trend(straight)
            if name != "two-stage":  # it has the test already
                key = tested_exposure(name), basis  # of full calibration and induced it is one test
                if key not in tested:
                    tested[key] = heterogeneity_between_studies(problem, name, basis, calibration)
                if key[0] not in slopes:
                    slopes[key[0]] = slopes_between_studies(problem, name, calibration)
                found = found.with_told(*slopes[key[0]]).with_told(*tested[key])
            found = found.with_told(*basis_test(problem, found, basis, calibration, options))
            fits[name] = replace(
                assemble_fit(
                    found, basis, info, sample, shown, problem.local_names, trend, set_namer(pool, prepared)
                ),
                linear=linear,
                curve_models=compare_curves(problem, found, basis, linear, calibration, options, knot_rule)
                if aic
                else (),
            )
        except BiocalError as error:
            error.add_note(f"method {name}")
            if not (everything if keep_going is None else keep_going):
                raise
            failed[name] = error
    if not fits:
        raise next(iter(failed.values()))
    if redrawing is not None:
        fits = bootstrap_fits(fits, problem, specification, calibration, options, redrawing)
    fits = parts.added(fits, Analysis(pool, formulas, prepared, calibration, options))
    if isinstance(method, str) and not everything:
        return fits[method]
    return Comparison(fits, {name: str(error) for name, error in failed.items()})
