"""Differences between methods on the same replicates, with their Monte Carlo standard errors."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from biocal.simulation.results_cubes import ReplicateCube

__all__ = ["differences_of_cube"]

FloatArray = NDArray[np.float64]


def differences_of_cube(cube: ReplicateCube) -> pd.DataFrame:
    """Differences of one scenario: a row a pair of methods (the later minus the earlier) and exposure.

    Returns
    -------
    DataFrame
        scenario, method, minus, exposure; n, the replicates in which neither failed; bias_difference, the
        mean of (estimate - other estimate); squared_error_difference, the mean of the difference of their
        squared errors; mcse_ for each, the SD of those differences over sqrt(n).  Replicates share
        their data between methods, so that these errors are far smaller than two independent ones.
    """
    import pandas as pd

    parts = []
    error = cube.error
    for earlier, later in combinations(range(len(cube.methods)), 2):
        both = cube.sound[:, earlier] & cube.sound[:, later]
        bias, mcse_bias = _paired_mean(error[:, later] - error[:, earlier], both)
        squared, mcse_squared = _paired_mean(error[:, later] ** 2 - error[:, earlier] ** 2, both)
        parts.append(
            pd.DataFrame(
                {
                    "scenario": cube.scenario,
                    "method": cube.methods[later],
                    "minus": cube.methods[earlier],
                    "exposure": cube.exposures,
                    "n": both.sum(axis=0),
                    "bias_difference": bias,
                    "squared_error_difference": squared,
                    "mcse_bias_difference": mcse_bias,
                    "mcse_squared_error_difference": mcse_squared,
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else _nothing()


def _paired_mean(difference: FloatArray, both: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Mean (m,) over the pairs (B, m) that are there, and its standard error."""
    n = both.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(both, difference, 0.0).sum(axis=0) / n
        squares = np.where(both, (difference - mean) ** 2, 0.0).sum(axis=0)
        variance = np.where(n > 1, squares / (n - 1.0), np.nan)
        return mean, np.sqrt(variance / n)


def _nothing() -> pd.DataFrame:
    """The table's columns, for a study of a single method."""
    import pandas as pd

    names = ("scenario", "method", "minus", "exposure", "n", "bias_difference", "squared_error_difference")
    return pd.DataFrame(
        {name: [] for name in (*names, "mcse_bias_difference", "mcse_squared_error_difference")}
    )
