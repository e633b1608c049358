"""Ignoring the season biases even the fit on reference values; standardising restores it (METHODS sections 7, 12)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from seasonal_pools import (
    AT,
    KNOTS,
    REFERENCE,
    SeasonalPool,
    as_if_all_measured_at_the_reference,
    true_log_or,
)

import biocal as bc

# Monte Carlo standard errors: a bias is there beyond 4 of them, and within 3.5 it may be chance (five exposures,
# strongly correlated, in a handful of comparisons).
THERE, CHANCE = 4.0, 3.5
ENDS = [0, 4]  # at 25 and 100
#: METHODS section 7, "X for everybody was off by" at 25 and 100 when the season was ignored.
TOLD = np.array([-0.063, -0.086])
#: Full calibration smooths a bent curve even without a season, at R2 .7 by up to this (METHODS section 7, its table).
OWN_BIAS = 0.04


def fitted(frame: pd.DataFrame, **options):
    pool = bc.PooledStudies.from_frame(frame)
    curve = bc.fit(pool, exposure=bc.rcs(KNOTS), at=AT, reference=REFERENCE, **options).dose_response()
    return np.array([curve.log_or, curve.std_error])


def replicated(design: SeasonalPool, n: int, seed: int, **analyses):
    """Log odds ratios and standard errors (n, 2, 5) of each analysis; an analysis is (frame -> frame, options)."""
    found: dict[str, list] = {name: [] for name in analyses}
    for replicate in range(n):
        frame = design.draw(np.random.default_rng([seed, replicate]))
        for name, (prepared, options) in analyses.items():
            found[name].append(fitted(prepared(frame), **options))
    return {name: np.array(one) for name, one in found.items()}


def bias_of(estimates):
    """Bias and its Monte Carlo standard error at AT."""
    error = estimates[:, 0] - true_log_or()
    return error.mean(axis=0), error.std(axis=0, ddof=1) / np.sqrt(len(error))


def test_reference_values_for_everybody_are_biased_until_standardised():
    everybody = as_if_all_measured_at_the_reference
    found = replicated(
        SeasonalPool(share=0.15, n_sets=1000),
        40,
        20260701,
        ignored=(everybody, {}),
        standardised=(everybody, {"season": "month"}),
    )
    bias, error = bias_of(found["ignored"])
    assert (bias < -THERE * error)[ENDS].all()
    assert (np.abs(bias[ENDS] - TOLD) < CHANCE * error[ENDS]).all()
    bias, error = bias_of(found["standardised"])
    assert (np.abs(bias) < CHANCE * error).all()
    # the same draws: what standardising takes away is known better than either bias
    change = (found["standardised"] - found["ignored"])[:, 0, ENDS]
    assert (change.mean(axis=0) > 10 * change.std(axis=0, ddof=1) / np.sqrt(len(change))).all()


@pytest.mark.slow
def test_calibrated_estimates_recover_the_curve_and_their_intervals_cover():
    def measured(frame):
        return frame.drop(columns="everybody")

    n = 150
    found = replicated(
        SeasonalPool(share=0.3),
        n,
        20260702,
        full=(measured, {"season": "month"}),
        induced=(measured, {"season": "month", "method": "induced"}),
        calibration_alone=(measured, {"matching": "C(month)"}),
        without_in_calibration=(measured, {"season": "month", "calibration_covariates": "none"}),
    )
    bias, error = bias_of(found["induced"])
    assert (np.abs(bias) < CHANCE * error).all()
    bias, error = bias_of(found["full"])
    assert (np.abs(bias) < OWN_BIAS + CHANCE * error).all()
    # the season in the calibration alone does not standardise, nor does standardising make up for a calibration
    # that does not know the season
    bias, error = bias_of(found["calibration_alone"])
    assert (bias < -THERE * error)[ENDS].all()
    worse = (found["without_in_calibration"] - found["full"])[:, 0, 0]
    assert worse.mean() < -THERE * worse.std(ddof=1) / np.sqrt(n)
    for name in ("full", "induced"):
        covered = np.abs(found[name][:, 0] - true_log_or()) < 1.96 * found[name][:, 1]
        assert (covered.mean(axis=0) > 0.95 - CHANCE * np.sqrt(0.95 * 0.05 / n)).all(), name
        ratio = np.sqrt((found[name][:, 1] ** 2).mean(axis=0)) / found[name][:, 0].std(axis=0, ddof=1)
        assert (np.abs(ratio - 1) < CHANCE / np.sqrt(2 * n)).all(), name
