"""Induced relative risks of all persons of a study: at each person's own law, or through an interpolating grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.outcome.induced_law import ExposureBasis, ExposureLaw, InducedRisk, RiskSensitivity, RiskTerms
from biocal.outcome.induced_risk import DEFAULT_NODES, NodeRisk, induced_risk

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


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
    """

    risk: InducedRisk
    multipliers: FloatArray
    uncertain: IntArray | None
    operator: Any
    known: IntArray
    known_multipliers: FloatArray
    known_columns: FloatArray

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
    interpolate: bool | None = None,
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
    interpolate : bool or None, default None
        Whether quadrature is interpolated in the calibrated mean; None: where it saves time.
    """
    everybody = np.zeros(0, dtype=np.intp)
    risk = None
    if basis.kind == "categories" or (basis.kind == "linear" and law.residuals is None):
        risk = induced_risk(law, basis, nodes=nodes)
        nothing = np.zeros((len(basis.names), 0))
        return PersonRisks(risk, multipliers, None, None, everybody, multipliers[:, :0], nothing)
    known, uncertain = np.flatnonzero(law.known), np.flatnonzero(~law.known)
    own_law, own_multipliers = law.take(uncertain), multipliers[:, uncertain]
    return PersonRisks(
        NodeRisk(own_law, basis, nodes=nodes),
        own_multipliers,
        uncertain,
        None,
        known,
        multipliers[:, known],
        basis.columns(law.mean[known]),
    )
