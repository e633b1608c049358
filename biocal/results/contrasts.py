"""Contrasts of the coefficients that make a dose-response curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.results.model import ExposureBasis

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Points of a curve that is drawn: as many as the default grid of a fit (our choice).
_DRAWN_POINTS = 101


@dataclass(frozen=True, slots=True, eq=False)
class ResponseAxis:
    """Exposures of a curve and the one they are compared with.

    Attributes
    ----------
    exposure : ndarray, shape (m,)
        In the unit of the reference laboratory; positions 0..m-1 for categories.
    reference : float
        Reference exposure, or the position of the reference category.
    categories : tuple of str or None
        Labels when the exposure is categorised.
    """

    exposure: FloatArray
    reference: float
    categories: tuple[str, ...] | None


def response_axis(basis: ExposureBasis, exposure: FloatArray, reference: float) -> ResponseAxis:
    """The axis of a curve: the exposures given, or every category of a categorised exposure."""
    if basis.kind != "categories":
        return ResponseAxis(exposure, reference, None)
    labels: tuple[str, ...] = basis.labels  # type: ignore[attr-defined]
    position: int = basis.reference  # type: ignore[attr-defined]
    return ResponseAxis(np.arange(len(labels), dtype=float), float(position), labels)


def drawing_axis(basis: ExposureBasis, axis: ResponseAxis) -> ResponseAxis | None:
    """Exposures at which a curve is drawn when few were asked for; None when the axis will do.

    Straight lines between a handful of exposures would show corners that a spline does not have, and a
    band that does not close at the reference.
    """
    if basis.kind == "categories" or not 0 < axis.exposure.size < _DRAWN_POINTS:
        return None
    ends = np.append(axis.exposure, axis.reference)
    between = np.linspace(ends.min(), ends.max(), _DRAWN_POINTS)
    return ResponseAxis(np.union1d(between, ends), axis.reference, None)


def response_contrasts(
    basis: ExposureBasis,
    positions: IntArray,
    n_terms: int,
    axis: ResponseAxis,
    multipliers: Sequence[float] | FloatArray,
) -> FloatArray:
    """Contrasts l with log OR = l'beta.

    Parameters
    ----------
    basis : ExposureBasis
    positions : ndarray of int, shape (1 + km, K)
        Positions of the exposure terms, and of their products with each column of the modifier.
    n_terms : int
        p.
    axis : ResponseAxis
    multipliers : sequence of float, length 1 + km
        1 and the modifier's columns at the level shown.

    Returns
    -------
    ndarray, shape (p, m)
        Exactly 0 at the reference.
    """
    if axis.categories is not None:
        others = np.delete(axis.exposure, int(axis.reference))
        difference = (axis.exposure[None, :] == others[:, None]).astype(float)
    else:
        difference = basis.columns(axis.exposure) - basis.columns(np.array([axis.reference]))
    contrasts = np.zeros((n_terms, axis.exposure.size))
    for row, multiplier in zip(positions, multipliers, strict=True):
        contrasts[row] = multiplier * difference
    return contrasts
