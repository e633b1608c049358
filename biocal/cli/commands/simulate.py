"""``biocal simulate``: a simulation study, on this machine, an array of jobs, or a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biocal.cli.edge.messages import say, tell, warnings_told
from biocal.cli.edge.progress import phase, working
from biocal.cli.options import table as columns
from biocal.cli.options.settings import usage_error
from biocal.system.bytes import is_text

if TYPE_CHECKING:
    from biocal.simulation.api import More
    from biocal.simulation.results import SimulationResults
    from biocal.simulation.running.engine import RunOptions, RunReport

_STUDY = "Study"
_RUNNING = "Running"

_FINISHING = "making tables and figures"


def simulate(
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SPEC.toml | DIR...]",
            help="The design; with --merge the folders of the shards; none with --resume alone.",
            show_default=False,
        ),
    ] = None,
    out: columns.Out = None,
    replicates: Annotated[
        int | None,
        typer.Option("--replicates", min=1, help="Instead of the design's.", rich_help_panel=_STUDY),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Instead of the design's.", rich_help_panel=_STUDY),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="N",
            help="Processes here; -1 for one a core (default: 1).",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            metavar="ADDRESS",
            help="Run on the workers of a Dask scheduler, such as tcp://host:8786.",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="i/n",
            help="Run part i of n, counted from 1, for array jobs.",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    merge: Annotated[
        bool,
        typer.Option(
            "--merge", help="Put the shards in the folders named together.", rich_help_panel=_RUNNING
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on where an earlier run stopped, or add replicates; what is done is kept.",
            rich_help_panel=_RUNNING,
        ),
    ] = False,
    force: columns.Force = False,
    quiet: columns.Quiet = False,
) -> None:
    """Simulate a design and tell bias, coverage and the like, each with its Monte Carlo error."""
    if not out:
        usage_error("Missing option '--out': name a folder for the results")
    path = Path(out)
    for name in [out, *(places or [] if merge else [])]:
        if not is_text(name):
            usage_error(
                f"the folder '{name}' cannot be used: its name is not text in UTF-8, as Parquet files need"
            )
    if merge:
        alone = {"--replicates": replicates, "--seed": seed, "--jobs": jobs, "--scheduler": scheduler}
        alone |= {"--shard": shard, "--resume": resume or None}
        _refuse_beside_merge([name for name, value in alone.items() if value is not None])
        with warnings_told(quiet=quiet):
            report, results = _merge(places or [], path, force=force, quiet=quiet)
    else:
        options = _options(
            1 if jobs is None else jobs, scheduler, shard, resume=resume, force=force, quiet=quiet
        )
        with warnings_told(quiet=quiet):
            report, results = _run(places or [], path, options, replicates, seed)
    _tell(report, results, shard, quiet=quiet)


def _refuse_beside_merge(given: list[str]) -> None:
    if given:
        usage_error(f"{' and '.join(given)} belong to a run: --merge takes the shards as they are")


def _options(
    jobs: int, scheduler: str | None, shard: str | None, *, resume: bool, force: bool, quiet: bool
) -> RunOptions:
    from biocal.errors import OptionError
    from biocal.simulation.running.engine import RunOptions
    from biocal.simulation.running.schedule import parse_shard

    try:
        return RunOptions(jobs, scheduler, parse_shard(shard), resume, force, False if quiet else None)
    except OptionError as fault:
        usage_error(str(fault))


def _run(
    places: list[str], path: Path, options: RunOptions, replicates: int | None, seed: int | None
) -> tuple[RunReport, SimulationResults]:
    from biocal.simulation.api import design_to_run, run_into_folder

    if len(places) > 1:
        usage_error(f"One design at a time, not {len(places)}; --merge puts shards together")
    if not places and not options.resume:
        usage_error("Missing argument 'SPEC.toml': name a design (biocal example simulation copies one)")
    design = design_to_run(places[0] if places else None, path, resume=options.resume)
    design = design.with_options(replicates=replicates, seed=seed)
    sign = working(_FINISHING, quiet=options.progress is False)
    try:
        with phase("simulating"):
            return run_into_folder(
                design,
                path,
                options,
                while_finishing=sign,
                more=_report_writer(quiet=options.progress is False),
            )
    except KeyboardInterrupt:
        if path.is_dir():  # else it was too early for any batch
            tell("note", f"finished batches are kept in {path}; go on with --resume")
        raise


def _merge(places: list[str], path: Path, *, force: bool, quiet: bool) -> tuple[RunReport, SimulationResults]:
    from biocal.simulation.api import merge_into_folder

    if not places:
        usage_error("Missing argument 'DIR...': name the folders of the shards")
    folders = [Path(place) for place in places]
    sign = working(_FINISHING, quiet=quiet)
    with phase("merging"):
        return merge_into_folder(
            folders, path, force=force, while_finishing=sign, more=_report_writer(quiet=quiet)
        )


def _report_writer(*, quiet: bool) -> More:
    def write(results: SimulationResults, path: Path) -> None:
        _write_report(results, path, quiet=quiet)

    return write


def _write_report(results: SimulationResults, path: Path, *, quiet: bool) -> None:
    """Write report.html; whether files there may be replaced was settled before the run."""
    from biocal.report.api import write_report
    from biocal.simulation.running.folder import FIGURES_FOLDER, read_record

    record = read_record(path)
    spec = record.spec if record else None
    with working("writing the report", quiet=quiet):
        # all that the page shows was written a moment ago
        drawn = {file.name: file.read_bytes() for file in (path / FIGURES_FOLDER).iterdir()}
        write_report(results, path / "report.html", options=spec, force=True, drawn=drawn)


def _tell(report: RunReport, results: SimulationResults, shard: str | None, *, quiet: bool) -> None:
    from biocal.simulation.api import loud_failures

    for sentence in loud_failures(results):
        tell("warning", sentence.removeprefix("WARNING: "))
    if quiet:
        return
    for note in report.notes:
        tell("note", note)
    earlier = report.replicates - report.replicates_now
    found = f" ({earlier:,} of them were there)" if earlier and report.replicates_now else ""
    if shard is not None:
        tell("note", f"shard {shard} is done: {report.replicates:,} replicates{found} in {report.path}")
        tell("note", "when all shards are, put them together: biocal simulate --merge DIR... --out DIR")
        return
    tell("note", f"results are in {report.path}: {report.replicates:,} replicates{found}")
    say(results.summary())
