"""Running batches: in this process, in processes of this machine, or on a Dask cluster.

Each way takes the same batches and gives the same numbers; only the order in which they end differs.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from numpy.typing import NDArray

import biocal
from biocal.errors import BiocalWarning, SimulationError
from biocal.simulation.running.schedule import Block
from biocal.system.dask_client import connect, without_tracebacks
from biocal.system.processes import (
    LostProcessError,
    blas_controller,
    keep_to_one_core,
    results_from_processes,
)

__all__ = [
    "BatchRunner",
    "Columns",
    "Work",
    "run_here",
    "run_in_processes",
    "run_in_worker",
    "run_on_cluster",
]


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


#: Seconds to wait for a scheduler that does not answer, or no longer.
PATIENCE = 15.0
#: Seconds after which a cluster without workers is told.
WORKERLESS = 30.0
#: Seconds between looks at the size of the cluster.
ASK_AGAIN = 10.0
#: Batches under way for each thread of the cluster: enough to keep it busy, few enough to hold in memory.
BATCHES_PER_THREAD = 3
#: Batches handed over while the cluster has no workers yet.
FIRST_BATCHES = 8


def run_on_cluster(works: Iterable[Work], address: str, study: str) -> Generator[tuple[Block, Columns]]:
    """Run batches on the workers of a Dask scheduler.

    A batch is a pure task: when its worker is lost, the scheduler gives it to another one, which finds the
    same numbers.

    Parameters
    ----------
    works : iterable of Work
    address : str
        Of the scheduler, such as ``tcp://host:8786``.
    study : str
        Fingerprint of the design, for the names of the tasks.

    Raises
    ------
    OptionError
        Dask is not installed, or no scheduler answers there.
    SimulationError
        The scheduler was lost, or the workers cannot run the batches.
    """
    with without_tracebacks():
        client = connect(address, PATIENCE)
        try:
            yield from _run(client, iter(works), address, study)
        except OSError as fault:  # connections are files to the system, but no trouble of the results' folder
            raise _lost(address, f" ({fault})") from fault
        finally:
            client.close(timeout=PATIENCE)


def _run(client: Any, works: Iterator[Work], address: str, study: str) -> Generator[tuple[Block, Columns]]:
    under_way: dict[Any, Work] = {}
    size = _ClusterSize(client)
    while True:
        room = max(BATCHES_PER_THREAD * size.threads(), FIRST_BATCHES) - len(under_way)
        for work in islice(works, max(room, 0)):
            key = f"biocal-{study[:16]}-{work.block.scenario}-{work.block.first}-{work.block.count}"
            under_way[client.submit(_run_on_cluster, work, key=key)] = work
        if not under_way:
            return
        for future in _wait_for_some(client, list(under_way), address, size):
            yield under_way.pop(future).block, _result(future)


class _ClusterSize:
    """Threads that the cluster has, asked for now and then: workers come and go."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._asked = -math.inf
        self._threads = 0

    def threads(self) -> int:
        if time.monotonic() - self._asked > ASK_AGAIN:
            with suppress(OSError, TimeoutError):  # a lost scheduler is told where results are waited for
                self._threads = sum(self._client.nthreads().values())
            self._asked = time.monotonic()
        return self._threads


def _wait_for_some(client: Any, futures: list[Any], address: str, size: _ClusterSize) -> list[Any]:
    """Futures that are done, at least one, however they ended."""
    from distributed import wait

    since, told = time.monotonic(), False
    while True:
        try:
            with suppress(TimeoutError, OSError), client.as_current():
                wait(futures, timeout=1.0, return_when="FIRST_COMPLETED")
        except (asyncio.CancelledError, concurrent.futures.CancelledError):
            raise _lost(address) from None
        lost = client.status != "running" or any(future.status in ("lost", "cancelled") for future in futures)
        done = [future for future in futures if future.status in ("finished", "error")]
        if done:
            return done
        waited = time.monotonic() - since
        if lost and (client.status == "closed" or waited > PATIENCE):
            raise _lost(address)
        if not lost and waited > WORKERLESS and not told and size.threads() == 0:
            told = True
            message = f"the Dask scheduler at '{address}' has no workers; waiting for some"
            warnings.warn(message, BiocalWarning, stacklevel=2)


def _lost(address: str, how: str = "") -> SimulationError:
    return SimulationError(
        f"the Dask scheduler at '{address}' was lost{how}: finished batches are kept; go on with --resume "
        "when it is back"
    )


def _result(future: Any) -> Columns:
    from distributed import KilledWorker

    try:
        version, columns = future.result()
    except KilledWorker as fault:
        raise SimulationError(
            f"several Dask workers died one after the other while they ran a batch ({fault}), perhaps for lack of "
            "memory: finished batches are kept; go on with --resume"
        ) from fault
    except ImportError as fault:
        raise SimulationError(
            f"a Dask worker cannot load what it needs ({fault}): install biocal {biocal.__version__} there"
        ) from fault
    if version != biocal.__version__:
        raise SimulationError(
            f"a Dask worker has biocal {version}, and this is {biocal.__version__}: install one version everywhere"
        )
    found: Columns = columns
    return found


def _run_on_cluster(work: Work) -> tuple[str, Columns]:
    return biocal.__version__, run_in_worker(work)
