"""Compare biocal's performance measures with the formulas of rsimsum, computed in R.

Run: python compare.py [PINS.json]   prints the largest difference of each quantity; exit 1 beyond tolerance.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import biocal as bc

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from comparison import Difference, relative_differences, tell  # noqa: E402

#: Sums in another order; a difference of two nearly equal numbers (relative error, bias) keeps a few digits less.
TOLERANCES = {"": 1e-12}


def differences(pins: Mapping[str, Any]) -> Iterator[Difference]:
    """Every pinned quantity against biocal."""
    with (HERE / "estimates.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    frame = pd.DataFrame(
        {
            "scenario": [int(row["scenario"]) for row in rows],
            "method": [row["method"] for row in rows],
            **{
                name: [float(row[name]) if row[name] else np.nan for row in rows]
                for name in ("estimate", "std_error", "truth")
            },
        }
    )
    table = bc.performance(frame, by=["scenario", "method"]).tidy()
    for grid, pinned in pins["grids"].items():
        scenario, method = grid.split("_")
        own = table[(table["scenario"] == int(scenario)) & (table["method"] == method)].iloc[0]
        yield from relative_differences(grid, pinned, own)


if __name__ == "__main__":
    sys.exit(tell(HERE, differences, TOLERANCES))
