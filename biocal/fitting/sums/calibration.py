"""The calibration of all studies from their moments: the pooled least squares of fit_calibration without its rows.

Every study has an intercept and a slope of its own, so that columns may be taken about each study's means: in
these coordinates intercepts separate, and the normal equations lose no digits to large means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import CalibrationDesignError
from biocal.fitting.sums.records import CalibrationMoments, ResidualSums, StudyLine
from biocal.kernels.newton import collinear_columns
from biocal.model.calibration.lines import (
    MIN_PAIRS,
    PAIRS_ARE_NEEDED,
    CalibrationLayout,
    lay_out_parameters,
)

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
        As in :class:`~biocal.model.calibration.lines.CalibrationFit`.
    moments : tuple of CalibrationMoments
    variance, freedom : ndarray, shape (n_groups,)
        NaN until the residual sums have come.
    columns : ndarray of bool, shape (k',)
        Which of the columns that parts have (1, W and the calibration covariates) are those of `moments`.
    by_group : tuple of ResidualSums or None, length L
        Once they have come.
    """

    names: tuple[str, ...]
    gamma: FloatArray
    inverse_bread: FloatArray
    layout: CalibrationLayout
    dropped: tuple[tuple[int, int], ...]
    moments: tuple[CalibrationMoments, ...]
    variance: FloatArray
    freedom: FloatArray
    columns: BoolArray
    by_group: tuple[ResidualSums | None, ...] = ()

    def coefficients(self) -> FloatArray:
        """Coefficients of the columns in each study, shape (L, k)."""
        return np.asarray(np.append(self.gamma, 0.0)[self.layout.position])

    def positions(self, study: int) -> IntArray:
        """Parameters of a study's persons, in the order of their columns."""
        position = self.layout.position[study]
        return np.asarray(position[position >= 0])

    def lines(self) -> dict[str, StudyLine]:
        """What is needed to compute from the rows of each study."""
        found = {}
        for s, name in enumerate(self.names):
            own, groups = self.positions(s), self.groups(s)
            known = bool(np.isfinite(self.variance[groups]).all())
            sums = self.by_group[s] if self.by_group else None
            kept, coefficients = np.zeros(self.columns.size, dtype=np.bool_), np.zeros(self.columns.size)
            kept[self.columns] = self.layout.position[s] >= 0
            coefficients[self.columns] = self.coefficients()[s]
            found[name] = StudyLine(
                kept,
                coefficients,
                self.inverse_bread[np.ix_(own, own)],
                self.variance[groups] if known else None,
                self.freedom[groups] if known else None,
                None if sums is None else sums.pairs,
            )
        return found

    def groups(self, study: int) -> IntArray:
        """Residual variances of a study, in the order of :attr:`layout`."""
        return np.flatnonzero(self.layout.group_study == study)

    def variance_of(self, study: int) -> float:
        """Residual variance of a study, over its levels of the effect modifier where they have their own."""
        groups = self.groups(study)
        total = (self.variance[groups] * self.freedom[groups]).sum()
        return float(total / self.freedom[groups].sum())

    def gram(self, name: str) -> FloatArray:
        """Sum of C_i C_i' over a study's pairs, of the columns that it keeps."""
        s = self.names.index(name)
        return _uncentred(self.moments[s], self.layout.position[s, 1:] >= 0)

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

    def with_residual_sums(self, sums: Mapping[str, ResidualSums]) -> SummedCalibration:
        """The same with residual variances, from the sums of each study.

        Raises
        ------
        CalibrationDesignError
            A study has as many coefficients as pairs.
        """
        rss, freedom = np.empty_like(self.variance), np.empty_like(self.variance)
        for s, name in enumerate(self.names):
            groups = self.groups(s)
            rss[groups], freedom[groups] = sums[name].rss, sums[name].freedom
        short = {self.names[self.layout.group_study[g]] for g in np.flatnonzero(freedom < 0.5)}
        if short:
            names = tuple(name for name in self.names if name in short)
            raise CalibrationDesignError(
                f"the calibration of {', '.join(names)} has as many coefficients as pairs; use fewer calibration "
                "covariates, or common coefficients",
                studies=names,
            )
        by_group = tuple(sums[name] for name in self.names)
        return replace(self, variance=rss / freedom, freedom=freedom, by_group=by_group)

    def covariance(self) -> FloatArray:
        """Least-squares covariance with each residual variance, (G, G)."""
        meat = np.zeros_like(self.inverse_bread)
        for s, moments in enumerate(self.moments):
            own, groups = self.positions(s), self.groups(s)
            kept = self.layout.position[s, 1:] >= 0
            sums = self.by_group[s] if self.by_group else None
            grams = [_uncentred(moments, kept)] if sums is None or sums.gram is None else list(sums.gram)
            for variance, gram in zip(self.variance[groups], grams, strict=True):
                meat[np.ix_(own, own)] += variance * gram
        return np.asarray(self.inverse_bread @ meat @ self.inverse_bread.T)


def _uncentred(moments: CalibrationMoments, kept: BoolArray) -> FloatArray:
    """Sum of C_i C_i' of one study about 0."""
    means = np.append(1.0, moments.means[kept])
    total = moments.n * np.outer(means, means)
    total[1:, 1:] += moments.products[np.ix_(kept, kept)]
    return np.asarray(total)


def solve_calibration(
    studies: Mapping[str, CalibrationMoments],
    *,
    by_study: bool,
    columns: BoolArray | None = None,
    variances: Mapping[str, int] | None = None,
) -> SummedCalibration | None:
    """Least squares of all local studies from their moments; None when there are none.

    Parameters
    ----------
    studies : mapping of str to CalibrationMoments
        In the order of the parameters.
    by_study : bool
        Whether covariates have coefficients of their own in each study.
    columns : ndarray of bool, shape (k,), optional
        Which of the columns (1 and W among them) are taken; default all.
    variances : mapping of str to int, optional
        Residual variances of each study; default one.

    Raises
    ------
    CalibrationDesignError
        Few pairs or constant local values.
    """
    if not studies:
        return None
    _require_lines(studies)
    names = tuple(studies)
    if columns is None:
        columns = np.ones(next(iter(studies.values())).means.size + 1, dtype=np.bool_)
    moments = tuple(one.take(columns[1:]) for one in studies.values())
    more = [np.full((variances or {}).get(name, 1) - 1, s) for s, name in enumerate(names)]
    group_study = np.concatenate([np.arange(len(names)), *more]).astype(np.intp)
    layout = lay_out_parameters(len(names), int(columns.sum()), group_study, by_study=by_study)
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
    unknown = np.full(layout.n_groups, np.nan)
    return SummedCalibration(
        names, gamma, back @ inverse @ back.T, layout, dropped, moments, unknown, unknown, columns
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
