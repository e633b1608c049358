"""``biocal plan``: how many calibrators, in which study, chosen how, before anybody is measured again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biocal.cli.edge.messages import say, tell, tell_problems
from biocal.cli.edge.progress import working
from biocal.cli.files.output import OutputFolder
from biocal.cli.options import table as columns
from biocal.cli.options.settings import Settings, read_pool, require_calibration, usage_error

if TYPE_CHECKING:
    from biocal.pool.pooled import PooledStudies
    from biocal.simulation.planning.results import PlanResults
    from biocal.simulation.planning.spec import PlanSpec

_TABLES = ("plan.csv", "plan_studies.csv", "enough.csv", "power.csv")
_OF_WIDTH = ("sets.csv",)
_OTHERS = ("plan.json", "summary.txt", "width.png", "width.svg")
_ALL_FILES = (*_TABLES, *_OF_WIDTH, *_OTHERS)


def plan(
    spec: Annotated[
        str | None,
        typer.Argument(
            metavar="SPEC.toml",
            help="What is guessed, in the words of a simulation's design, or a pilot; what is asked, in section plan.",
            show_default=False,
        ),
    ] = None,
    out: columns.Out = None,
    force: columns.Force = False,
    quiet: columns.Quiet = False,
) -> None:
    """Predict interval widths and power for numbers of calibrators, without simulating."""
    if not spec:
        usage_error("Missing argument 'SPEC.toml': name a plan (biocal example planning copies one)")
    if force and not out:
        usage_error("--force has no meaning without --out")
    from biocal.simulation.planning.api import plan as make_plan
    from biocal.simulation.planning.spec import read_plan

    read = read_plan(spec)
    expected = (*_TABLES, *_OTHERS, *(_OF_WIDTH if read.options.width is not None else ()))
    folder = OutputFolder(out, force=force, names=expected, quiet=quiet) if out else None
    pool: PooledStudies | None = None
    arguments: dict[str, Any] = {}
    if read.scenario is None:
        pool, arguments = _pilot(read, quiet=quiet)
    with working("planning", quiet=quiet):
        found = make_plan(read, pool=pool, **arguments)
    if folder is not None:
        contents = _contents(found, read)
        folder.write(contents)
        if not quiet:
            tell("note", f"{len(contents)} files are in {folder.path}")
            stale = folder.others(_ALL_FILES, contents)
            if stale:
                tell(
                    "warning",
                    f"{', '.join(stale)} in {folder.path} belong to an earlier run, not to this one",
                )
    if folder is None or not quiet:
        say(found.summary())


def _pilot(read: PlanSpec, *, quiet: bool) -> tuple[PooledStudies, dict[str, Any]]:
    """The pilot's data, and the arguments of its fit that a plan takes."""
    from biocal.cli.options.request import effective_options, fit_arguments
    from biocal.cli.options.spec import read_spec

    path = str(Path(read.source).parent / read.pilot)
    settings = Settings(read_spec(path), frozenset(), path)
    with working("reading", quiet=quiet):
        pool = read_pool(settings)
    tell_problems(pool.problems, quiet=quiet)
    require_calibration(pool)
    _refuse_other_options(settings)
    arguments = fit_arguments(effective_options(settings)[0])
    return pool, {key: arguments[key] for key in _OF_PILOT if arguments.get(key) is not None}


def _refuse_other_options(settings: Settings) -> None:
    """A plan must not leave out a part of the analysis unsaid."""
    from biocal.errors import OptionError

    others = [key for key in settings.values if key not in (*_READING, *_OF_PILOT, *_OF_CURVE, *_NO_MATTER)]
    if others:
        raise OptionError(
            f"{settings.spec}: {', '.join(others)}: a plan from a pilot cannot take this into account; give it a spec "
            "without"
        )


#: Keys of a fit's spec that say how the data are read,
_READING = (
    *("files", "study", "set", "case", "local", "reference", "person", "reference_study", "local_study"),
    *("scale_local", "calibrate_with_cases"),
)
#: that place the curve,
_OF_CURVE = ("knots", "knot_values", "knot_probs", "ref")
#: that a plan does without: other methods, intervals and tables of the fit.
_NO_MATTER = (
    *("method", "keep_going", "residual_law", "level", "seed", "bootstrap", "jobs", "strata", "suppress"),
    *("per", "per_sd", "aic", "out", "force", "quiet"),
)
_OF_PILOT = (
    *("exposure", "covariates", "matching", "where", "calibration_covariates", "calibration_coefficients"),
    *("calibration_variance", "reference", "at", "exposure_name", "unit", "outcome_name", "knot_rule"),
)


def _contents(found: PlanResults, read: PlanSpec) -> dict[str, bytes]:
    """All result files, by name."""
    from dataclasses import asdict

    import biocal
    from biocal.cli.files.contents import json_bytes
    from biocal.results.fit.tables import csv_bytes
    from biocal.results.plots.save import figure_bytes, laid_out

    tables = found.tables()
    record = {
        "biocal": biocal.__version__,
        "title": found.title,
        "variances": found.origin,
        "curve": found.curve,
        "seed": read.seed,
        "options": asdict(found.options),
        "scenario": None if read.scenario is None else asdict(read.scenario),
        "pilot": read.pilot,
        "numerical_error": found.predictor.pieces.numerical_error,
        "notes": list(found.notes),
        "tables": {
            name: table.astype(object).where(table.notna(), None).to_dict(orient="records")
            for name, table in tables.items()
        },
    }
    figure = found.plot()
    with laid_out(figure):
        pictures = {f"width.{ending}": figure_bytes(figure, ending) for ending in ("png", "svg")}
    return {
        **{f"{name}.csv": csv_bytes(table) for name, table in tables.items()},
        "plan.json": json_bytes(record),
        "summary.txt": (found.summary() + "\n").encode(),
        **pictures,
    }
