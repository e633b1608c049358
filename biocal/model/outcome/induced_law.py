"""What an induced relative risk is computed from: the law of each person's exposure, and the exposure's basis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


class ExposureBasis(Protocol):
    """How a dose enters the linear predictor: K columns f(x) and their derivatives."""

    @property
    def kind(self) -> str: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    def columns(self, exposure: FloatArray) -> FloatArray: ...
    def slopes(self, exposure: FloatArray) -> FloatArray: ...


@dataclass(frozen=True, slots=True)
class ExposureLaw:
    """Law of the reference-laboratory value of each person given the local value, among controls.

    Attributes
    ----------
    mean : ndarray, shape (n,)
        Calibrated mean mu_i; the reference value itself where it is known.
    group : ndarray of int, shape (n,)
        Which residual law applies; -1 for persons whose exposure is known.
    variance : ndarray, shape (n_groups,)
        sigma_g^2.
    residuals : tuple of ndarray, or None
        Each group's calibration residuals, all as likely (smearing); None for normal laws.
    """

    mean: FloatArray
    group: IntArray
    variance: FloatArray
    residuals: tuple[FloatArray, ...] | None = None

    @property
    def known(self) -> BoolArray:
        """Persons whose exposure is known, shape (n,)."""
        return self.group < 0

    def take(self, persons: IntArray) -> ExposureLaw:
        """The law of some persons, repeats allowed."""
        return ExposureLaw(self.mean[persons], self.group[persons], self.variance, self.residuals)


def take_rows(multipliers: FloatArray, persons: IntArray) -> FloatArray:
    """A (1 + km, n) of some persons; without a modifier a row of ones, which takes no memory."""
    if multipliers.shape[0] == 1:
        return np.broadcast_to(np.ones((1, 1)), (1, persons.size))
    return multipliers[:, persons]


def own_coefficients(coefficients: FloatArray, multipliers: FloatArray) -> FloatArray:
    """b_i = sum_l A_il beta_l: shape (K, n), or (K, 1) when there is no modifier."""
    if coefficients.shape[0] == 1:
        return coefficients.T
    return np.asarray(coefficients.T @ multipliers)


@dataclass(frozen=True, slots=True)
class RiskTerms:
    """log M at some points, and its derivatives with respect to the exposure coefficients.

    Attributes
    ----------
    log_risk : ndarray, shape (n,)
        log M = log E[exp(b'f(X))].
    mean : ndarray, shape (K, n)
        Gradient: mean of f under the law tilted by exp(b'f).
    covariance : ndarray, shape (K, K, n), or None
        Second derivative: covariance of f under the tilted law.
    """

    log_risk: FloatArray
    mean: FloatArray
    covariance: FloatArray | None


@dataclass(frozen=True, slots=True)
class RiskSensitivity:
    """Derivatives of log M and of its gradient with respect to the law's parameters.

    Attributes
    ----------
    by_mean, by_variance : ndarray, shape (n,)
        d log M / d mu and d log M / d sigma^2.
    gradient_by_mean, gradient_by_variance : ndarray, shape (K, n)
        The same of the gradient with respect to b.
    """

    by_mean: FloatArray
    by_variance: FloatArray
    gradient_by_mean: FloatArray
    gradient_by_variance: FloatArray


class InducedRisk(Protocol):
    """log M of a number of points, for any coefficients (K, n) or (K, 1)."""

    def terms(self, coefficients: FloatArray, *, covariance: bool = True) -> RiskTerms: ...
    def sensitivity(self, coefficients: FloatArray) -> RiskSensitivity: ...
