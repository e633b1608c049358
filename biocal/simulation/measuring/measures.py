"""Performance measures of many groups of estimates at once, each with its Monte Carlo standard error.

Everything is a sum over the rows of a group, so that millions of rows cost a few passes over arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MEASURES", "EstimateRows", "measure_groups"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: Measures that have a Monte Carlo standard error, in the order of the tables.
MEASURES = (
    "bias",
    "relative_bias",
    "empirical_se",
    "model_se",
    "rmse",
    "relative_error_model_se",
    "coverage",
    "bias_eliminated_coverage",
    "power",
)


@dataclass(frozen=True, slots=True, eq=False)
class EstimateRows:
    """Estimates, one row a replicate and group; a part that is absent leaves its measures blank.

    Attributes
    ----------
    group : ndarray of int, shape (n,)
        From 0 to ``n_groups - 1``.
    n_groups : int
    failed : ndarray of bool, shape (n,)
        Rows that are counted, but enter no measure.
    estimate : ndarray, shape (n,)
    std_error, truth, low, high : ndarray, shape (n,), or None
        Standard errors, true values, and the ends of the confidence intervals.
    """

    group: IntArray
    n_groups: int
    failed: BoolArray
    estimate: FloatArray
    std_error: FloatArray | None = None
    truth: FloatArray | None = None
    low: FloatArray | None = None
    high: FloatArray | None = None


def measure_groups(
    rows: EstimateRows, *, power_critical: float, null_truth: float = 0.0
) -> dict[str, FloatArray]:
    """Return the measures of every group; the formulas are in :func:`biocal.performance`.

    Parameters
    ----------
    rows : EstimateRows
    power_critical : float
        A test rejects when the absolute estimate is at least so many standard errors.
    null_truth : float, default 0
        True values up to here in size count as 0, where relative bias is blank.

    Returns
    -------
    dict of str to ndarray, shape (n_groups,)
        truth (blank where it differs within the group), n, failed, mean, the measures, and mcse_ for
        each; blank is nan.
    """
    sums = _GroupSums(rows.group[~rows.failed], rows.n_groups)
    kept = ~rows.failed
    blank = np.full(rows.n_groups, np.nan)
    found = {name: blank for name in ("truth", *MEASURES, *(f"mcse_{name}" for name in MEASURES))}
    found["n"] = sums.n
    found["failed"] = np.bincount(rows.group, weights=rows.failed, minlength=rows.n_groups)
    estimate = rows.estimate[kept]
    found["mean"], found["empirical_se"] = sums.mean_and_sd(estimate)
    with np.errstate(invalid="ignore", divide="ignore"):  # groups with nothing, or one row, are blank
        found["mcse_empirical_se"] = found["empirical_se"] / np.sqrt(2.0 * (sums.n - 1.0))
        target = found["mean"][sums.group]
        truth = None
        if rows.truth is not None:
            truth = rows.truth[kept]
            found |= _truth_of_groups(rows.truth, rows.group, rows.n_groups)
            found |= _error_measures(sums, estimate - truth, truth, null_truth)
            # Equal to the mean estimate when all rows of a group have one truth.
            target = truth + found["bias"][sums.group]
        if rows.low is not None and rows.high is not None:
            low, high = rows.low[kept], rows.high[kept]
            if truth is not None:
                found |= _share(sums, "coverage", (low <= truth) & (truth <= high))
            found |= _share(sums, "bias_eliminated_coverage", (low <= target) & (target <= high))
        if rows.std_error is not None:
            std_error = rows.std_error[kept]
            found |= _model_error_measures(sums, std_error, found["empirical_se"])
            size = np.abs(estimate)
            # 0 of 0, as at the reference exposure, rejects nothing.
            found |= _share(sums, "power", (size >= power_critical * std_error) & (size > 0))
    return found


class _GroupSums:
    """Means and standard deviations by group; groups of no row, or of one, give nan."""

    def __init__(self, group: IntArray, n_groups: int) -> None:
        self.group = group
        self.n_groups = n_groups
        self.n = np.bincount(group, minlength=n_groups).astype(np.float64)

    def mean(self, values: NDArray[np.generic]) -> FloatArray:
        with np.errstate(invalid="ignore"):
            return np.asarray(np.bincount(self.group, weights=values, minlength=self.n_groups) / self.n)

    def mean_and_sd(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Two passes: sums of squares about the mean keep their digits."""
        mean = self.mean(values)
        squares = np.bincount(self.group, weights=(values - mean[self.group]) ** 2, minlength=self.n_groups)
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = np.where(self.n > 1, squares / (self.n - 1.0), np.nan)
        return mean, np.sqrt(variance)


def _truth_of_groups(truth: FloatArray, group: IntArray, n_groups: int) -> dict[str, FloatArray]:
    """The truth of each group, failed rows included; blank where it is not one value."""
    lowest, highest = np.full(n_groups, np.inf), np.full(n_groups, -np.inf)
    np.minimum.at(lowest, group, truth)
    np.maximum.at(highest, group, truth)
    return {"truth": np.where(lowest == highest, lowest, np.nan)}


def _error_measures(
    sums: _GroupSums, error: FloatArray, truth: FloatArray, null_truth: float
) -> dict[str, FloatArray]:
    """Bias, relative bias and RMSE."""
    root_n = np.sqrt(sums.n)
    bias, sd_error = sums.mean_and_sd(error)
    null = np.abs(truth) <= null_truth
    relative, sd_relative = sums.mean_and_sd(error / np.where(null, np.nan, truth))
    mean_square, sd_square = sums.mean_and_sd(error**2)
    rmse = np.sqrt(mean_square)
    # All errors exactly 0: RMSE is 0 without doubt, where the delta method has 0/0.
    mcse_rmse = np.where(rmse > 0, sd_square / root_n / (2.0 * rmse), 0.0 * sd_square)
    return {
        "bias": bias,
        "mcse_bias": sd_error / root_n,
        "relative_bias": relative,
        "mcse_relative_bias": sd_relative / root_n,
        "rmse": rmse,
        "mcse_rmse": mcse_rmse,
    }


def _model_error_measures(
    sums: _GroupSums, std_error: FloatArray, empirical_se: FloatArray
) -> dict[str, FloatArray]:
    """Model standard error and its relative error in percent."""
    mean_square, sd_square = sums.mean_and_sd(std_error**2)
    model_se = np.sqrt(mean_square)
    mcse = np.where(model_se > 0, sd_square / np.sqrt(sums.n) / (2.0 * model_se), 0.0 * sd_square)
    ratio = np.where(empirical_se > 0, model_se / empirical_se, np.nan)
    spread = np.sqrt((mcse / model_se) ** 2 + 1.0 / (2.0 * (sums.n - 1.0)))
    return {
        "model_se": model_se,
        "mcse_model_se": mcse,
        "relative_error_model_se": 100.0 * (ratio - 1.0),
        "mcse_relative_error_model_se": 100.0 * ratio * spread,
    }


def _share(sums: _GroupSums, name: str, true: BoolArray) -> dict[str, FloatArray]:
    share = sums.mean(true)
    return {name: share, f"mcse_{name}": np.sqrt(share * (1.0 - share) / sums.n)}
