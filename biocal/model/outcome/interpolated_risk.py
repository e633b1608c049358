"""Points at which log M is evaluated, and its interpolation from them to persons and to places between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.model.outcome.induced_law import (
    ExposureBasis,
    ExposureLaw,
    InducedRisk,
    RiskTerms,
    own_coefficients,
    take_rows,
)
from biocal.model.outcome.induced_risk import NodeRisk
from biocal.model.outcome.interpolation import DEGREE, GridCells, GridPlan, refine

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Points of a cell on [0, 1], and how they follow one another.
_PLACES = (1.0 - np.cos(np.pi * np.arange(DEGREE + 1) / DEGREE)) / 2.0
_STEPS = np.arange(DEGREE + 1, dtype=np.int32)
#: Powers of the place on [-1, 1] by this are the weights of the points; they lose two digits of sixteen.
_WEIGHTS_OF_POWERS = np.linalg.inv(np.vander(2 * _PLACES - 1, increasing=True))
#: Where the interpolation is tried: half way between the points.
_PROBES = (_PLACES[1:] + _PLACES[:-1]) / 2.0
#: Persons whose weights are computed at a time: they stay in a core's cache.
_CHUNK = 4096
#: Interpolation errors allowed in log M and, relative to a column's spread, in its gradient (our choice:
#: summed over the persons they stay far below what the Newton ascent leaves).
INTERPOLATION_TOLERANCE = 1e-9
#: Scale of the errors, as a share of the largest value, below which they would be rounding.
_NO_FINER = 1e-5
#: Times that cells are halved before every person is evaluated instead.
_REFINEMENTS = 8


@dataclass(frozen=True, slots=True)
class GridPoints:
    """Points of evaluation and the way from them to the persons, or to the probes.

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


def grid_points(
    plan: GridPlan, law: ExposureLaw, multipliers: FloatArray, rows: IntArray | None, n: int
) -> GridPoints:
    """Lay out the points of a located plan and the operator that interpolates to its persons.

    Parameters
    ----------
    plan : GridPlan
    law : ExposureLaw
        Of the plan's persons.
    multipliers : ndarray
        Their A.
    rows : ndarray of int, or None
        Which of `n` persons they are, in increasing order, the others' rows being empty; None for all.
    n : int
    """
    assert plan.cell is not None
    cell, points = plan.cell, cell_points(plan.cells)
    low, high = plan.cells.borders()
    width = high - low
    # Places run from -1 to 1; a cell without width has one value.
    scale = np.divide(2.0, width, out=np.zeros(width.size), where=width > 0)
    place = (law.mean - low[cell]) * scale[cell] - 1.0
    weights = _weights(place)
    columns = plan.cells.first_points()[cell][:, None] + _STEPS
    own = np.flatnonzero(cell < 0)
    if own.size:
        weights[own] = np.eye(1, DEGREE + 1)
        columns[own] = points.law.mean.size + np.arange(own.size)[:, None]
        mean, group = points.law.mean, points.law.group
        added = law.take(own)
        points = GridPoints(
            replace(law, mean=np.append(mean, added.mean), group=np.append(group, added.group)),
            np.concatenate([points.multipliers, take_rows(multipliers, own)], axis=1),
            None,
        )
    return replace(points, operator=_operator(weights, columns, points.law.mean.size, rows, n))


def cell_points(cells: GridCells) -> GridPoints:
    """The points of all cells, class by class; the operator is the identity, and not there."""
    places = [np.append(_in_cells(edges, _PLACES[:-1]), edges[-1]) for _, edges in cells.cut()]
    return _points(cells, places, None)


