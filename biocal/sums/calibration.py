"""The calibration of all studies from their moments: the pooled least squares of fit_calibration without its rows.

Every study has an intercept and a slope of its own, so that columns may be taken about each study's means: in
these coordinates intercepts separate, and the normal equations lose no digits to large means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.calibration.regression import (
    MIN_PAIRS,
    PAIRS_ARE_NEEDED,
    CalibrationLayout,
    lay_out_parameters,
)
from biocal.errors import CalibrationDesignError
from biocal.kernels.newton import collinear_columns
from biocal.sums.records import CalibrationMoments, StudyLine

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: 1 - R^2 of a column on those before it, from sums of products, below which it is a combination of them.
_COLLINEAR_PIVOT = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class SummedCalibration:
    """The calibration as sums tell it.

    Attributes
    ----------
    names : tuple of str, length L
        Local studies.
    gamma : ndarray, shape (G,)
    inverse_bread : ndarray, shape (G, G)
    layout : CalibrationLayout
    dropped : tuple of (study, column) int pairs
        As in :class:`~biocal.calibration.regression.CalibrationFit`.
    moments : tuple of CalibrationMoments
    variance, freedom : ndarray, shape (L,)
        NaN until the residual sums have come.
    """

    names: tuple[str, ...]
    gamma: FloatArray
    inverse_bread: FloatArray
    layout: CalibrationLayout
    dropped: tuple[tuple[int, int], ...]
    moments: tuple[CalibrationMoments, ...]
    variance: FloatArray
    freedom: FloatArray

    def coefficients(self) -> FloatArray:
        """Coefficients of the columns in each study, shape (L, k)."""
        return np.asarray(np.append(self.gamma, 0.0)[self.layout.position])

    def positions(self, study: int) -> IntArray:
        """Parameters of a study's persons, in the order of their columns."""
        position = self.layout.position[study]
        return np.asarray(position[position >= 0])

    def lines(self) -> dict[str, StudyLine]:
        """What is needed to compute from the rows of each study."""
        coefficients, found = self.coefficients(), {}
        for s, name in enumerate(self.names):
            own = self.positions(s)
            known = bool(np.isfinite(self.variance[s]))
            found[name] = StudyLine(
                self.layout.position[s] >= 0,
                coefficients[s],
                self.inverse_bread[np.ix_(own, own)],
                float(self.variance[s]) if known else None,
                float(self.freedom[s]) if known else None,
            )
        return found

    def residual_sums(self, name: str) -> tuple[float, float]:
        """Residual sum of squares and sum of 1 - h of a study, as they follow from its moments."""
        s = self.names.index(name)
        one, own = self.moments[s], self.positions(s)
        intercept, *slopes = self.coefficients()[s]
        b = np.asarray(slopes)
        left = one.response_mean - intercept - float(b @ one.means)
        rss = one.response_square - 2 * float(b @ one.response_products) + float(b @ one.products @ b)
        kept = self.layout.position[s, 1:] >= 0
        leverage = float(np.sum(self.inverse_bread[np.ix_(own, own)] * _uncentred(one, kept)))
        return max(rss, 0.0) + one.n * left**2, one.n - leverage

    def with_residual_sums(self, rss: FloatArray, freedom: FloatArray) -> SummedCalibration:
        """The same with residual variances, from sums of squares and of 1 - h by study, (L,) each.

        Raises
        ------
        CalibrationDesignError
            A study has as many coefficients as pairs.
        """
        short = [name for name, left in zip(self.names, freedom, strict=True) if left < 0.5]
        if short:
            raise CalibrationDesignError(
                f"the calibration of {', '.join(short)} has as many coefficients as pairs; use fewer calibration "
                "covariates, or common coefficients",
                studies=tuple(short),
            )
        return replace(self, variance=rss / freedom, freedom=freedom)

    def covariance(self) -> FloatArray:
        """Least-squares covariance with each study's own residual variance, (G, G)."""
        meat = np.zeros_like(self.inverse_bread)
        for s, moments in enumerate(self.moments):
            own = self.positions(s)
            kept = self.layout.position[s, 1:] >= 0
            meat[np.ix_(own, own)] += self.variance[s] * _uncentred(moments, kept)
        return np.asarray(self.inverse_bread @ meat @ self.inverse_bread.T)


