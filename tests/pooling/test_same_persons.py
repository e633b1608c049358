"""All methods of one call are fitted to the same persons, whatever each of them needs."""

from __future__ import annotations

import numpy as np
import pytest
from cli_pool import small_pool

import biocal as bc


@pytest.fixture
def holes():
    """A pool in which a matching factor, which calibrations alone need, is missing here and there."""
    pool = small_pool()
    pool["age"] = np.random.default_rng(4).normal(60, 8, len(pool)).round()
    pool.loc[pool.index[(pool["study"] == "North") & (pool["set"] % 9 == 0)], "age"] = np.nan
    return pool


def test_methods_of_one_call_have_the_same_persons(holes):
    pool = bc.PooledStudies.from_frame(holes)
    fits = bc.fit(pool, method="all", exposure=bc.linear(), matching="age", keep_going=False)
    # at coefficients of 0 the likelihood knows nothing but the sets
    at_zero = {fits[name].loglik_null for name in ("naive", "internalized", "full", "induced")}
    assert len(at_zero) == 1
    assert {(fit.sample.n_sets, fit.sample.n_cases, fit.sample.n_controls) for fit in fits.values()} == {
        (174, 174, 174)
    }
    complete = bc.PooledStudies.from_frame(holes[holes["age"].notna() | (holes["study"] == "West")])
    naive = bc.fit(complete, method="naive", exposure=bc.linear())
    np.testing.assert_allclose(fits["naive"].estimates, naive.estimates, rtol=1e-9)
