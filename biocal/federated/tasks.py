"""The likelihoods that a session maximises: each method, and beside a curve its straight line for the trend test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MessageError
from biocal.exposure.terms import Basis, LinearBasis
from biocal.federated import schema
from biocal.federated.plan import FEDERATED_METHODS

FloatArray = NDArray[np.float64]

#: Most coefficients of a model in a message (our choice).
MOST_TERMS = 200


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


def read_tasks(value: Any) -> dict[Task, FloatArray]:
    """Tasks of a request with their points; raises MessageError."""
    found = schema.table(value, "tasks", lambda one, where: schema.listed(one, where, schema.real))
    known = {
        Task(method, straight).name: Task(method, straight)
        for method in FEDERATED_METHODS
        for straight in (False, True)
    }
    strange = [name for name in found if name not in known]
    if strange:
        raise MessageError(f"tasks: there is no task '{strange[0][:40]}'")
    too_long = [name for name, point in found.items() if len(point) > MOST_TERMS]
    if too_long:
        raise MessageError(f"tasks.{too_long[0]}: more than {MOST_TERMS} coefficients")
    return {known[name]: np.array(point, dtype=float) for name, point in found.items()}
