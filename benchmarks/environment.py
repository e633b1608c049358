"""What the numbers were measured on: machine, versions, commit, load.  No measured package is imported."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = ("numpy", "scipy", "pandas", "pyarrow", "statsmodels", "matplotlib", "dask", "distributed")
#: lifelines wants an older pandas than the rest, so that it lives in an environment of its own.
PEERS_PYTHON = HERE.parent / ".venv-bench" / "bin" / "python"
_ASK_R = 'cat(as.character(getRversion()), as.character(packageVersion("survival")))'


def machine() -> dict[str, object]:
    """Processor, cores, memory (GB) and operating system."""
    return {
        "processor": _processor(),
        "cores": _usable_cores(),
        "memory_GB": _memory_gb(),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str | None]:
    """Version by program; None where one is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    lifelines, its_pandas = lifelines_versions()
    found |= {"lifelines": lifelines, "pandas beside lifelines": its_pandas}
    answer = _answer(["Rscript", "-e", _ASK_R]) if shutil.which("Rscript") else ""
    r, _, survival = answer.partition(" ")
    found |= {"R": r or None, "R survival": survival or None}
    return found


def commit() -> str | None:
    """The short name of the commit, with a + when files of the package or of this folder differ from it."""
    at = _answer(["git", "-C", str(HERE), "rev-parse", "--short=10", "HEAD"])
    if not at:
        return None
    changed = _answer(
        ["git", "-C", str(HERE.parent), "status", "--porcelain", "-uno", "biocal", "benchmarks/*.py"]
    )
    return at + ("+" if changed else "")


def load() -> list[float] | None:
    """Load averages over 1, 5 and 15 minutes, where the system has them."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def peers_python() -> str | None:
    """The Python that has lifelines: this one, or that of ``.venv-bench``; None when there is none."""
    try:
        metadata.version("lifelines")
        return sys.executable
    except metadata.PackageNotFoundError:
        pass
    if PEERS_PYTHON.is_file() and lifelines_versions()[0]:
        return str(PEERS_PYTHON)
    return None


def lifelines_versions() -> tuple[str | None, str | None]:
    """Versions of lifelines and of the pandas it runs with; asked of its Python."""
    ask = "import json; from importlib.metadata import version as v; print(json.dumps([v('lifelines'), v('pandas')]))"
    for python in (sys.executable, str(PEERS_PYTHON)):
        answer = _answer([python, "-c", ask]) if Path(python).is_file() else ""
        if answer:
            lifelines, pandas = json.loads(answer)
            return lifelines, pandas
    return None, None


def _answer(command: list[str]) -> str:
    """What a command prints, stripped; empty when it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), flags=re.MULTILINE)
        if named:
            return named[1].strip()
    return _answer(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.processor() or platform.machine()


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None
