"""Make sets.csv: seeded matched sets of four shapes, three columns, true coefficients .5, -.3, .8.

Run: python make_sets.py   (needs NumPy only; writes sets.csv beside this file)
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

SEED = 20240701
BETA = np.array([0.5, -0.3, 0.8])
# cases and controls of each set in turn
SHAPES = {
    "pairs": [(1, 1)] * 80,
    "one_to_many": [(1, m) for m in (1, 2, 3, 4, 5)] * 14,
    "two_to_three": [(2, 3)] * 40,
    "many_to_many": [(1, 1), (2, 2), (3, 2), (2, 5), (4, 1), (3, 4), (5, 5)] * 7,
}


def main() -> None:
    """Write the file; numbers with 17 significant digits."""
    rng = np.random.default_rng(SEED)
    with (Path(__file__).parent / "sets.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["design", "set", "case", "x1", "x2", "x3"])
        for design, shapes in SHAPES.items():
            for number, (cases, controls) in enumerate(shapes, start=1):
                x = rng.normal(size=(cases + controls, 3))
                x[:, 2] = x[:, 2] > 0
                # the n of highest utility with Gumbel noise: a sequential draw, close to the exact law
                order = np.argsort(-(x @ BETA + rng.gumbel(size=len(x))))
                for place, row in enumerate(order):
                    writer.writerow([design, number, int(place < cases), *(f"{v:.17g}" for v in x[row])])


if __name__ == "__main__":
    main()
