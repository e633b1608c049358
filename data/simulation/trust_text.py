"""What the scripts that write docs/statistical-trust.md share: stored tables and averages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from stored import numbers

TRUST = Path(__file__).parent / "trust"
NOMINAL = 0.95
#: Columns of words; in tables of trust/run.py the exposure is one too, since it may be a category or a coefficient.
WORDS = ("method", "test", "studies", "truth.label", "fit.knots", "interval")


def read(study: str, table: str, words: Sequence[str] = ()) -> pd.DataFrame:
    """A stored table; numbers as Python reads them, which is the same in all versions."""
    return numbers(TRUST / study / f"{table}.csv", (*WORDS, *words))


def family_bounds(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Coverages between which all of so many honest intervals lie with probability .95 or more (Bonferroni)."""
    from scipy.stats import binom

    tail = 0.05 / len(rows) / 2
    n = rows["n"].to_numpy()
    low, high = (binom.ppf(p, n, NOMINAL) / n for p in (tail, 1 - tail))
    return pd.Series(low, rows.index), pd.Series(high, rows.index)


def mean_coverage(rows: pd.DataFrame, measure: str = "coverage") -> tuple[float, float]:
    """Mean over intervals and its Monte Carlo error: intervals of a cell share their draws, cells do not."""
    by_cell = rows.groupby("scenario")[f"mcse_{measure}"].mean()
    return float(rows[measure].mean()), float(np.sqrt((by_cell**2).sum()) / by_cell.size)
