"""``biocal fit FOLDER --partitioned``: a pool that does not fit into memory, here or on a Dask cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biocal.cli.edge.messages import say, tell, tell_problems, warnings_told
from biocal.cli.edge.progress import naming, working
from biocal.cli.files.contents import ALL_FILES, expected_files, fit_contents
from biocal.cli.files.output import OutputFolder
from biocal.cli.options.options import Kind, Option, option_of
from biocal.cli.options.settings import Settings, takes, usage_error
from biocal.cli.options.table import ROLES

if TYPE_CHECKING:
    from biocal.remote.partitions.api import PartitionedRun


_READING = (*ROLES, "reference_study", "local_study", "scale_local", "calibrate_with_cases")
_SAME = (
    *("calibration_covariates", "calibration_coefficients", "calibration_variance", "level"),
    *("exposure_name", "unit", "outcome_name", "per", "per_sd", "jobs", "scheduler"),
)
#: Keys with a meaning for partitions.
_KNOWN = frozenset(
    {
        *(*_READING, *_SAME, "files", "out", "force", "quiet", "partitioned"),
        *("method", "exposure", "knots", "knot_values", "knot_probs", "cuts", "reference_category"),
        *("covariates", "matching", "modifier", "joint", "ref", "at", "suppress", "only_tables"),
    }
)
#: Keys that may be there with the one value that partitions know.
_FIXED = {
    "knot_rule": "common",
    "residual_law": "normal",
    "calibration_form": "linear",
    "calibration_estimator": "least-squares",
    "missing": "complete",
}


def fit_partitions(settings: Settings) -> None:
    """Fit from partitions and write the results.

    Raises
    ------
    click.UsageError
        Options that partitions do not know; several folders.
    InputError, FitError
        As :func:`biocal.fit_partitioned`.
    """
    from biocal.cli.options.request import effective_options, require_methods
    from biocal.report.disclosure import Disclosure

    folders = settings.require("files", "No data: name the FOLDER of the partitions")
    out = settings.require("out", "Missing option '--out': name a folder for the results")
    _require_known(settings)
    if len(folders) > 1:
        usage_error(f"--partitioned takes one folder, and {len(folders)} names were given")
    options, remarks = effective_options(settings)
    methods = require_methods(settings, options["method"])
    Disclosure(options.get("suppress", 0))  # refuses a negative number before the work is done
    names = expected_files(methods, options)
    folder = OutputFolder(out, force=bool(settings.get("force", False)), names=names)
    if not settings.quiet:
        for remark in remarks:
            tell("note", remark)
    run = _fitted(folders[0], settings, options)
    tell_problems(run.problems, quiet=settings.quiet)
    with working("drawing", quiet=settings.quiet):
        contents = fit_contents(run.comparison, options, run.problems, partitioned=_of_the_run(run))
    folder.write(contents)
    if settings.quiet:
        return
    fits = list(run.comparison.values())
    say(fits[0].summary() if len(fits) == 1 else run.comparison.summary())
    tell("note", _how_it_went(run))
    tell("note", f"{len(contents)} files are in {folder.path}")
    stale = folder.others(ALL_FILES, contents)
    if stale:
        tell("warning", f"{', '.join(stale)} in {folder.path} belong to an earlier run, not to this one")


def _fitted(folder: str, settings: Settings, options: dict[str, Any]) -> PartitionedRun:
    from biocal.cli.options.request import exposure_of
    from biocal.remote.partitions.api import run_partitioned
    from biocal.remote.partitions.partitions import PartitionedStudies

    pool = PartitionedStudies.of(folder, **settings.reading(_READING))
    quiet = settings.quiet
    with warnings_told(quiet=quiet), naming("fitting from partitions", quiet=quiet) as told:
        return run_partitioned(
            pool,
            told=told,
            method=options["method"],
            exposure=exposure_of(options),
            covariates=options["covariates"] or None,
            matching=options["matching"] or None,
            modifier=options["modifier"] or None,
            joint=options.get("joint"),
            reference=options.get("ref"),
            at=options.get("at"),
            **{key: options[key] for key in _SAME if key in options},
        )


def _require_known(settings: Settings) -> None:
    for key, value in settings.values.items():
        if key in _KNOWN or (key in _FIXED and value == _FIXED[key]) or value in (False, "", [], None):
            continue
        where = option_of(key) if key in settings.typed else f"{key} of {settings.spec}"
        if key in _FIXED:
            usage_error(f"{where}: a fit from partitions knows {_FIXED[key]} only")
        usage_error(f"{where} is not for --partitioned: leave it out, or fit in memory")


def _of_the_run(run: PartitionedRun) -> dict[str, int]:
    return {
        "partitions": run.n_partitions,
        "rows": run.n_rows,
        "rounds": run.n_rounds,
        "processes": len(run.peak_memory),
        "peak_memory_bytes": max(run.peak_memory.values(), default=0),
    }


def _how_it_went(run: PartitionedRun) -> str:
    most, n = max(run.peak_memory.values(), default=0) / 2**20, len(run.peak_memory)
    return (
        f"{run.n_rows:,} rows in {run.n_partitions:,} partition{'' if run.n_partitions == 1 else 's'}, "
        f"{run.n_rounds} rounds; {n} process{'' if n == 1 else 'es'} computed, none with more than {most:,.0f} MiB"
    )


_ROWS = Option(
    "rows", Kind.WHOLE, "N", help="About so many rows make a partition (default: 500000).", least=2
)


@takes("files", "spec", "out", _ROWS, *ROLES, "quiet")
def partition(settings: Settings) -> None:
    """Write studies as partitions that hold whole matched sets, for biocal fit --partitioned; read in pieces."""
    from biocal.remote.partitions.writing.partitioning import partition_studies

    paths = settings.require("files", "No data: name at least one FILE")
    place = settings.get("out") if "out" in settings.typed else None
    if place is None:
        usage_error("Missing option '--out': name a new folder for the partitions")
    with working("partitioning", quiet=settings.quiet):
        written = partition_studies(
            paths, place, rows=settings.get("rows", 500_000), **settings.reading(ROLES)
        )
    tell_problems(written.problems, quiet=settings.quiet)
    if settings.quiet:
        return
    least, most = min(written.rows), max(written.rows)
    spread = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    n = len(written.rows)
    say(
        f"{sum(written.rows):,} rows in {n:,} partition{'' if n == 1 else 's'} of {spread} rows are in "
        f"{written.folder}"
    )
    tell("note", f"fit them with: biocal fit {written.folder} --partitioned --out DIR")
