"""The memory of a large matched set is told, and refused where there is not so much."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.errors import MatchedSetError


def pool_with_a_large_set(cases: int, controls: int) -> bc.PooledStudies:
    """Thirty pairs and one large set, named 'big'."""
    rng = np.random.default_rng(32)
    n = cases + controls
    frame = pd.DataFrame(
        {
            "study": "North",
            "set": np.repeat(["big", *map(str, range(30))], [n, *[2] * 30]),
            "case": np.concatenate([np.arange(n) < cases, np.tile([True, False], 30)]).astype(int),
            "reference": rng.normal(50, 10, n + 60),
        }
    )
    return bc.PooledStudies.from_frame(frame)


def fit(pool: bc.PooledStudies) -> bc.Fit:
    return bc.fit(pool, method="full", exposure=bc.linear())


def test_a_set_beyond_the_free_memory_is_refused_by_name_before_the_fit(monkeypatch):
    monkeypatch.setattr("biocal.pooling.large_sets.available_memory", lambda: 2.0**34)
    with pytest.raises(
        MatchedSetError, match=r"study 'North': set 'big' has 20,000 cases and 25,000 controls"
    ):
        fit(pool_with_a_large_set(20_000, 25_000))
    with pytest.raises(
        MatchedSetError, match=r"GiB of memory, more than the 16\.0 GiB that are free here; divide it"
    ):
        fit(pool_with_a_large_set(25_000, 20_000))


def test_the_memory_of_a_large_set_is_told_and_that_of_common_sets_is_not(monkeypatch):
    assert not any("GiB" in note for note in fit(pool_with_a_large_set(40, 60)).info.notes)
    monkeypatch.setattr("biocal.pooling.large_sets._TOLD", 1e5)
    [note] = [note for note in fit(pool_with_a_large_set(60, 40)).info.notes if "GiB" in note]
    assert "set 'big' has 60 cases and 40 controls" in note