def probe_points(cells: GridCells) -> GridPoints:
    """Places between the points of every cell, class by class, and the operator that interpolates to them."""
    places = [_in_cells(edges, _PROBES) for _, edges in cells.cut()]
    columns = np.repeat(cells.first_points(), _PROBES.size)[:, None] + _STEPS
    weights = np.tile(_weights(2 * _PROBES - 1), (columns.shape[0] // _PROBES.size, 1))
    return _points(cells, places, _operator(weights, columns, cells.n_points))


def _points(cells: GridCells, places: list[FloatArray], operator: Any) -> GridPoints:
    """Points at the places of each class, with its law and its row of A."""
    like = np.repeat([c for c, _ in cells.cut()], [place.size for place in places])
    law = replace(cells.law.take(like), mean=np.concatenate(places))
    return GridPoints(law, take_rows(cells.multipliers, like), operator)


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


def cell_errors(
    cells: GridCells,
    basis: ExposureBasis,
    nodes: int,
    coefficients: FloatArray,
    risk: InducedRisk | None = None,
) -> FloatArray:
    """Largest error of each cell at exposure coefficients (1 + km, K), in units of what is aimed at: (n_cells,).

    In log M absolute, in its gradient relative to the spread of the column (both no finer than rounding
    leaves them).  `risk` is that of the cells' points, where it is there already.
    """
    points, probes = cell_points(cells), probe_points(cells)
    if risk is None:
        risk = NodeRisk(points.law, basis, nodes=nodes)
    at_points = risk.terms(own_coefficients(coefficients, points.multipliers), covariance=False)
    exact = NodeRisk(probes.law, basis, nodes=nodes).terms(
        own_coefficients(coefficients, probes.multipliers), covariance=False
    )
    table = np.vstack([at_points.log_risk, at_points.mean])
    rounding = _NO_FINER * np.abs(table).max(axis=1)
    scale = np.append(1.0, np.ptp(at_points.mean, axis=1))
    return worst_by_cell(exact, (probes.operator @ table.T).T, np.maximum(scale, rounding))


def refined_plan(
    plan: GridPlan,
    basis: ExposureBasis,
    nodes: int,
    coefficients: FloatArray,
    risk: InducedRisk | None = None,
) -> GridPlan | None:
    """A plan whose errors at these coefficients are within INTERPOLATION_TOLERANCE; itself, or None in vain.

    `risk` as for :func:`cell_errors`.
    """
    cells = plan.cells
    for _ in range(_REFINEMENTS):
        coarse = cell_errors(cells, basis, nodes, coefficients, risk) > INTERPOLATION_TOLERANCE
        if not coarse.any():
            return plan if cells is plan.cells else GridPlan(cells, None)
        cells, risk = refine(cells, coarse), None
    return None


def _in_cells(edges: FloatArray, places: FloatArray) -> FloatArray:
    """The same places (0 to 1) in every cell, cell by cell."""
    return np.asarray((edges[:-1, None] + np.diff(edges)[:, None] * places).ravel())


def _weights(place: FloatArray) -> FloatArray:
    """Lagrange's polynomials of the points at places (n,) of [-1, 1]: shape (n, degree + 1)."""
    weights = np.empty((place.size, DEGREE + 1))
    powers = np.ones((DEGREE + 1, min(_CHUNK, place.size)))
    for start in range(0, place.size, _CHUNK):
        part = powers[:, : min(_CHUNK, place.size - start)]
        part[1] = place[start : start + _CHUNK]
        for k in range(2, DEGREE + 1):
            np.multiply(part[k - 1], part[1], out=part[k])
        np.matmul(part.T, _WEIGHTS_OF_POWERS, out=weights[start : start + _CHUNK])
    return weights


def _operator(
    weights: FloatArray,
    columns: NDArray[np.int32],
    n_points: int,
    rows: IntArray | None = None,
    n: int = 0,
) -> Any:
    """Sparse array with the given weights (m, degree + 1) in the given columns.

    Its rows are these, or have them as `rows` of `n`, the others being empty.
    """
    from scipy.sparse import csr_array

    if rows is None:
        ends = np.arange(0, weights.size + 1, weights.shape[1], dtype=np.int32)
    else:
        ends = np.zeros(n + 1, dtype=np.int32)
        ends[rows + 1] = weights.shape[1]
        np.cumsum(ends, out=ends)
    return csr_array((weights.ravel(), columns.ravel(), ends), shape=(ends.size - 1, n_points))
