"""Interpolating log M in the calibrated mean, so that many persons share few evaluations.

For given coefficients and residual law, log M is a function of mu alone.  As Gauss-Hermite (or smearing)
nodes compute it, it is analytic in mu except where a node crosses a knot, ``mu = t_j - offset_k``: there
its third derivative jumps.  Cells are therefore cut at these places, and within a cell the function
and its derivatives are interpolated by polynomials of degree 5 through Chebyshev-Lobatto points.
What is left is measured, between the points of every cell (:func:`worst_by_cell`), and cells that miss
the tolerance are halved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.outcome.induced_law import ExposureBasis, ExposureLaw, RiskTerms
from biocal.outcome.induced_risk import node_offsets

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Degree of the interpolating polynomials, and their points on [0, 1].
_DEGREE = 5
_PLACES = (1.0 - np.cos(np.pi * np.arange(_DEGREE + 1) / _DEGREE)) / 2.0
#: Where the interpolation is tried: half way between the points.
_PROBES = (_PLACES[1:] + _PLACES[:-1]) / 2.0
#: Nodes that weigh less than this get no cell border of their own; the probes watch over them.
_NEGLIGIBLE = 1e-8
#: Borders closer than this share of sigma are one; the jump within is of the order of its cube.
_SAME = 1e-3
#: A class of persons is interpolated when it has this many times more persons than points.
_WORTH = 2.0
#: More laws than this among the persons (a continuous modifier) are not interpolated.
_MOST_CLASSES = 512


@dataclass(frozen=True, slots=True)
class GridPlan:
    """Where to evaluate for persons who fall into classes of one residual law and one row of A.

    Attributes
    ----------
    law : ExposureLaw
        Of the n persons.
    multipliers : ndarray, shape (1 + km, n)
    person_class : ndarray of int, shape (n,)
        Class 0..C-1.
    first : ndarray of int, shape (C,)
        A person of each class.
    edges : tuple of ndarray or None, length C
        Borders of each class's cells, increasing; None for a class evaluated person by person.
    """

    law: ExposureLaw
    multipliers: FloatArray
    person_class: IntArray
    first: IntArray
    edges: tuple[FloatArray | None, ...]


@dataclass(frozen=True, slots=True)
class GridPoints:
    """Points of evaluation and the way from them to the persons.

    Attributes
    ----------
    law : ExposureLaw
        Of G points.
    multipliers : ndarray, shape (1 + km, G)
    operator : sparse array, shape (n, G)
    """

    law: ExposureLaw
    multipliers: FloatArray
    operator: Any


def plan_grid(
    law: ExposureLaw,
    multipliers: FloatArray,
    basis: ExposureBasis,
    nodes: int,
    *,
    always: bool = False,
    edges: tuple[FloatArray | None, ...] | None = None,
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
    edges : tuple of ndarray or None, optional
        Those of an earlier plan for the same persons.
    """
    limit = law.mean.size if always or edges is not None else _MOST_CLASSES
    classes = _classes(law.group, multipliers, limit=limit)
    if classes is None:
        return None
    person_class, first = classes
    if edges is None:
        edges = _cut_classes(law, person_class, first, basis, nodes, always=always)
    if all(cells is None for cells in edges):
        return None
    return GridPlan(law, multipliers, person_class, first, edges)


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
        worth = always or persons[c] > _WORTH * (_DEGREE * (cells.size - 1) + 1)
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


def grid_points(plan: GridPlan) -> GridPoints:
    """Lay out the points of a plan and the operator that interpolates to its persons."""
    n = plan.person_class.size
    places: list[FloatArray] = []
    like: list[IntArray] = []
    columns, weights = np.zeros((n, _DEGREE + 1), dtype=np.int32), np.zeros((n, _DEGREE + 1))
    by_class = np.argsort(plan.person_class, kind="stable")
    ends = np.cumsum(np.bincount(plan.person_class, minlength=plan.first.size))
    start = 0
    for c, edges in enumerate(plan.edges):
        persons = by_class[ends[c - 1] if c else 0 : ends[c]]
        if edges is None:
            at = plan.law.mean[persons]
            columns[persons], weights[persons, 0] = start + np.arange(at.size)[:, None], 1.0
            like.append(persons)
        else:
            at = np.append(_cell_points(edges, _PLACES[:-1]), edges[-1])
            first, weight = _locate(edges, plan.law.mean[persons])
            columns[persons] = (start + first)[:, None] + np.arange(_DEGREE + 1)
            weights[persons] = weight.T
            like.append(np.full(at.size, plan.first[c]))
        places.append(at)
        start += at.size
    return _gather(plan, places, like, _sparse(weights, columns, start))


