"""Induced relative risks of all persons of a study: at each person's own law, or through an interpolating grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.model.outcome.induced_law import (
    ExposureBasis,
    ExposureLaw,
    InducedRisk,
    RiskSensitivity,
    RiskTerms,
    own_coefficients,
    take_rows,
)
from biocal.model.outcome.induced_risk import DEFAULT_NODES, NodeRisk, induced_risk
from biocal.model.outcome.interpolated_risk import GridPoints, cell_errors, grid_points, refined_plan
from biocal.model.outcome.interpolation import GridPlan, located, plan_grid

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Whether to interpolate (None: where it saves time), or how.
RiskGrid = bool | None | GridPlan


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
    operator : sparse array, shape (n, G), or None
        Interpolates from the points to the persons, rows of the others being empty; None when the points are
        the uncertain persons.
    known_multipliers, known_columns : ndarray, shape (1 + km, n known), (K, n known)
        A and f(X) of the other persons.
    known : ndarray of int, shape (n known,)
    law : ExposureLaw
        Of the uncertain persons.
    own_multipliers : ndarray, shape (1 + km, n uncertain)
        Their A.
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
    law: ExposureLaw
    own_multipliers: FloatArray
    plan: GridPlan | None
    basis: ExposureBasis
    nodes: int

    @property
    def grid(self) -> RiskGrid:
        """What :func:`lay_out_risks` needs to lay out the same points again."""
        return False if self.plan is None else self.plan

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
        if self.operator is not None:
            weight = self.operator.T @ residual
        else:
            weight = residual if self.uncertain is None else residual[self.uncertain]
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
        """Those of :func:`cell_errors`; empty without interpolation."""
        if self.plan is None:
            return np.zeros(0)
        return cell_errors(self.plan.cells, self.basis, self.nodes, coefficients)

    def refined(self, coefficients: FloatArray) -> PersonRisks:
        """Risks whose interpolation errors at these coefficients are within INTERPOLATION_TOLERANCE.

        Itself where they are; after the last halving in vain, every person is evaluated.
        """
        if self.plan is None:
            return self
        # where nobody is evaluated alone, the risks' points are those of the cells
        risk = self.risk if all(edges is not None for edges in self.plan.cells.edges) else None
        found = refined_plan(self.plan, self.basis, self.nodes, coefficients, risk)
        return self if found is self.plan else self.on(found)

    def on(self, plan: GridPlan | None) -> PersonRisks:
        """The same persons served by the points of a plan, or, without, by themselves."""
        n = self.law.mean.size + self.known.size
        plan, points = _points_of(plan, self.law, self.own_multipliers, self.uncertain, n)
        risk = NodeRisk(points.law, self.basis, nodes=self.nodes)
        return replace(self, risk=risk, multipliers=points.multipliers, operator=points.operator, plan=plan)

    def _to_persons(self, single: FloatArray, several: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values at the points, (G,) and (K, G), at the persons; 0 for those whose exposure is known."""
        if self.operator is not None:
            table = self.operator @ np.vstack([single, several]).T
            return table[:, 0], table[:, 1:].T
        if self.uncertain is None:
            return single, several
        n = self.uncertain.size + self.known.size
        wide, wide_several = np.zeros(n), np.zeros((several.shape[0], n))
        wide[self.uncertain] = single
        wide_several[:, self.uncertain] = several
        return wide, wide_several


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
        nobody, risk = np.zeros(0, dtype=np.intp), induced_risk(law, basis, nodes=nodes)
        nothing = np.zeros((len(basis.names), 0))
        return PersonRisks(
            risk,
            multipliers,
            None,
            None,
            nobody,
            multipliers[:, :0],
            nothing,
            law,
            multipliers,
            None,
            basis,
            nodes,
        )
    known = np.flatnonzero(law.known)
    uncertain, own_law, own_multipliers = None, law, multipliers
    if known.size:
        uncertain = np.flatnonzero(~law.known)
        own_law, own_multipliers = law.take(uncertain), take_rows(multipliers, uncertain)
    plan = interpolate if isinstance(interpolate, GridPlan) else None
    if plan is None and interpolate is not False:
        plan = plan_grid(own_law, own_multipliers, basis, nodes, always=interpolate is True)
    plan, points = _points_of(plan, own_law, own_multipliers, uncertain, law.mean.size)
    return PersonRisks(
        risk=NodeRisk(points.law, basis, nodes=nodes),
        multipliers=points.multipliers,
        uncertain=uncertain,
        operator=points.operator,
        known=known,
        known_multipliers=take_rows(multipliers, known),
        known_columns=basis.columns(law.mean[known]),
        law=own_law,
        own_multipliers=own_multipliers,
        plan=plan,
        basis=basis,
        nodes=nodes,
    )


def _points_of(
    plan: GridPlan | None, law: ExposureLaw, multipliers: FloatArray, rows: IntArray | None, n: int
) -> tuple[GridPlan | None, GridPoints]:
    """Where the risks of persons, `rows` of `n` or all, are evaluated; and the plan with everybody's cell."""
    if plan is None:
        return None, GridPoints(law, multipliers, None)
    plan = located(plan, law, multipliers)
    return plan, grid_points(plan, law, multipliers, rows, n)
