"""Exposure terms: how a dose enters the linear predictor, and what was learned from data to build it.

A *specification* (:class:`Linear`, :class:`RestrictedCubicSpline`, :class:`Categories`) is what a user
asks for; ``learn`` turns it into a *basis* that can compute columns and slopes anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.kernels.splines import (
    default_probabilities,
    quantile_knots,
    require_knots,
    spline_columns,
    spline_curvatures,
    spline_slopes,
)

FloatArray = NDArray[np.float64]

#: Ours: more categories than this are no longer categories.
MOST_CUTS = 100


@dataclass(frozen=True, slots=True)
class LinearBasis:
    """f(x) = x."""

    kind: str = field(default="linear", init=False)
    names: tuple[str, ...] = field(default=("exposure",), init=False)

    def columns(self, exposure: FloatArray) -> FloatArray:
        """Columns, shape (1, n)."""
        return np.asarray(exposure, dtype=float)[None, :]

    def slopes(self, exposure: FloatArray) -> FloatArray:
        """Derivatives, shape (1, n)."""
        return np.ones((1, np.size(exposure)))

    def curvatures(self, exposure: FloatArray) -> FloatArray:
        """Second derivatives, shape (1, n)."""
        return np.zeros((1, np.size(exposure)))

    def describe(self, unit: str = "") -> str:
        """One phrase for summaries."""
        return f"linear, per {unit or 'unit'}"


@dataclass(frozen=True, slots=True)
class SplineBasis:
    """Restricted cubic spline with known knots.

    Attributes
    ----------
    knots : tuple of float, length K
        In the unit of the exposure.
    """

    knots: tuple[float, ...]
    kind: str = field(default="rcs", init=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Harrell's primes: exposure, exposure', exposure'', ..."""
        return tuple("exposure" + "'" * j for j in range(len(self.knots) - 1))

    def columns(self, exposure: FloatArray) -> FloatArray:
        """Columns, shape (K-1, n)."""
        return spline_columns(exposure, self.knots)

    def slopes(self, exposure: FloatArray) -> FloatArray:
        """Derivatives, shape (K-1, n)."""
        return spline_slopes(exposure, self.knots)

    def curvatures(self, exposure: FloatArray) -> FloatArray:
        """Second derivatives, shape (K-1, n)."""
        return spline_curvatures(exposure, self.knots)

    def describe(self, unit: str = "") -> str:
        """One phrase for summaries."""
        points = ", ".join(f"{knot:.5g}" for knot in self.knots)
        return f"restricted cubic spline, {len(self.knots)} knots at {points}{' ' + unit if unit else ''}"


