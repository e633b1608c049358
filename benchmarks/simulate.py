"""Whole replicates of a simulation: python benchmarks/simulate.py [--long] [--json FILE]

A replicate has 6,000 rows (2,000 sets 1:2 in 4 studies): drawn, calibrated, three spline fits (naive,
internalized, full) with their stacked sandwich.  Peers do the three fits alone, no drawing, no calibration,
no stacked variance.  --long adds the rates of several jobs and peak memory at 1,000 and 10,000 replicates.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from engine import HERE, cpu
from environment import load as load_average
from page_tables import simulate_table

from biocal.kernels.newton import maximise
from biocal.kernels.sets.layout import lay_out_sets
from biocal.kernels.sets.likelihood import ConditionalLikelihood
from biocal.kernels.splines import spline_columns
from biocal.simulation.design.design import read_design
from biocal.simulation.drawing.draw import draw
from biocal.simulation.fitting.replicate import estimate_drawn

KNOTS = (34.35, 60.02, 85.64)
BATCH = range(16)
DESIGN = """
title = "Speed"
replicates = 1000
seed = 1
methods = ["naive", "internalized", "full"]
[exposure]
mean = 60
sd = 20
[truth]
type = "rcs"
knots = [34.35, 60.02, 85.64]
beta = [-0.02, 0.015]
[fit]
exposure = "rcs"
knots = [34.35, 60.02, 85.64]
calibration_covariates = "none"
[estimand]
at = [25, 37.5, 75, 90, 100]
reference = 55
[[studies]]
name = "A"
sets = 500
controls = 2
laboratory = "reference"
"""
LOCAL = """
[[studies]]
name = "{name}"
sets = 500
controls = 2
laboratory = "local"
intercept = {intercept}
slope = {slope}
r_squared = 0.7
calibrators = 100
"""
LINES = (("B", 12, 0.75), ("C", -8, 1.3), ("D", 5, 0.9))


def design_text() -> str:
    return DESIGN + "".join(LOCAL.format(name=n, intercept=a, slope=b) for n, a, b in LINES)


def batch_seconds(scenario: object) -> dict[str, float]:
    """CPU seconds of a batch: everything, drawing, and the likelihood's maximisation alone."""
    drawn = draw(scenario, 1, 0, BATCH)  # type: ignore[arg-type]
    layout = lay_out_sets(drawn.set_code, drawn.is_case, n_columns=2 * len(BATCH))
    columns = np.stack([spline_columns(row, KNOTS) for row in drawn.reference_assay])
    likelihood = ConditionalLikelihood(layout, columns)
    start = np.zeros((len(BATCH), 2))
    return {
        "whole": cpu(lambda: estimate_drawn(draw(scenario, 1, 0, BATCH), scenario), 15),  # type: ignore[arg-type]
        "draw": cpu(lambda: draw(scenario, 1, 0, BATCH), 15),  # type: ignore[arg-type]
        "likelihood": 3 * cpu(lambda: maximise(likelihood.evaluate, start), 15),
    }


