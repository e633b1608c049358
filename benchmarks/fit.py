"""A whole `biocal fit`, from file to figures, beside the same by hand in R and in Python.

    python benchmarks/fit.py [--quick] [--long] [--json FILE]

Pools of ten studies, 1:4 sets, eight covariates (pool_files.py), spline of four knots at quantiles.  Every row is a
process of its own: wall time, CPU time and peak memory from its start to its end, imports included.  `biocal fit`
reads, checks, calibrates, fits one method with its stacked sandwich, and writes tables, figures and report.  The
peers read, calibrate, fit and print coefficients: no stacked variance, no figure.  --quick stops at 10,000 sets,
--long takes bc.fit and R to a million.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from pool_files import COVARIATES, numeric_bytes, write_pool
from processes import ProcessFailed, cost_of

HERE = Path(__file__).resolve().parent
FORMULA = "+".join(f"z{k}" for k in range(COVARIATES))
#: Seconds after which one run is given up, so that one slow program cannot hold up the page.
LIMIT_S = 600
API_PROGRAM = f"""
import sys, time
import biocal as bc
clock = [time.perf_counter()]
pool = bc.read_studies([sys.argv[1]])
clock.append(time.perf_counter())
fit = bc.fit(pool, method="full", exposure=bc.rcs(knots=4), covariates={FORMULA!r})
clock.append(time.perf_counter())
print(clock[1] - clock[0], clock[2] - clock[1])
"""
#: Largest number of sets of each run by name; statsmodels takes a minute for ten times as many.
LARGEST = {
    "biocal fit, full, Parquet": 1_000_000,
    "biocal fit, full, CSV": 1_000_000,
    "biocal fit, induced, Parquet": 1_000_000,
    "bc.fit, full, Parquet": 100_000,
    "R by hand, CSV": 100_000,
    "statsmodels by hand, CSV": 10_000,
}
LONG = {"bc.fit, full, Parquet": 1_000_000, "R by hand, CSV": 1_000_000}


def command_of(name: str, paths: dict[str, Path], out: Path) -> list[str] | None:
    """The command line of a run; None when its program is not installed."""
    if name.startswith("biocal fit"):
        _, method, ending = name.split(", ")
        biocal = str(Path(sys.executable).parent / "biocal")
        options = ["--method", method, "--covariates", FORMULA, "--out", str(out), "--force", "--quiet"]
        return [biocal, "fit", str(paths[ending.lower()]), *options]
    if name.startswith("bc.fit"):
        return [sys.executable, "-W", "ignore", "-c", API_PROGRAM, str(paths["parquet"])]
    if name.startswith("R "):
        rscript = shutil.which("Rscript")
        return [rscript, str(HERE / "fit.R"), str(paths["csv"])] if rscript else None
    return [sys.executable, "-W", "ignore", str(HERE / "fit_statsmodels.py"), str(paths["csv"])]


def coefficients(out: Path) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and standard errors of a run of `biocal fit`."""
    with (out / "coefficients.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([float(r["estimate"]) for r in rows]), np.array([float(r["std_error"]) for r in rows])


def measure_size(folder: Path, sets: int, largest: dict[str, int]) -> tuple[list[dict], dict[str, float]]:
    """Rows of all runs at one size, and each peer's largest difference of a coefficient in standard errors."""
    paths = write_pool(folder, sets)
    rows: list[dict] = []
    apart: dict[str, float] = {}
    ours: tuple[np.ndarray, np.ndarray] | None = None
    for name, most in largest.items():
        if sets > most:
            continue
        command = command_of(name, paths, folder / "out")
        if command is None:
            print(f"{name:<30} {sets:>9,} sets: Rscript is not installed")
            continue
        row: dict = {"run": name, "sets": sets}
        try:
            cost = cost_of(command, limit_s=LIMIT_S)
        except ProcessFailed as failure:
            print(f"{name}, {sets:,} sets: {failure}")
            rows.append(row | {"failed": str(failure)})
            continue
        row |= cost.numbers()
        if name == "biocal fit, full, Parquet":
            ours = coefficients(folder / "out")
        elif name.startswith("bc.fit"):
            row["reading_s"], row["fitting_s"] = (float(part) for part in cost.out.split())
        elif "by hand" in name and ours is not None:
            theirs = np.array(cost.out.split(), dtype=float)
            apart[name] = float(np.max(np.abs(theirs - ours[0]) / ours[1]))
        rows.append(row)
        memory = row["peak_MB"] * 1e6 / numeric_bytes(sets)
        print(
            f"{name:<30} {sets:>9,} sets {cost.wall:8.1f} s {cost.cpu:8.1f} CPU s "
            f"{row['peak_MB']:7.0f} MB, {memory:.1f} x the numbers",
            flush=True,
        )
    for path in paths.values():
        path.unlink()
    return rows, apart


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="up to 10,000 sets")
    parser.add_argument("--long", action="store_true", help="bc.fit and R up to 1,000,000 sets, too")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    options = parser.parse_args()
    sizes = [1000, 10_000] if options.quick else [1000, 10_000, 100_000, 1_000_000]
    largest = LARGEST | (LONG if options.long else {})
    found: dict = {"rows": [], "numeric_MB": {}, "differences_in_standard_errors": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # once for nothing: compiled modules and font lists are made, files come into memory
        paths = write_pool(folder, sizes[0])
        cost_of(command_of("biocal fit, full, Parquet", paths, folder / "out") or [], limit_s=LIMIT_S)
        for sets in sizes:
            rows, apart = measure_size(folder, sets, largest)
            found["rows"] += rows
            found["numeric_MB"][str(sets)] = numeric_bytes(sets) / 1e6
            found["differences_in_standard_errors"][str(sets)] = apart
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
