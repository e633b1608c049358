"""The stacked variance of full calibration as a function of the numbers of calibrators and of sets.

METHODS section 6 writes the covariance of beta as

    V = outcome part + sum_s D M11_s D',   D = B22^-1 B21 B11^-1,

where the outcome part belongs to the matched sets and the rest to the calibration subsets.  Bread and meat of
the calibration are sums over calibrators: with n_s of them in study s their expectations are n_s A_s and
n_s R_s, A_s = E(C C') and R_s = E(r^2 C C') over the law by which calibrators are chosen.  So V is known for any
n once these are.  The cross terms between a calibrator's residual and the score of its set vanish when the
calibration line holds among controls, E(r | W, V) = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.model.calibration.lines import CalibrationLayout, dense_rows
from biocal.model.calibration.rows import CalibrationRows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: How calibrators may be chosen from a study's controls.
SPREADS = ("random", "deciles", "extremes")


@dataclass(frozen=True, slots=True, eq=False)
class CalibratorLaw:
    """One calibrator of one study, in expectation.

    Attributes
    ----------
    gram : ndarray, shape (G, G)
        A_s = E(C C').
    meat : ndarray, shape (G, G)
        R_s = E(r^2 C C').
    leverage_meat : ndarray, shape (G, G)
        E(r^2 h C C'), h the calibrator's leverage on its study's line times the number of calibrators: what
        residuals of a small subset lack (HC3: have in excess); zero where it is in the meat already.
    line : tuple of int
        Positions of the study's intercept and slope.
    local_mean : float
        Mean local value of the calibrators.
    random : bool
        Whether the calibrators' local values are a random sample, so that their spread varies too.
    """

    gram: FloatArray
    meat: FloatArray
    leverage_meat: FloatArray
    line: tuple[int, int]
    local_mean: float
    random: bool


@dataclass(frozen=True, slots=True, eq=False)
class VariancePieces:
    """All that the variance of a plan is made of.

    Attributes
    ----------
    terms : tuple of str, length p
    exposure_positions : ndarray of int, shape (K,)
    beta : ndarray, shape (p,)
        What full calibration estimates in the limit.
    outcome : ndarray, shape (p, p)
        The part of the covariance that more calibrators do not change, with the sets of the spec.
    transfer : ndarray, shape (p, G)
        B22^-1 B21.
    laws : dict of str to tuple of CalibratorLaw, length L
        By spread.
    study_names : tuple of str, length L
        The local studies.
    n_sets : int
        Matched sets of all studies.
    most : tuple of int, length L
        Controls that could be calibrators.
    hc3 : bool
        Whether the calibration's scores are HC3-like.
    numerical_error : float
        Relative error of standard errors from the evaluation of expectations; 0 when exact.
    """

    terms: tuple[str, ...]
    exposure_positions: IntArray
    beta: FloatArray
    outcome: FloatArray
    transfer: FloatArray
    laws: dict[str, tuple[CalibratorLaw, ...]]
    study_names: tuple[str, ...]
    n_sets: int
    most: tuple[int, ...]
    hc3: bool = False
    numerical_error: float = 0.0

    def calibration_influences(self, calibrators: FloatArray, spread: str) -> FloatArray:
        """What each study's calibrators add to the covariance of the calibration, shape (L, G, G).

        Parameters
        ----------
        calibrators : ndarray, shape (L,)
            Numbers of calibrators; need not be whole.
        spread : str
            A key of `laws`.
        """
        laws = self.laws[spread]
        bread = np.sum([n * law.gram for n, law in zip(calibrators, laws, strict=True)], axis=0)
        inverse = solve_scaled(bread, np.eye(bread.shape[0]))
        sign = 1.0 if self.hc3 else -1.0
        parts = np.empty((len(laws), *bread.shape))
        for s, (n, law) in enumerate(zip(calibrators, laws, strict=True)):
            meat = n * law.meat + sign * law.leverage_meat
            stretch = inverse @ _slope_stretch(law, float(n))
            parts[s] = stretch @ meat @ stretch.T
        return parts

    def calibration_covariance(self, calibrators: FloatArray, spread: str) -> FloatArray:
        """Covariance of the calibration parameters, shape (G, G)."""
        return np.asarray(self.calibration_influences(calibrators, spread).sum(axis=0))

    def calibration_parts(self, calibrators: FloatArray, spread: str) -> FloatArray:
        """What each study's calibration adds to the covariance of beta, shape (L, p, p)."""
        influences = self.calibration_influences(calibrators, spread)
        return np.asarray(self.transfer @ influences @ self.transfer.T)

    def covariance(self, calibrators: FloatArray, spread: str, sets: float = 1.0) -> FloatArray:
        """Predicted covariance of beta, shape (p, p), with `sets` times the sets of the spec."""
        return np.asarray(self.outcome / sets + self.calibration_parts(calibrators, spread).sum(axis=0))


def solve_scaled(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Solve with a symmetric positive definite matrix by way of its unit-diagonal form."""
    scale = 1.0 / np.sqrt(np.diagonal(matrix))
    scaled = matrix * np.outer(scale, scale)
    return np.asarray(scale[:, None] * np.linalg.solve(scaled, scale[:, None] * right))


def _slope_stretch(law: CalibratorLaw, n: float) -> FloatArray:
    """What a random sample's own spread does to the slope: 1 / S_WW has mean 1 / ((n - 3) Var W) if W is normal.

    Applied to the slope's score about the mean local value; a subset spread over deciles or taken from the
    extremes has nearly the spread it was meant to have.
    """
    stretch = np.eye(law.gram.shape[0])
    if law.random and n > 4:
        factor = np.sqrt(n / (n - 3.0))
        a, b = law.line
        stretch[b, b] = factor
        stretch[b, a] = (1.0 - factor) * law.local_mean
    return stretch


def spread_weights(local: FloatArray, spread: str, extreme_share: float) -> FloatArray:
    """Probability of each control to be a given calibrator, shape (n,), summing to 1.

    random, deciles: everybody alike (tenths of the local value hold as many persons, and get as many
    calibrators).  extremes: half from the lowest and half from the highest `extreme_share` of the local values.
    """
    n = local.size
    if spread != "extremes":
        return np.full(n, 1.0 / n)
    low, high = np.quantile(local, [extreme_share, 1.0 - extreme_share])
    lowest, highest = local <= low, local >= high
    return np.asarray(0.5 * lowest / lowest.sum() + 0.5 * highest / highest.sum())


def calibrator_law(
    rows: CalibrationRows,
    layout: CalibrationLayout,
    squared_residual: FloatArray,
    study: int,
    weights: FloatArray,
    *,
    random: bool,
) -> CalibratorLaw:
    """Expectations over one study's controls.

    Parameters
    ----------
    rows : CalibrationRows
        Those controls, n persons.
    layout : CalibrationLayout
    squared_residual : ndarray, shape (n,)
        r^2, or its expectation given the columns.
    study : int
        Local study.
    weights : ndarray, shape (n,)
    random : bool
        Whether calibrators are a random sample.
    """
    columns = dense_rows(rows, layout)
    local = rows.columns[1]
    mean = float(weights @ local)
    deviation = local - mean
    leverage = 1.0 + deviation**2 / float(weights @ deviation**2)

    def expected(weight: FloatArray) -> FloatArray:
        product: FloatArray = (columns * weight[:, None]).T @ columns
        return product

    a, b = (int(k) for k in layout.position[study, :2])
    return CalibratorLaw(
        gram=expected(weights),
        meat=expected(weights * squared_residual),
        leverage_meat=expected(weights * squared_residual * leverage),
        line=(a, b),
        local_mean=mean,
        random=random,
    )
