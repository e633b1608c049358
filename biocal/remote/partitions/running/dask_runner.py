"""Partitions on the workers of a Dask scheduler.

A step over a partition is a pure task: when its worker is lost, the scheduler gives it to another one, which
prepares the partition again and finds the same numbers.  Partitions go back to the worker that has them prepared.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import biocal
from biocal.errors import BiocalWarning, FitError
from biocal.remote.partitions.running.part_cache import cache_of_worker, forget
from biocal.remote.partitions.running.runners import Computed, Step, compute
from biocal.system.dask_client import connect, without_tracebacks
from biocal.system.processes import keep_to_one_core

#: Seconds to wait for a scheduler that does not answer, or no longer.
PATIENCE = 15.0
#: Seconds after which a cluster without workers is told.
WORKERLESS = 30.0

#: A worker computes one partition at a time whatever its threads: its memory is that of one.
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def dask_runner(address: str, token: str) -> Iterator[DaskRunner]:
    """Connect to a scheduler for the block; what the workers have kept is removed at its end.

    Raises
    ------
    OptionError
        Dask is not installed, or no scheduler answers there.
    """
    with without_tracebacks():
        client = connect(address, PATIENCE)
        runner = DaskRunner(client, address, token)
        try:
            yield runner
        finally:
            runner.forget(token)
            client.close(timeout=PATIENCE)


class DaskRunner:
    """Computes on the workers of a scheduler.

    Parameters
    ----------
    client : distributed.Client
    address : str
        Of the scheduler.
    token : str
        Of the fit, for the names of its tasks.
    """

    def __init__(self, client: Any, address: str, token: str) -> None:
        self._client = client
        self._address = address
        self._token = token
        self._homes: dict[int, str] = {}
        self._round = 0

    def map(self, step: Step, arguments: Sequence[tuple[Any, ...]]) -> list[Computed]:
        """Results in the order of the arguments.

        Raises
        ------
        FitError
            The scheduler was lost, or workers cannot do the work.
        """
        self._round += 1
        try:
            homes = self._assigned(len(arguments))
            futures = [
                self._client.submit(
                    _compute_on_worker,
                    step,
                    one,
                    key=f"biocal-{self._token}-{self._round}-{number}",
                    workers=[homes[number]] if number in homes else None,
                    allow_other_workers=number in homes,
                )
                for number, one in enumerate(arguments)
            ]
            self._wait(futures)
            return [self._result(number, future) for number, future in enumerate(futures)]
        except OSError as fault:  # connections are files to the system, but no trouble of the results' folder
            raise _lost(self._address, f" ({fault})") from fault

    def forget(self, token: str) -> None:
        """Have the workers remove what they have kept; those that are gone took it with them."""
        if self._client.status != "running":
            return
        with suppress(OSError, TimeoutError, asyncio.TimeoutError, RuntimeError):
            self._client.run(_forget_on_worker, token, on_error="ignore")

    def _assigned(self, n_parts: int) -> dict[int, str]:
        """A worker for each partition: the one that has it, or the one that has fewest."""
        alive = list(self._client.nthreads())
        if not alive:
            return {}
        homes = {number: home for number, home in self._homes.items() if home in alive}
        held = {worker: sum(home == worker for home in homes.values()) for worker in alive}
        for number in range(n_parts):
            if number not in homes:
                homes[number] = min(alive, key=lambda worker: held[worker])
                held[homes[number]] += 1
        return homes

    def _wait(self, futures: list[Any]) -> None:
        """Return when all are done, however they ended."""
        from distributed import wait

        since, told = time.monotonic(), False
        lost_since: float | None = None
        while True:
            try:
                with suppress(TimeoutError, OSError), self._client.as_current():
                    wait(futures, timeout=1.0)
            except (asyncio.CancelledError, concurrent.futures.CancelledError):
                raise _lost(self._address) from None
            statuses = [future.status for future in futures]
            if all(status in ("finished", "error") for status in statuses):
                return
            now = time.monotonic()
            lost = self._client.status != "running" or "lost" in statuses or "cancelled" in statuses
            lost_since = (lost_since or now) if lost else None
            if lost_since is not None and (self._client.status == "closed" or now - lost_since > PATIENCE):
                raise _lost(self._address)
            if not lost and not told and now - since > WORKERLESS and not self._client.nthreads():
                told = True
                message = f"the Dask scheduler at '{self._address}' has no workers; waiting for some"
                warnings.warn(message, BiocalWarning, stacklevel=2)

    def _result(self, number: int, future: Any) -> Computed:
        from distributed import KilledWorker

        try:
            version, worker, computed = future.result()
        except KilledWorker as fault:
            raise FitError(
                f"several Dask workers died one after the other over a partition ({fault}), perhaps for lack of "
                "memory; nothing was written. Use smaller partitions (biocal partition --rows)"
            ) from fault
        except ImportError as fault:
            raise FitError(
                f"a Dask worker cannot load what it needs ({fault}): install biocal {biocal.__version__} there"
            ) from fault
        if version != biocal.__version__:
            raise FitError(
                f"a Dask worker has biocal {version}, and this is {biocal.__version__}: install one version everywhere"
            )
        self._homes[number] = worker
        found: Computed = computed
        return found


def _lost(address: str, how: str = "") -> FitError:
    return FitError(
        f"the Dask scheduler at '{address}' was lost{how}: nothing was written; start it and fit again"
    )


def _compute_on_worker(step: Step, arguments: tuple[Any, ...]) -> tuple[str, str, Computed]:
    from distributed import get_worker

    keep_to_one_core()
    with _ONE_AT_A_TIME:
        computed = compute(step, arguments)
    return biocal.__version__, get_worker().address, computed


def _forget_on_worker(token: str, dask_worker: Any) -> None:
    """Run outside any task: Dask hands the worker over by the name of the argument."""
    forget(cache_of_worker(dask_worker.local_directory, token), token)
