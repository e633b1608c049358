"""A synthetic pool of six studies at five sites, and a session played inside the process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

#: Studies at each site: two reference studies, four local ones; site e holds two studies.
SITES = {"a": ["Ash"], "b": ["Beech"], "c": ["Cherry"], "d": ["Damson"], "e": ["Elder", "Ebony"]}
#: Fewer of them, for tests of one thing at a time.
FEW_SITES = {"a": ["Ash"], "b": ["Beech"], "d": ["Damson", "Ebony"]}
_LINES = {"Beech": (12.0, 0.75), "Cherry": (-8.0, 1.3), "Damson": (5.0, 0.9), "Ebony": (3.0, 1.1)}


def few_studies(pool: pd.DataFrame) -> pd.DataFrame:
    """The rows of FEW_SITES."""
    names = [name for names in FEW_SITES.values() for name in names]
    return pool[pool["study"].isin(names)].reset_index(drop=True)


def make_pool(n_sets: int = 90, seed: int = 20261122, matched: int = 1) -> pd.DataFrame:
    """Matched sets of one case and `matched` controls, some with two; words, numbers and gaps among covariates."""
    rng = np.random.default_rng(seed)
    frames = []
    for name in (name for names in SITES.values() for name in names):
        controls = np.where(rng.random(n_sets) < 0.3, matched + 1, matched)
        sets = np.repeat(np.arange(n_sets) + 1, controls + 1)
        case = np.concatenate([[1] + [0] * k for k in controls])
        n = sets.size
        bmi = rng.normal(27, 4, n).round(1)
        age = np.repeat(rng.integers(50, 75, n_sets), controls + 1)
        # One site has no level "never": levels must be agreed, not taken as each site finds them.
        words = ["current", "former"] if name == "Damson" else ["current", "former", "never"]
        smoking = rng.choice(words, n)
        region = np.repeat(name[0], n)
        x = rng.normal(60, 18, n) + 0.3 * (age - 62) - 0.8 * (bmi - 27) - 6 * case + 2 * (smoking == "never")
        frame = pd.DataFrame({"study": name, "set": sets, "case": case, "bmi": bmi, "age": age})
        frame["smoking"], frame["region"] = smoking, region
        if name in _LINES:
            a, b = _LINES[name]
            frame["local"] = ((x - a + rng.normal(0, 9, n)) / b).round(2)
            chosen = np.zeros(n, dtype=bool)
            chosen[rng.choice(np.flatnonzero(case == 0), 45, replace=False)] = True
            frame["reference"] = np.where(chosen, x.round(2), np.nan)
        else:
            frame["local"], frame["reference"] = np.nan, x.round(2)
        gaps = rng.choice(n, 8, replace=False)
        frame.loc[gaps, "bmi"] = np.nan
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def write_sites(folder: Path, pool: pd.DataFrame, *, sites: dict[str, list[str]] = SITES) -> None:
    """A folder a site with its data and spec."""
    for site, studies in sites.items():
        place = folder / f"site_{site}"
        place.mkdir()
        pool[pool["study"].isin(studies)].to_csv(place / "data.csv", index=False)
        (place / "site.toml").write_text(f'site = "{site}"\nfiles = ["data.csv"]\n', encoding="utf-8")


SPEC = """\
sites = ["a", "b", "c", "d", "e"]
method = ["naive", "internalized", "full", "induced"]
exposure = "rcs"
knot_values = [35, 60, 85]
covariates = "bmi + C(smoking)"
matching = "age"
ref = 60
at = [30, 45, 60, 75, 90]
"""
