"""Compare biocal's restricted cubic spline with Hmisc::rcspline.eval, under each of its norms.

Run: python compare.py [PINS.json]   prints the largest difference of each quantity; exit 1 beyond tolerance.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from biocal.kernels.splines import spline_columns

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from comparison import Difference, relative_differences, tell  # noqa: E402

#: Hmisc takes differences of cubes beyond the last knot, where biocal goes on along the line: with points up to
#: 1.6 knot spans away, cancellation leaves Hmisc about 13 digits.
TOLERANCES = {"": 1e-12}


def points() -> dict[str, np.ndarray]:
    """Columns of points.csv without their blanks."""
    with (HERE / "points.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {name: np.array([float(row[name]) for row in rows if row[name]]) for name in rows[0]}


def differences(pins: Mapping[str, Any]) -> Iterator[Difference]:
    """Every pinned quantity against biocal."""
    given = points()
    for grid, pinned in pins["grids"].items():
        knots = given[grid]
        columns = spline_columns(given["x"], knots)
        span, last = knots[-1] - knots[0], knots[-1] - knots[-2]
        factors = {"norm0": span**2, "norm1": span**2 / last**3, "norm2": 1.0}
        found = {norm: np.vstack([columns[:1], factor * columns[1:]]) for norm, factor in factors.items()}
        yield from relative_differences(grid, pinned, found)


if __name__ == "__main__":
    sys.exit(tell(HERE, differences, TOLERANCES))
