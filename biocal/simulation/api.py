"""``bc.simulate``: a simulation study from its design to its results."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biocal.errors import BiocalWarning, OptionError
from biocal.results.text import csv_bytes
from biocal.simulation.running.engine import Finish, Progress, RunOptions, RunReport, run_design
from biocal.simulation.running.folder import FIGURES_FOLDER, REPLICATES_FILE, read_record
from biocal.simulation.running.schedule import parse_shard
from biocal.system.files import replace_file

if TYPE_CHECKING:
    from biocal.simulation.design.design import Design
    from biocal.simulation.results import SimulationResults


__all__ = [
    "design_to_run",
    "loud_failures",
    "merge_into_folder",
    "merge_shards",
    "results_of",
    "run_into_folder",
    "simulate",
    "write_results",
]


Spec = str | PathLike[str] | Mapping[str, Any]
#: Writes something made of the results into their folder.
More = Callable[["SimulationResults", Path], None]


def simulate(
    spec: Spec | Design | None = None,
    *,
    replicates: int | None = None,
    seed: int | None = None,
    jobs: int = 1,
    out: str | PathLike[str] | None = None,
    scheduler: str | None = None,
    shard: str | tuple[int, int] | None = None,
    resume: bool = False,
    force: bool = False,
    progress: Progress | bool | None = None,
) -> SimulationResults:
    """Run a simulation study.

    Parameters
    ----------
    spec : path, mapping or Design, optional
        A design file, a mapping with the same keys, or a design that was read.  Without one, the design of
        the folder that is resumed.
    replicates, seed : int, optional
        Instead of the design's.
    jobs : int, default 1
        Processes of this machine; -1 for one a core.
    out : path, optional
        Folder for the results and, while it runs, for what is done already; default: nothing is kept on disk.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``"tcp://host:8786"``, to run on its workers.
    shard : str or (int, int), optional
        ``"i/n"``: part i (from 1) of n, to be put together by :func:`merge_shards`.
    resume : bool, default False
        Go on where an earlier run in `out` was stopped, or add replicates to a finished one.  What is done
        is kept; a folder without results is begun.
    force : bool, default False
        Replace earlier results in `out`.
    progress : callable, bool or None
        Called with (replicates done, replicates); or whether to draw a bar; default where stderr is a
        terminal.

    Returns
    -------
    SimulationResults

    Raises
    ------
    DesignError
        Everything that is wrong with the design.
    OptionError
        Options that exclude each other; a scheduler that does not answer; to resume another design.
    OutputError
        `out` is in use, holds other results, or cannot be written.
    SimulationError
        Workers were lost; what is done is kept in `out`.

    Warns
    -----
    BiocalWarning
        A method failed in more than 5 percent of a scenario's replicates; a folder was begun by other
        versions, or held damaged files.

    Notes
    -----
    A replicate's numbers depend on the design, the seed, its scenario and its number alone: they are the
    same, bit for bit on one kind of machine, whatever the jobs, shards, workers and interruptions.

    Examples
    --------
    >>> import biocal as bc
    >>> study = bc.simulate({
    ...     "replicates": 20, "seed": 3, "methods": ["full"], "exposure": {"mean": 60, "sd": 20},
    ...     "truth": {"type": "linear", "beta": [-0.01]}, "fit": {"exposure": "linear"},
    ...     "estimand": {"at": [40], "reference": 60},
    ...     "studies": [{"name": "A", "sets": 200, "laboratory": "reference"}]})
    >>> int(study.performance().tidy()["n"][0])
    20
    """
    design = design_to_run(spec, out, resume=resume).with_options(replicates=replicates, seed=seed)
    options = RunOptions(jobs, scheduler, parse_shard(shard), resume, force, progress)
    if out is not None:
        report, results = run_into_folder(design, Path(out), options)
        _warn(report, results)
        return results
    if resume or force or shard is not None:
        raise OptionError("resume, force and shard need a folder for the results: give out", option="out")
    with tempfile.TemporaryDirectory(prefix="biocal-simulation-") as folder:
        report = run_design(design, Path(folder), options)
        results = _in_memory(Path(folder), design)
    _warn(report, results)
    return results


def merge_shards(
    folders: Sequence[str | PathLike[str]], out: str | PathLike[str], *, force: bool = False
) -> SimulationResults:
    """Put the shards of a simulation study together.

    Parameters
    ----------
    folders : sequence of path
        The `out` of every shard.
    out : path
        Folder for the results.
    force : bool, default False
        Replace earlier results there.

    Returns
    -------
    SimulationResults
        The same, to the bit, as those of one run.

    Raises
    ------
    ShardError
        Shards are missing, doubled, unfinished, or of different designs: every problem found.
    OutputError
        `out` holds other results, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import biocal as bc
    >>> design = {
    ...     "replicates": 4, "seed": 3, "methods": ["full"], "exposure": {"mean": 60, "sd": 20},
    ...     "truth": {"type": "linear", "beta": [-0.01]}, "fit": {"exposure": "linear"},
    ...     "estimand": {"at": [40], "reference": 60},
    ...     "studies": [{"name": "A", "sets": 50, "laboratory": "reference"}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for shard in (1, 2):
    ...         _ = bc.simulate(design, shard=(shard, 2), out=f"{folder}/{shard}")
    ...     merged = bc.merge_shards([f"{folder}/1", f"{folder}/2"], out=f"{folder}/all")
    ...     int(merged.performance().tidy()["n"][0])
    4
    """
    report, results = merge_into_folder([Path(folder) for folder in folders], Path(out), force=force)
    _warn(report, results)
    return results


def design_to_run(spec: Spec | Design | None, out: str | PathLike[str] | None, *, resume: bool) -> Design:
    """Read the design, from the folder that is resumed when there is no other.

    Raises
    ------
    DesignError, OptionError
        There is none, or it cannot be used.
    """
    from biocal.simulation.design.design import Design, read_design

    if isinstance(spec, Design):
        return spec
    if spec is not None:
        return read_design(spec)
    if out is None or not resume:
        raise OptionError(
            "there is no design: give a design file, or resume a folder that has one", option="spec"
        )
    record = read_record(Path(out))
    if record is None:
        raise OptionError(
            f"'{out}' holds no simulation that could be resumed: give a design file", option="spec"
        )
    return read_design(record.spec)


def run_into_folder(
    design: Design,
    path: Path,
    options: RunOptions,
    *,
    while_finishing: AbstractContextManager[None] | None = None,
    more: More | None = None,
) -> tuple[RunReport, SimulationResults]:
    """Run a design, or a shard of it, and write its results; tables and figures in the context given.

    `more` writes what else belongs to the results, before they count as complete.
    """
    report = run_design(design, path, options, finish=_finish(design, while_finishing, more))
    return report, results_of(path, design)


def merge_into_folder(
    folders: Sequence[Path],
    path: Path,
    *,
    force: bool,
    while_finishing: AbstractContextManager[None] | None = None,
    more: More | None = None,
) -> tuple[RunReport, SimulationResults]:
    """Merge shards, and write their results as `run_into_folder` does."""
    from biocal.simulation.running.shards import merge_folders

    if not folders:
        raise OptionError("there are no shards to merge: name their folders")
    design = design_to_run(None, folders[0], resume=True)
    report = merge_folders(folders, path, force=force, finish=_finish(design, while_finishing, more))
    return report, results_of(path, design)


def _finish(design: Design, context: AbstractContextManager[None] | None, more: More | None) -> Finish:
    def finish(path: Path) -> None:
        with context or nullcontext():
            write_results(path, design)
        if more is not None:
            more(results_of(path, design), path)

    return finish


def _in_memory(path: Path, design: Design) -> SimulationResults:
    import pandas as pd

    from biocal.simulation.results import SimulationResults

    return SimulationResults.from_design(pd.read_parquet(path / REPLICATES_FILE), design)


def _warn(report: RunReport, results: SimulationResults) -> None:
    for message in (*report.notes, *loud_failures(results)):
        warnings.warn(message, BiocalWarning, stacklevel=3)


#: Scenarios that get a zip plot of their own; a figure each of hundreds would bury the others.
MOST_ZIP_PLOTS = 12


def results_of(path: Path, design: Design) -> SimulationResults:
    """Return the results in a folder, read when they are needed."""
    from biocal.simulation.results import SimulationResults

    return SimulationResults.from_design(path / REPLICATES_FILE, design)


def write_results(path: Path, design: Design) -> None:
    """Write performance.csv, summary.csv, differences.csv and the figures; coefficients.csv, tests.csv if asked.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    results = results_of(path, design)
    for name in ("performance", "summary", "differences"):
        table = getattr(results.tables, name)
        replace_file(path / f"{name}.csv", csv_bytes(table))
    for name, asked in _asked_for(design):
        if asked:
            replace_file(path / f"{name}.csv", csv_bytes(getattr(results, name)().tidy()))
    figures = path / FIGURES_FOLDER
    figures.mkdir(exist_ok=True)
    for name, draw in _figures(results, design):
        _write_figure(figures / name, draw())


def loud_failures(results: SimulationResults) -> list[str]:
    """Sentences on methods that failed in more than 5 percent of a scenario's replicates."""
    from biocal.simulation.text import FAILURE_LIMIT, failure_lines

    if results.is_empty:
        return []
    failures = results.tables.failures
    loud = failures[failures["share"] > FAILURE_LIMIT]
    if loud.empty:
        return []
    return [" ".join(line.split()) for line in failure_lines(loud, results.varied)]


def _asked_for(design: Design) -> Iterator[tuple[str, bool]]:
    """Tables of what a design may ask for beside the curve."""
    estimands = [scenario.estimand for scenario in design.scenarios]
    yield "coefficients", any(estimand.coefficients for estimand in estimands)
    yield "tests", any(estimand.tests for estimand in estimands)


def _figures(results: SimulationResults, design: Design) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Names of the figures, and how to draw each: one at a time is in memory."""
    yield "bias", results.plot_lollipop
    yield "coverage", partial(results.plot_lollipop, "coverage")
    yield "curves", results.plot_curves
    for key in results.varied:
        name = key.replace(".", "_")
        yield f"bias_by_{name}", partial(results.plot_bias, key)
        yield f"coverage_by_{name}", partial(results.plot_coverage, key)
    for scenario in range(min(len(design.scenarios), MOST_ZIP_PLOTS)):
        yield f"zip_{scenario}", partial(results.plot_zip, scenario)


def _write_figure(path: Path, figure: Any) -> None:
    from biocal.results.plots.save import figure_bytes, laid_out

    # a zip plot has a line for every interval: megabytes as vectors
    formats = ("png",) if path.name.startswith("zip_") else ("png", "svg")
    with laid_out(figure):
        for file_format in formats:
            replace_file(path.with_name(f"{path.name}.{file_format}"), figure_bytes(figure, file_format))
