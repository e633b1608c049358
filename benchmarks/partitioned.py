"""A pool larger than a worker's memory: python benchmarks/partitioned.py [--quick] [--json FILE]

4 million matched sets 1:4 (20 million rows, 8 covariates; --quick: 400 thousand sets) are written partition by
partition to a temporary folder, never whole in memory, and fitted on a Dask cluster of 2 processes here: full
calibration with a spline whose knots are quantiles, and the straight line beside it for the trend.  Wall time, and
the most resident memory of each worker against a third of the numeric data.  --quick also fits the same rows in
memory and compares the numbers.

All data are synthetic.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from engine import machine

import biocal as bc
from biocal.remote.partitions.api import PartitionedRun, run_partitioned

SETS, QUICK_SETS = 4_000_000, 400_000
#: Sets of one partition: 250,000 rows.
SETS_IN_A_PARTITION = 50_000
PARTITIONS_OF_A_STUDY = 4
COVARIATES = 8
#: Controls of a local partition that are measured at the reference laboratory too.
CALIBRATORS = 200
WORKERS = 2
#: What is promised: of the memory, a third of the numeric data; of the numbers, this agreement.
SHARE_OF_DATA, AGREEMENT = 1 / 3, 1e-8
#: Columns of numbers that the fit needs: case, local and reference value, covariates.
NUMERIC_COLUMNS = 3 + COVARIATES


def partition(number: int, seed: int = 20261122) -> pd.DataFrame:
    """One partition: sets of a single study, every fifth study a reference study."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    study, n = number // PARTITIONS_OF_A_STUDY, 5 * SETS_IN_A_PARTITION
    first = (number % PARTITIONS_OF_A_STUDY) * SETS_IN_A_PARTITION
    case = np.tile([1, 0, 0, 0, 0], SETS_IN_A_PARTITION)
    columns: dict[str, Any] = {
        "study": np.full(n, study),
        "set": np.repeat(first + np.arange(SETS_IN_A_PARTITION), 5),
        "case": case,
    }
    z = rng.normal(size=(COVARIATES, n))
    x = 60 + 18 * rng.normal(size=n) + 2 * z[0] - 3 * case
    z[1] += 0.1 * case
    if study % 5:
        slope, intercept = 0.8 + 0.05 * (study % 7), 3.0 * (study % 4)
        columns["local"] = (x - intercept + rng.normal(0, 8, n)) / slope
        reference = np.full(n, np.nan)
        chosen = rng.choice(np.flatnonzero(case == 0), CALIBRATORS, replace=False)
        reference[chosen] = x[chosen]
        columns["reference"] = reference
    else:
        columns["local"], columns["reference"] = np.full(n, np.nan), x
    return pd.DataFrame(columns | {f"z{k + 1}": z[k] for k in range(COVARIATES)})


def write_pool(folder: Path, n_sets: int) -> dict[str, Any]:
    """Write all partitions, one in memory at a time."""
    start, n = time.perf_counter(), n_sets // SETS_IN_A_PARTITION
    for number in range(n):
        partition(number).to_parquet(folder / f"part-{number:05d}.parquet", index=False, compression=None)
    on_disk = sum(file.stat().st_size for file in folder.iterdir())
    return {"partitions": n, "bytes_on_disk": on_disk, "seconds_writing": time.perf_counter() - start}


def model() -> dict[str, Any]:
    """The analysis."""
    return {
        "method": "full",
        "exposure": bc.rcs(4),
        "covariates": " + ".join(f"z{k + 1}" for k in range(COVARIATES)),
    }


def fit_on_cluster(folder: Path) -> tuple[PartitionedRun, dict[str, Any]]:
    """Fit on processes of this machine; seconds by kind of round, and each worker's peak."""
    from distributed import LocalCluster

    rounds: list[tuple[str, float]] = []
    with LocalCluster(
        n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        start = time.perf_counter()
        run = run_partitioned(
            folder,
            scheduler=cluster.scheduler_address,
            told=lambda words: rounds.append((words, time.perf_counter())),
            **model(),
        )
        end = time.perf_counter()
    taken: dict[str, float] = {}
    for (words, begun), (_, over) in zip(rounds, [*rounds[1:], ("", end)], strict=True):
        taken[words] = taken.get(words, 0.0) + over - begun
    return run, {"seconds_fitting": end - start, "rounds": run.n_rounds, "seconds_by_round": taken}


def compare_with_memory(folder: Path, run: PartitionedRun) -> dict[str, Any]:
    """The same fit with all rows in memory."""
    start = time.perf_counter()
    pool = bc.read_studies(sorted(folder.iterdir()))
    pooled = bc.fit(pool, **model())
    taken, found = time.perf_counter() - start, run.comparison["full"]
    apart = float(np.max(np.abs(found.estimates - pooled.estimates) / pooled.std_errors))
    errors = float(np.max(np.abs(found.std_errors / pooled.std_errors - 1)))
    return {
        "seconds_in_memory": taken,
        "largest_difference_in_standard_errors": apart,
        "largest_relative_difference_of_standard_errors": errors,
        "agreement_met": max(apart, errors) <= AGREEMENT,
    }


def main() -> None:
    """Write, fit, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, compared with memory")
    parser.add_argument("--json", help="write the figures there too")
    wanted = parser.parse_args()
    n_sets = QUICK_SETS if wanted.quick else SETS
    with tempfile.TemporaryDirectory(prefix="biocal-benchmark-") as place:
        folder = Path(place)
        found: dict[str, Any] = {"sets": n_sets, "rows": 5 * n_sets} | write_pool(folder, n_sets)
        run, measured = fit_on_cluster(folder)
        found |= measured
        if wanted.quick:
            found |= compare_with_memory(folder, run)
    data = 5 * n_sets * NUMERIC_COLUMNS * 8
    peak = max(run.peak_memory.values())
    found |= {
        "numeric_bytes": data,
        "peak_bytes_of_workers": sorted(run.peak_memory.values()),
        "peak_over_data": peak / data,
        # Python and its libraries are more than a third of what --quick makes
        "memory_met": None if wanted.quick else peak <= SHARE_OF_DATA * data,
        "load_average": os.getloadavg(),
        "machine": machine(),
    }
    print(json.dumps(found, indent=1, default=str))
    if wanted.json:
        Path(wanted.json).write_text(json.dumps(found, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
