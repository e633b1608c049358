"""What a scenario's estimators should find: true log odds ratios, and the weights of their exposures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.simulation.design.scenario import Scenario
from biocal.simulation.drawing.laws import exposure_density

FloatArray = NDArray[np.float64]


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
    points = np.asarray(at, dtype=float)
    density = np.zeros(points.shape)
    for study in scenario.studies:
        density += study.n_controls * exposure_density(scenario, study, points)
    total = density.sum()
    return density / total if total > 0 else np.full(points.shape, 1.0 / max(points.size, 1))