def peers(scenario: object) -> tuple[float | None, float]:
    """CPU seconds of one replicate's three fits by R clogit (None without R) and statsmodels."""
    from statsmodels.discrete.conditional_models import ConditionalLogit

    drawn = draw(scenario, 1, 0, [0])  # type: ignore[arg-type]
    reference = drawn.reference_assay[0]
    local = np.where(drawn.is_reference, reference, drawn.local_assay[0])
    exposures = {"naive": local, "internalized": reference, "full": 0.9 * local + 0.1 * reference}
    named = {f"{name}{k + 1}": spline_columns(x, KNOTS)[k] for name, x in exposures.items() for k in range(2)}
    r_seconds: float | None = None
    if shutil.which("Rscript"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "replicate.csv"
            table = np.column_stack([drawn.set_code, drawn.is_case, *named.values()])
            np.savetxt(path, table, delimiter=",", header=",".join(["set", "case", *named]), comments="")
            done = subprocess.run(
                ["Rscript", str(HERE / "simulate.R"), str(path)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                print("R failed:", done.stderr.strip())
            else:
                r_seconds = float(done.stdout.split()[-1])
    else:
        print("Rscript is not installed: its row is left out")
    start = time.process_time()
    for name in exposures:
        columns = np.column_stack([named[f"{name}1"], named[f"{name}2"]])
        ConditionalLogit(drawn.is_case.astype(float), columns, groups=drawn.set_code).fit(disp=0)
    return r_seconds, time.process_time() - start


def run_command(spec: Path, out: Path, *, replicates: int, jobs: int) -> tuple[float, float]:
    """Wall seconds and peak memory (MB, of the largest process it started) of `biocal simulate`."""
    program = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    command = [str(Path(sys.executable).parent / "biocal"), "simulate", str(spec), "--out", str(out)]
    command += ["--replicates", str(replicates), "--jobs", str(jobs)]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, *command], capture_output=True, text=True, check=True
    )
    return time.perf_counter() - start, float(done.stdout)


def rate_of_command(spec: Path, folder: Path, *, jobs: int) -> float:
    """Replicates a second of wall time, from what 3,000 more replicates take: starting up does not count."""
    for _ in range(3):
        few, many = (_wall_seconds(spec, folder, replicates, jobs) for replicates in (500, 3500))
        if many > few:
            return 3000 / (many - few)
    raise SystemExit("3,000 more replicates took no longer, three times: the machine is too busy for rates")


def _wall_seconds(spec: Path, folder: Path, replicates: int, jobs: int) -> float:
    out = folder / f"jobs{jobs}-{replicates}"
    seconds = run_command(spec, out, replicates=replicates, jobs=jobs)[0]
    shutil.rmtree(out)
    return seconds


def one_core_program(seconds: float) -> list[str]:
    """A process that repeats one batch's fit for some seconds and prints how often it was done."""
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); import simulate; from pathlib import Path; "
        "from biocal.simulation.design.design import read_design; from biocal.simulation.drawing.draw import draw; "
        "from biocal.simulation.fitting.replicate import estimate_drawn; "
        "scenario = read_design(Path(sys.argv[2])).scenarios[0]; "
        "done, start = 0, time.perf_counter()\n"
        f"while time.perf_counter() - start < {seconds}:\n"
        "    estimate_drawn(draw(scenario, 1, 0, simulate.BATCH), scenario); done += 1\n"
        "print(done / (time.perf_counter() - start))"
    )
    return [sys.executable, "-c", program, str(HERE)]


def rate_of_processes(spec: Path, count: int, seconds: float = 8.0) -> float:
    """Batches a second of independent processes that share nothing but the machine: what its cores give."""
    command = [*one_core_program(seconds), str(spec)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return sum(float(process.communicate()[0]) for process in running)


def gains_of_jobs(spec: Path, folder: Path, turns: int = 3) -> dict[str, object]:
    """Rates of one to as many jobs as cores (at least two), beside those of independent processes, in turns."""
    counts = job_counts()
    rates: dict[int, list[float]] = {count: [] for count in counts}
    machine: dict[int, list[float]] = {count: [] for count in counts}
    load = load_average()
    for turn in range(turns):
        for count in counts:
            rates[count].append(rate_of_command(spec, folder, jobs=count))
            machine[count].append(rate_of_processes(spec, count, seconds=4.0))
        told = "; ".join(f"{count} jobs {rates[count][-1]:.0f} a second" for count in counts)
        print(f"  turn {turn + 1}: {told}", flush=True)
    return {
        "turns": turns,
        "load_before": load,
        "jobs": [
            {
                "jobs": count,
                "replicates_a_second": float(np.median(rates[count])),
                "gain": _median_gain(rates, count),
                "gain_of_independent_processes": _median_gain(machine, count),
            }
            for count in counts
        ],
    }


def job_counts() -> list[int]:
    """1, 2, 4, ... up to the cores, which are the last; two jobs are tried on any machine."""
    cores = os.cpu_count() or 1
    counts = [1, 2]
    while counts[-1] * 2 <= cores:
        counts.append(counts[-1] * 2)
    return counts if counts[-1] >= cores else [*counts, cores]


def _median_gain(rates: dict[int, list[float]], count: int) -> float:
    """Median over the turns of the rate against that of one in the same turn."""
    return float(np.median(np.array(rates[count]) / np.array(rates[1])))


def memory_of_command(spec: Path, folder: Path) -> dict[str, float]:
    """Peak memory (MB) at 1,000 and 10,000 replicates."""
    sizes = (1000, 10_000)
    return {
        str(size): run_command(spec, folder / f"memory-{size}", replicates=size, jobs=1)[1] for size in sizes
    }


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--long", action="store_true", help="rates of several jobs, and memory (some minutes)"
    )
    parser.add_argument("--json", type=Path, help="write the numbers there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = folder / "design.toml"
        spec.write_text(design_text())
        scenario = read_design(spec).scenarios[0]
        seconds = batch_seconds(scenario)
        found: dict[str, object] = {part: value / len(BATCH) for part, value in seconds.items()}
        found["R clogit"], found["statsmodels"] = peers(scenario)
        if options.long:
            found |= {"gains": gains_of_jobs(spec, folder), "memory_MB": memory_of_command(spec, folder)}
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(simulate_table(found))


if __name__ == "__main__":
    main()
