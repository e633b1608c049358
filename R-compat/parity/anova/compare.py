"""Compare biocal's overall and nonlinearity tests with rms::anova of the same fits.

Run: python compare.py [PINS.json]   prints the largest difference of each quantity; exit 1 beyond tolerance.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import biocal as bc
from biocal.kernels.contrasts import wald_test

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from comparison import Difference, read_persons, relative_differences, tell  # noqa: E402

KNOTS = {
    "knots3": [-1.2, 0.1, 1.3],
    "knots4": [-1.5, -0.4, 0.4, 1.5],
    "knots5": [-1.6, -0.6, 0.0, 0.6, 1.6],
}
#: Two Newton iterations, and quadratic forms in their inverse covariances.
TOLERANCES = {"": 1e-8}


def differences(pins: Mapping[str, Any]) -> Iterator[Difference]:
    """Every pinned quantity against biocal."""
    persons = read_persons(HERE / "persons.csv")
    for grid, pinned in pins["grids"].items():
        design, _, which = grid.rpartition("_")
        knots = KNOTS[which]
        own = persons[persons["design"] == design].drop(columns="design").assign(study="A")
        fit = bc.fit(
            bc.PooledStudies.from_frame(own), method="naive", exposure=bc.rcs(knots), covariates="z1 + z2"
        )
        robust = [fit.test_overall(), fit.test_nonlinearity()]
        beta, covariance = fit.params.to_numpy(), fit.vcov_uncorrected
        model = [wald_test("", beta, covariance, np.arange(first, len(knots) - 1)) for first in (0, 1)]
        found = {
            name: [number for test in tests for number in (test.statistic, test.df, test.p_value)]
            for name, tests in (("model", model), ("robust", robust))
        }
        yield from relative_differences(grid, pinned, found | {"coefficients": beta})


if __name__ == "__main__":
    sys.exit(tell(HERE, differences, TOLERANCES))
