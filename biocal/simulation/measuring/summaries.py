"""One line a scenario and method: averages over the grid of exposures, with Monte Carlo standard errors.

Estimates at neighbouring exposures of one replicate hang together, so that the errors here come from
replicates, not from points: each average is a weighted sum over exposures of means over replicates,
sum_k a_k mean_i(v_ik), and replicate i moves it by sum_k a_k (v_ik - mean_k) / n_k.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biocal.errors import InputError
from biocal.simulation.measuring.performance import NULL_TRUTH

if TYPE_CHECKING:
    import pandas as pd

    from biocal.simulation.measuring.cubes import ReplicateCube


__all__ = [
    "SUMMARIES",
    "differences_of_cube",
    "failures_of_cube",
    "relative_bias_floor",
    "summary_of_cube",
]


FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SUMMARIES = ("average_relative_bias", "average_coverage", "weighted_absolute_error")


def summary_of_cube(cube: ReplicateCube, weights: Mapping[float, float] | None) -> pd.DataFrame:
    """Averages of one scenario, a row a method.

    Parameters
    ----------
    cube : ReplicateCube
    weights : mapping from exposure to weight, or None
        Weights of the absolute error, such as the density of the exposure among controls; they are
        divided by their sum.  None: all equal.

    Returns
    -------
    DataFrame
        scenario, method, n, failed (replicates that failed at any exposure), and

        average_relative_bias
            mean over the exposures of abs(relative bias).  Exposures where the truth is 0 are passed over;
            blank if it is 0 at all.
        average_coverage
            mean over the exposures of the coverage.  Exposures where every interval has width 0 (the
            reference exposure) are passed over.
        weighted_absolute_error
            sum over the exposures of weight * mean(abs(estimate - truth)).

        with mcse_ for each.

    Raises
    ------
    InputError
        An exposure without a weight; weights that are negative or all 0.

    Notes
    -----
    The second and third are means, so that their errors hold as they stand.  The first is the delta
    method with the signs of the biases as found.  Where a bias is within its own Monte Carlo error of 0,
    abs() is bent: the average is then pulled up (:func:`relative_bias_floor` tells how far when there is
    no bias at all) and its error is only rough.
    """
    import pandas as pd

    share = _weights(cube, weights)
    rows = []
    for k, method in enumerate(cube.methods):
        sound, error = cube.sound[:, k], cube.error[:, k]
        failed = cube.failed[:, k].any(axis=1)
        found = [
            _average_relative_bias(error, sound, cube.truth),
            _average_coverage(cube.covers[:, k], sound, cube.conf_high[:, k] - cube.conf_low[:, k]),
            _weighted_mean(np.abs(error), sound, share),
        ]
        counts = {"n": int((cube.present[:, k].any(axis=1) & ~failed).sum()), "failed": int(failed.sum())}
        values = {name: value for name, (value, _) in zip(SUMMARIES, found, strict=True)}
        errors = {f"mcse_{name}": mcse for name, (_, mcse) in zip(SUMMARIES, found, strict=True)}
        rows.append({"scenario": cube.scenario, "method": method} | counts | values | errors)
    return pd.DataFrame(rows)


def relative_bias_floor(mcse_relative_bias: FloatArray) -> float:
    """Average over exposures of abs(relative bias) to expect of an estimator without any bias.

    Parameters
    ----------
    mcse_relative_bias : ndarray, shape (m,)
        Monte Carlo standard errors of the relative biases; nan where relative bias is blank.

    Returns
    -------
    float
        The mean of abs(normal) with those SDs, sqrt(2 / pi) of their mean; nan if all are blank.
    """
    known = mcse_relative_bias[np.isfinite(mcse_relative_bias)]
    return float(np.sqrt(2.0 / np.pi) * known.mean()) if known.size else float("nan")


def failures_of_cube(cube: ReplicateCube) -> pd.DataFrame:
    """Failed replicates of one scenario: a row a method, with the commonest message."""
    import pandas as pd

    rows = []
    for k, method in enumerate(cube.methods):
        n = int(cube.present[:, k].any(axis=1).sum())
        failed = int(cube.failed[:, k].any(axis=1).sum())
        common = cube.errors[method].most_common(1) if method in cube.errors else []
        rows.append(
            {
                "scenario": cube.scenario,
                "method": method,
                "replicates": n,
                "failed": failed,
                "share": failed / n if n else float("nan"),
                "commonest_error": common[0][0] if common else "",
            }
        )
    return pd.DataFrame(rows)


def _weights(cube: ReplicateCube, weights: Mapping[float, float] | None) -> FloatArray:
    if weights is None:
        return np.full(cube.exposures.size, 1.0 / cube.exposures.size)
    missing = [float(x) for x in cube.exposures if float(x) not in weights]
    if missing:
        raise InputError(f"scenario {cube.scenario}: there is no weight for exposure {missing[0]:g}")
    found = np.array([weights[float(x)] for x in cube.exposures], dtype=np.float64)
    if not (found >= 0).all() or not 0 < found.sum() < np.inf:
        raise InputError(
            f"scenario {cube.scenario}: weights must be 0 or more, and not all 0: {found.tolist()}"
        )
    return np.asarray(found / found.sum())


def _average_relative_bias(error: FloatArray, sound: BoolArray, truth: FloatArray) -> tuple[float, float]:
    known = np.abs(truth) > NULL_TRUTH
    if not known.any():
        return float("nan"), float("nan")
    relative, there = error[:, known] / truth[known], sound[:, known]
    with np.errstate(invalid="ignore"):
        sign = np.sign(np.where(there, relative, 0.0).sum(axis=0))
    return _weighted_mean(relative, there, sign / known.sum())


def _average_coverage(covers: BoolArray, sound: BoolArray, width: FloatArray) -> tuple[float, float]:
    points = (np.where(sound, width, 0.0) > 0).any(axis=0) | ~sound.any(axis=0)
    if not points.any():
        return float("nan"), float("nan")
    share = np.full(int(points.sum()), 1.0 / points.sum())
    return _weighted_mean(covers[:, points].astype(np.float64), sound[:, points], share)


def _weighted_mean(values: FloatArray, sound: BoolArray, weight: FloatArray) -> tuple[float, float]:
    """sum_k weight_k mean_i(values_ik) over the sound (B, m), and its standard error over replicates."""
    n = sound.sum(axis=0)
    used = int(sound.any(axis=1).sum())
    if (n == 0).any():
        return float("nan"), float("nan")
    mean = np.where(sound, values, 0.0).sum(axis=0) / n
    moved = np.where(sound, (values - mean) * (weight / n), 0.0).sum(axis=1)
    # used / (used - 1): with every replicate sound at every exposure this is sd / sqrt(n) exactly
    mcse = float(np.sqrt((moved**2).sum() * used / (used - 1.0))) if used > 1 else float("nan")
    return float(weight @ mean), mcse


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
