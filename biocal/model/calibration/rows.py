"""Persons as the calibration model sees them: in one array, or column by column where they are many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
#: Any kind of integers: codes of few studies are small numbers.
Codes = NDArray[np.signedinteger[Any]]

#: Persons that are stacked at a time: a dozen columns of them stay in a core's cache.
_CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class CalibrationRows:
    """Persons as the calibration model sees them.

    Attributes
    ----------
    study : ndarray of int, shape (n,)
        Local-study index 0..L-1; -1 for persons of reference studies, who are not calibrated.
    columns : ndarray, shape (k, n)
        1, W and the calibration covariates.
    group : ndarray of int, shape (n,)
        Which residual variance applies; the study, unless a categorical modifier splits it.
    """

    study: Codes
    columns: FloatArray
    group: Codes

    def take(self, rows: IntArray | slice) -> CalibrationRows:
        """The same for some rows, repeats allowed."""
        return CalibrationRows(self.study[rows], self.columns[:, rows], self.group[rows])

    def column(self, k: int) -> FloatArray:
        """Column k, shape (n,)."""
        return np.asarray(self.columns[k])


@dataclass(frozen=True, slots=True, eq=False)
class PersonRows:
    """The same for all persons of a problem, each column left where it is.

    Local values and covariates are held by others already; next to them nothing is copied.

    Attributes
    ----------
    study, group : ndarray of int, shape (n,)
        As in :class:`CalibrationRows`.
    parts : tuple of ndarray, shape (n,) each
        W and the calibration covariates; the column of ones is not kept.
    """

    study: Codes
    parts: tuple[FloatArray, ...]
    group: Codes

    @property
    def columns(self) -> FloatArray:
        """1, W and the calibration covariates stacked anew, shape (k, n)."""
        return self.take(slice(None)).columns

    def column(self, k: int) -> FloatArray:
        """Column k, shape (n,)."""
        return self.parts[k - 1] if k else np.ones(self.study.size)

    def take(self, rows: IntArray | slice) -> CalibrationRows:
        """Some persons in one array, repeats allowed."""
        study = self.study[rows]
        columns = np.empty((1 + len(self.parts), study.size))
        columns[0] = 1.0
        for column, part in zip(columns[1:], self.parts, strict=True):
            column[:] = part[rows]
        return CalibrationRows(study, columns, self.group[rows])

    def part(self, rows: IntArray | slice) -> PersonRows:
        """Some persons, column by column; those of a slice are not copied."""
        return PersonRows(self.study[rows], tuple(part[rows] for part in self.parts), self.group[rows])


def chunks_of(
    rows: CalibrationRows | PersonRows, size: int | None = None
) -> Iterator[tuple[slice, CalibrationRows]]:
    """Neighbours in one array, chunk by chunk, with their places; rows in one array are one chunk."""
    if isinstance(rows, CalibrationRows):
        yield slice(0, rows.study.size), rows
        return
    step = _CHUNK if size is None else size
    for start in range(0, rows.study.size, step):
        part = slice(start, min(start + step, rows.study.size))
        yield part, rows.take(part)
