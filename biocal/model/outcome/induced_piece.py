"""The induced likelihood of some blocks of sets: everything it needs of their persons, gathered once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.sets.layout import SetBlock
from biocal.kernels.sets.likelihood import block_terms, case_residuals
from biocal.kernels.sets.spread import spread_of_sets
from biocal.model.outcome.induced_law import ExposureBasis, ExposureLaw, take_rows
from biocal.model.outcome.induced_persons import PersonRiskTerms, RiskGrid, lay_out_risks

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class InducedDesign:
    """Columns of the outcome model, the exposure's apart.

    Attributes
    ----------
    multipliers : ndarray, shape (1 + km, n)
        A: a row of ones and the effect modifier's columns.
    exposure_positions : ndarray of int, shape (1 + km, K)
        Positions in beta of the exposure's coefficients and of their products with each modifier column.
    others : ndarray, shape (kz, n)
        Columns that enter as they are: covariates and the modifier's main effects.
    other_positions : ndarray of int, shape (kz,)
        Their positions in beta.
    """

    multipliers: FloatArray
    exposure_positions: IntArray
    others: FloatArray
    other_positions: IntArray

    @property
    def n_columns(self) -> int:
        """p."""
        return int(self.exposure_positions.size + self.other_positions.size)

    def take(self, persons: IntArray) -> InducedDesign:
        """The design of some persons, repeats allowed."""
        return InducedDesign(
            take_rows(self.multipliers, persons),
            self.exposure_positions,
            self.others[:, persons],
            self.other_positions,
        )


@dataclass(frozen=True, slots=True)
class InducedTerms:
    """Log-likelihood and derivatives at one point.

    Attributes
    ----------
    loglik : float
    score : ndarray, shape (p,)
    information : ndarray, shape (p, p)
        Observed: minus the Hessian.
    expected : ndarray, shape (p, p)
        Cov(T) summed over the sets, positive semi-definite.
    """

    loglik: float
    score: FloatArray
    information: FloatArray
    expected: FloatArray


@dataclass(frozen=True, slots=True)
class PieceDetails:
    """What the sandwich needs of a piece's sets and persons.

    Attributes
    ----------
    terms : InducedTerms
        Of the piece.
    sets : ndarray of int, shape (k,)
        Its sets.
    set_scores, largest_slopes : ndarray, shape (p, k)
        U_j, and the largest absolute slope of the set's persons.
    persons : ndarray of int, shape (m,)
        Row numbers of its persons.
    residual : ndarray, shape (m,)
    slope, by_mean, by_variance : ndarray, shape (p, m)
        As in :class:`~biocal.model.outcome.induced.InducedDetails`.
    spread : ndarray, shape (q, k), or None
        See :func:`~biocal.kernels.sets.spread.spread_of_sets`.
    """

    terms: InducedTerms
    sets: IntArray
    set_scores: FloatArray
    largest_slopes: FloatArray
    persons: IntArray
    residual: FloatArray
    slope: FloatArray
    by_mean: FloatArray
    by_variance: FloatArray
    spread: FloatArray | None = None


class InducedPiece:
    """The induced likelihood of neighbouring blocks.

    Parameters
    ----------
    blocks : sequence of SetBlock
    design : InducedDesign
    law : ExposureLaw
        Both of all n persons.
    basis : ExposureBasis
    nodes : int
    grid : RiskGrid
        Where log M is interpolated.

    Notes
    -----
    Persons are rearranged once into the blocks' order, so that every block is a view.
    """

    def __init__(
        self,
        blocks: Sequence[SetBlock],
        design: InducedDesign,
        law: ExposureLaw,
        basis: ExposureBasis,
        *,
        nodes: int,
        grid: RiskGrid,
    ) -> None:
        self._blocks, self.n_columns = blocks, design.n_columns
        self._order = np.concatenate([np.zeros(0, dtype=np.intp), *(block.rows.ravel() for block in blocks)])
        self._design = design.take(self._order)
        self._smearing = law.residuals is not None
        self._risks = lay_out_risks(
            law.take(self._order), self._design.multipliers, basis, nodes=nodes, interpolate=grid
        )
        self._columns = np.empty((self.n_columns, self._order.size))
        self._columns[design.other_positions] = self._design.others

    @property
    def grid(self) -> RiskGrid:
        """What lays out the same points of evaluation again."""
        return self._risks.grid

    def evaluate(self, beta: FloatArray) -> InducedTerms:
        """Log-likelihood, score and both informations at beta (p,)."""
        return self._sweep(beta, np.zeros(self._order.size))

    def details(self, beta: FloatArray, directions: FloatArray | None = None) -> PieceDetails:
        """Terms by set and by person at beta (p,), and the spread along `directions` (p, K)."""
        p, size = self.n_columns, self._order.size
        residual, slope = np.zeros(size), np.zeros((p, size))
        scores: list[FloatArray] = []
        terms = self._sweep(beta, residual, slope, scores)
        largest = [
            np.abs(slope[:, part].reshape(p, *block.rows.shape)).max(axis=1) for block, part in self._parts()
        ]
        by_mean, by_variance = self._by_law(beta, residual, slope)
        real = self._real()
        return PieceDetails(
            terms,
            np.concatenate([np.zeros(0, dtype=np.intp), *(block.sets for block in self._blocks)]),
            np.concatenate([np.zeros((p, 0)), *scores], axis=1),
            np.concatenate([np.zeros((p, 0)), *largest], axis=1),
            self._order[real],
            residual[real],
            slope[:, real],
            by_mean[:, real],
            by_variance[:, real],
            None if directions is None else self._spread(slope, directions),
        )

    def _spread(self, slope: FloatArray, directions: FloatArray) -> FloatArray:
        """Packed A' Cov(T) A of all sets, from the slopes (p, N) in the blocks' order."""
        found = [np.zeros((directions.shape[1] * (directions.shape[1] + 1) // 2, 0))]
        for block, part in self._parts():
            shape = (self.n_columns, *block.rows.shape)
            columns = self._columns[:, part].reshape(shape)
            found.append(spread_of_sets(directions, slope[:, part].reshape(shape), columns))
        return np.concatenate(found, axis=1)

    def columns(self, beta: FloatArray) -> tuple[IntArray, FloatArray]:
        """Row numbers of the persons (m,), and gradients s_i of their log relative risks at beta (p, m)."""
        self._predict(beta)
        real = self._real()
        return self._order[real], self._columns[:, real]

    def refine(self, beta: FloatArray) -> bool:
        """Make the interpolation of log M accurate at beta (p,); whether anything changed."""
        before = self._risks
        self._risks = before.refined(beta[self._design.exposure_positions])
        return self._risks is not before

    def _sweep(
        self,
        beta: FloatArray,
        residual: FloatArray,
        slope: FloatArray | None = None,
        set_scores: list[FloatArray] | None = None,
    ) -> InducedTerms:
        """Sum over the blocks; fills residual (N,) and, when given, slope (p, N), and adds to set_scores."""
        p = self.n_columns
        risks, eta = self._predict(beta)
        loglik, score, expected = 0.0, np.zeros(p), np.zeros((p, p))
        for block, part in self._parts():
            shape = block.rows.shape
            columns = self._columns[:, part].reshape(p, *shape)
            terms = block_terms(block, eta[part].reshape(shape), columns, persons=True)
            assert terms.information is not None
            loglik += float(terms.loglik.sum())
            score += terms.score.sum(axis=-1)
            expected += terms.information
            of_persons, slope_of_persons = case_residuals(block, terms)
            residual[part] = _without_padding(block, of_persons).ravel()
            if slope is not None and set_scores is not None:
                slope[:, part] = _without_padding(block, slope_of_persons).reshape(p, -1)
                set_scores.append(terms.score)
        flat = self._design.exposure_positions.ravel()
        information = expected.copy()
        information[np.ix_(flat, flat)] -= self._risks.curvature(risks, residual).reshape(
            flat.size, flat.size
        )
        return InducedTerms(loglik, score, information, expected)

    def _predict(self, beta: FloatArray) -> tuple[PersonRiskTerms, FloatArray]:
        """Risks and log relative risks (N,) in the blocks' order; fills the exposure's columns."""
        design = self._design
        risks = self._risks.evaluate(beta[design.exposure_positions])
        self._columns[design.exposure_positions[0]] = risks.gradient
        for positions, multiplier in zip(design.exposure_positions[1:], design.multipliers[1:], strict=True):
            self._columns[positions] = risks.gradient * multiplier
        return risks, risks.log_risk + beta[design.other_positions] @ design.others

    def _parts(self) -> list[tuple[SetBlock, slice]]:
        """Blocks, and where their persons stand."""
        parts, start = [], 0
        for block in self._blocks:
            parts.append((block, slice(start, start + block.rows.size)))
            start += block.rows.size
        return parts

    def _by_law(
        self, beta: FloatArray, residual: FloatArray, slope: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Persons' parts of dU / d mu and dU / d sigma^2, (p, N) each, in the blocks' order."""
        if self._smearing:
            nothing = np.full(slope.shape, np.nan)
            return nothing, nothing
        design = self._design
        found = self._risks.sensitivity(beta[design.exposure_positions])
        pairs = []
        for log_by, gradient_by in (
            (found.by_mean, found.gradient_by_mean),
            (found.by_variance, found.gradient_by_variance),
        ):
            part = -slope * log_by
            for positions, multiplier in zip(design.exposure_positions, design.multipliers, strict=True):
                part[positions] += residual * multiplier * gradient_by
            pairs.append(part)
        return pairs[0], pairs[1]

    def _real(self) -> NDArray[np.bool_] | slice:
        """Which of the persons in the blocks' order are no padding."""
        if all(block.real is None for block in self._blocks):
            return slice(None)
        return np.concatenate(
            [
                np.ones(block.rows.size, dtype=bool) if block.real is None else block.real.ravel()
                for block in self._blocks
            ]
        )


def _without_padding(block: SetBlock, values: FloatArray) -> FloatArray:
    """Values (..., n_rows, n_sets) with 0 in the padding."""
    return values if block.real is None else np.where(block.real, values, 0.0)
