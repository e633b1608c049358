"""Pools of any shape for property-based tests: hypothesis draws the shape, a generator the numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from hypothesis import strategies as st

#: The magnitudes that the values of a pool may have.
SCALES = (1e-6, 1e-3, 1.0, 1e3, 1e6)
SHAPES = ((1, 1), (1, 2), (1, 5), (2, 1), (3, 1), (2, 2), (2, 3), (3, 3), (2, 6), (5, 12))
IDS = ("numbers", "words", "numbers with zeros", "decimals")


@dataclass(frozen=True)
class PoolShape:
    """What a pool looks like; `draw` gives the same pool each time.

    Attributes
    ----------
    studies : tuple of (cases, controls, sets, is a reference study, calibrators)
        Of each study.
    scale : float
        Of all measurements.
    tails : {"normal", "heavy", "ties"}
        Law of the exposure: normal, t with two degrees of freedom, or ten distinct values.
    missing : float
        Share of blank cells in the covariate and among local values.
    ragged : bool
        Some members of the sets are lost.
    ids : str
        How sets are named.
    seed : int
    """

    studies: tuple[tuple[int, int, int, bool, int], ...]
    scale: float = 1.0
    tails: str = "normal"
    missing: float = 0.0
    ragged: bool = False
    ids: str = "numbers"
    seed: int = 0

    def draw(self) -> pd.DataFrame:
        rng = np.random.default_rng(self.seed)
        parts = [self._study(rng, k, *study) for k, study in enumerate(self.studies)]
        pool = pd.concat(parts, ignore_index=True)
        if self.ragged:
            pool = pool[rng.random(len(pool)) > 0.1]
        return pool.iloc[rng.permutation(len(pool))].reset_index(drop=True)

    def _study(self, rng, number, cases, controls, sets, is_reference, calibrators) -> pd.DataFrame:
        size = cases + controls
        n = size * sets
        case = np.tile((np.arange(size) < cases).astype(int), sets)
        z = rng.normal(size=n)
        exposure = 5 + 0.4 * z + 0.3 * case + self._spread(rng, n)
        reference, local = exposure * self.scale, np.full(n, np.nan)
        if not is_reference:
            line = rng.normal(0, 2), rng.choice([0.5, 0.8, 1.0, 1.6])
            local = ((exposure - line[0]) / line[1] + rng.normal(0, 0.3, n)) * self.scale
            kept = np.zeros(n, dtype=bool)
            kept[np.flatnonzero(case == 0)[:calibrators]] = True
            reference[~kept] = np.nan
            local[rng.random(n) < self.missing] = np.nan
        z[rng.random(n) < self.missing] = np.nan
        sets_of = np.repeat(np.arange(1, sets + 1), size)
        return pd.DataFrame(
            {
                "study": f"S{number}",
                "set": [_spelt(one, self.ids) for one in sets_of],
                "case": case,
                "local": local,
                "reference": reference,
                "z": z,
            }
        )

    def _spread(self, rng, n):
        if self.tails == "heavy":
            return rng.standard_t(2, n)
        spread = rng.normal(size=n)
        return np.round(spread * 2) / 2 if self.tails == "ties" else spread


def _spelt(number: int, ids: str) -> object:
    return {"words": f"pair {number}", "numbers with zeros": f"{number:05d}", "decimals": float(number)}.get(
        ids, number
    )


def pool_shapes(
    *,
    most_studies: int = 12,
    shapes: tuple[tuple[int, int], ...] = SHAPES,
    sets: tuple[int, int] = (3, 14),
    reference_only: bool = False,
    sound: bool = False,
) -> st.SearchStrategy[PoolShape]:
    """Shapes of pools; `sound` ones have no missing cell, no heavy tail and enough sets for a fit."""
    study = st.tuples(
        st.sampled_from(shapes),
        st.integers(*sets),
        st.just(True) if reference_only else st.booleans(),
        st.integers(6 if sound else 2, 12),
    ).map(lambda drawn: (*drawn[0], *drawn[1:]))
    return st.builds(
        PoolShape,
        studies=st.lists(study, min_size=1, max_size=most_studies).map(tuple),
        scale=st.sampled_from(SCALES),
        tails=st.sampled_from(("normal", "ties") if sound else ("normal", "heavy", "ties")),
        missing=st.just(0.0) if sound else st.sampled_from((0.0, 0.05, 0.3)),
        ragged=st.booleans(),
        ids=st.sampled_from(IDS),
        seed=st.integers(0, 2**32 - 1),
    )
