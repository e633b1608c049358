"""Compare biocal's exact conditional likelihood with survival::clogit.

Run: python compare.py [PINS.json]   prints the largest difference of each quantity; exit 1 beyond tolerance.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from biocal.kernels.sets.layout import lay_out_sets
from biocal.model.outcome.conditional import maximise_conditional, outcome_fit

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from comparison import Difference, relative_differences, tell  # noqa: E402

#: Two Newton iterations carried to rounding; the likelihood itself is a recursion in both.
TOLERANCES = {"": 1e-8, "loglik": 1e-12, "loglik_null": 1e-12}


def read(name: str) -> list[dict[str, str]]:
    """Rows of a CSV file beside this one."""
    with (HERE / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def fitted(rows: list[dict[str, str]], set_column: str, names: list[str]) -> dict[str, Any]:
    """What biocal finds, under the names of the pins."""
    _, codes = np.unique([int(row[set_column]) for row in rows], return_inverse=True)
    is_case = np.array([row["case"] == "1" for row in rows])
    columns = np.array([[float(row[name]) for row in rows] for name in names])
    likelihood, optimum = maximise_conditional(lay_out_sets(codes, is_case), columns, names)
    fit = outcome_fit(optimum, likelihood.details(optimum.point))
    return {
        "estimate": fit.beta,
        "covariance": np.linalg.inv(fit.information),
        "loglik_null": fit.loglik_null,
        "loglik": fit.loglik,
    }


def differences(pins: Mapping[str, Any]) -> Iterator[Difference]:
    """Every pinned quantity against biocal."""
    sets, infert = read("sets.csv"), read("infert.csv")
    for grid, pinned in pins["grids"].items():
        if grid.startswith("infert"):
            found = fitted(infert, "joined" if "joined" in grid else "stratum", ["spontaneous", "induced"])
        else:
            found = fitted([row for row in sets if row["design"] == grid], "set", ["x1", "x2", "x3"])
        yield from relative_differences(grid, pinned, found)


if __name__ == "__main__":
    sys.exit(tell(HERE, differences, TOLERANCES))
