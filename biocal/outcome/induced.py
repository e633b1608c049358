r"""Conditional likelihood with Prentice's induced relative risk in place of exp(b'f(exposure)).

Person i of a matched set has the log relative risk ``eta_i = Z_i'b_z + log M_i(b_i)``, with
``M_i(b) = E[exp(b'f(X)) | W_i, V_i, Y=0]`` and, under effect modification, exposure coefficients of
their own, ``b_i = sum_l A_il beta_l`` (A: 1 and the modifier's columns).  With s_i the gradient of
eta_i and T its sum over the drawn subset,

score        ``U = sum_i (y_i - pi_i) s_i``,
information  ``-d2 l = Cov(T) - sum_i (y_i - pi_i) d2 eta_i``,

and for a parameter c of the law of X (calibrated mean, residual variance)
``dU/dc = sum_i (y_i - pi_i) ds_i/dc - sum_i Cov(T, 1_i) d eta_i/dc``.
The likelihood need not be concave.

References
----------
Prentice.  Biometrika 1982;69:331-342.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.matched_set import block_terms, case_residuals
from biocal.kernels.set_layout import SetBlock, SetLayout
from biocal.outcome.induced_law import ExposureBasis, ExposureLaw
from biocal.outcome.induced_persons import PersonRiskTerms, lay_out_risks
from biocal.outcome.induced_risk import DEFAULT_NODES

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
            self.multipliers[:, persons],
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
class InducedDetails:
    """What the sandwich needs at the maximum.

    Attributes
    ----------
    terms : InducedTerms
    set_scores : ndarray, shape (p, n_sets)
    residual : ndarray, shape (n,)
        y_i - P(i is a case | the set); 0 outside informative sets.
    slope : ndarray, shape (p, n)
        Cov(T, indicator that i is a case).
    by_mean, by_variance : ndarray, shape (p, n)
        Person's part of dU / d mu_i and of dU / d sigma^2 of their group; 0 where the exposure is known,
        NaN under smearing, which has no such derivatives.
    """

    terms: InducedTerms
    set_scores: FloatArray
    residual: FloatArray
    slope: FloatArray
    by_mean: FloatArray
    by_variance: FloatArray


class InducedLikelihood:
    """Exact conditional likelihood of matched sets with an induced relative risk.

    Parameters
    ----------
    layout : SetLayout
        The matched sets.
    design : InducedDesign
        Columns of n persons.
    law : ExposureLaw
        Law of their exposure.
    basis : ExposureBasis
        f.
    nodes : int, default 20
        Gauss-Hermite nodes, where there is no closed form.
    interpolate : bool or None, default None
        Whether log M is interpolated in the calibrated mean; None: where it saves time.

    Notes
    -----
    Persons are rearranged once into the blocks' order, so that every block is a view.
    """

    def __init__(
        self,
        layout: SetLayout,
        design: InducedDesign,
        law: ExposureLaw,
        basis: ExposureBasis,
        *,
        nodes: int = DEFAULT_NODES,
        interpolate: bool | None = None,
    ) -> None:
        self.layout, self.n_columns = layout, design.n_columns
        self._order = _block_order(layout)
        self._design = design.take(self._order)
        self._law = law.take(self._order)
        self._smearing = law.residuals is not None
        self.risks = lay_out_risks(
            self._law, self._design.multipliers, basis, nodes=nodes, interpolate=interpolate
        )
        self._columns = np.empty((self.n_columns, self._order.size))
        self._columns[design.other_positions] = self._design.others

    def evaluate(self, beta: FloatArray) -> InducedTerms:
        """Log-likelihood, score and both informations at beta (p,)."""
        return self._sweep(beta, np.zeros(self._order.size))

    def details(self, beta: FloatArray) -> InducedDetails:
        """Terms by set and by person at beta (p,)."""
        p, size = self.n_columns, self._order.size
        set_scores, residual, slope = np.zeros((p, self.layout.n_sets)), np.zeros(size), np.zeros((p, size))
        terms = self._sweep(beta, residual, slope, set_scores)
        by_mean, by_variance = self._by_law(beta, residual, slope)
        return InducedDetails(
            terms,
            set_scores,
            self._to_persons(residual[None])[0],
            self._to_persons(slope),
            self._to_persons(by_mean),
            self._to_persons(by_variance),
        )

    def _sweep(
        self,
        beta: FloatArray,
        residual: FloatArray,
        slope: FloatArray | None = None,
        set_scores: FloatArray | None = None,
    ) -> InducedTerms:
        """Sum over the blocks; fills residual (N,) and, when given, slope (p, N) and set_scores (p, n_sets)."""
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
                set_scores[:, block.sets] = terms.score
        flat = self._design.exposure_positions.ravel()
        information = expected.copy()
        information[np.ix_(flat, flat)] -= self.risks.curvature(risks, residual).reshape(flat.size, flat.size)
        return InducedTerms(loglik, score, information, expected)

    def refine(self, beta: FloatArray) -> bool:
        """Make the interpolation of log M accurate at beta (p,); whether anything changed."""
        before = self.risks
        self.risks = before.refined(beta[self._design.exposure_positions])
        return self.risks is not before

    def columns(self, beta: FloatArray) -> FloatArray:
        """Gradient s_i of every person's log relative risk at beta: (p, n); 0 outside informative sets."""
        self._predict(beta)
        return self._to_persons(self._columns)

    def _predict(self, beta: FloatArray) -> tuple[PersonRiskTerms, FloatArray]:
        """Risks and log relative risks (N,) in the blocks' order; fills the exposure's columns."""
        design = self._design
        risks = self.risks.evaluate(beta[design.exposure_positions])
        self._columns[design.exposure_positions[0]] = risks.gradient
        for positions, multiplier in zip(design.exposure_positions[1:], design.multipliers[1:], strict=True):
            self._columns[positions] = risks.gradient * multiplier
        return risks, risks.log_risk + beta[design.other_positions] @ design.others

    def _parts(self) -> list[tuple[SetBlock, slice]]:
        """Blocks, and where their persons stand."""
        parts, start = [], 0
        for block in self.layout.blocks:
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
        found = self.risks.sensitivity(beta[design.exposure_positions])
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

    def _to_persons(self, values: FloatArray) -> FloatArray:
        """Values (k, N) in the blocks' order, back in the persons' (k, n); padding holds zeros."""
        placed = np.zeros((values.shape[0], self.layout.n_persons))
        for block, part in self._parts():
            rows = block.rows.ravel()
            if block.real is None:
                placed[:, rows] = values[:, part]
            else:
                real = block.real.ravel()
                placed[:, rows[real]] = values[:, part][:, real]
        return placed


def _block_order(layout: SetLayout) -> IntArray:
    """Persons in the order of the blocks, padding included: shape (N,)."""
    if not layout.blocks:
        return np.zeros(0, dtype=np.intp)
    return np.concatenate([block.rows.ravel() for block in layout.blocks])


def _without_padding(block: SetBlock, values: FloatArray) -> FloatArray:
    """Values (..., n_rows, n_sets) with 0 in the padding."""
    return values if block.real is None else np.where(block.real, values, 0.0)
