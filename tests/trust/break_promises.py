"""Break every promise of promises.toml in a scratch copy of the project; the test that guards it must fail.

    python tests/trust/break_promises.py [--jobs N] [--list] [ID ...]

All guards are run once unbroken, where they must pass; then each promise is broken in turn, N at a time in a copy
each.  Exit 1 when a promise can be broken without its test noticing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from broken_source import changed_source  # noqa: E402

COPIED = ("biocal", "data", "tests", "docs", "pyproject.toml", "README.md")
PASSED, FAILED, ENDLESS = 0, 1, -1
#: Seconds for one test of a broken copy, and for all tests of an unbroken one.
PATIENCE, LONG_PATIENCE = 300.0, 1500.0
HELD = "broken, and its test fails"


class Verdict(NamedTuple):
    """What became of a promise; `fault` is blank when its guard holds."""

    id: str
    fault: str
    seconds: float


def promises(wanted: list[str]) -> list[dict[str, str]]:
    """The promises asked for, all without names."""
    known = tomllib.loads((ROOT / "tests/trust/promises.toml").read_text(encoding="utf-8"))["promise"]
    unknown = set(wanted) - {one["id"] for one in known}
    if unknown:
        sys.exit(f"no such promise: {', '.join(sorted(unknown))}")
    return [one for one in known if not wanted or one["id"] in wanted]


def scratch_copy(folder: Path) -> Path:
    """The project's sources and tests, where they may be spoiled."""
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "build"))
        else:
            shutil.copy2(source, folder / name)
    return folder


def run_tests(copy: Path, tests: list[str], patience: float) -> int:
    """Exit code of some tests in the copy: 0 passed, 1 failed, -1 without end, else they could not be run."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*words, "-m", "slow or not slow", *tests],
            cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=patience,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ENDLESS
    if done.returncode not in (PASSED, FAILED):
        print(done.stdout[-2000:], done.stderr[-2000:])
    return done.returncode


def unsound_guards(copy: Path, tests: list[str]) -> set[str]:
    """Tests that do not pass as things are: all in one process, and one by one only when some do not."""
    if run_tests(copy, tests, LONG_PATIENCE) == PASSED:
        return set()
    return {test for test in tests if run_tests(copy, [test], PATIENCE) != PASSED}


def fault_of(copy: Path, promise: dict[str, str]) -> str:
    """What is wrong with the guard of a promise when its source is changed; blank when it holds."""
    try:
        place, changed = changed_source(copy, promise)
    except LookupError as fault:
        return str(fault)
    sound = place.read_text(encoding="utf-8")
    place.write_text(changed, encoding="utf-8")
    try:
        code = run_tests(copy, [promise["test"]], PATIENCE)
    finally:
        place.write_text(sound, encoding="utf-8")
    faults = {FAILED: "", PASSED: "broken, and its test does not notice", ENDLESS: "its test does not end"}
    return faults.get(code, "its test cannot be run when it is broken")


def broken(chosen: list[dict[str, str]], jobs: int) -> list[Verdict]:
    """Break each promise, in as many copies as there are jobs; verdicts in the order of the list."""
    with tempfile.TemporaryDirectory(prefix="biocal-promises-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for k in range(jobs):
            copies.put(scratch_copy(Path(folder) / f"project{k}"))
        parts = [sorted({one["test"] for one in chosen[k::jobs]}) for k in range(jobs)]

        def guards(tests: list[str]) -> set[str]:
            copy = copies.get()
            try:
                return unsound_guards(copy, tests) if tests else set()
            finally:
                copies.put(copy)

        def verdict(promise: dict[str, str]) -> Verdict:
            copy = copies.get()
            begin = time.monotonic()
            try:
                unsound = "its test does not pass as things are" if promise["test"] in unfit else ""
                found = Verdict(promise["id"], unsound or fault_of(copy, promise), time.monotonic() - begin)
            finally:
                copies.put(copy)
            print(f"{found.id}: {found.fault or HELD}", flush=True)
            return found

        with ThreadPoolExecutor(jobs) as pool:
            unfit = set().union(*pool.map(guards, parts))
            return list(pool.map(verdict, chosen))


def table(verdicts: list[Verdict]) -> str:
    """A line a promise: how long it took and what became of it."""
    width = max(len(one.id) for one in verdicts)
    lines = [f"{one.id:<{width}}  {one.seconds:6.1f} s  {one.fault or HELD}" for one in verdicts]
    held = sum(not one.fault for one in verdicts)
    return "\n".join([*lines, "", f"{held} of {len(verdicts)} promises: {HELD}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("id", nargs="*", metavar="ID", help="promises of promises.toml; all without names")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="copies to break at a time (default: 1)"
    )
    parser.add_argument("--list", action="store_true", help="show the promises and break nothing")
    asked = parser.parse_args()
    chosen = promises(asked.id)
    if asked.list:
        for one in chosen:
            print(f"{one['id']}: {one['text']}\n    {one['test']}")
        return
    verdicts = broken(chosen, max(1, min(asked.jobs, len(chosen))))
    print("", table(verdicts), sep="\n")
    sys.exit(1 if any(one.fault for one in verdicts) else 0)


if __name__ == "__main__":
    main()
