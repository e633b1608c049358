"""Columns of persons that are made where they are needed, instead of being held all at once."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


class PersonColumns(Protocol):
    """p columns of n persons, taken block by block of sets."""

    @property
    def shape(self) -> tuple[int, int]:
        """(p, n)."""
        ...

    def take(self, rows: IntArray, out: FloatArray) -> None:
        """Put the columns of some persons, rows (...) with repeats allowed, into out (p, ...)."""
        ...

    def largest(self) -> FloatArray:
        """Largest absolute value of each column, shape (p,)."""
        ...


Columns = FloatArray | PersonColumns


def largest_values(columns: Columns) -> FloatArray:
    """Largest absolute value of each column, shape (p,), from columns (p, n); 0 of nobody."""
    if not isinstance(columns, np.ndarray):
        return columns.largest()
    return np.asarray(np.maximum(columns.max(axis=-1, initial=0.0), -columns.min(axis=-1, initial=0.0)))
