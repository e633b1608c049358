"""Every hostile input there is, and a program that writes them out: ``python tests/corpus/make_corpus.py FOLDER``.

Nothing of it is kept in the repository: a few of them are large, and all are made in seconds.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from corpus.hostile_binaries import BINARIES
from corpus.hostile_designs import DESIGNS
from corpus.hostile_input import HostileInput
from corpus.hostile_messages import MESSAGES
from corpus.hostile_places import PLACES
from corpus.hostile_plans import PLANS, SETTINGS
from corpus.hostile_specs import SPECS
from corpus.hostile_tables import TABLES

ALL: tuple[HostileInput, ...] = (*TABLES, *BINARIES, *PLACES, *SPECS, *DESIGNS, *MESSAGES, *PLANS, *SETTINGS)


def folder_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")


def write_all(target: Path) -> None:
    for one in ALL:
        folder = target / folder_name(one.name)
        folder.mkdir(parents=True)
        one.write(folder)


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
    print(f"{len(ALL)} hostile inputs are in {sys.argv[1]}")
