"""How the information about some coefficients is spread over the independent units.

With B the information of all coefficients, L the unit vectors of K of them and A = B^-1 L, a unit with covariance C_u
of its subset's sum T (of several sets: summed) has D_u = A' C_u A.  A contrast c of the K coefficients has the
model-based variance v, the sum of v_u = c'D_u c, and by information v^2 / (sum of v_u^2) units: the number of equal
ones that would estimate v as well.

Matrices are packed: their K (K + 1) / 2 elements on and above the diagonal, row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Units are kept by number whose share of some contrast may be above this (our choice); at most K over it are.
LEAST_SHARE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class SetSpread:
    """Sums over the units, and the largest of them.

    Attributes
    ----------
    size : int
        K.
    total : ndarray, shape (q,)
        Sum of D_u, packed, q = K (K + 1) / 2.
    squares : ndarray, shape (q, q)
        Sum of the packed D_u times their transpose.
    units : ndarray of int, shape (m,)
        Units with a share above `LEAST_SHARE` in some contrast.
    largest : ndarray, shape (q, m)
        Their D_u, packed.
    names : tuple of (str, str)
        Their study and set id, where they are known; else empty.
    """

    size: int
    total: FloatArray
    squares: FloatArray
    units: IntArray
    largest: FloatArray
    names: tuple[tuple[str, str], ...] = ()

    def effective(self, contrasts: FloatArray) -> FloatArray:
        """Units by information of contrasts (K, c): (c,); NaN where a contrast is 0."""
        weights = self._weights(contrasts)
        variance = self.total @ weights
        squares = np.einsum("qc,qr,rc->c", weights, self.squares, weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(squares > 0, variance * variance / squares, np.nan))

    def shares(self, contrast: FloatArray) -> FloatArray:
        """Shares of `units` in the variance of a contrast (K,), shape (m,)."""
        weights = self._weights(contrast[:, None])[:, 0]
        return np.asarray((weights @ self.largest) / (weights @ self.total))

    def _weights(self, contrasts: FloatArray) -> FloatArray:
        """c'Dc as a sum over the packed elements of D: (q, c)."""
        first, second = np.triu_indices(self.size)
        twice = np.where(first == second, 1.0, 2.0)
        return np.asarray(twice[:, None] * contrasts[first] * contrasts[second])


class SpreadByUnit:
    """D_u of units, added up as their sets pass by.

    Parameters
    ----------
    n_units : int
    size : int
        K.
    """

    def __init__(self, n_units: int, size: int) -> None:
        self._size = size
        self._packed = np.zeros((size * (size + 1) // 2, n_units))

    def add(self, unit: IntArray, packed: FloatArray) -> None:
        """Take in sets, or persons, with the units given (m,) and their parts (q, m)."""
        if (unit[1:] > unit[:-1]).all():
            self._packed[:, unit] += packed
            return
        for total, part in zip(self._packed, packed, strict=True):
            total += np.bincount(unit, weights=part, minlength=total.size)

    def found(self, directions: FloatArray, positions: IntArray) -> SetSpread:
        """The sums, and the units whose share in some contrast may be above `LEAST_SHARE`.

        No share of a unit is above tr(D^-1 D_u), with D = L'B^-1 L, `positions` (K,) of `directions` (p, K).
        """
        first, second = np.triu_indices(self._size)
        inverse = np.linalg.pinv(directions[positions], hermitian=True)
        twice = np.where(first == second, 1.0, 2.0) * inverse[first, second]
        units = np.flatnonzero(twice @ self._packed > LEAST_SHARE)
        return SetSpread(
            self._size,
            self._packed.sum(axis=1),
            self._packed @ self._packed.T,
            units,
            self._packed[:, units],
        )


def spread_of_sets(directions: FloatArray, slope: FloatArray, columns: FloatArray) -> FloatArray:
    """Packed D of each set of a block: (q, n_sets).

    Parameters
    ----------
    directions : ndarray, shape (p, K)
        A.
    slope : ndarray, shape (p, n_rows, n_sets)
        Cov(T, indicator of the person); sum over the persons of slope q' is Cov(T).
    columns : ndarray, shape (p, n_rows, n_sets)
        Score columns q, or their differences from one person of the set.
    """
    along, across = (_turned(directions, values) for values in (slope, columns))
    first, second = np.triu_indices(directions.shape[1])
    packed = np.empty((first.size, slope.shape[-1]))
    for row, a, b in zip(packed, first, second, strict=True):
        np.einsum("rn,rn->n", along[a], across[b], out=row)
    return packed


def spread_of_persons(directions: FloatArray, slope: FloatArray, columns: FloatArray) -> FloatArray:
    """Persons' parts of the packed D of their sets (q, n), from slope and columns (p, n)."""
    along, across = directions.T @ slope, directions.T @ columns
    first, second = np.triu_indices(directions.shape[1])
    return np.asarray(along[first] * across[second])


def merged_spread(parts: Sequence[SetSpread]) -> SetSpread:
    """The spread over units of several parts; units are numbered part after part."""
    starts = np.cumsum([0, *(int(part.units.max(initial=-1)) + 1 for part in parts)])
    return SetSpread(
        parts[0].size,
        np.sum([part.total for part in parts], axis=0),
        np.sum([part.squares for part in parts], axis=0),
        np.concatenate([part.units + start for part, start in zip(parts, starts, strict=False)]),
        np.concatenate([part.largest for part in parts], axis=1),
        tuple(name for part in parts for name in part.names),
    )


def _turned(directions: FloatArray, values: FloatArray) -> FloatArray:
    flat = values.reshape(values.shape[0], -1)
    return np.asarray((directions.T @ flat).reshape(-1, *values.shape[1:]))
