"""Work in other processes of this machine, which neither outlive this one nor write to its terminal."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from biocal.parallel.processes import end_with_the_parent, leave_interrupts_to_the_parent

__all__ = ["LostProcessError", "results_from_processes"]


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
