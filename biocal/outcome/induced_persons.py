"""Induced relative risks of all persons of a study: at each person's own law, or through an interpolating grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.outcome.induced_grid import GridPlan, grid_points, plan_grid, probe_points, refine, worst_by_cell
from biocal.outcome.induced_law import ExposureBasis, ExposureLaw, InducedRisk, RiskSensitivity, RiskTerms
from biocal.outcome.induced_risk import DEFAULT_NODES, NodeRisk, induced_risk

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Interpolation errors allowed in log M and, relative to a column's spread, in its gradient (our choice:
#: summed over the persons they stay far below what the Newton ascent leaves).
INTERPOLATION_TOLERANCE = 1e-9
#: Scale of the errors, as a share of the largest value, below which they would be rounding.
_NO_FINER = 1e-5
#: Times that cells are halved before every person is evaluated instead.
_REFINEMENTS = 8


#: Whether to interpolate (None: where it saves time), or the borders of the cells, class by class.
RiskGrid = bool | None | tuple[FloatArray | None, ...]


@dataclass(frozen=True, slots=True)
class PersonRiskTerms:
    """Risks of n persons at one value of the coefficients.

    Attributes
    ----------
    log_risk : ndarray, shape (n,)
        log M_i(b_i); b_i'f(X_i) where the exposure is known.
    gradient : ndarray, shape (K, n)
        Derivative with respect to b_i.
    at_points : RiskTerms
        The same at the points of evaluation, with second derivatives.
    """

    log_risk: FloatArray
    gradient: FloatArray
    at_points: RiskTerms


@dataclass(frozen=True, slots=True)
class PersonRisks:
    """How the risks of n persons follow from those at the points where they are evaluated.

    Attributes
    ----------
    risk : InducedRisk
        Risks at G points.
    multipliers : ndarray, shape (1 + km, G)
        A at the points.
    uncertain : ndarray of int, or None
        Persons that the points serve; None for all.
    operator : sparse array, shape (n uncertain, G), or None
        Interpolates from the points to the persons; None when the points are the persons.
    known_multipliers, known_columns : ndarray, shape (1 + km, n known), (K, n known)
        A and f(X) of the other persons.
    known : ndarray of int, shape (n known,)
    plan : GridPlan or None
        The interpolation, if there is one.
    basis : ExposureBasis
    nodes : int
    """

    risk: InducedRisk
    multipliers: FloatArray
    uncertain: IntArray | None
    operator: Any
    known: IntArray
    known_multipliers: FloatArray
    known_columns: FloatArray
    plan: GridPlan | None
    basis: ExposureBasis
    nodes: int

    @property
    def grid(self) -> RiskGrid:
        """What :func:`lay_out_risks` needs to lay out the same points again."""
        return False if self.plan is None else self.plan.edges

    def evaluate(self, coefficients: FloatArray) -> PersonRiskTerms:
        """Risks at exposure coefficients (1 + km, K)."""
        terms = self.risk.terms(own_coefficients(coefficients, self.multipliers))
        log_risk, gradient = self._to_persons(terms.log_risk, terms.mean)
        if self.known.size:
            own = own_coefficients(coefficients, self.known_multipliers)
            log_risk[self.known] = (own * self.known_columns).sum(axis=0)
            gradient[:, self.known] = self.known_columns
        return PersonRiskTerms(log_risk, gradient, terms)

    def curvature(self, terms: PersonRiskTerms, residual: FloatArray) -> FloatArray:
        """Sum of residual_i d2 log M_i over the persons: shape (1 + km, K, 1 + km, K).

        Parameters
        ----------
        terms : PersonRiskTerms
            From :meth:`evaluate`.
        residual : ndarray, shape (n,)
        """
        second = terms.at_points.covariance
        assert second is not None
        weight = residual if self.uncertain is None else residual[self.uncertain]
        if self.operator is not None:
            weight = self.operator.T @ weight
        rows, n_terms = self.multipliers.shape[0], second.shape[0]
        flat = second.reshape(n_terms * n_terms, -1)
        total = np.empty((rows, n_terms, rows, n_terms))
        for low in range(rows):
            for high in range(low + 1):
                product = flat @ (weight * self.multipliers[low] * self.multipliers[high])
                total[low, :, high, :] = product.reshape(n_terms, n_terms)
                total[high, :, low, :] = total[low, :, high, :]
        return total

    def sensitivity(self, coefficients: FloatArray) -> RiskSensitivity:
        """Derivatives of the persons' risks with respect to mu and sigma^2; 0 where the exposure is known."""
        found = self.risk.sensitivity(own_coefficients(coefficients, self.multipliers))
        by_mean, gradient_by_mean = self._to_persons(found.by_mean, found.gradient_by_mean)
        by_variance, gradient_by_variance = self._to_persons(found.by_variance, found.gradient_by_variance)
        return RiskSensitivity(by_mean, by_variance, gradient_by_mean, gradient_by_variance)

    def interpolation_errors(self, coefficients: FloatArray) -> FloatArray:
        """Largest error of each cell at exposure coefficients (1 + km, K), in units of what is aimed at.

        In log M absolute, in its gradient relative to the spread of the column (both no finer than rounding
        leaves them): shape (n_cells,), empty without interpolation.
        """
        if self.plan is None:
            return np.zeros(0)
        probes = probe_points(self.plan)
        exact = NodeRisk(probes.law, self.basis, nodes=self.nodes).terms(
            own_coefficients(coefficients, probes.multipliers), covariance=False
        )
        at_points = self.risk.terms(own_coefficients(coefficients, self.multipliers), covariance=False)
        table = np.vstack([at_points.log_risk, at_points.mean])
        rounding = _NO_FINER * np.abs(table).max(axis=1)
        scale = np.append(1.0, np.ptp(at_points.mean, axis=1))
        return worst_by_cell(exact, (probes.operator @ table.T).T, np.maximum(scale, rounding))

    def refined(self, coefficients: FloatArray) -> PersonRisks:
        """Risks whose interpolation errors at these coefficients are within INTERPOLATION_TOLERANCE.

        Itself where they are; after the last halving in vain, every person is evaluated.
        """
        risks = self
        for _ in range(_REFINEMENTS):
            coarse = risks.interpolation_errors(coefficients) > INTERPOLATION_TOLERANCE
            if not coarse.any():
                return risks
            assert risks.plan is not None
            risks = risks._on(refine(risks.plan, coarse))
        assert self.plan is not None
        return replace(
            self,
            risk=NodeRisk(self.plan.law, self.basis, nodes=self.nodes),
            multipliers=self.plan.multipliers,
            operator=None,
            plan=None,
        )

    def _on(self, plan: GridPlan) -> PersonRisks:
        """The same persons served by the points of a plan."""
        points = grid_points(plan)
        risk = NodeRisk(points.law, self.basis, nodes=self.nodes)
        return replace(self, risk=risk, multipliers=points.multipliers, operator=points.operator, plan=plan)

    def _to_persons(self, single: FloatArray, several: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values at the points, (G,) and (K, G), at the persons; 0 for those whose exposure is known."""
        if self.operator is not None:
            table = self.operator @ np.vstack([single, several]).T
            single, several = table[:, 0], table[:, 1:].T
        if self.uncertain is None:
            return single, several
        n = self.uncertain.size + self.known.size
        wide, wide_several = np.zeros(n), np.zeros((several.shape[0], n))
        wide[self.uncertain] = single
        wide_several[:, self.uncertain] = several
        return wide, wide_several


def own_coefficients(coefficients: FloatArray, multipliers: FloatArray) -> FloatArray:
    """b_i = sum_l A_il beta_l: shape (K, n), or (K, 1) when there is no modifier."""
    if coefficients.shape[0] == 1:
        return coefficients.T
    return np.asarray(coefficients.T @ multipliers)


def lay_out_risks(
    law: ExposureLaw,
    multipliers: FloatArray,
    basis: ExposureBasis,
    *,
    nodes: int = DEFAULT_NODES,
    interpolate: RiskGrid = None,
) -> PersonRisks:
    """Choose where the risks of n persons are evaluated.

    Parameters
    ----------
    law : ExposureLaw
        Of n persons.
    multipliers : ndarray, shape (1 + km, n)
        A.
    basis : ExposureBasis
    nodes : int, default 20
        Gauss-Hermite nodes, where there is no closed form.
    interpolate : bool, None, or tuple of ndarray, default None
        Whether quadrature is interpolated in the calibrated mean; None: where it saves time.  Or the
        :attr:`PersonRisks.grid` of an earlier layout of the same persons.
    """
    if basis.kind == "categories" or (basis.kind == "linear" and law.residuals is None):
        nobody = np.zeros(0, dtype=np.intp)
        nothing = np.zeros((len(basis.names), 0))
        risk = induced_risk(law, basis, nodes=nodes)
        return PersonRisks(
            risk, multipliers, None, None, nobody, multipliers[:, :0], nothing, None, basis, nodes
        )
    known, uncertain = np.flatnonzero(law.known), np.flatnonzero(~law.known)
    own_law, own_multipliers = law.take(uncertain), multipliers[:, uncertain]
    plan = None
    if interpolate is not False:
        edges = interpolate if isinstance(interpolate, tuple) else None
        plan = plan_grid(own_law, own_multipliers, basis, nodes, always=interpolate is True, edges=edges)
    points = None if plan is None else grid_points(plan)
    return PersonRisks(
        risk=NodeRisk(own_law if points is None else points.law, basis, nodes=nodes),
        multipliers=own_multipliers if points is None else points.multipliers,
        uncertain=uncertain,
        operator=None if points is None else points.operator,
        known=known,
        known_multipliers=multipliers[:, known],
        known_columns=basis.columns(law.mean[known]),
        plan=plan,
        basis=basis,
        nodes=nodes,
    )
