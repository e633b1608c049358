"""All benchmarks, one after another, each in a process of its own; then the page.

    make bench        (or: python benchmarks/run.py [--quick | --long] [--only engine,fit] [--out FOLDER])

Writes results.json, README.md and figures into the folder of the benchmarks.  --only measures some parts anew and
keeps the rest; --quick takes small sizes and writes into benchmarks/quick, so that the page keeps the numbers of a
full run.  A part that fails is told and keeps its place; what it measured before is kept.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import environment
from page import write_page

HERE = Path(__file__).resolve().parent
#: Part -> its script, and its options in a quick, a usual and a long run; None where it is run only if asked for.
PARTS: dict[str, tuple[str, list[str] | None, list[str] | None, list[str]]] = {
    "engine": ("engine.py", ["--quick"], [], []),
    "growth": ("growth.py", ["--quick"], [], []),
    "fit": ("fit.py", ["--quick"], [], ["--long"]),
    "induced": ("induced.py", ["--quick"], [], []),
    "simulate": ("simulate.py", [], ["--long"], ["--long"]),
    "federated": ("federated.py", [], [], []),
    "distributed": ("partitioned.py", ["--quick"], ["--quick"], ["--quick"]),
    "distributed_large": ("partitioned.py", None, None, []),
}


def run_part(name: str, size: int) -> dict[str, Any]:
    """Run one script and return what it found, with the state of the machine around it."""
    script, *options = PARTS[name]
    options = [given if given is not None else options[-1] for given in options]
    part: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": environment.commit(),
        "quick": size == 0,
        "machine": environment.machine(),
        "versions": environment.versions(),
        "load_before": environment.load(),
    }
    print(f"\n== {name} (load {part['load_before']}) ==", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        start = time.perf_counter()
        status = subprocess.run(
            [sys.executable, str(HERE / script), *options[size], "--json", str(file)], check=False
        ).returncode
        part["seconds"] = round(time.perf_counter() - start, 1)
        part["load_after"] = environment.load()
        if status == 0 and file.is_file():
            part["found"] = json.loads(file.read_text())
        else:
            part["failed"] = f"failed with exit status {status}"
            print(f"{name} failed with exit status {status}; see above")
    return part


def stored(file: Path) -> dict[str, Any]:
    """What was measured before; empty parts when there is nothing."""
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"parts": {}}


def main() -> None:
    """Measure, store, write the page; exit status 1 when a part failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="small sizes, into benchmarks/quick")
    sizes.add_argument(
        "--long", action="store_true", help="R and bc.fit up to a million sets, 20 million rows distributed"
    )
    parser.add_argument("--only", help=f"some parts, with commas between: {', '.join(PARTS)}")
    parser.add_argument("--out", type=Path, help="folder of results.json, README.md and figures")
    options = parser.parse_args()
    size = 0 if options.quick else 2 if options.long else 1
    usual = [name for name, (_, *given) in PARTS.items() if given[size] is not None]
    wanted = [name.strip() for name in options.only.split(",")] if options.only else usual
    unknown = sorted(set(wanted) - PARTS.keys())
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}: choose from {', '.join(PARTS)}")
    folder = options.out or (HERE / "quick" if options.quick else HERE)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "results.json"
    results = stored(file)
    failed = []
    for name in (name for name in PARTS if name in wanted):
        if not (HERE / PARTS[name][0]).is_file():
            print(f"\n{name}: there is no {PARTS[name][0]} yet")
            continue
        part = run_part(name, size)
        if "failed" in part:
            failed.append(name)
            if "found" in results["parts"].get(name, {}):
                print(f"{name}: the numbers measured before are kept")
                continue
        results["parts"] = {
            known: part if known == name else results["parts"][known]
            for known in PARTS
            if known == name or known in results["parts"]
        }
        # after each part, so that what is measured is kept if the run is stopped
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write_page(folder)
    print(f"\nwritten: {file}, {folder / 'README.md'}, {folder / 'figures'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
