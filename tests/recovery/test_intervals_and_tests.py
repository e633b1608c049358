"""Intervals cover and tests hold their level where theory says so: a small recovery in every run of the tests.

docs/statistical-trust.md has the whole grid.  Seeds are fixed, and bounds are Monte Carlo standard errors, so that a
failure is a changed number and not bad luck.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

import biocal as bc
from biocal.simulation.design.design import Design
from biocal.simulation.fitting.replicate import run_batch

KNOTS = [34.35, 60.02, 85.64]
REPLICATES = 300
BATCH = 50
#: A steep line and 29 calibrators for 500 pairs: a third of the variance at 25 is the calibration's, so that a
#: standard error without it would be 20 % too small, four times the Monte Carlo error.
STEEP = -0.03
#: Monte Carlo standard errors; six ratios are looked at, strongly correlated.
CHANCE = 3.0


@cache
def replicates(slope: float, methods: tuple[str, ...]) -> pd.DataFrame:
    sets = {"controls": 1, "laboratory": "reference"}
    local = {"intercept": 12, "slope": 0.75, "r_squared": 0.65, "calibrators": 29}
    design = Design.from_mapping(
        {
            "methods": list(methods),
            "exposure": {"mean": 60, "sd": 20},
            "truth": {"type": "linear", "beta": [slope]},
            "fit": {"knots": KNOTS, "calibration_covariates": "none"},
            "estimand": {"at": [25, 75, 90], "reference": 55, "tests": ["overall", "nonlinearity"]},
            "studies": [
                {"name": "A", "sets": 150, **sets},
                {"name": "B", "sets": 500, "controls": 1, **local},
            ],
        }
    )
    parts = [
        pd.DataFrame(run_batch(design.scenarios[0], 20261122, 0, range(first, first + BATCH)))
        for first in range(0, REPLICATES, BATCH)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("method", ["full", "induced"])
def test_standard_errors_are_as_large_as_the_estimates_vary(method: str) -> None:
    rows = replicates(STEEP, ("full", "induced"))
    curve = rows[(rows["quantity"] == "log_or") & (rows["method"] == method)]
    table = bc.performance(curve).tidy()
    assert (table["n"] == REPLICATES).all()
    assert (table["relative_error_model_se"].abs() <= CHANCE * table["mcse_relative_error_model_se"]).all()
    assert ((table["coverage"] - 0.95).abs() <= CHANCE * np.sqrt(0.95 * 0.05 / REPLICATES)).all()


@pytest.mark.parametrize("test", ["overall", "nonlinearity"])
def test_p_values_are_uniform_without_association(test: str) -> None:
    rows = replicates(0.0, ("full",))
    p_values = rows.loc[rows["quantity"] == f"p:{test}", "estimate"]
    assert len(p_values) == REPLICATES
    # Kolmogorov and Smirnov: a degree of freedom too many, or too few, is far beyond 1 in 1,000
    assert kstest(p_values, "uniform").pvalue > 0.001
