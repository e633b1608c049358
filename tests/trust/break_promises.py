"""Break every promise of promises.toml in a scratch copy of the project; the test that guards it must fail.

    python tests/trust/break_promises.py [ID ...]

A guard is run once unbroken, where it must pass.  Exit 1 when a promise can be broken without its test noticing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("biocal", "data", "tests", "docs", "pyproject.toml", "README.md")
PASSED, FAILED = 0, 1


def promises(wanted: list[str]) -> list[dict[str, str]]:
    """The promises asked for, all without names."""
    known = tomllib.loads((ROOT / "tests/trust/promises.toml").read_text(encoding="utf-8"))["promise"]
    unknown = set(wanted) - {one["id"] for one in known}
    if unknown:
        sys.exit(f"no such promise: {', '.join(sorted(unknown))}")
    return [one for one in known if not wanted or one["id"] in wanted]


def scratch_copy(folder: Path) -> Path:
    """The project's sources and tests, where they may be spoiled."""
    copy = folder / "project"
    copy.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "build"))
        else:
            shutil.copy2(source, copy / name)
    return copy


def run_guard(copy: Path, test: str) -> int:
    """Exit code of one test in the copy: 0 passed, 1 failed, else it could not be run."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-m",
        "slow or not slow",
        test,
    ]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (PASSED, FAILED):
        print(done.stdout[-2000:], done.stderr[-2000:])
    return done.returncode


def verdict(copy: Path, promise: dict[str, str]) -> str:
    """What becomes of a promise when its source is changed; blank when the guard holds."""
    if run_guard(copy, promise["test"]) != PASSED:
        return "its test does not pass as things are"
    place = copy / promise["file"]
    sound = place.read_text(encoding="utf-8")
    if sound.count(promise["before"]) != 1:
        return f"the text to change is not once in {promise['file']}"
    place.write_text(sound.replace(promise["before"], promise["after"]), encoding="utf-8")
    try:
        return "" if run_guard(copy, promise["test"]) == FAILED else "broken, and its test does not notice"
    finally:
        place.write_text(sound, encoding="utf-8")


def main() -> None:
    unguarded = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = scratch_copy(Path(folder))
        for promise in promises(sys.argv[1:]):
            fault = verdict(copy, promise)
            unguarded += bool(fault)
            print(f"{promise['id']}: {fault or 'broken, and its test fails'}", flush=True)
    sys.exit(1 if unguarded else 0)


if __name__ == "__main__":
    main()
