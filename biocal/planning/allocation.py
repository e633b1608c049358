"""Dividing a number of re-assays among the local studies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.planning.prediction import Predictor

FloatArray = NDArray[np.float64]


def best_division(predictor: Predictor, budget: int, spread: str, least: int) -> FloatArray:
    """Calibrators of each study that make the intervals narrowest, on average over the exposures.

    A study's calibration adds c_s / n_s to a variance, so that sum c_s / n_s is least, for a given sum of n_s, with n_s
    proportional to the root of c_s (Neyman).  c_s is averaged over the exposures, each relative to its variance.

    Parameters
    ----------
    predictor : Predictor
    budget : int
        Re-assays of all studies.
    spread : str
    least : int
        Fewest a study; fewer where the budget does not suffice for that.

    Returns
    -------
    ndarray, shape (L,)
        Whole numbers that sum to the budget, or to all controls when these are fewer.
    """
    most = np.asarray(predictor.pieces.most, dtype=float)
    budget = int(min(budget, most.sum()))
    alike = np.minimum(np.maximum(budget / most.size, 4.0), most)
    outcome, calibration = predictor.parts(alike, spread)
    variance = outcome + calibration.sum(axis=0)
    cost = (calibration * alike[:, None] / variance).mean(axis=1)
    lowest = np.minimum(np.minimum(least, budget // most.size), most)
    wanted = np.sqrt(np.maximum(cost, 0.0))
    return _whole(_within(wanted, budget, lowest, most), budget, most)


def equal_division(most: tuple[int, ...], budget: int) -> FloatArray:
    """The budget divided alike, no study beyond its controls, shape (L,)."""
    limits = np.asarray(most, dtype=float)
    total = int(min(budget, limits.sum()))
    return _whole(_within(np.ones(limits.size), total, np.zeros(limits.size), limits), total, limits)


def _within(wanted: FloatArray, budget: int, lowest: FloatArray, most: FloatArray) -> FloatArray:
    """Numbers proportional to `wanted` between bounds, with a given sum: the factor by bisection."""
    wanted = np.maximum(wanted, 1e-12 * max(float(wanted.max()), 1e-300))
    low, high = 0.0, float((most / wanted).max())
    for _ in range(200):
        middle = (low + high) / 2
        if np.clip(middle * wanted, lowest, most).sum() < budget:
            low = middle
        else:
            high = middle
    return np.clip(high * wanted, lowest, most)


def _whole(numbers: FloatArray, total: int, most: FloatArray) -> FloatArray:
    """Whole numbers with this sum: the largest remainders are rounded up."""
    down = np.floor(numbers + 1e-9)
    missing = total - int(down.sum())
    order = [s for s in np.argsort(-(numbers - down), kind="stable") if down[s] < most[s]]
    down[order[: max(missing, 0)]] += 1
    return np.asarray(down)
