"""Run commands under many limits of address space: each ends with results, or with one line that says why not.

    python tests/sweep_memory.py [--from MIB] [--to MIB] [--step MIB] [--rows N] [--only NAME ...]

Linux only.  A table of what was found is printed; exit 1 when a command ended in any other way.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cli_pool import SPEC, small_pool
from kill_commands import tree

SECONDS = 300
DESIGN = """
replicates = 8
seed = 5
methods = ["naive", "full", "induced"]
[exposure]
mean = 60
sd = 20
[truth]
type = "linear"
beta = [-0.01]
[estimand]
at = [40, 80]
reference = 60
[[studies]]
name = "A"
sets = 20000
laboratory = "reference"
[[studies]]
name = "B"
sets = 20000
intercept = 12
slope = 0.75
r_squared = 0.8
calibrators = 500
"""
#: What biocal is asked to do, by name; "DATA" is the file.
COMMANDS: dict[str, tuple[str, ...]] = {
    "fit": ("fit", "--spec", "spec.toml", "DATA", "--out", "out"),
    "check": ("check", "DATA"),
    "calibrate": ("calibrate", "DATA", "--calibration-covariates", "bmi", "--out", "out"),
    "partition": ("partition", "DATA", "--rows", "20000", "--out", "out"),
    "fit --partitioned": ("fit", "parts", "--partitioned", "--spec", "parts.toml", "--out", "out"),
    "simulate": ("simulate", "design.toml", "--out", "out"),
    "simulate --jobs 2": ("simulate", "design.toml", "--jobs", "2", "--out", "out"),
}
_ONE_KIND = ("fit --partitioned", "simulate", "simulate --jobs 2")
_OUT_OF_MEMORY = (
    *("out of memory", "too little to load", "for lack of memory", "for want of memory"),
    "does not fit into memory",
)


def prepared(folder: Path, rows: int) -> None:
    """Data, specs and partitions; ids are words, as most are."""
    pool = small_pool(rows // 6)
    pool["set"] = "S" + pool["set"].astype(str)
    pool["person"] = [f"P{number:08d}" for number in range(len(pool))]
    pool.to_csv(folder / "pool.csv", index=False)
    pool.to_parquet(folder / "pool.parquet", index=False)
    spec = SPEC.replace('files = ["pool.csv"]\n', "")
    (folder / "spec.toml").write_text(spec, encoding="utf-8")
    (folder / "parts.toml").write_text(spec, encoding="utf-8")
    (folder / "design.toml").write_text(DESIGN, encoding="utf-8")
    words = ("partition", "pool.csv", "--rows", str(max(rows // 4, 2)), "--out", "parts", "--quiet")
    subprocess.run([*_BIOCAL, *words], cwd=folder, check=True)


_BIOCAL = (sys.executable, "-c", "from biocal.cli.main import run; run()")


@dataclass(frozen=True)
class Ended:
    """Exit code, lines on stderr, and what came out: the standard output and the files."""

    code: int
    lines: list[str]
    results: dict[str, bytes]


def run_limited(words: tuple[str, ...], place: Path, limit: int | None) -> Ended:
    """Run a command in so many MiB of address space; code 124 when it did not end."""

    def be_limited() -> None:
        if limit is None:
            return
        resource.setrlimit(resource.RLIMIT_AS, (limit * 2**20, limit * 2**20))

    try:
        done = subprocess.run(
            [*_BIOCAL, *words, "--quiet"],
            cwd=place,
            preexec_fn=be_limited,
            capture_output=True,
            timeout=SECONDS,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "2"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ended(124, [], {})
    results = tree(place / "out")
    return Ended(done.returncode, done.stderr.decode().splitlines(), {"": done.stdout, **results})


def judged(ended: Ended, reference: dict[str, bytes], place: Path) -> str:
    """How a command ended: "results" or "told"; anything else is a fault, in words."""
    by_who_watches = any("was ended by the system" in line for line in ended.lines)
    hidden = [path.name for path in place.rglob(".biocal-new-*")]
    if hidden and not by_who_watches:
        return f"left {hidden}"
    if ended.code == 0 and not ended.lines:
        differing = [name for name in reference if ended.results.get(name) != reference[name]]
        return f"other results: {differing}" if differing else "results"
    if ended.code not in (1, 3, 4) or not ended.lines:
        return f"code {ended.code}, {ended.lines}"
    for line in ended.lines:  # one, or one a partition
        if not line.startswith("error: ") or not any(words in line for words in _OUT_OF_MEMORY):
            return f"code {ended.code}, {ended.lines}"
    if (ended.code == 1) != by_who_watches:
        return f"code {ended.code}, {ended.lines}"
    return "told by who watches" if by_who_watches else "told"


def cases(only: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and words of each command, once for each kind of file."""
    for name, words in COMMANDS.items():
        if only and name not in only:
            continue
        for data in ("pool.csv", "pool.parquet")[: 1 if name in _ONE_KIND else 2]:
            shown = name if name in _ONE_KIND else f"{name} {data.rpartition('.')[2]}"
            yield shown, tuple(data if word == "DATA" else word for word in words)


def sweep(
    limits: range, rows: int, only: list[str], *, tell: Callable[[str], object] = print
) -> tuple[int, int]:
    """Run all commands under all limits; returns how many ended, and how many of them not as they should."""
    total = faults = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared(folder, rows)
        for shown, words in cases(only):
            unlimited = run_limited(words, folder, None)
            assert unlimited.code == 0, f"{shown}: {unlimited.lines}"
            reference = unlimited.results
            _clear(folder)
            found: Counter[str] = Counter()
            for limit in limits:
                ended = judged(run_limited(words, folder, limit), reference, folder)
                sound = ended == "results" or ended.startswith("told")
                found[ended if sound else "FAULT"] += 1
                total += 1
                if not sound:
                    faults += 1
                    tell(f"FAULT: {shown} in {limit} MiB: {ended}")
                _clear(folder)
            tell(f"{shown}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(found.items())))
    return total, faults


def _clear(folder: Path) -> None:
    shutil.rmtree(folder / "out", ignore_errors=True)
    for path in folder.glob(".biocal-*"):
        shutil.rmtree(path, ignore_errors=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--from", dest="least", type=int, default=450)
    options.add_argument("--to", dest="most", type=int, default=900)
    options.add_argument("--step", type=int, default=12)
    options.add_argument("--rows", type=int, default=90_000)
    options.add_argument("--only", nargs="*", default=[])
    asked = options.parse_args()
    limits = range(asked.least, asked.most + 1, asked.step)
    total, faults = sweep(limits, asked.rows, asked.only, tell=lambda text: print(text, flush=True))
    print(f"{total} commands under limits of memory, {faults} of them not as they should")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
