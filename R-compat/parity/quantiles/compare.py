"""Compare biocal's quantiles, which are type 7, with R's; the other types show that it would be seen.

Run: python compare.py [PINS.json]   prints the largest difference of each type; exit 1 unless type 7 agrees.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from biocal.kernels.splines import quantile_knots

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from comparison import Difference, relative_differences, tell  # noqa: E402

#: The same interpolation between two order statistics, rounded in another order; the other types differ on
#: purpose, and only type 7 is held to this.
TOLERANCES = {"type7": 1e-14, "": np.inf}


def column(file: str, name: str, **where: str) -> np.ndarray:
    """Numbers of a column of a CSV file, of the rows where other columns have given words."""
    with (HERE / file).open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        return np.array([float(row[name]) for row in rows if all(row[k] == v for k, v in where.items())])


def differences(pins: Mapping[str, Any]) -> Iterator[Difference]:
    """Every type of quantile in R against the one of biocal."""
    probabilities = column("probabilities.csv", "probability")
    for grid, pinned in pins["grids"].items():
        ours = quantile_knots(column("values.csv", "value", sample=grid), probabilities)
        yield from relative_differences(grid, pinned, dict.fromkeys(pinned, ours))


if __name__ == "__main__":
    sys.exit(tell(HERE, differences, TOLERANCES))
