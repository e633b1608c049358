"""Wall time, CPU time and peak memory of a process and all it started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# A process begins life with the peak memory of the one that started it.  This one is small, and its only child is
# what is measured.
_LAUNCHER = """
import json, os, resource, subprocess, sys, time
limit = float(sys.argv[1])
start = time.perf_counter()
try:
    done = subprocess.run(sys.argv[2:], capture_output=True, timeout=limit or None)
    status, out, error = done.returncode, done.stdout, done.stderr
except subprocess.TimeoutExpired as late:
    status, out, error = None, b"", b""
wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({
    "wall": wall, "cpu": used.ru_utime + used.ru_stime,
    "peak": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    "status": status, "out": out.decode(errors="replace"), "error": error.decode(errors="replace"),
}))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took: seconds, seconds, bytes; `out` is what it printed."""

    wall: float
    cpu: float
    peak: int
    out: str

    def numbers(self) -> dict[str, float]:
        """As it goes into the JSON; memory in MB (1e6 bytes)."""
        return {"wall_s": self.wall, "cpu_s": self.cpu, "peak_MB": self.peak / 1e6}


class ProcessFailed(Exception):
    """The process ended with another status than 0, or not in time."""


def cost_of(
    command: Sequence[str], *, limit_s: float = 0, environment: Mapping[str, str] | None = None
) -> Cost:
    """Run a command to its end and return what it took.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    limit_s : float, default 0
        Seconds after which it is given up; 0 waits for ever.
    environment : mapping, optional
        Variables set on top of ours.

    Raises
    ------
    ProcessFailed
        It failed or took longer than the limit.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(limit_s), *command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    found = json.loads(done.stdout)
    if found["status"] is None:
        raise ProcessFailed(f"not done after {limit_s:g} s")
    if found["status"] != 0:
        last = " ".join(found["error"].split())[-300:] or "no message"
        raise ProcessFailed(f"exit status {found['status']}: {last}")
    return Cost(found["wall"], found["cpu"], found["peak"], found["out"])
