"""Scenarios to draw from in tests, and Monte Carlo bounds for what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from biocal.simulation.design.joint_checks import require_sound
from biocal.simulation.design.scenario import Estimand, ExposureLaw, Scenario, StudyDesign
from biocal.simulation.design.truth import Truth

# The bundled example's curve, in the numbers of the protocol's table of true log odds ratios.
SPLINE = Truth("rcs", beta=(-0.02, 0.015), knots=(34.35, 60.02, 85.64))
FLAT = Truth("linear", beta=(0.0,))

# Means over replicates may stray so many of their standard errors: a false alarm in about 100,000 checks,
# and seeds are fixed, so that none comes by chance tomorrow.
MONTE_CARLO_SE = 4.5


def scenario_of(**changes: Any) -> Scenario:
    """Two studies, a reference one and a local one, with a spline truth; anything can be replaced."""
    parts: dict[str, Any] = {
        "exposure": ExposureLaw(mean=60, sd=20),
        "truth": SPLINE,
        "studies": (reference_study(), local_study()),
        "estimand": Estimand(at=(25, 37.5, 75, 90, 100), reference=55),
    }
    return require_sound(Scenario(**(parts | changes)))


def reference_study(**changes: Any) -> StudyDesign:
    """A study of 1,000 pairs measured at the reference laboratory."""
    return StudyDesign(**({"name": "A", "sets": 1000, "laboratory": "reference"} | changes))


def local_study(**changes: Any) -> StudyDesign:
    """A study of 1,000 pairs with a poor local assay on another scale."""
    line = {"intercept": 12.0, "slope": 0.75, "r_squared": 0.7, "calibrators": 100}
    return StudyDesign(**({"name": "B", "sets": 1000} | line | changes))


def assert_mean(values: Any, truth: Any) -> None:
    """Values of independent replicates (first axis) average to the truth within Monte Carlo error."""
    values = np.asarray(values, dtype=float)
    error = values.std(axis=0, ddof=1) / np.sqrt(values.shape[0])
    assert np.all(np.abs(values.mean(axis=0) - truth) <= MONTE_CARLO_SE * error), (
        values.mean(axis=0),
        truth,
        error,
    )
