"""Run one plug-in method on a data frame, through the steps that `fit` takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from biocal.fitting.methods.estimate import calibrate_problem
from biocal.fitting.methods.plug_in import fit_plug_in, plug_in_exposure
from biocal.fitting.problem.prepare import ModelFormulas, PreparedPool, prepare
from biocal.kernels.sandwich import StackedScores, stacked_covariance
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import LinearBasis, SplineBasis
from biocal.model.outcome.conditional import OutcomeFit
from biocal.pool.pooled import PooledStudies

METHODS = ("naive", "internalized", "full")


@dataclass(frozen=True)
class PooledFit:
    """What a method found, and from what."""

    terms: tuple[str, ...]
    beta: np.ndarray
    vcov: np.ndarray
    uncorrected: np.ndarray
    parts: np.ndarray
    outcome: OutcomeFit
    stacked: StackedScores
    calibration: CalibrationFit | None
    prepared: PreparedPool


def fit_frame(
    frame: pd.DataFrame,
    method: str,
    basis: LinearBasis | SplineBasis,
    *,
    columns: dict[str, Any] | None = None,
    **formulas: Any,
) -> PooledFit:
    """Fit `method`; `columns` go to PooledStudies.from_frame, `formulas` to ModelFormulas."""
    pool = PooledStudies.from_frame(frame, **(columns or {}))
    prepared = prepare(pool, ModelFormulas(**formulas))
    problem = prepared.problem
    calibration = calibrate_problem(problem)
    exposure = plug_in_exposure(problem, method, calibration)
    model, outcome, stacked = fit_plug_in(problem, exposure, basis, calibration)
    found = stacked_covariance(stacked, len(problem.local_names))
    return PooledFit(
        model.terms,
        outcome.beta,
        found.vcov,
        found.vcov_uncorrected,
        found.calibration_parts,
        outcome,
        stacked,
        calibration,
        prepared,
    )
