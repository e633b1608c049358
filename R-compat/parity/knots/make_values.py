"""Make values.csv: seeded exposures of four kinds, from which default knots are taken.

Run: python make_values.py
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

SEED = 20240702


def main() -> None:
    """Write the file, a row a value."""
    rng = np.random.default_rng(SEED)
    samples = {
        "normal": rng.normal(60, 20, 400),
        "lognormal": np.exp(rng.normal(4, 0.5, 301)),
        "rounded": np.round(rng.gamma(9, 7, 1000), 1),
        "hundred": rng.normal(60, 20, 100),
        "fifty": rng.normal(60, 20, 50),
    }
    with (Path(__file__).parent / "values.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["sample", "value"])
        for name, values in samples.items():
            writer.writerows([name, f"{value:.17g}"] for value in values)


if __name__ == "__main__":
    main()
