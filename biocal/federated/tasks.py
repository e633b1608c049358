"""The tasks of a request, read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MessageError
from biocal.federated import schema
from biocal.federated.plan import FEDERATED_METHODS
from biocal.sums.tasks import Task

FloatArray = NDArray[np.float64]

#: Most coefficients of a model in a message (our choice).
MOST_TERMS = 200


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
