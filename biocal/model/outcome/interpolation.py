"""Interpolating log M in the calibrated mean, so that many persons share few evaluations.

For given coefficients and residual law, log M is a function of mu alone.  As Gauss-Hermite (or smearing)
nodes compute it, it is analytic in mu except where a node crosses a knot, ``mu = t_j - offset_k``: there
its third derivative jumps.  Cells are therefore cut at these places, and within a cell the function
and its derivatives are interpolated by polynomials of degree 5 through Chebyshev-Lobatto points.
What is left is measured, between the points of every cell, and cells that miss the tolerance are halved:
:mod:`biocal.model.outcome.interpolated_risk`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.model.outcome.induced_law import ExposureBasis, ExposureLaw, take_rows
from biocal.model.outcome.induced_risk import node_offsets

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Degree of the interpolating polynomials.
DEGREE = 5
#: Nodes that weigh less than this get no cell border of their own; the probes watch over them.
_NEGLIGIBLE = 1e-8
#: Borders closer than this share of sigma are one; the jump within is of the order of its cube.
_SAME = 1e-3
#: A class of persons is interpolated when it has this many times more persons than points.
_WORTH = 2.0
#: More laws than this among the persons (a continuous modifier) are not interpolated.
_MOST_CLASSES = 512


@dataclass(frozen=True, slots=True)
class GridCells:
    """Cells of C classes of persons, a class sharing a residual law and a row of A.

    Attributes
    ----------
    law : ExposureLaw
        Of one person of each class.
    multipliers : ndarray, shape (1 + km, C)
    edges : tuple of ndarray or None, length C
        Borders of each class's cells, increasing; None for a class evaluated person by person.

    Notes
    -----
    Cells are numbered class by class; a class with m cells has ``DEGREE * m + 1`` points.
    """

    law: ExposureLaw
    multipliers: FloatArray
    edges: tuple[FloatArray | None, ...]

    def cut(self) -> Iterator[tuple[int, FloatArray]]:
        """The classes that are interpolated, and their borders."""
        for c, edges in enumerate(self.edges):
            if edges is not None:
                yield c, edges

    @property
    def n_points(self) -> int:
        """Points of all cells."""
        return sum(DEGREE * (edges.size - 1) + 1 for _, edges in self.cut())

    def first_points(self) -> NDArray[np.int32]:
        """First point of each cell."""
        cells = [edges.size - 1 for _, edges in self.cut()]
        before = np.repeat(np.arange(len(cells), dtype=np.int32), cells)
        return DEGREE * np.arange(before.size, dtype=np.int32) + before

    def borders(self) -> tuple[FloatArray, FloatArray]:
        """Where each cell begins and ends."""
        cut = [edges for _, edges in self.cut()]
        return np.concatenate([e[:-1] for e in cut]), np.concatenate([e[1:] for e in cut])


@dataclass(frozen=True, slots=True)
class GridPlan:
    """Cells, and who is in which.

    Attributes
    ----------
    cells : GridCells
    cell : ndarray of int, shape (n,), or None
        Cell of each person; -1 for persons evaluated by themselves.  None where it is to be looked up.
    """

    cells: GridCells
    cell: NDArray[np.int32] | None


def plan_grid(
    law: ExposureLaw, multipliers: FloatArray, basis: ExposureBasis, nodes: int, *, always: bool = False
) -> GridPlan | None:
    """Plan an interpolation, or None where evaluating every person is as cheap.

    Parameters
    ----------
    law : ExposureLaw
        Of n persons, none of them known.
    multipliers : ndarray, shape (1 + km, n)
    basis : ExposureBasis
        Its `knots`, if any, are where its third derivative jumps.
    nodes : int
        Gauss-Hermite nodes.
    always : bool, default False
        Interpolate whatever it costs.
    """
    classes = _classes(law.group, multipliers, limit=law.mean.size if always else _MOST_CLASSES)
    if classes is None:
        return None
    person_class, first = classes
    edges = _cut_classes(law, person_class, first, basis, nodes, always=always)
    if all(borders is None for borders in edges):
        return None
    cells = GridCells(law.take(first), take_rows(multipliers, first), edges)
    return GridPlan(cells, _locate(cells, person_class, law.mean))


def located(plan: GridPlan, law: ExposureLaw, multipliers: FloatArray) -> GridPlan:
    """The plan with the cells of its n persons looked up; law and multipliers (1 + km, n) as they were planned."""
    if plan.cell is not None:
        return plan
    classes = _classes(law.group, multipliers, limit=law.mean.size)
    assert classes is not None
    return replace(plan, cell=_locate(plan.cells, classes[0], law.mean))


def _locate(cells: GridCells, person_class: IntArray, mean: FloatArray) -> NDArray[np.int32]:
    """Cell of each person, (n,); -1 in classes without cells."""
    by_class = np.argsort(person_class, kind="stable")
    ends = np.cumsum(np.bincount(person_class, minlength=len(cells.edges)))
    found, before = np.full(person_class.size, -1, dtype=np.int32), 0
    for c, edges in cells.cut():
        persons = by_class[ends[c - 1] if c else 0 : ends[c]]
        own = np.searchsorted(edges, mean[persons], side="right") - 1
        found[persons] = before + np.clip(own, 0, edges.size - 2)
        before += edges.size - 1
    return found


def _cut_classes(
    law: ExposureLaw,
    person_class: IntArray,
    first: IntArray,
    basis: ExposureBasis,
    nodes: int,
    *,
    always: bool,
) -> tuple[FloatArray | None, ...]:
    """Borders of the cells of each class; None for one that is as cheap person by person."""
    offsets, log_weights = node_offsets(law, nodes)
    knots = np.asarray(getattr(basis, "knots", ()), dtype=float)
    persons = np.bincount(person_class, minlength=first.size)
    low, high = np.full(first.size, np.inf), np.full(first.size, -np.inf)
    np.minimum.at(low, person_class, law.mean)
    np.maximum.at(high, person_class, law.mean)
    edges: list[FloatArray | None] = []
    for c, person in enumerate(first):
        own = offsets[log_weights[:, law.group[person]] > np.log(_NEGLIGIBLE), law.group[person]]
        cells = _cut_cells(float(low[c]), float(high[c]), own, knots)
        worth = always or persons[c] > _WORTH * (DEGREE * (cells.size - 1) + 1)
        edges.append(cells if worth else None)
    return tuple(edges)


def _classes(group: IntArray, multipliers: FloatArray, *, limit: int) -> tuple[IntArray, IntArray] | None:
    """Class of each person, and a person of each class; None when there are more than `limit`."""
    code = group.astype(np.intp)
    if multipliers.shape[0] == 1:
        return _numbered(code, limit)
    for row in multipliers[1:]:
        values, place = np.unique(row, return_inverse=True)
        if values.size > limit:
            return None
        code = code * values.size + place
    _, first, person_class = np.unique(code, return_index=True, return_inverse=True)
    if first.size > limit:
        return None
    return person_class.astype(np.intp), first.astype(np.intp)


def _numbered(code: IntArray, limit: int) -> tuple[IntArray, IntArray] | None:
    """The same for small codes without sorting."""
    present = np.flatnonzero(np.bincount(code, minlength=1))
    if code.size == 0 or present.size > limit:
        return (code, code) if code.size == 0 else None
    first = np.empty(int(present[-1]) + 1, dtype=np.intp)
    first[code[::-1]] = np.arange(code.size - 1, -1, -1)  # the last to be written is the first of its class
    place = np.zeros(first.size, dtype=np.intp)
    place[present] = np.arange(present.size)
    return place[code], first[present]


def _cut_cells(low: float, high: float, offsets: FloatArray, knots: FloatArray) -> FloatArray:
    """Borders of cells from `low` to `high`: where nodes cross knots, and between them at steps of sigma."""
    sigma = float(np.sqrt(np.mean(offsets**2))) if offsets.size else 0.0
    span = high - low
    if span <= 0:
        return np.array([low, low])
    crossings = np.unique((knots[:, None] - offsets).ravel())
    inside = crossings[(crossings > low) & (crossings < high)]
    borders = np.concatenate([[low], inside, [high]])
    apart = np.diff(borders) > _SAME * sigma
    borders = np.concatenate([[low], borders[1:][apart]])
    borders[-1] = high
    pieces = np.ceil(np.diff(borders) / max(sigma, span / 16)).astype(int)
    return _split(borders, np.maximum(pieces, 1))


def _split(borders: FloatArray, pieces: NDArray[np.int_]) -> FloatArray:
    """Divide each cell into a number of equal pieces."""
    starts = np.repeat(borders[:-1], pieces)
    step = np.repeat(np.diff(borders) / pieces, pieces)
    count = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.append(starts + count * step, borders[-1])


def refine(cells: GridCells, coarse: NDArray[np.bool_]) -> GridCells:
    """Some cells halved; flags (n_cells,) run over the interpolated classes in order."""
    edges: list[FloatArray | None] = []
    start = 0
    for borders in cells.edges:
        if borders is None:
            edges.append(None)
            continue
        n_cells = borders.size - 1
        edges.append(_split(borders, 1 + coarse[start : start + n_cells].astype(int)))
        start += n_cells
    return replace(cells, edges=tuple(edges))
