"""What results need to know of the design that was run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.simulation.drawing.estimand import control_density_weights

if TYPE_CHECKING:
    import pandas as pd

    from biocal.simulation.design.scenario import Scenario

__all__ = ["DesignFacts", "facts_of_design"]

FloatArray = NDArray[np.float64]

#: Sections that may vary as a whole, and whose names are columns of the tables.
_TAKEN = ("truth", "exposure")
#: Points of a true curve, enough to look smooth.
_CURVE_POINTS = 201


@dataclass(frozen=True, slots=True, eq=False)
class DesignFacts:
    """By scenario: levels of the varied keys, weights, reference exposures, true curves."""

    levels: pd.DataFrame
    weights: dict[int, dict[float, float]]
    references: dict[int, float]
    true_curves: dict[int, tuple[FloatArray, FloatArray]]


def facts_of_design(design: Any) -> DesignFacts:
    """Take levels, control density, reference exposures and true curves from a design.

    Parameters
    ----------
    design : Design
        With ``scenarios``, ``varied`` (keys) and ``levels`` (a mapping of them each).
    """
    scenarios = dict(enumerate(design.scenarios))
    return DesignFacts(
        _levels(design),
        {index: _weights(scenario) for index, scenario in scenarios.items()},
        {index: float(scenario.estimand.reference) for index, scenario in scenarios.items()},
        {index: _true_curve(scenario) for index, scenario in scenarios.items()},
    )


def _levels(design: Any) -> pd.DataFrame:
    """scenario, and a column for each varied key; truth and exposure as a whole are truth.label, exposure.label."""
    import pandas as pd

    levels = pd.DataFrame({"scenario": range(len(design.scenarios))})
    for key in design.varied:
        values = [level[key] for level in design.levels]
        name = f"{key}.label" if key in _TAKEN else key
        # A list is one level, not one row a member.
        levels[name] = pd.Series(
            values, dtype=None if all(np.isscalar(value) for value in values) else object
        )
    return levels


def _weights(scenario: Scenario) -> dict[float, float]:
    at = np.asarray(scenario.estimand.at, dtype=np.float64)
    return dict(zip(at.tolist(), control_density_weights(scenario, at).tolist(), strict=True))


def _true_curve(scenario: Scenario) -> tuple[FloatArray, FloatArray]:
    """Exposures over the range of the estimand, and the true log odds ratios there."""
    points = np.array([*scenario.estimand.at, scenario.estimand.reference], dtype=np.float64)
    grid = np.linspace(points.min(), points.max(), _CURVE_POINTS)
    risk = scenario.truth.log_risk(np.append(grid, points[-1]))
    return grid, risk[:-1] - risk[-1]
