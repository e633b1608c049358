"""Running batches: in this process, in processes of this machine, or on a Dask cluster.

Each way takes the same batches and gives the same numbers; only the order in which they end differs.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any

from numpy.typing import NDArray

from biocal.errors import OptionError, SimulationError
from biocal.simulation.schedule import Block

__all__ = ["BatchRunner", "Columns", "Work", "require_jobs", "run_here", "run_in_processes", "run_in_worker"]

#: Seconds between a worker's looks at whether its parent lives.
PARENT_CHECK = 1.0

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
    controller = _blas_controller()
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
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import BrokenProcessPool

    with parallel_config(backend="loky", inner_max_num_threads=1):
        # one task a batch: joblib's own grouping would hold finished batches back
        results = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(
            delayed(_run_in_process)(work) for work in works
        )
        try:
            with closing(results):
                yield from results
        except BrokenProcessPool as fault:
            raise SimulationError(
                "a worker process was killed, perhaps for lack of memory: finished batches are kept; go on with "
                "--resume, with fewer --jobs if memory is short"
            ) from fault


#: Ours: more processes than any machine has processors for.
MOST_JOBS = 1_024


def require_jobs(jobs: object) -> int:
    """Check a number of processes.

    Raises
    ------
    OptionError
        Not a whole number from 1 to `MOST_JOBS`, nor -1.
    """
    if not isinstance(jobs, int) or isinstance(jobs, bool) or not (1 <= jobs <= MOST_JOBS or jobs == -1):
        raise OptionError(
            f"jobs is a number of processes up to {MOST_JOBS:,}, or -1 for one a core, not {jobs!r}",
            option="jobs",
        )
    return jobs


def run_in_worker(work: Work) -> Columns:
    """Run one batch in a process that does nothing else."""
    _keep_to_one_core()
    return work.done()


def _run_in_process(work: Work) -> tuple[Block, Columns]:
    _leave_interrupts_to_the_parent()
    _end_with_the_parent()
    return work.block, run_in_worker(work)


def _leave_interrupts_to_the_parent() -> None:
    """Ctrl-C reaches all processes of a terminal; the parent ends the others, without their tracebacks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@cache
def _end_with_the_parent() -> None:
    """End when the parent is killed, which joblib's processes would outlive by minutes."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK)
        os._exit(1)

    threading.Thread(target=watch, name="biocal-parent", daemon=True).start()


@cache
def _keep_to_one_core() -> Any:
    """Set the threads of linear algebra to one for good.

    Not for each batch: threads of a Dask worker would restore the number under each other's feet.
    """
    return _blas_controller().limit(limits=1)


@cache
def _blas_controller() -> Any:
    """What sets the threads of linear algebra.

    With one thread jobs do not crowd each other; and they get the same numbers, for the number of threads
    changes the order of sums, hence their last bit.
    """
    # libraries that are loaded later would not be known to the controller
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
