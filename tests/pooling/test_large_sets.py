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


@pytest.mark.parametrize(("cases", "controls"), [(1_500, 2_000), (2_000, 1_500)])
def test_a_set_beyond_the_free_memory_is_refused_by_name_before_the_fit(monkeypatch, cases, controls):
    # so large only that the fit would succeed, were it not refused
    monkeypatch.setattr("biocal.fitting.soundness.large_sets._TOLD", 2.0**20)
    monkeypatch.setattr("biocal.fitting.soundness.large_sets.available_memory", lambda: 2.0**27)
    with pytest.raises(
        MatchedSetError,
        match=f"study 'North': set 'big' has {cases:,} cases and {controls:,} controls: .* GiB of memory, more than "
        r"the 0\.1 GiB that are free here; divide it",
    ):
        fit(pool_with_a_large_set(cases, controls))


def test_a_set_of_tens_of_thousands_is_refused_on_a_large_computer(monkeypatch):
    monkeypatch.setattr("biocal.fitting.soundness.large_sets.available_memory", lambda: 2.0**34)
    with pytest.raises(MatchedSetError, match=r"more than the 16\.0 GiB that are free here"):
        fit(pool_with_a_large_set(20_000, 25_000))


def test_the_memory_of_a_large_set_is_told_and_that_of_common_sets_is_not(monkeypatch):
    assert not any("GiB" in note for note in fit(pool_with_a_large_set(40, 60)).info.notes)
    monkeypatch.setattr("biocal.fitting.soundness.large_sets._TOLD", 1e5)
    [note] = [note for note in fit(pool_with_a_large_set(60, 40)).info.notes if "GiB" in note]
    assert "set 'big' has 60 cases and 40 controls" in note
