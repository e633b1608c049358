"""Kill commands at many moments: whatever is there then is whole, nothing half passes for whole, and the same command
run again ends where the uninterrupted one does.

    python tests/kill_commands.py [--kills N] [--seed N]

Moments are spread over the whole life of a command (from outside, by the clock), and over every change that it makes
in its folder (just before the k-th; and when its first temporary file appears).  A table of what was found is printed.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import pyarrow.parquet as pq
from cli_pool import SPEC, small_pool
from limited_commands import LimitedCommands

from biocal.system.file_set import INCOMPLETE
from biocal.system.files import MARK

SECONDS = 120
DESIGN = """
replicates = 60
seed = 5
methods = ["naive", "full"]
[exposure]
mean = 60
sd = 20
[truth]
type = "linear"
beta = [-0.01]
[fit]
exposure = "linear"
[estimand]
at = [40, 80]
reference = 60
[[studies]]
name = "A"
sets = 1200
laboratory = "reference"
[[studies]]
name = "B"
sets = 1200
intercept = 12
slope = 0.75
r_squared = 0.8
calibrators = 30
"""
_RUN = ("simulate", "design.toml", "--out", "out", "--quiet")
_FIT = ("fit", "--spec", "spec.toml", "--out", "out", "--quiet")
_PARTITION = ("partition", "pool.csv", "--rows", "60", "--out", "out", "--quiet")
_PARTITIONED = ("fit", "parts", "--partitioned", "--spec", "parts.toml", "--out", "out", "--quiet")
_MEMORY = re.compile(rb'"peak_memory_bytes": \d+')
#: In words of a command, the address of a Dask scheduler that runs beside it.
SCHEDULER = "SCHEDULER"


@dataclass
class Mode:
    """One way of using biocal that is killed.

    Attributes
    ----------
    name : str
    words : tuple of str
        The command; its results go to ``out``.
    again : tuple of str
        How it is run again after a kill.
    before : sequence of tuple
        Commands run beforehand, so that there is something to start from.
    when_whole : tuple of str or None
        What running it again needs besides, where the results were whole; None: it need not be run again.
    plain : bool
        Figures and reports made in no time, so that kills meet the writing.
    """

    name: str
    words: tuple[str, ...]
    again: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    when_whole: tuple[str, ...] | None = ()
    plain: bool = True
    killed: Counter[str] = field(default_factory=Counter)


MODES = (
    Mode("fit into a new folder", _FIT, _FIT, when_whole=("--force",)),
    Mode(
        "fit over earlier results",
        (*_FIT, "--force"),
        (*_FIT, "--force"),
        before=((*_FIT, "--level", ".9"),),
    ),
    Mode("simulate, one job", _RUN, (*_RUN, "--resume")),
    Mode("simulate, two jobs", (*_RUN, "--jobs", "2"), (*_RUN, "--jobs", "2", "--resume")),
    Mode(
        "simulate --resume, more replicates",
        (*_RUN, "--resume"),
        (*_RUN, "--resume"),
        before=((*_RUN, "--replicates", "25"),),
    ),
    Mode("simulate --force", (*_RUN, "--force"), (*_RUN, "--force"), before=((*_RUN, "--seed", "9"),)),
    Mode("simulate --shard", (*_RUN, "--shard", "1/2"), (*_RUN, "--shard", "1/2", "--resume")),
    Mode(
        "simulate --merge",
        ("simulate", "--merge", "s1", "s2", "--out", "out", "--quiet"),
        ("simulate", "--merge", "s1", "s2", "--out", "out", "--quiet"),
        before=tuple(
            ("simulate", "design.toml", "--out", f"s{i}", "--shard", f"{i}/2", "--quiet") for i in (1, 2)
        ),
        when_whole=("--force",),
    ),
    Mode("fit, real figures and report", _FIT, _FIT, when_whole=("--force",), plain=False),
    Mode("simulate, real figures and report", _RUN, (*_RUN, "--resume"), plain=False),
    Mode("partition", _PARTITION, _PARTITION, when_whole=None),
    Mode(
        "fit --partitioned",
        _PARTITIONED,
        _PARTITIONED,
        before=(("partition", "pool.csv", "--rows", "60", "--out", "parts", "--quiet"),),
        when_whole=("--force",),
    ),
    Mode(
        "simulate --scheduler",
        (*_RUN, "--scheduler", SCHEDULER),
        (*_RUN, "--scheduler", SCHEDULER, "--resume"),
    ),
)


class Killer:
    """Runs one mode again and again in copies of its folder, killed each time at another moment."""

    def __init__(
        self, commands: LimitedCommands, mode: Mode, folder: Path, moments: random.Random, scheduler: str = ""
    ) -> None:
        self.commands, self.mode, self.folder, self.random = commands, mode, folder, moments
        self.scheduler = scheduler
        self.start = folder / "start"
        self.start.mkdir(parents=True)
        small_pool().to_csv(self.start / "pool.csv", index=False)
        (self.start / "spec.toml").write_text(SPEC, encoding="utf-8")
        (self.start / "parts.toml").write_text(SPEC.partition("\n")[2], encoding="utf-8")
        (self.start / "design.toml").write_text(DESIGN, encoding="utf-8")
        for words in mode.before:
            self._run(words, self.start)
        whole = self._copy("reference")
        count = folder / "count"
        ended = self._run(mode.words, whole, count=str(count))
        self.reference, self.earlier = tree(whole / "out"), tree(self.start / "out")
        self.seconds, self.changes = ended.seconds, int(count.read_text())

    def trial(self, number: int, harm: dict[str, object]) -> None:
        """Kill the command once, look at what is there, and run it again."""
        place = self._copy(f"trial-{number}")
        ended = self.commands.run(
            self._words(self.mode.words), place, seconds=SECONDS, harm=self._harm(place) | harm
        )
        told = f"{self.mode.name}, {harm}: {ended.err}"
        assert ended.code in (0, -9), told
        out = place / "out"
        self.mode.killed[self._state(out, told)] += 1
        again = self._again(out)
        if again is not None:
            self._run(again, place)
        assert tree(out) == self.reference, told
        left = [path.name for path in place.rglob(".biocal-*")]
        assert not left, f"{told}: {left}"
        shutil.rmtree(place)

    def _again(self, out: Path) -> tuple[str, ...] | None:
        """How the command is run again, where there is a need."""
        if tree(out) != self.reference or self.earlier == self.reference:
            return self.mode.again
        return None if self.mode.when_whole is None else (*self.mode.again, *self.mode.when_whole)

    def moments_at(self, kills: int) -> Iterator[dict[str, object]]:
        """Half by number of a change, a third by the clock, the rest when something temporary appears."""
        for number in range(kills):
            match number % 6:
                case 0 | 2 | 4:
                    yield {"step": self.random.randint(1, self.changes)}
                case 1 | 3:
                    yield {"after": self.random.random() * self.seconds}
                case _:
                    yield {"appears": True}

    def _copy(self, name: str) -> Path:
        place = self.folder / name
        shutil.copytree(self.start, place)
        return place

    def _run(self, words: tuple[str, ...], place: Path, **harm: object):
        ended = self.commands.run(self._words(words), place, seconds=SECONDS, harm=self._harm(place) | harm)
        assert ended.code == 0, f"{self.mode.name}: {words}: {ended.code} {ended.err}"
        return ended

    def _words(self, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.scheduler if word == SCHEDULER else word for word in words)

    def _harm(self, place: Path) -> dict[str, object]:
        """What every command is given: stand-ins for figures, and a place of its own for temporary files."""
        (place / "tmp").mkdir(exist_ok=True)
        return {"plain": self.mode.plain, "temporary": str(place / "tmp")}

    def _state(self, out: Path, told: str) -> str:
        """What a kill left: "whole", "absent" (or as it was), or "marked" as unfinished; an error for anything else."""
        there = tree(out)
        marked = INCOMPLETE in there or _unfinished(there)
        for name, content in there.items():
            if name in (INCOMPLETE, "design.json"):
                continue
            if name.startswith("parts/"):
                pq.read_table(out / name)  # whole, or an error
                continue
            assert content in (self.reference.get(name), self.earlier.get(name)), f"{told}: {name} is neither"
        if marked:
            return "marked"
        if there == self.reference:
            return "whole"
        assert there == self.earlier, f"{told}: a half set passes for whole: {sorted(there)}"
        return "absent"


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder but those that a run hides; empty when there is none."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: _lasting(name, path.read_bytes())
        for name, path in found.items()
        if not any(part.startswith((MARK, ".biocal-lock")) for part in Path(name).parts)
    }


def _lasting(name: str, content: bytes) -> bytes:
    """A file's content without the one number that differs from run to run, memory that was used."""
    return _MEMORY.sub(b"", content) if name == "fit.json" else content


