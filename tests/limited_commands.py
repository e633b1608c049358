"""Run ``biocal`` many times under limits of time and memory, importing it once.

Run as a program, this file is a server: it imports biocal, then forks a child for every line on its standard
input, which runs one command as the installed one does.  A child inherits what is imported and nothing else,
so that fifty commands take seconds.  Started with ``python tests/limited_commands.py``; needs ``os.fork``.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmed_commands import inflict, is_due

SECONDS = 10
#: Peak of resident memory, MiB.
MEMORY = 1024
#: Address space, MiB: what a child may at most ask for before it is refused.  Threads and allocators
#: reserve far more than they use, so that the claim is made on resident memory.
ADDRESS_SPACE = 4096


#: What commands import when they need it; here once for all of them.
IMPORTED = (
    *("pandas", "pyarrow.csv", "pyarrow.compute", "pyarrow.parquet", "typer.main", "typer.rich_utils"),
    *("patsy", "scipy.linalg", "scipy.stats", "scipy.special", "jinja2", "matplotlib.figure"),
    *(
        "biocal.cli.app",
        "biocal.cli.options.spec",
        "biocal.cli.options.request",
        "biocal.pool.reading",
        "biocal.pool.checks.report",
    ),
    *("biocal.fitting.api", "biocal.report.api", "biocal.simulation.api", "biocal.simulation.running.engine"),
    *(
        "biocal.simulation.planning.api",
        "biocal.remote.sites.centre.coordinator",
        "biocal.remote.sites.site.site",
    ),
)


@dataclass(frozen=True)
class Ended:
    """How a command ended; code 124 when it was stopped for taking too long."""

    code: int
    seconds: float
    memory: float
    out: str
    err: str


class LimitedCommands:
    """Use as a context; `run` takes words after ``biocal`` and the folder to run in."""

    def __enter__(self) -> LimitedCommands:
        # one thread, so that a fork copies no lock that another thread holds
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **threads, "MPLBACKEND": "Agg", "COLUMNS": "200"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=30)
        assert self._server.stdout is not None
        self._server.stdout.close()

    def run(
        self,
        words: tuple[str, ...],
        folder: Path,
        *,
        seconds: int = SECONDS,
        harm: dict[str, object] | None = None,
    ) -> Ended:
        """Run a command; `harm` is what is done to it, see `harmed_commands.py`."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        order = {"words": list(words), "folder": str(folder), "seconds": seconds, "harm": harm or {}}
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return Ended(**json.loads(self._server.stdout.readline()))


def _serve() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(_fork(**json.loads(line))), flush=True)


def _fork(words: list[str], folder: str, seconds: int, harm: dict[str, Any]) -> dict[str, object]:
    import tempfile
    import time

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _run(words, folder, out.fileno(), err.fileno(), harm)
        while True:
            done, status, used = os.wait4(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() - began > seconds:
                os.kill(child, 9)
                _, status, used = os.wait4(child, 0)
                status = 124 << 8
                break
            if harm and is_due(harm, time.monotonic() - began, folder):
                os.kill(child, 9)
            time.sleep(0.0005 if harm else 0.002)
        shown = [_text(file) for file in (out, err)]
    code = os.waitstatus_to_exitcode(status)
    unit = 1024.0 if sys.platform != "darwin" else 1024.0**2  # kB, and bytes on macOS
    took = time.monotonic() - began
    return {"code": code, "seconds": took, "memory": used.ru_maxrss / unit, "out": shown[0], "err": shown[1]}


def _text(file) -> str:
    file.seek(0)
    return file.read(2_000_000).decode(errors="replace")


def _run(words: list[str], folder: str, out: int, err: int, harm: dict[str, Any]) -> None:
    """In the child: never returns."""
    import resource

    nothing = os.open(os.devnull, os.O_RDONLY)
    for place, descriptor in enumerate((nothing, out, err)):
        os.dup2(descriptor, place)
    sys.stdin, sys.stdout, sys.stderr = (
        open(place, mode, encoding="utf-8", closefd=False) for place, mode in enumerate(("r", "w", "w"))
    )
    limit = ADDRESS_SPACE * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    code = 1
    try:
        os.chdir(folder)
        sys.argv = ["biocal", *words]
        if harm:
            inflict(harm, folder)
        from biocal.cli.main import run_here

        code = run_here()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if "tell" in harm:
            harm["tell"]()
        os._exit(code)


if __name__ == "__main__":
    _serve()
