"""Make points.csv: exposures inside, at and beyond the knots, and knots for K = 3 to 7 (unequal gaps).

Run: python make_points.py
"""

from __future__ import annotations

import csv
from itertools import zip_longest
from pathlib import Path

import numpy as np

KNOTS = {
    3: [34.35, 60.02, 85.64],
    4: [27.147334278655254, 47.78, 62.8, 94.03],
    5: [20.5, 38.25, 51.0, 70.125, 101.75],
    6: [18.0, 33.3, 47.7, 60.1, 75.9, 110.4],
    7: [15.2, 29.9, 41.3, 52.7, 66.6, 84.4, 119.9],
}


def main() -> None:
    """Write the file; columns of unequal length are filled with blanks."""
    x = np.unique(np.concatenate([np.linspace(0.5, 250, 80), [-3.0], *KNOTS.values()]))
    with (Path(__file__).parent / "points.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["x", *(f"knots{k}" for k in KNOTS)])
        for row in zip_longest(x, *KNOTS.values()):
            writer.writerow(["" if value is None else f"{value:.17g}" for value in row])


if __name__ == "__main__":
    main()
