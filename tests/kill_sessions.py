"""Kill the commands of a federated session: each once at least, run again, and the session ends as if nothing had been.

    python tests/kill_sessions.py [--sessions N] [--seed N]

After a kill every file is the one before the command or the one after it.  A session in which every command was killed
leaves at the centre and at the sites the same bytes as one without a kill.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from federated_pool import few_studies, make_pool, write_sites
from kill_commands import SECONDS, tree
from limited_commands import Ended, LimitedCommands

from biocal.system.files import MARK

#: The reference study's site and one to be calibrated.
SITES = {"a": ["Ash"], "d": ["Damson", "Ebony"]}
SPEC = """\
sites = ["a", "d"]
method = ["full"]
exposure = "rcs"
knot_values = [35, 60, 85]
covariates = "bmi"
ref = 60
at = [30, 60, 90]
"""
_BEGINNINGS = (
    *(("site", "init", "--spec", f"site_{site}/site.toml", "--dir", f"kept_{site}") for site in SITES),
    ("coordinate", "init", "analysis.toml", "--dir", "centre"),
)
#: What a beginning leaves is drawn at random: the last command shows that it can be gone on with.
_NEXT = (
    *(("site", "ledger", "--dir", f"kept_{site}") for site in SITES),
    ("coordinate", "status", "--dir", "centre"),
)
Words = tuple[str, ...]


def begin(commands: LimitedCommands, folder: Path) -> None:
    """Make data, sites and the first request in a folder."""
    write_sites(folder, few_studies(make_pool(n_sets=60)), sites=SITES)
    (folder / "analysis.toml").write_text(SPEC, encoding="utf-8")
    for words in _BEGINNINGS:
        run_well(commands, words, folder)


def run_well(commands: LimitedCommands, words: Words, place: Path, **harm: object) -> Ended:
    """Run a command that must end well."""
    quiet = () if words[1] in ("ledger", "status") else ("--quiet",)
    ended = commands.run((*words, *quiet), place, seconds=SECONDS, harm={"plain": True, **harm})
    assert ended.code == 0, f"{words}: {ended.code} {ended.err}"
    return ended


@dataclass
class SessionKiller:
    """Plays sessions in a folder, with and without kills.

    Attributes
    ----------
    commands : LimitedCommands
    folder : Path
    random : random.Random
        Of the moments.
    found : Counter
        What kills left: "before" the command, "after" it, "between", or nothing was killed, for it was "over".
    """

    commands: LimitedCommands
    folder: Path
    random: random.Random
    found: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.start = self.folder / "start"
        self.start.mkdir(parents=True)
        begin(self.commands, self.start)
        self.played: list[tuple[Words, int, float]] = []  # each command, its changes of files and seconds
        self.trees = [tree(self.start)]
        whole = self._copy("reference")
        self._play(whole, self._watch)

    def beginnings(self) -> None:
        """Kill each command that begins, at every change of a file."""
        for words, following in zip(_BEGINNINGS, _NEXT, strict=True):
            place = self._copy("beginnings", self.start)
            target = place / words[words.index("--dir") + 1]
            step, ended = 0, False
            while not ended:
                step += 1
                shutil.rmtree(target)
                told = f"{words}, change {step}"
                ended = self.kill(words, place, {"step": step}).code == 0
                self.found["over" if ended else "begun"] += 1
                again = self.commands.run((*words, "--quiet"), place, seconds=SECONDS, harm={"plain": True})
                assert again.code == 0 or "already" in again.err, f"{told}: {again.err}"
                self.run(following, place)
                left = [path.name for path in target.rglob(f"{MARK}*")]
                assert not left or again.code, f"{told}: {left}"
            shutil.rmtree(place)

    def session(self, number: int) -> None:
        """Play a session in which each command is killed once, and hold it against the reference."""
        place = self._copy(f"session-{number}")
        position = iter(range(len(self.played)))

        def killed(words: Words, place: Path) -> None:
            index = next(position)
            assert words == self.played[index][0], f"{words} instead of {self.played[index][0]}"
            harm = self._moment(index)
            told = f"{words}, {harm}"
            ended = self.kill(words, place, harm)
            assert ended.code in (0, -9), f"{told}: {ended.err}"
            self._look(place, index, told)
            self.run(self._again(words, place), place)

        self._play(place, killed)
        assert next(position, None) is None
        assert tree(place) == self.trees[-1], f"session {number}"
        left = [path.name for path in place.rglob(f"{MARK}*")]
        assert not left, f"session {number}: {left}"
        shutil.rmtree(place)

    def kill(self, words: Words, place: Path, harm: dict[str, object]) -> Ended:
        """Run a command that is killed."""
        return self.commands.run((*words, "--quiet"), place, seconds=SECONDS, harm={"plain": True, **harm})

    def run(self, words: Words, place: Path, **harm: object) -> Ended:
        """Run a command that must end well."""
        return run_well(self.commands, words, place, **harm)

    def _play(self, place: Path, one: Callable[[Words, Path], None]) -> None:
        """All rounds of a session; each command through a function."""
        number = 0
        while not (place / "results").exists():
            request = f"centre/request_{number:03d}.json"
            assert (place / request).exists(), f"no {request}"
            answers = [f"answer_{site}_{number:03d}.json" for site in SITES]
            for site, answer in zip(SITES, answers, strict=True):
                one(("site", "answer", request, "--dir", f"kept_{site}", "--out", answer), place)
            one(("coordinate", "step", *answers, "--dir", "centre", "--out", "results"), place)
            number += 1

    def _watch(self, words: Words, place: Path) -> None:
        """Run a command of the reference and note what it does."""
        count = self.folder / "count"
        ended = self.run(words, place, count=str(count))
        self.played.append((words, int(count.read_text()), ended.seconds))
        self.trees.append(tree(place))

    def _moment(self, index: int) -> dict[str, object]:
        _, changes, seconds = self.played[index]
        if self.random.random() < 0.75:
            return {"step": self.random.randint(1, changes)}
        return {"after": self.random.random() * seconds}

    def _look(self, place: Path, index: int, told: str) -> None:
        """Every file is as before the command or as after it."""
        before, after, there = self.trees[index], self.trees[index + 1], tree(place)
        for name, content in there.items():
            assert content in (before.get(name), after.get(name)), f"{told}: {name} is neither"
        assert set(before) <= set(there), told
        self.found["before" if there == before else "after" if there == after else "between"] += 1

    def _again(self, words: Words, place: Path) -> Words:
        """A command as it is run again: what is there is replaced only when that is asked for."""
        out = place / words[words.index("--out") + 1]
        return (*words, "--force") if out.exists() else words

    def _copy(self, name: str, source: Path | None = None) -> Path:
        place = self.folder / name
        shutil.copytree(source or self.start, place)
        return place


def kill_sessions(sessions: int, seed: int, *, tell: Callable[[str], object] = print) -> int:
    """Kill all commands of so many sessions; returns the number of kills."""
    with tempfile.TemporaryDirectory() as folder, LimitedCommands() as commands:
        killer = SessionKiller(commands, Path(folder), random.Random(f"{seed} sessions"))
        killer.beginnings()
        for number in range(sessions):
            killer.session(number)
    found = killer.found
    killed = found.total() - found["over"]
    states = ", ".join(f"{count} {state}" for state, count in sorted(found.items()) if state != "over")
    rounds = len(killer.played) // (len(SITES) + 1)
    tell(
        f"federated sessions of {rounds} rounds, each command killed: {killed} kills: {states}; all ended as the "
        "reference"
    )
    return killed


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sessions", type=int, default=2)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    asked = options.parse_args()
    print(f"seed {asked.seed}")
    total = kill_sessions(asked.sessions, asked.seed, tell=lambda text: print(text, flush=True))
    print(f"{total} kills survived (seed {asked.seed})")


if __name__ == "__main__":
    main()
