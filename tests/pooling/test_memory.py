"""What a fit holds next to its pool, in multiples of the pool's numbers."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.fitting import assembled as assembled_fit
from biocal.model.outcome import induced, induced_risk

N_COVARIATES = 8
#: Numbers of a row: study, set, case, both assays, covariates.
N_COLUMNS = 5 + N_COVARIATES
#: Measured 2.6 (full) and 2.8 (induced) at this size, 1.9 at a million sets, where nothing of fixed size counts.
#: Whole arrays of slopes, designs and influences took 8 to 14.
MOST_TIMES_THE_DATA = 4.0


def large_frame(n_sets):
    """Sets 1:4 of five studies in order; two measured at the reference laboratory, one control in 50 calibrated."""
    rng = np.random.default_rng(4)
    n = 5 * n_sets
    study = np.repeat(np.arange(5), n // 5)
    case = (np.arange(n) % 5 == 0).astype(int)
    exposure = rng.normal(60, 20, n) + 2 * case
    known = study < 2
    calibrated = known | ((case == 0) & (rng.random(n) < 0.02))
    columns = {f"z{k}": rng.normal(size=n) for k in range(N_COVARIATES)}
    return pd.DataFrame(
        {
            "study": study,
            "set": np.arange(n) // 5,
            "case": case,
            "local": np.where(known, np.nan, (exposure - 8) / 0.8 + rng.normal(0, 10, n)),
            "reference": np.where(calibrated, exposure, np.nan),
            **columns,
        }
    )


def pool_of(n_sets):
    return bc.PooledStudies.from_frame(large_frame(n_sets))


def fitted(pool, method):
    return bc.fit(pool, method=method, covariates=" + ".join(f"z{k}" for k in range(N_COVARIATES)))


@pytest.mark.parametrize("method", ["full", "induced"])
def test_a_fit_holds_a_few_times_the_numbers_of_its_pool(monkeypatch, method):
    n_sets = 10_000
    fitted(pool_of(500), method)  # what is imported on the way is not the fit's
    monkeypatch.setattr(induced, "_PIECE", n_sets)
    monkeypatch.setattr(induced_risk, "_KEEP_NUMBERS", 0)
    monkeypatch.setattr(assembled_fit, "MOST_INFLUENCES", n_sets)
    pool = pool_of(n_sets)
    tracemalloc.start()
    try:
        fitted(pool, method)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    print(method, peak / (8 * N_COLUMNS * pool.n_rows))
    assert peak < MOST_TIMES_THE_DATA * 8 * N_COLUMNS * pool.n_rows


def test_a_fit_keeps_influences_up_to_a_number(monkeypatch):
    pool = pool_of(500)
    kept = fitted(pool, "full")
    assert kept.influence is not None
    np.testing.assert_allclose(kept.influence.T @ kept.influence, kept.vcov, rtol=1e-10)
    monkeypatch.setattr(assembled_fit, "MOST_INFLUENCES", kept.influence.size - 1)
    lean = fitted(pool, "full")
    assert lean.influence is None
    np.testing.assert_array_equal(lean.vcov, kept.vcov)
