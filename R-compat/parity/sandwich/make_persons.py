"""Make persons.csv: seeded sets of one case, an exposure, two covariates; 1:1, 1:2 and 1:1 to 1:4.

Run: python make_persons.py   (the anova comparison takes its copy)
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

SEED = 20240703
CONTROLS = {"pairs": [1] * 200, "one_to_two": [2] * 120, "ragged": [1, 2, 3, 4] * 40}


def main() -> None:
    """Write the file; the risk is curved in the exposure."""
    rng = np.random.default_rng(SEED)
    with (Path(__file__).parent / "persons.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["design", "set", "case", "reference", "z1", "z2"])
        for design, sets in CONTROLS.items():
            for number, controls in enumerate(sets, start=1):
                exposure, z1 = rng.normal(size=(2, controls + 1))
                z2 = (rng.random(controls + 1) < 0.4).astype(float)
                risk = 0.5 * exposure + 0.3 * exposure**2 - 0.2 * z1 + 0.4 * z2
                weight = np.exp(risk)
                case = rng.choice(controls + 1, p=weight / weight.sum())
                for i in range(controls + 1):
                    row = [exposure[i], z1[i], z2[i]]
                    writer.writerow([design, number, int(i == case), *(f"{v:.17g}" for v in row)])


if __name__ == "__main__":
    main()