@dataclass(frozen=True, slots=True)
class CategoryBasis:
    """Indicators of half-open categories [low, high), one category as reference.

    Attributes
    ----------
    cuts : tuple of float
        Cut points on the reference scale.
    reference : int
        Position of the reference category, 0 the lowest.
    """

    cuts: tuple[float, ...]
    reference: int
    kind: str = field(default="categories", init=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """All categories, lowest first."""
        return category_labels(self.cuts)

    @property
    def names(self) -> tuple[str, ...]:
        """Terms of the categories other than the reference."""
        return tuple(f"exposure{label}" for k, label in enumerate(self.labels) if k != self.reference)

    def codes(self, exposure: FloatArray) -> NDArray[np.intp]:
        """Category of each exposure, shape (n,)."""
        return np.searchsorted(np.asarray(self.cuts), np.asarray(exposure, dtype=float), side="right")

    def columns(self, exposure: FloatArray) -> FloatArray:
        """Indicators, shape (number of categories - 1, n)."""
        kept = np.array([k for k in range(len(self.cuts) + 1) if k != self.reference])
        return np.asarray(self.codes(exposure)[None, :] == kept[:, None], dtype=float)

    def slopes(self, exposure: FloatArray) -> FloatArray:
        """Zero: a step has no slope; the sandwich treats the categories as fixed."""
        return np.zeros((len(self.cuts), np.size(exposure)))

    def curvatures(self, exposure: FloatArray) -> FloatArray:
        """Zero, as the slopes."""
        return self.slopes(exposure)

    def describe(self, unit: str = "") -> str:
        """One phrase for summaries."""
        label = self.labels[self.reference]
        return f"{len(self.labels)} categories{' (' + unit + ')' if unit else ''}, reference {label}"


Basis = LinearBasis | SplineBasis | CategoryBasis


@dataclass(frozen=True, slots=True)
class Linear:
    """Specification of a linear term; see :func:`linear`."""

    kind: str = field(default="linear", init=False)
    needs_data: bool = field(default=False, init=False)

    def learn(self, exposure: FloatArray | None = None) -> LinearBasis:
        """Return the basis; nothing is learned."""
        return LinearBasis()


@dataclass(frozen=True, slots=True)
class RestrictedCubicSpline:
    """Specification of a spline; see :func:`rcs`."""

    knots: tuple[float, ...] | None
    probabilities: tuple[float, ...] | None
    kind: str = field(default="rcs", init=False)

    @property
    def needs_data(self) -> bool:
        """True when the knots are quantiles."""
        return self.knots is None

    def learn(self, exposure: FloatArray | None = None) -> SplineBasis:
        """Place the knots.

        Parameters
        ----------
        exposure : ndarray, shape (n,), optional
            Exposure whose quantiles become knots; with given knots it is only used to check that
            they are not all on one side of the data.

        Raises
        ------
        OptionError
            Equal quantiles, or knots outside the data.
        """
        if self.knots is None:
            assert exposure is not None
            assert self.probabilities is not None
            return SplineBasis(tuple(float(t) for t in quantile_knots(exposure, self.probabilities)))
        if exposure is not None and exposure.size:
            low, high = float(exposure.min()), float(exposure.max())
            outside = [knot for knot in self.knots if not low <= knot <= high]
            if outside:
                raise OptionError(
                    f"knots {', '.join(f'{k:g}' for k in outside)} lie outside the exposure's range, "
                    f"{low:.6g} to {high:.6g}; give knots inside it, in the unit of the reference laboratory",
                    knots=outside,
                )
        return SplineBasis(self.knots)


@dataclass(frozen=True, slots=True)
class Categories:
    """Specification of categories; see :func:`categories`."""

    cuts: tuple[float, ...]
    reference: int
    kind: str = field(default="categories", init=False)
    needs_data: bool = field(default=False, init=False)

    def learn(self, exposure: FloatArray | None = None) -> CategoryBasis:
        """Return the basis; nothing is learned."""
        return CategoryBasis(self.cuts, self.reference)


ExposureSpecification = Linear | RestrictedCubicSpline | Categories


def linear() -> Linear:
    """A linear exposure term: one log odds ratio per unit.

    Returns
    -------
    Linear
        A specification for :func:`biocal.fit`.

    Examples
    --------
    >>> import biocal as bc
    >>> bc.linear().kind
    'linear'
    """
    return Linear()


def rcs(knots: int | Sequence[float] = 4, *, probs: Sequence[float] | None = None) -> RestrictedCubicSpline:
    """A restricted cubic spline of the exposure.

    Parameters
    ----------
    knots : int or sequence of float, default 4
        A number of knots (3 to 7), placed at Harrell's quantiles, or the knots themselves in the unit
        of the reference laboratory.
    probs : sequence of float, optional
        Probabilities of the quantiles instead of Harrell's; increasing, inside (0, 1).

    Returns
    -------
    RestrictedCubicSpline

    Raises
    ------
    OptionError
        Knots unsorted, equal, fewer than 3; probabilities outside (0, 1).

    References
    ----------
    .. [1] Harrell, Regression Modeling Strategies, 2nd ed., section 2.4.

    Examples
    --------
    >>> import biocal as bc
    >>> bc.rcs(3).probabilities
    (0.1, 0.5, 0.9)
    >>> bc.rcs(knots=[30, 50, 70]).knots
    (30.0, 50.0, 70.0)
    """
    if probs is not None:
        probabilities = np.asarray(probs, dtype=float)
        if probabilities.ndim != 1 or not ((probabilities > 0) & (probabilities < 1)).all():
            raise OptionError(f"knot probabilities must lie inside (0, 1), found {list(probs)}", probs=probs)
        require_knots(probabilities)
        return RestrictedCubicSpline(None, tuple(float(q) for q in probabilities))
    if isinstance(knots, (int, np.integer)):
        return RestrictedCubicSpline(None, default_probabilities(int(knots)))
    return RestrictedCubicSpline(tuple(float(t) for t in require_knots(list(knots))), None)


def categories(cuts: Sequence[float], *, reference: str | int = 0) -> Categories:
    """Categories of the exposure, half-open [low, high), by cut points on the reference scale.

    Parameters
    ----------
    cuts : sequence of float
        Increasing cut points; k of them make k + 1 categories.
    reference : str or int, default 0
        Reference category: its label, as in ``"[50, 75)"``, or its position from the lowest (0).

    Returns
    -------
    Categories
        A specification for :func:`biocal.fit`.

    Raises
    ------
    OptionError
        No, unsorted or equal cuts; an unknown reference (the message lists the labels).

    Examples
    --------
    >>> import biocal as bc
    >>> bc.categories([30, 50, 75], reference="[50, 75)").learn().names
    ('exposure(-inf, 30)', 'exposure[30, 50)', 'exposure[75, inf)')
    """
    points = np.asarray(list(cuts), dtype=float)
    if points.size < 1 or not np.isfinite(points).all() or (np.diff(points) <= 0).any():
        raise OptionError(f"cut points must be finite and increasing, found {list(cuts)}", cuts=list(cuts))
    if points.size > MOST_CUTS:
        raise OptionError(f"there are {MOST_CUTS} cut points at most, found {points.size:,}", cuts=points)
    kept = tuple(float(point) for point in points)
    labels = category_labels(kept)
    if isinstance(reference, str):
        wanted = "".join(reference.split())
        plain = ["".join(label.split()) for label in labels]
        if wanted not in plain:
            raise OptionError(
                f"reference category {reference!r} is not one of {', '.join(labels)}", allowed=labels
            )
        position = plain.index(wanted)
    else:
        position = int(reference)
        if not 0 <= position < len(labels):
            raise OptionError(
                f"reference category {reference} is not a position from 0 to {len(labels) - 1}",
                allowed=labels,
            )
    return Categories(kept, position)


def category_labels(cuts: Sequence[float]) -> tuple[str, ...]:
    """Labels of the categories, lowest first: "(-inf, 30)", "[30, 50)", ..., "[75, inf)"."""
    edges = [f"{cut:.15g}" for cut in cuts]
    inner = [f"[{low}, {high})" for low, high in pairwise(edges)]
    return (f"(-inf, {edges[0]})", *inner, f"[{edges[-1]}, inf)")
