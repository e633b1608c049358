"""Running batches: in this process, in processes of this machine, or on a Dask cluster.

Each way takes the same batches and gives the same numbers; only the order in which they end differs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from biocal.errors import SimulationError
from biocal.parallel.process_pool import LostProcessError, results_from_processes
from biocal.parallel.processes import blas_controller, keep_to_one_core
from biocal.simulation.schedule import Block

__all__ = ["BatchRunner", "Columns", "Work", "run_here", "run_in_processes", "run_in_worker"]

Columns = dict[str, NDArray[Any]]
#: Draws and fits (scenario, seed, index of the scenario, numbers of replicates), see `replicate.run_batch`.
BatchRunner = Callable[[Any, int, int, Sequence[int]], Columns]


@dataclass(frozen=True, slots=True)
class Work:
    """One batch with all that a worker needs to run it."""

    block: Block
    scenario: Any
    seed: int
    run: BatchRunner

    def done(self) -> Columns:
        """Columns of the batch's results, computed on one core."""
        return self.run(self.scenario, self.seed, self.block.scenario, self.block.replicates)


def run_here(works: Iterable[Work]) -> Generator[tuple[Block, Columns]]:
    """Run batches one after the other in this process."""
    controller = blas_controller()
    for work in works:
        with controller.limit(limits=1):
            columns = work.done()
        yield work.block, columns


def run_in_processes(works: Iterable[Work], jobs: int) -> Generator[tuple[Block, Columns]]:
    """Run batches in processes of this machine.

    Parameters
    ----------
    works : iterable of Work
    jobs : int
        Processes; -1 for one a core.

    Raises
    ------
    SimulationError
        A process was killed from outside.
    """
    tasks = ((work,) for work in works)
    try:
        yield from results_from_processes(_run_in_process, tasks, jobs, in_order=False)
    except LostProcessError as fault:
        raise SimulationError(
            "a worker process was killed, perhaps for lack of memory: finished batches are kept; go on with "
            "--resume, with fewer --jobs if memory is short"
        ) from fault


def run_in_worker(work: Work) -> Columns:
    """Run one batch in a process that does nothing else."""
    keep_to_one_core()
    return work.done()


def _run_in_process(work: Work) -> tuple[Block, Columns]:
    return work.block, run_in_worker(work)
