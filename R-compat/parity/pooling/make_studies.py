"""Make studies.csv: 18 grids of made-up study results, k = 3, 5, 17 by p = 1, 2, 3 by tau none, large.

Run: python make_studies.py   (seeded; needs NumPy only; writes studies.csv beside this file)
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

SEED = 20240611
N_STUDIES = (3, 5, 17)
N_COLUMNS = (1, 2, 3)
BETWEEN_SD = {"none": 0.0, "large": 0.6}
COLUMNS = ["grid", "study", "b1", "b2", "b3", "v11", "v21", "v22", "v31", "v32", "v33"]


def draw_study(rng: np.random.Generator, n_columns: int, between_sd: float) -> tuple[np.ndarray, np.ndarray]:
    """One study's vector and within-study covariance; standard errors between about .05 and .3."""
    size = rng.uniform(0.05, 0.3)
    mixing = rng.normal(size=(n_columns, n_columns + 3))
    within = size**2 * mixing @ mixing.T / (n_columns + 3)
    between = between_sd**2 * (0.6 * np.eye(n_columns) + 0.4)
    truth = 0.3 - 0.4 * np.arange(n_columns)
    return rng.multivariate_normal(truth, within + between), within


def main() -> None:
    """Write the file; numbers with 17 significant digits, cells beyond a grid's columns empty."""
    rng = np.random.default_rng(SEED)
    with (Path(__file__).parent / "studies.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for k in N_STUDIES:
            for p in N_COLUMNS:
                for name, between_sd in BETWEEN_SD.items():
                    for study in range(1, k + 1):
                        estimate, within = draw_study(rng, p, between_sd)
                        cells = {f"b{i + 1}": estimate[i] for i in range(p)}
                        cells |= {f"v{i + 1}{j + 1}": within[i, j] for i in range(p) for j in range(i + 1)}
                        values = [f"{cells[c]:.17g}" if c in cells else "" for c in COLUMNS[2:]]
                        writer.writerow([f"k{k}_p{p}_tau_{name}", study, *values])


if __name__ == "__main__":
    main()
