"""The ascent from sums: the pooled fit's own Newton steps, with others as the evaluators of the likelihood.

The ascent is run from its start each time answers have come in.  Points whose sums are known are looked up; the
first that is not stops the run and becomes the next request.  The path is that of the pooled fit to rounding, and
no rule of stopping, halving or refusing is written twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ConvergenceError, FitError, SeparationError
from biocal.fitting.sums.records import Scores, Task
from biocal.kernels.newton import FLAT_INFORMATION, Optimum
from biocal.kernels.sets.layout import Columns
from biocal.kernels.sets.terms import LikelihoodTerms
from biocal.model.outcome.conditional import maximise_identified, require_identified
from biocal.model.outcome.induced_ascent import climb
from biocal.model.outcome.induced_piece import InducedTerms

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Share of a direction's largest part, in units of information, from which a coefficient belongs to it.
_OF_NOTE = 0.05


class NeedPoint(Exception):
    """Sums at a point that nobody has been asked for yet."""

    def __init__(self, point: FloatArray) -> None:
        super().__init__("a point that was not evaluated yet")
        self.point = point


class AnsweredPoints:
    """Sums over all rows at the points asked for so far, for one task.

    Parameters
    ----------
    n_columns : int
        p.
    """

    def __init__(self, n_columns: int) -> None:
        self.n_columns = n_columns
        self._known: dict[bytes, Scores] = {}
        self._last: FloatArray | None = None

    def add(self, point: FloatArray, parts: Sequence[Scores]) -> None:
        """Sum the parts of all sites or partitions, in the order given."""
        self._known[_key(point)] = Scores(
            float(sum(part.loglik for part in parts)),
            np.sum([part.score for part in parts], axis=0),
            np.sum([part.information for part in parts], axis=0),
            np.sum([part.expected for part in parts], axis=0),
        )

    def at(self, point: FloatArray) -> Scores:
        """Sums at a point; raises NeedPoint."""
        found = self._known.get(_key(point))
        if found is None:
            raise NeedPoint(point)
        self._last = point
        return found

    def evaluate(self, beta: FloatArray) -> LikelihoodTerms:
        """As :class:`~biocal.kernels.sets.likelihood.ConditionalLikelihood` does, for a batch of one."""
        sums = self.at(beta[0])
        return LikelihoodTerms(np.array([sums.loglik]), sums.score[None], sums.information[None])

    def climb_terms(self, beta: FloatArray) -> InducedTerms:
        """As :class:`~biocal.model.outcome.induced.InducedLikelihood` does."""
        sums = self.at(beta)
        return InducedTerms(sums.loglik, sums.score, sums.information, sums.expected)

    def constant_columns(self, columns: Columns) -> BoolArray:
        """Columns without information at the start; `columns` is not used, for here are none."""
        start = self.at(np.zeros(self.n_columns))
        return np.asarray(np.diagonal(start.expected) <= 0)

    def separates(self, direction: FloatArray) -> bool:
        """Whether nearly all information along a direction was used up on the way to the last point.

        The pooled fit compares each case with its controls; where sums alone are known, curvature tells.
        """
        if self._last is None or not np.isfinite(direction).all():
            return False
        here, start = self.at(self._last), self.at(np.zeros(self.n_columns))
        before = float(direction @ start.expected @ direction)
        return before > 0 and float(direction @ here.expected @ direction) < FLAT_INFORMATION * before


def _key(point: FloatArray) -> bytes:
    return np.asarray(point + 0.0, dtype="<f8").tobytes()


def maximise_plug_in(points: AnsweredPoints, names: Sequence[str]) -> Optimum:
    """Maximise a conditional likelihood; raises NeedPoint, and FitError as the pooled fit."""
    nothing = np.empty((points.n_columns, 0))
    return maximise_identified(points, nothing, names)


def maximise_induced_sums(points: AnsweredPoints, start: FloatArray | None, names: Sequence[str]) -> Optimum:
    """Maximise an induced likelihood, from full calibration's estimate when there is one.

    Raises
    ------
    NeedPoint
    FitError
        As :func:`~biocal.model.outcome.induced_ascent.maximise_induced`.
    """
    zero = np.zeros(points.n_columns)
    if start is None:
        require_identified(points, np.empty((points.n_columns, 0)), names, points.at(zero).expected)
    optimum = climb(points.climb_terms, zero if start is None else start)
    if start is not None and not _is_maximum(optimum):
        optimum = climb(points.climb_terms, zero)
    if _is_maximum(optimum):
        return optimum
    if optimum.converged[0]:
        size = np.sqrt(np.maximum(np.diagonal(points.at(zero).expected), 0.0))
        share = np.abs(optimum.last_step[0]) * size
        terms = [name for name, part in zip(names, share, strict=True) if part > _OF_NOTE * share.max()]
        raise SeparationError(
            f"the induced likelihood levels off along {', '.join(terms)} without a finite maximum; merge sparse "
            "categories, use fewer knots, or leave the term out",
            terms=tuple(terms),
        )
    raise ConvergenceError(
        f"the induced likelihood's maximum was not found in {int(optimum.iterations[0])} evaluations "
        f"(Newton decrement {float(optimum.decrement[0]):.2g}); look for columns with extreme values",
        iterations=int(optimum.iterations[0]),
        decrement=float(optimum.decrement[0]),
    )


def _is_maximum(optimum: Optimum) -> bool:
    return bool(optimum.converged[0] and optimum.flatness[0] >= FLAT_INFORMATION)


@dataclass(frozen=True, slots=True, eq=False)
class Ascents:
    """Where the maximisation of all tasks stands.

    Attributes
    ----------
    optima : dict
        Tasks that have arrived.
    needed : dict
        Points whose sums are wanted, by task.
    failures : dict
        Tasks that failed, and why.
    """

    optima: Mapping[Task, Optimum]
    needed: Mapping[Task, FloatArray]
    failures: Mapping[Task, FitError]


def run_ascents(
    names: Mapping[Task, Sequence[str]], points: Mapping[Task, AnsweredPoints], starts: Mapping[Task, Task]
) -> Ascents:
    """Run every task as far as the answered points allow.

    Parameters
    ----------
    names : mapping
        Terms by task.
    points : mapping
        Answered points by task.
    starts : mapping
        Induced tasks, each with the task whose estimate it starts from.
    """
    optima: dict[Task, Optimum] = {}
    needed: dict[Task, FloatArray] = {}
    failures: dict[Task, FitError] = {}
    for task in sorted(names, key=lambda one: one in starts):
        origin = starts.get(task)
        if origin is not None and origin in needed:
            continue
        try:
            if origin is None:
                optima[task] = maximise_plug_in(points[task], names[task])
            else:
                start = optima[origin].point[0] if origin in optima else None
                optima[task] = maximise_induced_sums(points[task], start, names[task])
        except NeedPoint as need:
            needed[task] = need.point
        except FitError as failure:
            failures[task] = failure
    return Ascents(optima, needed, failures)
