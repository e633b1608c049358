"""``biocal calibrate``: local laboratories put on the reference scale, study by study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from biocal.cli import columns
from biocal.cli.messages import plain, tell, tell_problems
from biocal.cli.output import OutputFolder
from biocal.cli.progress import working
from biocal.cli.settings import Settings, gather, read_pool, require_calibration, usage_error

if TYPE_CHECKING:
    from biocal.results.calibration import CalibrationResults

_FILES = (
    *("calibration.csv", "calibration_covariates.csv", "calibration.png", "calibration.svg"),
    *("calibration_quality.csv", "calibration_batches.csv", "bland_altman.png", "bland_altman.svg"),
    *("calibration_residuals.png", "calibration_residuals.svg"),
)


def calibrate(
    ctx: typer.Context,
    files: columns.Files = None,
    spec: columns.Spec = None,
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
    calibration_covariates: columns.CalibrationCovariates = None,
    calibration_coefficients: columns.CalibrationCoefficients = None,
    calibration_form: columns.CalibrationForm = None,
    calibration_estimator: columns.CalibrationEstimator = None,
    calibration_knots: columns.CalibrationKnots = None,
    batch: columns.Batch = None,
    unit: columns.Unit = None,
    out: columns.Out = None,
    force: columns.Force = False,
    quiet: columns.Quiet = False,
) -> None:
    """Fit the line from local to reference values in every local study, and show how well it fits."""
    settings = gather(ctx)
    # a fit spec's `out` is for the fit's results
    folder = OutputFolder(out, force=force, names=_FILES, quiet=settings.quiet) if out else None
    if force and not out:
        usage_error("--force has no meaning without --out")
    formula, advice = calibration_formula(settings)

    import biocal as bc

    with working("reading", quiet=settings.quiet):
        pool = read_pool(settings)
    tell_problems(pool.problems, quiet=settings.quiet)
    require_calibration(pool)
    with working("calibrating", quiet=settings.quiet):
        results = bc.calibrate(
            pool,
            calibration_covariates=formula,
            calibration_coefficients=settings.get("calibration_coefficients", "common"),
            **settings.given(("calibration_form", "calibration_estimator", "calibration_knots", "batch")),
            unit=settings.get("unit", ""),
        )
        if folder is not None:
            folder.write(_contents(results))
    if not settings.quiet:
        if advice:
            tell("note", advice)
        if folder is not None:
            tell("note", f"results are in {folder.path}")
    if folder is None or not settings.quiet:
        typer.echo(plain(results.summary()))


def calibration_formula(settings: Settings) -> tuple[str, str]:
    """The calibration covariates for this command, and advice when a spec's model would use others."""
    wanted = settings.get("calibration_covariates", "")
    model = " + ".join(part for part in (settings.get("covariates"), settings.get("matching")) if part)
    if wanted == "outcome":
        if not model:
            from biocal.errors import OptionError

            raise OptionError(
                "calibration covariates 'outcome' are those of an outcome model, and there is none here: give a "
                "formula, 'none', or a --spec with covariates or matching"
            )
        return model, ""
    if not wanted and model:
        return "none", (
            f"calibrated without covariates; fit would use {model} from {settings.spec}: "
            "--calibration-covariates outcome does so here"
        )
    return wanted or "none", ""


def _contents(results: CalibrationResults) -> dict[str, bytes]:
    from biocal.cli.figures import calibration_figures, quality_figures
    from biocal.results.tables import calibration_tables, csv_bytes

    tables = calibration_tables(results)
    files = {f"{name}.csv": csv_bytes(table) for name, table in tables.items()}
    return files | calibration_figures(results) | quality_figures(results)