def _uncentred(moments: CalibrationMoments, kept: BoolArray) -> FloatArray:
    """Sum of C_i C_i' of one study about 0."""
    means = np.append(1.0, moments.means[kept])
    total = moments.n * np.outer(means, means)
    total[1:, 1:] += moments.products[np.ix_(kept, kept)]
    return np.asarray(total)


def solve_calibration(
    studies: Mapping[str, CalibrationMoments], *, by_study: bool
) -> SummedCalibration | None:
    """Least squares of all local studies from their moments; None when there are none.

    Parameters
    ----------
    studies : mapping of str to CalibrationMoments
        In the order of the parameters.
    by_study : bool
        Whether covariates have coefficients of their own in each study.

    Raises
    ------
    CalibrationDesignError
        Few pairs or constant local values.
    """
    if not studies:
        return None
    names, moments = tuple(studies), tuple(studies.values())
    _require_lines(studies)
    k = moments[0].means.size + 1
    layout = lay_out_parameters(len(names), k, np.arange(len(names)), by_study=by_study)
    layout, dropped = _without_collinear(layout, moments, by_study=by_study)
    size = layout.n_parameters
    gram, right, back = np.zeros((size, size)), np.zeros(size), np.eye(size)
    for s, one in enumerate(moments):
        intercept, others = layout.position[s, 0], layout.position[s, 1:]
        kept = others >= 0
        own = others[kept]
        gram[intercept, intercept] = one.n
        gram[np.ix_(own, own)] += one.products[np.ix_(kept, kept)]
        right[intercept] = one.n * one.response_mean
        right[own] += one.response_products[kept]
        back[intercept, own] = -one.means[kept]
    scale = 1.0 / np.sqrt(np.diagonal(gram))
    inverse = np.linalg.inv(gram * np.outer(scale, scale)) * np.outer(scale, scale)
    inverse = (inverse + inverse.T) / 2
    gamma = back @ (scale * np.linalg.solve(gram * np.outer(scale, scale), scale * right))
    unknown = np.full(len(names), np.nan)
    return SummedCalibration(
        names, gamma, back @ inverse @ back.T, layout, dropped, moments, unknown, unknown
    )


def _require_lines(studies: Mapping[str, CalibrationMoments]) -> None:
    problems = []
    for name, one in studies.items():
        if one.n < MIN_PAIRS:
            problems.append(f"study {name}: calibration pairs: {one.n}, at least {MIN_PAIRS} are needed")
        elif one.products[0, 0] <= 0:
            problems.append(f"study {name}: all {one.n} calibrated persons have the same local value")
    if problems:
        raise CalibrationDesignError("; ".join(problems) + PAIRS_ARE_NEEDED, studies=tuple(studies))


def _without_collinear(
    layout: CalibrationLayout, moments: tuple[CalibrationMoments, ...], *, by_study: bool
) -> tuple[CalibrationLayout, tuple[tuple[int, int], ...]]:
    """Take out covariates' parameters whose columns are combinations of those before them."""
    n_studies, k = layout.position.shape
    gram = np.zeros((layout.n_parameters, layout.n_parameters))
    for s, one in enumerate(moments):
        others = layout.position[s, 1:]
        gram[layout.position[s, 0], layout.position[s, 0]] = one.n
        gram[np.ix_(others, others)] += one.products
    flagged = collinear_columns(gram, pivot=_COLLINEAR_PIVOT)
    flagged[layout.position[:, :2].ravel()] = False
    if not flagged.any():
        return layout, ()
    renumber = np.full(layout.n_parameters + 1, -1, dtype=np.intp)
    kept = np.flatnonzero(~flagged)
    renumber[kept] = np.arange(kept.size)
    dropped: list[tuple[int, int]] = []
    for column in range(2, k):
        studies = range(n_studies) if by_study and n_studies > 1 else range(1)
        named = by_study and n_studies > 1
        dropped += [(s if named else -1, column) for s in studies if flagged[layout.position[s, column]]]
    return (
        CalibrationLayout(renumber[layout.position], kept.size, layout.n_groups, layout.group_study),
        tuple(dropped),
    )
