"""The engine: runs every replicate of a design once, keeps what is done, and puts the results together."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from biocal.errors import OptionError, OutputError
from biocal.simulation.running.folder import REPLICATES_FILE, RunFolder, record_of
from biocal.simulation.running.lock import FolderLock
from biocal.simulation.running.merging import ROWS_PER_GROUP, merge_blocks
from biocal.simulation.running.parts import DamagedPartError, PartWriter
from biocal.simulation.running.schedule import Block, Shard, in_running_order
from biocal.simulation.running.workers import BatchRunner, Columns, Work, run_here, run_in_processes
from biocal.system.processes import require_jobs

if TYPE_CHECKING:
    from biocal.simulation.design.design import Design


__all__ = [
    "Progress",
    "RunOptions",
    "RunReport",
    "run_design",
    "showing_progress",
    "time_left",
]


#: Told how many replicates are done, and of how many.
Progress = Callable[[int, int], None]


@contextmanager
def showing_progress(
    progress: Progress | bool | None, *, done: int, total: int
) -> Iterator[Callable[[int], None]]:
    """Give a function to be told of every batch that ended, by its number of replicates.

    Parameters
    ----------
    progress : callable, bool or None
        Called with (replicates done, replicates); or whether to draw a bar; None: where stderr is a terminal.
    done : int
        Replicates that an earlier run did: they are done, but do not count for the rate.
    total : int
        Replicates of all scenarios together.
    """
    if callable(progress):
        yield _counting(progress, done, total)
        return
    if progress is None:
        progress = sys.stderr.isatty()
    if not progress:
        yield lambda count: None
        return
    with _bar(done, total) as advance:
        yield advance


def time_left(done_now: int, seconds: float, remaining: int) -> str:
    """Time that the remaining replicates take at the rate so far, as hours, minutes, seconds."""
    if not done_now or seconds <= 0:
        return "?"
    return str(timedelta(seconds=round(remaining * seconds / done_now)))


def _counting(progress: Progress, done: int, total: int) -> Callable[[int], None]:
    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    return advance


@contextmanager
def _bar(done: int, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("simulating"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} replicates"),
        TextColumn("{task.fields[rate]}"),
    )
    begun, done_now = time.monotonic(), 0
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("simulating", total=total, completed=done, rate="")

        def advance(count: int) -> None:
            nonlocal done_now
            done_now += count
            seconds = time.monotonic() - begun
            left = time_left(done_now, seconds, total - done - done_now)
            shown.update(task, advance=count, rate=f"{done_now / seconds:,.0f} a second, {left} left")

        yield advance


#: Puts tables and figures into a folder that holds replicates.parquet.
Finish = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run, which never changes a number.

    Attributes
    ----------
    jobs : int
        Processes of this machine; -1 for one a core.
    scheduler : str or None
        Address of a Dask scheduler, instead of processes here.
    shard : Shard or None
        Part of the design to run.
    resume, force : bool
        Go on in a folder that holds results, or replace them.
    progress : callable, bool or None
        See :func:`biocal.simulation.running.engine.showing_progress`.
    """

    jobs: int = 1
    scheduler: str | None = None
    shard: Shard | None = None
    resume: bool = False
    force: bool = False
    progress: Progress | bool | None = None

    def __post_init__(self) -> None:
        require_jobs(self.jobs)
        if self.resume and self.force:
            raise OptionError("resume goes on with earlier results and force removes them: choose one")
        if self.scheduler is not None and self.jobs != 1:
            raise OptionError("jobs are processes here, and the scheduler has workers of its own: choose one")


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did.

    Attributes
    ----------
    path : Path
        The folder with the results.
    replicates : int
        That the folder holds, of all scenarios together.
    replicates_now : int
        Of these, run now and not found there.
    notes : tuple of str
        What was found and should be told.
    """

    path: Path
    replicates: int
    replicates_now: int
    notes: tuple[str, ...]


def run_design(
    design: Design,
    path: Path,
    options: RunOptions,
    *,
    run: BatchRunner | None = None,
    finish: Finish | None = None,
) -> RunReport:
    """Run a design, or what is left of it, in a folder.

    Parameters
    ----------
    design : Design
    path : Path
        Made when absent.
    options : RunOptions
    run : callable, optional
        Default :func:`biocal.simulation.fitting.replicate.run_batch`.
    finish : callable, optional
        Called with the folder once replicates.parquet is complete, unless it holds one shard.

    Returns
    -------
    RunReport

    Raises
    ------
    OutputError
        The folder is in use, holds other results, or cannot be written.
    OptionError
        To resume another design than the folder's; a scheduler that does not answer.
    SimulationError
        Workers or a scheduler were lost; finished batches are kept.
    """
    if run is None:
        from biocal.simulation.fitting.replicate import run_batch

        run = run_batch
    record = record_of(design, options.shard)
    wanted = record.blocks
    with made_folder(path), told_of_lost_places(path):
        with FolderLock(path):
            folder = RunFolder.begin(path, record, resume=options.resume, force=options.force)
            try:
                done_now = _run_until_whole(folder, design, wanted, run, options)
            except BaseException:
                folder.leave_no_trace()
                raise
            if finish is not None and options.shard is None:
                finish(path)
            folder.remove_parts()
            folder.write_record(complete=True)
    total = sum(block.count for block in wanted)
    return RunReport(path, total, done_now, tuple(folder.notes))


@contextmanager
def made_folder(path: Path) -> Iterator[None]:
    """Make the folder of a run; what was made goes again when the run fails with nothing to keep.

    Raises
    ------
    OutputError
        It cannot be made.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise OutputError(
            f"the results cannot be written to '{path}': {fault.strerror or fault}", path=str(path)
        ) from fault
    try:
        yield
    except BaseException:
        for folder in made:
            with suppress(OSError):  # it holds something
                folder.rmdir()
        raise