def _unfinished(there: dict[str, bytes]) -> bool:
    """Whether design.json, which is read here, says that a simulation is not finished."""
    return "design.json" in there and not json.loads(there["design.json"])["complete"]


def kill_modes(
    kills: int, seed: int, *, modes: tuple[Mode, ...] = MODES, tell: Callable[[str], object] = print
) -> int:
    """Kill each mode so many times; returns the number of kills."""
    total = 0
    tell(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder, LimitedCommands() as commands, ExitStack() as beside:
        for index, mode in enumerate(modes):
            scheduler = beside.enter_context(dask_scheduler()) if SCHEDULER in mode.words else ""
            moments = random.Random(f"{seed} {mode.name}")
            killer = Killer(commands, mode, Path(folder) / str(index), moments, scheduler)
            for number, harm in enumerate(killer.moments_at(kills)):
                killer.trial(number, harm)
            total += kills
            states = ", ".join(f"{count} {state}" for state, count in sorted(mode.killed.items()))
            tell(
                f"{mode.name}: {kills} kills over {killer.changes} changes of files: {states}; all ran to the reference"
            )
    return total


@contextmanager
def dask_scheduler() -> Iterator[str]:
    """A scheduler and a worker beside this process; gives their address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    parts = (
        ("scheduler", "--host", address, "--no-dashboard"),
        ("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"),
    )
    with tempfile.TemporaryDirectory() as place, ExitStack() as running:
        for part, *words in parts:
            command = [sys.executable, "-m", f"distributed.cli.dask_{part}", *words]
            process = running.enter_context(subprocess.Popen(command, cwd=place, **quiet))
            running.callback(process.kill)
            _await_port(int(address.rpartition(":")[2]))
        yield address


def _await_port(port: int) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the scheduler did not start")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=12, help="of each mode")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--only", nargs="*", default=[], help="names of modes")
    asked = options.parse_args()
    modes = tuple(mode for mode in MODES if not asked.only or mode.name in asked.only)
    total = kill_modes(asked.kills, asked.seed, modes=modes, tell=lambda text: print(text, flush=True))
    print(f"{total} kills survived (seed {asked.seed})")


if __name__ == "__main__":
    main()
