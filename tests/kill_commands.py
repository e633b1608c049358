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
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import pyarrow.parquet as pq
from cli_pool import SPEC, small_pool
from limited_commands import LimitedCommands

from biocal.disk.file_set import INCOMPLETE
from biocal.disk.temporary_names import MARK

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
    """

    name: str
    words: tuple[str, ...]
    again: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    killed: Counter[str] = field(default_factory=Counter)


MODES = (
    Mode("fit into a new folder", _FIT, _FIT),
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
    ),
)


class Killer:
    """Runs one mode again and again in copies of its folder, killed each time at another moment."""

    def __init__(self, commands: LimitedCommands, mode: Mode, folder: Path, moments: random.Random) -> None:
        self.commands, self.mode, self.folder, self.random = commands, mode, folder, moments
        self.start = folder / "start"
        self.start.mkdir(parents=True)
        small_pool().to_csv(self.start / "pool.csv", index=False)
        (self.start / "spec.toml").write_text(SPEC, encoding="utf-8")
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
        ended = self.commands.run(self.mode.words, place, seconds=SECONDS, harm={"plain": True, **harm})
        told = f"{self.mode.name}, {harm}: {ended.err}"
        assert ended.code in (0, -9), told
        out = place / "out"
        self.mode.killed[self._state(out, told)] += 1
        self._run(self._again(out), place)
        assert tree(out) == self.reference, told
        left = [path.name for path in place.rglob(".biocal-*")]
        assert not left, f"{told}: {left}"
        shutil.rmtree(place)

    def _again(self, out: Path) -> tuple[str, ...]:
        """How the command is run again: a fit that was whole before the kill needs --force."""
        whole = tree(out) == self.reference and self.mode.again[0] == "fit"
        merged = "--merge" in self.mode.again and tree(out) == self.reference
        return (*self.mode.again, "--force") if whole or merged else self.mode.again

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
        ended = self.commands.run(words, place, seconds=SECONDS, harm={"plain": True, **harm})
        assert ended.code == 0, f"{self.mode.name}: {words}: {ended.code} {ended.err}"
        return ended

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
        name: path.read_bytes()
        for name, path in found.items()
        if not any(part.startswith((MARK, ".biocal-lock")) for part in Path(name).parts)
    }


def _unfinished(there: dict[str, bytes]) -> bool:
    """Whether design.json, which is read here, says that a simulation is not finished."""
    return "design.json" in there and not json.loads(there["design.json"])["complete"]


def kill_modes(
    kills: int, seed: int, *, modes: tuple[Mode, ...] = MODES, tell: Callable[[str], object] = print
) -> int:
    """Kill each mode so many times; returns the number of kills."""
    total = 0
    tell(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder, LimitedCommands() as commands:
        for index, mode in enumerate(modes):
            killer = Killer(commands, mode, Path(folder) / str(index), random.Random(f"{seed} {mode.name}"))
            for number, harm in enumerate(killer.moments_at(kills)):
                killer.trial(number, harm)
            total += kills
            states = ", ".join(f"{count} {state}" for state, count in sorted(mode.killed.items()))
            tell(
                f"{mode.name}: {kills} kills over {killer.changes} changes of files: {states}; all ran to the reference"
            )
    return total


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=12, help="of each mode")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    asked = options.parse_args()
    total = kill_modes(asked.kills, asked.seed, tell=lambda text: print(text, flush=True))
    print(f"{total} kills survived (seed {asked.seed})")


if __name__ == "__main__":
    main()
