"""Manners of processes that compute for another one: one core each, no life of their own."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import cache
from typing import Any

from biocal.errors import OptionError

__all__ = [
    "blas_controller",
    "end_with_the_parent",
    "keep_to_one_core",
    "leave_interrupts_to_the_parent",
    "require_jobs",
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
