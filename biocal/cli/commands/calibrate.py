"""``biocal calibrate``: local laboratories put on the reference scale, study by study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biocal.cli.edge.messages import say, tell, tell_problems
from biocal.cli.edge.progress import working
from biocal.cli.files.output import OutputFolder
from biocal.cli.options.settings import Settings, read_pool, require_calibration, takes, usage_error
from biocal.cli.options.table import CALIBRATING, READING

if TYPE_CHECKING:
    from biocal.results.calibration.results import CalibrationResults

_FILES = (
    *("calibration.csv", "calibration_covariates.csv", "calibration.png", "calibration.svg"),
    *("calibration_quality.csv", "calibration_batches.csv", "bland_altman.png", "bland_altman.svg"),
    *("calibration_residuals.png", "calibration_residuals.svg"),
)

#: Settled apart.
_SETTLED = ("calibration_covariates", "calibration_coefficients")


@takes("files", "spec", *READING, *CALIBRATING, "unit", "out", "force", "quiet")
def calibrate(settings: Settings) -> None:
    """Fit the line from local to reference values in every local study, and show how well it fits."""
    # a fit spec's `out` and `force` are for the fit's results
    out = settings.get("out") if "out" in settings.typed else None
    force = "force" in settings.typed
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
            **settings.given(key for key in CALIBRATING if key not in _SETTLED),
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
        say(results.summary())


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
    from biocal.cli.files.figures import calibration_figures, quality_figures
    from biocal.results.fit.tables import calibration_tables, csv_bytes

    tables = calibration_tables(results)
    files = {f"{name}.csv": csv_bytes(table) for name, table in tables.items()}
    return files | calibration_figures(results) | quality_figures(results)