def probe_points(plan: GridPlan) -> GridPoints:
    """Places between the points of every cell, class by class, and the operator that interpolates to them."""
    places: list[FloatArray] = []
    like: list[IntArray] = []
    firsts: list[IntArray] = []
    persons = np.bincount(plan.person_class, minlength=plan.first.size)
    start = 0
    for c, edges in enumerate(plan.edges):
        if edges is None:
            start += int(persons[c])
            continue
        places.append(_cell_points(edges, _PROBES))
        firsts.append(start + _DEGREE * np.repeat(np.arange(edges.size - 1), _PROBES.size))
        like.append(np.full(places[-1].size, plan.first[c]))
        start += _DEGREE * (edges.size - 1) + 1
    columns = np.concatenate(firsts)[:, None] + np.arange(_DEGREE + 1)
    weights = np.tile(_lagrange(_PROBES).T, (columns.shape[0] // _PROBES.size, 1))
    return _gather(plan, places, like, _sparse(weights, columns, start))


def _gather(plan: GridPlan, places: list[FloatArray], like: list[IntArray], operator: Any) -> GridPoints:
    """Points at `places` with the law and the row of A of the persons they are `like`."""
    persons = np.concatenate(like)
    law = replace(plan.law.take(persons), mean=np.concatenate(places))
    return GridPoints(law, plan.multipliers[:, persons], operator)


def worst_by_cell(exact: RiskTerms, interpolated: FloatArray, scale: FloatArray) -> FloatArray:
    """Largest error of each cell over its probes and quantities, relative to `scale`: shape (n_cells,).

    Parameters
    ----------
    exact : RiskTerms
        At the probes.
    interpolated : ndarray, shape (1 + K, n_probes)
        log M and its gradient.
    scale : ndarray, shape (1 + K,)
    """
    difference = np.abs(interpolated - np.vstack([exact.log_risk, exact.mean])) / scale[:, None]
    return np.asarray(difference.max(axis=0).reshape(-1, _PROBES.size).max(axis=1))


def refine(plan: GridPlan, coarse: NDArray[np.bool_]) -> GridPlan:
    """The plan with some cells halved; flags (n_cells,) run over the interpolated classes in order."""
    edges: list[FloatArray | None] = []
    start = 0
    for borders in plan.edges:
        if borders is None:
            edges.append(None)
            continue
        n_cells = borders.size - 1
        edges.append(_split(borders, 1 + coarse[start : start + n_cells].astype(int)))
        start += n_cells
    return replace(plan, edges=tuple(edges))


def _cell_points(edges: FloatArray, places: FloatArray) -> FloatArray:
    """The same places (0 to 1) in every cell, cell by cell."""
    return np.asarray((edges[:-1, None] + np.diff(edges)[:, None] * places).ravel())


def _locate(edges: FloatArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """First point of the cell that holds each value, and the weights (degree + 1, n) of the cell's points."""
    cell = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, edges.size - 2)
    width = edges[cell + 1] - edges[cell]
    place = np.divide(values - edges[cell], width, out=np.zeros(values.size), where=width > 0)
    return _DEGREE * cell, _lagrange(place)


def _lagrange(place: FloatArray) -> FloatArray:
    """Lagrange's polynomials of the points at places (n,) of [0, 1]: shape (degree + 1, n)."""
    weights = np.ones((_DEGREE + 1, place.size))
    for j in range(_DEGREE + 1):
        gap = place - _PLACES[j]
        for i in range(_DEGREE + 1):
            if i != j:
                weights[i] *= gap / (_PLACES[i] - _PLACES[j])
    return weights


def _sparse(weights: FloatArray, columns: NDArray[Any], n_points: int) -> Any:
    """Sparse array (n, n_points) with the given weights (n, degree + 1) in the given columns."""
    from scipy.sparse import csr_array

    ends = np.arange(0, weights.size + 1, weights.shape[1], dtype=np.int32)
    content = (weights.ravel(), columns.astype(np.int32).ravel(), ends)
    return csr_array(content, shape=(weights.shape[0], n_points))
