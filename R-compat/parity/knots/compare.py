"""Compare biocal's default knots with those of rms::rcs.

Run: python compare.py [PINS.json]   prints the largest difference of each quantity; exit 1 beyond tolerance.
Seven knots are compared at the unrounded probabilities of rms; the test bounds what the rounding does.
The sample of fifty is left to the test: below 100 values Hmisc takes its outer knots by another rule.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from biocal.kernels.splines import default_probabilities, quantile_knots

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from comparison import Difference, relative_differences, tell  # noqa: E402

#: The same interpolation between two order statistics, rounded in another order.
TOLERANCES = {"": 1e-14}
#: Hmisc's other rule, below 100 values, is not ours.
SMALL = ("fifty",)
#: rms spaces the seven probabilities equally; Harrell's printed table, which biocal follows, has them to four digits.
UNROUNDED_SEVEN = np.linspace(0.025, 0.975, 7)


def values(sample: str) -> np.ndarray:
    """One sample of values.csv."""
    with (HERE / "values.csv").open(encoding="utf-8", newline="") as stream:
        return np.array([float(row["value"]) for row in csv.DictReader(stream) if row["sample"] == sample])


def knots_of(sample: str) -> dict[str, np.ndarray]:
    """What biocal finds, under the names of the pins."""
    x = values(sample)
    found = {f"knots{k}": quantile_knots(x, default_probabilities(k)) for k in range(3, 7)}
    return found | {"knots7": quantile_knots(x, UNROUNDED_SEVEN)}


def differences(pins: Mapping[str, Any]) -> Iterator[Difference]:
    """Every pinned quantity against biocal."""
    for grid, pinned in pins["grids"].items():
        if grid not in SMALL:
            yield from relative_differences(grid, pinned, knots_of(grid))


if __name__ == "__main__":
    sys.exit(tell(HERE, differences, TOLERANCES))
