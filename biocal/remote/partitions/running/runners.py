"""Who computes: this process, processes of this machine, or the workers of a Dask scheduler.

Each takes one step over all partitions and gives the results in the order of the partitions, so that sums are
the same to the last bit whoever made them.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from biocal.errors import BiocalError, DataProblemsError, FitError
from biocal.system.processes import (
    LostProcessError,
    blas_controller,
    keep_to_one_core,
    results_from_processes,
)

#: Computes one partition's result from these arguments.
Step = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Computed:
    """What a partition gave, or why it gave nothing, and who computed it.

    Attributes
    ----------
    value : object
    failure : tuple or None
        Class, words and facts of an error that users are told: errors with facts do not survive pickling whole.
    process : str
        Machine and number of the process.
    peak : int
        The most memory that it had so far, in bytes; 0 where that is not known.
    """

    value: Any
    failure: tuple[type[BiocalError], str, dict[str, Any]] | None
    process: str
    peak: int


class Runner(Protocol):
    """Computes a step for all partitions."""

    def map(self, step: Step, arguments: Sequence[tuple[Any, ...]]) -> list[Computed]: ...

    def forget(self, token: str) -> None: ...


def compute(step: Step, arguments: tuple[Any, ...]) -> Computed:
    """Compute a step, errors that users are told caught."""
    value, failure = None, None
    try:
        value = step(*arguments)
    except BiocalError as error:
        failure = (type(error), str(error), dict(vars(error)))
    return Computed(value, failure, f"{platform.node()}:{os.getpid()}", peak_memory())


def peak_memory() -> int:
    """The most resident memory that this process has had, in bytes."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            line = next((one for one in status if one.startswith("VmHWM:")), "")
        return int(line.split()[1]) * 1024 if line else 0
    except OSError:  # not Linux: the largest that the system has counted, perhaps the parent's
        import resource
        import sys

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(most) * (1 if sys.platform == "darwin" else 1024)


def values_of(found: Sequence[Computed], paths: Sequence[str]) -> list[Any]:
    """Results of all partitions.

    Raises
    ------
    DataProblemsError
        With the problems of all partitions.
    BiocalError
        The first failure, its partition named.
    """
    failures = [
        (path, one.failure) for path, one in zip(paths, found, strict=True) if one.failure is not None
    ]
    problems = [p for _, (kind, _, facts) in failures if kind is DataProblemsError for p in facts["problems"]]
    if problems:
        errors = [problem for problem in problems if problem.level == "error"]
        raise DataProblemsError([*errors, *(problem for problem in problems if problem.level != "error")])
    for path, (kind, words, facts) in failures:
        named = words if path in words else f"{path}: {words}"
        raise kind(named, **{name: value for name, value in facts.items() if not name.startswith("_")})
    return [one.value for one in found]


class HereRunner:
    """One partition after the other in this process."""

    def map(self, step: Step, arguments: Sequence[tuple[Any, ...]]) -> list[Computed]:
        """Results in the order of the arguments."""
        controller = blas_controller()
        found = []
        for one in arguments:
            with controller.limit(limits=1):
                found.append(compute(step, one))
        return found

    def forget(self, token: str) -> None:
        """Nothing is kept beside the session's folder."""


class ProcessesRunner:
    """Processes of this machine, which share the folder of prepared partitions.

    Parameters
    ----------
    jobs : int
        Processes; -1 for one a core.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def map(self, step: Step, arguments: Sequence[tuple[Any, ...]]) -> list[Computed]:
        """Results in the order of the arguments.

        Raises
        ------
        FitError
            A process was killed from outside.
        """
        tasks = ((step, one) for one in arguments)
        try:
            return list(results_from_processes(_compute_on_one_core, tasks, self.jobs, in_order=True))
        except LostProcessError as fault:
            raise FitError(
                "a worker process was killed, perhaps for lack of memory; nothing was written. Use fewer --jobs, or "
                "smaller partitions (biocal partition --rows)"
            ) from fault

    def forget(self, token: str) -> None:
        """Nothing is kept beside the session's folder."""


def _compute_on_one_core(step: Step, arguments: tuple[Any, ...]) -> Computed:
    keep_to_one_core()
    return compute(step, arguments)
