"""``bc.simulate``: a simulation study from its design to its results."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biocal.errors import BiocalWarning, OptionError
from biocal.simulation.engine import Finish, RunOptions, RunReport, run_design
from biocal.simulation.finishing import loud_failures, results_of, write_results
from biocal.simulation.folder import REPLICATES_FILE, read_record
from biocal.simulation.progress import Progress
from biocal.simulation.schedule import parse_shard

if TYPE_CHECKING:
    from biocal.simulation.design import Design
    from biocal.simulation.results import SimulationResults

__all__ = ["design_to_run", "merge_into_folder", "merge_shards", "run_into_folder", "simulate"]

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
    from biocal.simulation.design import Design, read_design

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
    from biocal.simulation.shards import merge_folders

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
