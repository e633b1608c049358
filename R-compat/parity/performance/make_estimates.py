"""Make estimates.csv: seeded replicates of two methods in two scenarios, some failed, one truth of 0.

Run: python make_estimates.py   (a blank estimate is a failed replicate)
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

SEED = 20240704
N_REPLICATES = 120
TRUTH = {0: 0.4, 1: 0.0}
#: Bias, SD of the estimates, ratio of the standard errors to it.
METHODS = {"naive": (-0.1, 0.12, 0.9), "full": (0.005, 0.15, 1.05)}


def main() -> None:
    """Write the file, a row a replicate."""
    rng = np.random.default_rng(SEED)
    with (Path(__file__).parent / "estimates.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["scenario", "replicate", "method", "estimate", "std_error", "truth"])
        for scenario, truth in TRUTH.items():
            for method, (bias, sd, ratio) in METHODS.items():
                for replicate in range(N_REPLICATES):
                    estimate = rng.normal(truth + bias, sd)
                    std_error = ratio * sd * np.sqrt(rng.chisquare(30) / 30)
                    failed = method == "full" and replicate % 40 == 7
                    cells = ["", ""] if failed else [f"{estimate:.17g}", f"{std_error:.17g}"]
                    writer.writerow([scenario, replicate, method, *cells, truth])


if __name__ == "__main__":
    main()
