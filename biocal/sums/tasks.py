"""The likelihoods that are maximised from sums: each method, and beside a curve its straight line for the trend."""

from __future__ import annotations

from dataclasses import dataclass

from biocal.exposure.terms import Basis, LinearBasis
from biocal.pooling.model_columns import ModelColumns, lay_out_names
from biocal.sums.modifier import Modifier


@dataclass(frozen=True, slots=True)
class Task:
    """One likelihood.

    Attributes
    ----------
    method : str
    straight : bool
        Whether the exposure is linear whatever the curve, for the test of trend.
    """

    method: str
    straight: bool = False

    @property
    def name(self) -> str:
        """As messages call it: "full", "full, linear"."""
        return f"{self.method}, linear" if self.straight else self.method


def task_basis(task: Task, basis: Basis) -> Basis:
    """Exposure terms of a task."""
    return LinearBasis() if task.straight else basis


def task_model(
    task: Task, basis: Basis, covariate_names: tuple[str, ...], modifier: Modifier
) -> ModelColumns:
    """Where each column of a task stands."""
    return lay_out_names(task_basis(task, basis), covariate_names, modifier.names, modifier.main)


def shown_tasks(methods: tuple[str, ...], basis: Basis) -> list[Task]:
    """Tasks whose result is wanted: each method, and its straight line beside a curve."""
    shapes = (False,) if basis.kind == "linear" else (False, True)
    return [Task(method, straight) for method in methods for straight in shapes]


def tasks_to_run(wanted: list[Task]) -> list[Task]:
    """Those, and before them the starts of induced ones: full calibration's estimate, asked for or not."""
    starts = [start_of(task) for task in wanted if task.method == "induced"]
    return list(dict.fromkeys([*starts, *wanted]))


def start_of(task: Task) -> Task:
    """The task whose estimate an induced one starts from."""
    return Task("full", task.straight)
