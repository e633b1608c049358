"""How time and memory of one fit grow with the number of sets, beside peers.

    python benchmarks/growth.py [--quick] [--json FILE]

1:4 sets, six columns.  Each program at each size is a process of its own that reads the numbers from a file,
fits a few sets to warm up, then fits all of them once (small ones several times, median): CPU seconds on one thread
and the memory its peak adds to what it held before.  biocal: preparation and fit.  R: clogit, exact, from formula to
fit; survival's bare C fitter.  statsmodels, lifelines: from columns to fit, lifelines' baseline hazards included.
Where a program stops being drawn, it was not asked for more.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from engine import matched_data
from environment import peers_python
from processes import ProcessFailed, cost_of

HERE = Path(__file__).resolve().parent
CONTROLS, COLUMNS = 4, 6
SIZES = (1000, 10_000, 100_000, 1_000_000)
#: Sizes of each program; chosen so that none takes more than half a minute.
PROGRAMS = {
    "biocal": (100, 300, *SIZES),
    "R bare C fitter": SIZES,
    "R clogit, exact": SIZES[:3],
    "statsmodels": SIZES[:2],
    "lifelines": (100, 300, 1000),
}
LIMIT_S = 300


def write_sets(path: Path, code: np.ndarray, is_case: np.ndarray, columns: np.ndarray) -> None:
    """Set number, case status and columns, one after another, as numbers of eight bytes."""
    np.vstack([code, is_case, columns]).tofile(path)


def command_of(program: str, path: Path, n_rows: int) -> list[str] | None:
    """The command line of one program at one size; None when it is not installed."""
    rows = str(n_rows)
    if program.startswith("R "):
        rscript = shutil.which("Rscript")
        kind = "clogit" if "clogit" in program else "bare"
        return [rscript, str(HERE / "growth.R"), str(path), rows, kind] if rscript else None
    python = peers_python() if program == "lifelines" else sys.executable
    return [python, "-W", "ignore", str(HERE / "growth_one.py"), str(path), rows, program] if python else None


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="up to 10,000 sets, lifelines up to 100")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sets.bin"
        for sets in sorted({size for sizes in PROGRAMS.values() for size in sizes}):
            programs = [name for name, sizes in PROGRAMS.items() if sets in sizes]
            if options.quick:
                programs = [name for name in programs if sets <= (100 if name == "lifelines" else 10_000)]
            if programs:
                cases, controls = np.ones(sets, int), np.full(sets, CONTROLS)
                write_sets(path, *matched_data(np.random.default_rng(sets), cases, controls, COLUMNS))
            for program in programs:
                rows += _row(program, path, sets)
    found = {"rows": rows, "numbers_MB": {str(s): s * (CONTROLS + 1) * COLUMNS * 8 / 1e6 for s in SIZES}}
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def _row(program: str, path: Path, sets: int) -> list[dict]:
    """The row of one program at one size; none when it is not installed or fails, which is told."""
    command = command_of(program, path, sets * (CONTROLS + 1))
    if command is None:
        print(f"{program:<16} {sets:>9,} sets: not installed")
        return []
    try:
        answer = cost_of(command, limit_s=LIMIT_S).out.split()
    except ProcessFailed as failure:
        print(f"{program:<16} {sets:>9,} sets: {failure}")
        return []
    cpu, extra = float(answer[0]), None if answer[1] == "NA" else float(answer[1])
    memory = "memory unknown" if extra is None else f"{extra / 1e6:10.1f} MB more"
    print(f"{program:<16} {sets:>9,} sets {1e3 * cpu:10.1f} CPU ms {memory}", flush=True)
    return [
        {
            "program": program,
            "sets": sets,
            "cpu_s": cpu,
            "extra_MB": None if extra is None else extra / 1e6,
            "coefficients": [float(value) for value in answer[2:]],
        }
    ]


if __name__ == "__main__":
    main()
