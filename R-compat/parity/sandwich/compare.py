"""Compare the sandwich of biocal's naive fit with survival's robust variance, one case a set.

Run: python compare.py [PINS.json]   prints the largest difference of each quantity; exit 1 beyond tolerance.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import biocal as bc

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from comparison import Difference, read_persons, relative_differences, tell  # noqa: E402

#: Two Newton iterations carried on to their own stopping rules.
TOLERANCES = {"": 1e-9}


def naive_fit(persons: pd.DataFrame, design: str, exposure: Any) -> Any:
    """Naive fit of one design: everybody has the reference value, so nothing is calibrated."""
    own = persons[persons["design"] == design].drop(columns="design").assign(study="A")
    pool = bc.PooledStudies.from_frame(own)
    return bc.fit(pool, method="naive", exposure=exposure, covariates="z1 + z2")


def differences(pins: Mapping[str, Any]) -> Iterator[Difference]:
    """Every pinned quantity against biocal."""
    persons = read_persons(HERE / "persons.csv")
    for grid, pinned in pins["grids"].items():
        fit = naive_fit(persons, grid, bc.linear())
        found = {
            "estimate": fit.params,
            "covariance": fit.cov_params(),
            "covariance_uncorrected": fit.vcov_uncorrected,
            "statistic": fit.params / np.sqrt(np.diag(fit.cov_params())),
        }
        yield from relative_differences(grid, pinned, found)


if __name__ == "__main__":
    sys.exit(tell(HERE, differences, TOLERANCES))
