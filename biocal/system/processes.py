"""Manners of processes that compute for another one: one core each, no life of their own."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from biocal.errors import OptionError

__all__ = [
    "LostProcessError",
    "blas_controller",
    "end_with_the_parent",
    "keep_to_one_core",
    "leave_interrupts_to_the_parent",
    "require_jobs",
    "results_from_processes",
]


#: Seconds between a worker's looks at whether its parent lives.
PARENT_CHECK = 1.0

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


def leave_interrupts_to_the_parent() -> None:
    """Ctrl-C reaches all processes of a terminal; the parent ends the others, without their tracebacks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@cache
def end_with_the_parent() -> None:
    """End when the parent is killed, which joblib's processes would outlive by minutes."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK)
        os._exit(1)

    try:
        threading.Thread(target=watch, name="biocal-parent", daemon=True).start()
    except RuntimeError:  # no memory for a thread: it would outlive its parent, and is told as lost
        os._exit(1)


@cache
def keep_to_one_core() -> Any:
    """Set the threads of linear algebra to one for good.

    Not for each batch: threads of a Dask worker would restore the number under each other's feet.
    """
    return blas_controller().limit(limits=1)


@cache
def blas_controller() -> Any:
    """What sets the threads of linear algebra.

    With one thread jobs do not crowd each other; and they get the same numbers, for the number of threads
    changes the order of sums, hence their last bit.
    """
    # libraries that are loaded later would not be known to the controller
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


class LostProcessError(Exception):
    """A process was killed from outside, as systems do that are short of memory."""


def results_from_processes(
    function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], jobs: int, *, in_order: bool
) -> Generator[Any]:
    """Call a function in processes, on one core each.

    Parameters
    ----------
    function : callable
        Of the module level, so that processes find it.
    tasks : iterable of tuple
        Its arguments; drawn when a process is free.
    jobs : int
        Processes; -1 for one a core.
    in_order : bool
        Results in the order of the tasks, rather than as they come.

    Raises
    ------
    LostProcessError
        A process was killed.
    """
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import BrokenProcessPool

    order = "generator" if in_order else "generator_unordered"
    try:
        with (
            parallel_config(backend="loky", inner_max_num_threads=1),
            _unheard_interrupts(),
            _unseen_output(),
        ):
            # one task at a time: joblib's own grouping would hold what is finished back
            results = Parallel(n_jobs=jobs, return_as=order, batch_size=1)(
                delayed(_in_worker)(function, task) for task in tasks
            )
        try:
            yield from results
        except BaseException:
            # a thread of joblib's finds out a moment later, and would log its traceback: not put back therefore
            logging.getLogger("concurrent.futures").setLevel(logging.CRITICAL)
            raise
        finally:
            with _unseen_output():
                results.close()
    except BrokenProcessPool as fault:
        raise LostProcessError("a process was killed, perhaps for lack of memory") from fault


@contextmanager
def _unheard_interrupts() -> Iterator[None]:
    """Start processes that no Ctrl-C reaches, not even while Python starts in them; ours comes a moment later.

    A terminal interrupts all processes; this one ends the others, without the traceback that each would print.
    What a thread blocks is blocked in the processes that it starts.
    """
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    _start_trackers()
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


@contextmanager
def _unseen_output() -> Iterator[None]:
    """Keep what processes print, now started or now ended, out of this one's output.

    Their errors come back as exceptions; what they would print are tracebacks of having lost their parent, which
    joblib writes to the standard output.
    """
    nothing = os.open(os.devnull, os.O_WRONLY)
    earlier = {}
    for stream in (1, 2):
        with suppress(OSError):  # there is none
            earlier[stream] = os.dup(stream)
            os.dup2(nothing, stream)
    try:
        yield
    finally:
        for stream, before in earlier.items():
            os.dup2(before, stream)
            os.close(before)
        os.close(nothing)


def _start_trackers() -> None:
    """Start the processes that count what Python and joblib share: started later, they would unblock interrupts."""
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()
    with suppress(ImportError, AttributeError):
        from joblib.externals.loky.backend.resource_tracker import ensure_running

        ensure_running()


def _in_worker(function: Callable[..., Any], task: tuple[Any, ...]) -> Any:
    leave_interrupts_to_the_parent()  # where they could not be blocked before
    end_with_the_parent()
    return function(*task)
