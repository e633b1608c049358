"""How calibrators are chosen by their local value, as weights over a study's controls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.calibration.regression import CalibrationLayout, dense_rows
from biocal.calibration.rows import CalibrationRows
from biocal.planning.variance import CalibratorLaw

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


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
