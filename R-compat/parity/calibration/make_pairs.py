"""Draw pairs.csv: synthetic calibration pairs of three studies, with gross errors and a detection limit.

Run: python make_pairs.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
LIMIT = 30.0


def main() -> None:
    """Write the file."""
    rng = np.random.default_rng(20261122)
    lines = ["study,local,v,reference,gross,below,at_limit"]
    for name, size, intercept, slope, sd in (
        ("A", 45, 8, 0.8, 8),
        ("B", 60, -6, 1.2, 6),
        ("C", 30, 4, 0.9, 10),
    ):
        local = rng.lognormal(3.9, 0.35, size)
        v = rng.normal(size=size)
        reference = np.maximum(intercept + slope * local + 2 * v + rng.normal(0, sd, size), 2.0)
        gross = reference + np.where(rng.random(size) < 0.08, rng.choice([-40.0, 60.0], size), 0.0)
        for w, z, x, wild in zip(local, v, reference, gross, strict=True):
            below = int(x < LIMIT)
            lines.append(f"{name},{w:.4f},{z:.4f},{x:.4f},{wild:.4f},{below},{max(x, LIMIT):.4f}")
    (HERE / "pairs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