@contextmanager
def told_of_lost_places(path: Path) -> Iterator[None]:
    """Tell of a full disk or a removed folder in a sentence.

    Raises
    ------
    OutputError
        For every error of the file system.
    """
    try:
        yield
    except OSError as fault:
        if fault.errno == errno.ENOMEM:  # no matter of the folder
            raise
        # replicates catch their own errors, so that what comes here is from writing
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = "the disk is full: free some space, then go on with --resume"
        elif not path.exists():
            reason = "the folder was removed; what it held is gone"
        else:
            reason = f"{fault.strerror or fault}; finished batches are kept, go on with --resume"
        raise OutputError(f"the results cannot be written to '{path}': {reason}", path=str(path)) from fault


def _run_until_whole(
    folder: RunFolder, design: Design, wanted: Sequence[Block], run: BatchRunner, options: RunOptions
) -> int:
    """Run what is missing and merge all of it; once more when a file turns out to be damaged."""
    done_now = 0
    # One shard's batches are read one by one when shards are merged; other readers like larger groups.
    group_rows = 1 if options.shard is not None else ROWS_PER_GROUP
    while True:
        done_now += _run_missing(folder, design, wanted, run, options)
        try:
            merge_blocks(
                wanted,
                folder.found(),
                folder.path / REPLICATES_FILE,
                folder.record.fingerprint,
                group_rows=group_rows,
            )
        except DamagedPartError as damage:
            folder.discard(damage)
        else:
            return done_now


def _run_missing(
    folder: RunFolder, design: Design, wanted: Sequence[Block], run: BatchRunner, options: RunOptions
) -> int:
    """Run the batches that the folder lacks; returns the number of replicates run."""
    found = folder.found()
    missing = in_running_order(block for block in wanted if block not in found)
    if not missing:
        return 0
    total = sum(block.count for block in wanted)
    to_do = sum(block.count for block in missing)
    works = (Work(block, design.scenarios[block.scenario], design.seed, run) for block in missing)
    writer = PartWriter(folder.parts, folder.record.fingerprint)
    with (
        showing_progress(options.progress, done=total - to_do, total=total) as advance,
        closing(_results(works, folder.record.fingerprint, options)) as results,
    ):
        for block, columns in results:
            writer.add(block, columns)
            advance(block.count)
    return to_do


def _results(works: Iterator[Work], study: str, options: RunOptions) -> Generator[tuple[Block, Columns]]:
    if options.scheduler is not None:
        from biocal.simulation.running.workers import run_on_cluster

        return run_on_cluster(works, options.scheduler, study)
    if options.jobs == 1:
        return run_here(works)
    return run_in_processes(works, options.jobs)
