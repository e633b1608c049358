"""Compare biocal with the pinned numbers of metafor, quantity by quantity.

Run: python compare.py [PINS.json]   prints the largest difference of each quantity; exit 1 beyond tolerance.
The parity test imports `differences` from here.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from biocal.kernels.meta.numbers import combine_estimates, leave_one_study_out
from biocal.kernels.meta.vectors import combine_vectors, leave_one_study_out_of_vectors

HERE = Path(__file__).parent
METHODS = {"FE": "fixed", "DL": "dersimonian-laird", "REML": "reml"}
TESTS = {"z": "normal", "knha": "hartung-knapp", "adhoc": "hartung-knapp-at-least-normal"}

# Two programs, two optimisers: the agreement asked for, relative as `Difference` says.
TOLERANCE = 1e-6


class Difference(NamedTuple):
    """One pinned quantity: the largest |biocal - metafor| of its entries over their largest |metafor|.

    A between-study covariance is measured against its largest entry plus the median within-study variance.
    """

    grid: str
    fit: str
    quantity: str
    size: float


def read_studies() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Vectors (k, p) and covariances (k, p, p) of every grid of studies.csv."""
    with (HERE / "studies.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    grids = {}
    for grid in dict.fromkeys(row["grid"] for row in rows):
        own = [row for row in rows if row["grid"] == grid]
        p = sum(own[0][f"b{i}"] != "" for i in (1, 2, 3))
        vectors = np.array([[float(row[f"b{i + 1}"]) for i in range(p)] for row in own])
        lower = [
            [[float(row[f"v{max(i, j) + 1}{min(i, j) + 1}"]) for j in range(p)] for i in range(p)]
            for row in own
        ]
        grids[grid] = (vectors, np.array(lower))
    return grids


def univariate(fit: str, vectors: np.ndarray, covariances: np.ndarray) -> dict[str, Any]:
    """What biocal finds for the first column of a grid, under the names of the pins."""
    method, test = fit.split("_")
    options: Any = {"method": METHODS[method], "standard_error": TESTS[test]}
    b, v = vectors[:, 0], covariances[:, 0, 0]
    one = combine_estimates(b, v, **options)
    fixed = method == "FE"
    found = {
        name: getattr(one, name)
        for name in ("estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "tau_squared")
    }
    found |= {
        "tau_squared_std_error": one.tau_squared_std_error,
        "q": one.heterogeneity.q,
        "q_p_value": one.heterogeneity.p_value,
        "i_squared_metafor": one.heterogeneity.i_squared if fixed else one.i_squared_from_tau,
        "h_squared_metafor": one.heterogeneity.h_squared if fixed else one.h_squared_from_tau,
        "restricted_log_likelihood": one.restricted_log_likelihood,
        "weights": one.weights,
        "left_out": [
            [less.estimate, less.std_error, less.tau_squared, less.heterogeneity.q]
            for less in (leave_one_study_out(b, v, **options) if len(b) > 3 else ())
        ],
    }
    return found


def multivariate(fit: str, vectors: np.ndarray, covariances: np.ndarray) -> dict[str, Any]:
    """What biocal finds for the vectors of a grid, under the names of the pins."""
    method: Any = METHODS[fit.removeprefix("mv_")]
    one = combine_vectors(vectors, covariances, method=method)
    lower = np.tril_indices(vectors.shape[1])  # R's column order equals row order for two columns
    return {
        "estimate": one.estimate,
        "covariance": one.covariance,
        "between_covariance": one.between_covariance,
        "restricted_log_likelihood": one.restricted_log_likelihood,
        "q": one.heterogeneity.q,
        "q_p_value": one.heterogeneity.p_value,
        "left_out": [
            [*less.estimate, *less.covariance[lower]]
            for less in (
                leave_one_study_out_of_vectors(vectors, covariances, method=method)
                if vectors.shape == (5, 2)
                else ()
            )
        ],
    }


def differences(pins: dict[str, Any]) -> Iterator[Difference]:
    """Every pinned quantity against biocal."""
    studies = read_studies()
    for grid, fits in pins["grids"].items():
        for fit, pinned in fits.items():
            found = (multivariate if fit.startswith("mv_") else univariate)(fit, *studies[grid])
            for quantity, value in pinned.items():
                expected = np.array(value, dtype=float)  # null is NaN
                got = np.asarray(found[quantity], dtype=float)
                if expected.shape != got.shape or np.any(np.isnan(expected) != np.isnan(got)):
                    yield Difference(grid, fit, quantity, np.inf)
                    continue
                gap = np.nan_to_num(np.abs(got - expected)).max(initial=0.0)
                size = np.nan_to_num(np.abs(expected)).max(initial=0.0)
                if (
                    quantity == "between_covariance"
                ):  # 0 is a legal value: measure it beside the variances it joins
                    size += np.median(np.diagonal(studies[grid][1], axis1=1, axis2=2))
                yield Difference(grid, fit, quantity, float(gap / size if size > 0 else gap))


def main() -> int:
    """Print the largest difference of each quantity."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "pins.json"
    rows = list(differences(json.loads(path.read_text(encoding="utf-8"))))
    for kind in ("univariate", "mv"):
        own = [row for row in rows if row.fit.startswith("mv_") == (kind == "mv")]
        for quantity in dict.fromkeys(row.quantity for row in own):
            worst = max((row for row in own if row.quantity == quantity), key=lambda row: row.size)
            print(f"{kind:10} {quantity:26} {worst.size:9.2e}  {worst.grid} {worst.fit}")
    return int(any(row.size > TOLERANCE for row in rows))


if __name__ == "__main__":
    sys.exit(main())
