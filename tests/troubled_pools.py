"""A small pool that numerical trouble is made of, and a fit of it compared with 80 digits."""

from __future__ import annotations

import numpy as np
from pools import StudyPlan, draw_pool
from precise_arithmetic import PreciseFit, as_array, in_80_digits

import biocal as bc

PLANS = (
    StudyPlan("R", 12),
    StudyPlan("A", 12, (1, 2), (1.0, 0.7), n_calibrators=10),
    StudyPlan("B", 6, (2, 2), (-0.8, 1.4), n_calibrators=8),
)
#: With sets enough for two-stage.
LARGER = (
    StudyPlan("R", 30),
    StudyPlan("A", 30, (1, 2), (1.0, 0.7), n_calibrators=12),
    StudyPlan("B", 30, (2, 2), (-0.8, 1.4), n_calibrators=12),
)
METHODS = ("naive", "internalized", "full", "induced", "two-stage")
PLUG_IN = METHODS[:3]


def pool_frame(seed=1, *, larger=False):
    """Three studies, 30 (larger: 90) sets of three shapes, one covariate z1."""
    return draw_pool(np.random.default_rng(seed), LARGER if larger else PLANS, covariate_log_odds=(0.3,))


def fit(frame, method, **options):
    """`bc.fit` of a data frame, linear unless said."""
    return bc.fit(bc.PooledStudies.from_frame(frame), method=method, **{"exposure": bc.linear()} | options)


def told(found):
    """Everything that the summary of a fit tells beside its tables."""
    return [*found.warnings, *found.info.notes, *found.notes]


def is_calibrator(frame):
    """Rows of the calibration subset."""
    return (frame["study"] != "R") & frame["reference"].notna() & (frame["case"] == 0)


@in_80_digits
def errors_against_80_digits(frame, method, *, knots=(), covariates=(), calibration=()):
    """Largest error of the coefficients, in standard errors, and of the covariance, in their products."""
    found = fit(
        frame,
        method,
        exposure=bc.rcs(list(knots)) if knots else bc.linear(),
        covariates=" + ".join(covariates) or None,
        calibration_covariates=" + ".join(calibration) or "none",
    )
    precise = PreciseFit(frame, method, knots, covariates, calibration).solve(found.params.to_numpy())
    vcov = as_array(precise.vcov)
    size = np.sqrt(np.diagonal(vcov))
    of_beta = np.abs(found.params.to_numpy() - as_array(precise.beta)) / size
    of_vcov = np.abs(found.cov_params().to_numpy() - vcov) / np.outer(size, size)
    return float(of_beta.max()), float(of_vcov.max()), found
