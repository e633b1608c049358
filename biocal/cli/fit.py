"""``biocal fit``: from study files to a calibrated dose-response curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from biocal.cli import columns
from biocal.cli.fit_contents import ALL_FILES, expected_files, fit_contents
from biocal.cli.messages import plain, tell, tell_problems
from biocal.cli.output import OutputFolder
from biocal.cli.progress import counting, working
from biocal.cli.settings import Settings, gather, read_pools, require_calibration, usage_error

if TYPE_CHECKING:
    from biocal.results.comparison import Comparison
    from biocal.study.pooled import PooledStudies

_METHOD = "Method"
_EXPOSURE = "Exposure"
_MODEL = "Model"
_SEASON = "Season"
_SUBGROUPS = "Subgroups"
_CURVE = "Curve and intervals"
_WORDS = "Words for tables and figures"


def _option(name: str, metavar: str, what: str, panel: str) -> Any:
    return typer.Option(f"--{name}", metavar=metavar, help=what, rich_help_panel=panel, show_default=False)


def fit(
    ctx: typer.Context,
    files: columns.Files = None,
    spec: columns.Spec = None,
    out: columns.Out = None,
    force: columns.Force = False,
    quiet: columns.Quiet = False,
    method: Annotated[
        list[str] | None,
        _option(
            "method",
            "NAME",
            "naive, internalized, full, induced, two-stage or all; repeatable (default: naive and full).",
            _METHOD,
        ),
    ] = None,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going",
            help="Record a method that fails and go on with the others; implied by --method all.",
            rich_help_panel=_METHOD,
            show_default=False,
        ),
    ] = False,
    residual_law: Annotated[
        str | None,
        _option(
            "residual-law",
            "LAW",
            "induced: law of reference values about the calibration: normal, or smearing, which takes the "
            "residuals and needs --bootstrap for intervals (default: normal).",
            _METHOD,
        ),
    ] = None,
    exposure: Annotated[
        str | None,
        _option(
            "exposure",
            "TERM",
            "rcs (restricted cubic spline), linear or categories (default: rcs).",
            _EXPOSURE,
        ),
    ] = None,
    knots: Annotated[
        int | None, _option("knots", "K", "rcs: 3 to 7 knots at Harrell's quantiles (default: 4).", _EXPOSURE)
    ] = None,
    knot_values: Annotated[
        str | None, _option("knot-values", "X,X,...", "rcs: the knots themselves, as 30,50,70.", _EXPOSURE)
    ] = None,
    knot_probs: Annotated[
        str | None,
        _option("knot-probs", "P,P,...", "rcs: probabilities of the knots, as .1,.5,.9.", _EXPOSURE),
    ] = None,
    knot_rule: Annotated[
        str | None,
        _option(
            "knot-rule",
            "RULE",
            "rcs: common: quantiles of full calibration's exposure in controls, the same for all methods; "
            "published: of each method's own, cases too (default: common).",
            _EXPOSURE,
        ),
    ] = None,
    cuts: Annotated[
        str | None,
        _option("cuts", "X,X,...", "categories: cut points on the reference scale, as 30,50,75.", _EXPOSURE),
    ] = None,
    reference_category: Annotated[
        str | None,
        _option(
            "reference-category", "LABEL", 'categories: such as "[50, 75)" (default: the lowest).', _EXPOSURE
        ),
    ] = None,
    covariates: Annotated[
        str | None, _option("covariates", "FORMULA", 'Of the outcome model, as "bmi + C(smoking)".', _MODEL)
    ] = None,
    matching: Annotated[
        str | None,
        _option("matching", "FORMULA", "Matching factors; they enter the calibration only.", _MODEL),
    ] = None,
    modifier: Annotated[
        str | None, _option("modifier", "NAME", "Effect modifier: a curve at each of its levels.", _MODEL)
    ] = None,
    season: Annotated[
        str | None,
        _option(
            "season",
            "COLUMN",
            "Standardise the exposure to a season: column of the month (1 to 12) or the date of blood draw.",
            _SEASON,
        ),
    ] = None,
    season_reference: Annotated[
        str | None,
        _option(
            "season-reference",
            "WHEN",
            "annual (the annual mean), a date such as 2026-07-01, or a day of the year (default: annual).",
            _SEASON,
        ),
    ] = None,
    season_harmonics: Annotated[
        int | None,
        typer.Option(
            "--season-harmonics",
            metavar="N",
            min=1,
            max=2,
            help="Pairs of cosine and sine in each study, 1 or 2 (default: 1).",
            rich_help_panel=_SEASON,
            show_default=False,
        ),
    ] = None,
    season_controls: Annotated[
        str | None,
        _option(
            "season-controls",
            "WHOSE",
            "Whose season is taken off a set: other-sets (that of the controls of all other sets, the default), "
            "or all (the set's own too, which bends curves of small studies).",
            _SEASON,
        ),
    ] = None,
    missing: Annotated[
        str | None,
        _option(
            "missing",
            "RULE",
            "Missing covariates: complete (their rows leave, the default), or indicator: filled, with a column that "
            "says where, so that matched sets stay.",
            _MODEL,
        ),
    ] = None,
    imputation: Annotated[
        str | None,
        _option(
            "imputation",
            "COLUMN",
            "Multiple imputation: column with the number of the completed data set (0: as it was, left out); each is "
            "calibrated and fitted, and the fits are combined by Rubin's rules.",
            _MODEL,
        ),
    ] = None,
    imputation_files: Annotated[
        bool,
        typer.Option(
            "--imputation-files",
            help="Multiple imputation: every FILE is one completed data set of the whole pool.",
            rich_help_panel=_MODEL,
            show_default=False,
        ),
    ] = False,
    small_sample: Annotated[
        bool,
        typer.Option(
            "--small-sample",
            help="Multiple imputation: Barnard and Rubin's degrees of freedom, Reiter's for tests.",
            rich_help_panel=_MODEL,
            show_default=False,
        ),
    ] = False,
    where: Annotated[
        str | None,
        _option(
            "where",
            "CONDITION",
            "Restrict the outcome model to rows for which it holds, as 'years_to_diagnosis >= 2'; where a column is "
            "blank for controls, the set goes with its case.",
            _SUBGROUPS,
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        _option(
            "by",
            "COLUMN",
            "A fit by level of a column, or of a condition such as 'bmi >= 30'; repeatable.",
            _SUBGROUPS,
        ),
    ] = None,
    subsite: Annotated[
        list[str] | None,
        _option(
            "subsite",
            "COLUMN",
            "The same for a column that describes the case, whatever controls have: a set goes with its case.",
            _SUBGROUPS,
        ),
    ] = None,
    leave_one_out: Annotated[
        bool,
        typer.Option(
            "--leave-one-out",
            help="A fit without each study in turn, and without its calibration.",
            rich_help_panel=_SUBGROUPS,
            show_default=False,
        ),
    ] = False,
    calibrate_within: Annotated[
        bool,
        typer.Option(
            "--calibrate-within",
            help="Calibrate within --where, and within each level of --by, too; otherwise the calibration is common.",
            rich_help_panel=_SUBGROUPS,
            show_default=False,
        ),
    ] = False,
    calibration_covariates: columns.CalibrationCovariates = None,
    calibration_coefficients: columns.CalibrationCoefficients = None,
    calibration_form: columns.CalibrationForm = None,
    calibration_estimator: columns.CalibrationEstimator = None,
    calibration_knots: columns.CalibrationKnots = None,
    batch: columns.Batch = None,
    calibration_variance: Annotated[
        str | None,
        _option(
            "calibration-variance",
            "KIND",
            "Of the calibration in standard errors: robust, or hc3 for small subsets (default: robust).",
            "Calibration",
        ),
    ] = None,
    ref: Annotated[
        float | None,
        _option("ref", "X", "Reference exposure (default: the median in controls, calibrated).", _CURVE),
    ] = None,
    at: Annotated[
        str | None,
        _option(
            "at",
            "X,X,...",
            "Exposures of the curve (default: 101 from the 1st to the 99th percentile).",
            _CURVE,
        ),
    ] = None,
    level: Annotated[
        float | None, _option("level", "L", "Level of confidence intervals (default: .95).", _CURVE)
    ] = None,
    per: Annotated[
        str | None,
        _option("per", "D,D,...", "Add odds ratios per increments of the exposure, as 25 (units).", _CURVE),
    ] = None,
    per_sd: Annotated[
        bool,
        typer.Option(
            "--per-sd",
            help="Add the odds ratio per standard deviation of the calibrated exposure in controls.",
            rich_help_panel=_CURVE,
            show_default=False,
        ),
    ] = False,
    joint: Annotated[
        str | None,
        _option(
            "joint",
            "LEVEL",
            "With --modifier: add the curves of all its levels against this one at the reference exposure.",
            _CURVE,
        ),
    ] = None,
    aic: Annotated[
        bool,
        typer.Option(
            "--aic",
            help="Fit the line and splines with 3 to 7 knots too, and compare them by AIC.",
            rich_help_panel=_CURVE,
            show_default=False,
        ),
    ] = False,
    bootstrap: Annotated[
        int | None, _option("bootstrap", "N", "Add bootstrap intervals from N replicates.", _CURVE)
    ] = None,
    seed: Annotated[
        int | None, _option("seed", "N", "Seed of the bootstrap (default: drawn and recorded).", _CURVE)
    ] = None,
    jobs: Annotated[
        int | None,
        _option(
            "jobs",
            "N",
            "Processes for the bootstrap or --partitioned; -1: one a processor (default: 1).",
            _CURVE,
        ),
    ] = None,
    strata: Annotated[
        str | None,
        _option(
            "strata",
            "HOW",
            "Bootstrap: calibrators, or deciles where these were spread over deciles of the local value "
            "(default: calibrators).",
            _CURVE,
        ),
    ] = None,
    study: columns.StudyColumn = None,
    set: columns.SetColumn = None,
    case: columns.CaseColumn = None,
    local: columns.LocalColumn = None,
    reference: columns.ReferenceColumn = None,
    person: columns.PersonColumn = None,
    reference_study: columns.ReferenceStudy = None,
    local_study: columns.LocalStudy = None,
    scale_local: columns.ScaleLocal = None,
    calibrate_with_cases: columns.CalibrateWithCases = False,
    detection_limit: columns.DetectionLimit = None,
    reference_detection_limit: columns.ReferenceDetectionLimit = None,
    below_limit: columns.BelowLimit = None,
    local_flag: columns.LocalFlag = None,
    reference_flag: columns.ReferenceFlag = None,
    sensitivity: columns.Sensitivity = None,
    partitioned: columns.Partitioned = False,
    scheduler: columns.Scheduler = None,
    exposure_name: Annotated[
        str | None, _option("exposure-name", "TEXT", 'Such as "25(OH)D".', _WORDS)
    ] = None,
    unit: columns.Unit = None,
    outcome_name: Annotated[
        str | None, _option("outcome-name", "TEXT", 'Such as "colorectal cancer".', _WORDS)
    ] = None,
    suppress: Annotated[
        int | None,
        typer.Option(
            "--suppress",
            metavar="N",
            min=0,
            help="report.html: hide counts of 1 to N - 1 persons, and what would give them away (default: 0, "
            "none). Other files are not changed.",
            rich_help_panel=_WORDS,
        ),
    ] = None,
) -> None:
    """Fit a calibrated dose-response curve to the pooled studies; tables, figures and fit.json go to --out."""
    settings = gather(ctx)
    if settings.get("partitioned"):
        from biocal.cli.partitioned import fit_partitions

        fit_partitions(settings)
        return
    if settings.get("scheduler"):
        usage_error("--scheduler needs --partitioned, a FOLDER of partitions")
    _run(settings)


def _run(settings: Settings) -> None:
    from biocal.cli.below_limit import below_limit_files, require_sensitivity, require_values_below
    from biocal.cli.request import effective_options, fit_arguments, require_methods
    from biocal.report.disclosure import Disclosure

    settings.require("files", "No data: name at least one FILE")
    out = settings.require("out", "Missing option '--out': name a folder for the results")
    options, remarks = effective_options(settings)
    require_sensitivity(settings)
    methods = require_methods(settings, options["method"])
    Disclosure(options.get("suppress", 0))  # refuses a negative number before the work is done
    arguments = fit_arguments(options)
    force = bool(settings.get("force", False))
    folder = OutputFolder(out, force=force, names=expected_files(methods, options), quiet=settings.quiet)
    if not settings.quiet:
        for remark in remarks:
            tell("note", remark)
    with working("reading", quiet=settings.quiet):
        pools = read_pools(settings)
    pool = pools[0]
    tell_problems(pool.problems, quiet=settings.quiet)
    if any(name != "naive" for name in methods):
        require_calibration(pool)
    require_values_below(pool, options)
    comparison = _fitted(pools, arguments, options, quiet=settings.quiet)
    with working("drawing", quiet=settings.quiet):
        contents = fit_contents(comparison, options, pool.problems)
    sensitive, compared = below_limit_files(comparison, pools, arguments, options, quiet=settings.quiet)
    contents |= compared
    folder.write(contents)
    for method, reason in comparison.failures.items():
        tell("error", f"{method} failed and is left out: {reason}")
    if settings.quiet:
        return
    only = next(iter(comparison.values()))
    summary = only.summary() if len(comparison) == 1 and not comparison.failures else comparison.summary()
    typer.echo(plain(summary))
    if sensitive:
        typer.echo(plain(f"\n{sensitive}"))
    tell("note", f"{len(contents)} files are in {folder.path}")
    stale = folder.others(ALL_FILES, contents)
    if stale:
        tell("warning", f"{', '.join(stale)} in {folder.path} belong to an earlier run, not to this one")


def _fitted(
    pools: tuple[PooledStudies, ...], arguments: dict[str, Any], options: dict[str, Any], *, quiet: bool
) -> Comparison:
    import biocal as bc

    pool = pools[0]
    if len(pools) > 1:
        with working(f"fitting {len(pools)} imputations", quiet=quiet):
            combined: Comparison = bc.fit_imputations(
                pools, small_sample=options["small_sample"], **arguments
            )
        return combined
    replicates = arguments.get("bootstrap")
    if replicates is None:
        with working("fitting", quiet=quiet):
            comparison: Comparison = bc.fit(pool, **arguments)
        return comparison
    with counting("fitting and redrawing", replicates, quiet=quiet) as progress:
        comparison = bc.fit(pool, progress=progress, **arguments)
    return comparison
