"""The true log odds ratio of a simulation scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.rcs import spline_columns

if TYPE_CHECKING:
    from biocal.simulation.scenario import Scenario

__all__ = ["Truth", "control_density_weights", "true_log_or"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Truth:
    """The true dose-response curve.

    Attributes
    ----------
    type : {"rcs", "linear", "expression"}
    beta : tuple of float
        Log odds ratios per unit of each column of a spline; one for a line.
    knots : tuple of float
        Of a spline, on the reference scale.
    formula : str
        Log risk as an expression in ``x``, such as ``-0.01*x + 0.3*(x < 30)``.
    heterogeneity : float
        SD between studies of what `heterogeneity_of` names; drawn anew in every replicate.
    heterogeneity_of : {"multiplier", "slope"}
        A study's curve is (1 + d) times the true one, or the true one plus d times the exposure.
    """

    type: str
    beta: tuple[float, ...] = ()
    knots: tuple[float, ...] = ()
    formula: str = ""
    heterogeneity: float = 0.0
    heterogeneity_of: str = "multiplier"

    def __post_init__(self) -> None:
        # Lists of a Python caller become tuples, so that the record can be hashed.
        object.__setattr__(self, "beta", tuple(self.beta))
        object.__setattr__(self, "knots", tuple(self.knots))

    def log_risk(self, exposure: FloatArray) -> FloatArray:
        """Log risk up to a constant, of the average study.

        Parameters
        ----------
        exposure : ndarray, shape (n,)
            In the unit of the exposure.

        Returns
        -------
        ndarray, shape (n,)
        """
        values = np.asarray(exposure, dtype=float)
        if self.type == "linear":
            return self.beta[0] * values
        if self.type == "rcs":
            risk: FloatArray = np.asarray(self.beta) @ spline_columns(values, self.knots)
            return risk
        from biocal.simulation.truth_formula import evaluate_formula

        return evaluate_formula(self.formula, values)


def true_log_or(scenario: Scenario) -> FloatArray:
    """Return the true log odds ratios of the estimand.

    Returns
    -------
    ndarray, shape (m,)
        At ``scenario.estimand.at`` against its reference exposure: the average study's when the curve
        differs between studies.
    """
    points = np.array([*scenario.estimand.at, scenario.estimand.reference])
    risk = scenario.truth.log_risk(points)
    against_reference: FloatArray = risk[:-1] - risk[-1]
    return against_reference


def control_density_weights(scenario: Scenario, at: FloatArray) -> FloatArray:
    """Return weights proportional to the exposure's density among controls, summing to one.

    Parameters
    ----------
    scenario : Scenario
    at : ndarray, shape (m,)
        Exposures.

    Returns
    -------
    ndarray, shape (m,)
        Studies count by their controls; equal weights when the density is zero at all points.
    """
    from biocal.simulation.laws import exposure_density

    points = np.asarray(at, dtype=float)
    density = np.zeros(points.shape)
    for study in scenario.studies:
        density += study.n_controls * exposure_density(scenario, study, points)
    total = density.sum()
    return density / total if total > 0 else np.full(points.shape, 1.0 / max(points.size, 1))
