"""What one hostile input is, and the sound pool that all are spoilt from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
from cli_pool import small_pool

FIT = ("fit", "pool.csv", "--exposure", "linear", "--out", "out")
CHECK = ("check", "pool.csv")
#: Exit codes of CONTRACT.md.
FINE, USAGE, BAD_INPUT, FIT_FAILED = 0, 2, 3, 4


@dataclass(frozen=True)
class HostileInput:
    """Something that people or programs hand over, and what must be said to it.

    Attributes
    ----------
    name : str
        What is wrong; also the folder it is written to.
    write : callable
        Writes it into an empty folder.
    told : tuple of str
        Parts of one line of stderr, at least one of which is the place.
    words : tuple of str
        After ``biocal``.
    code : int
        The exit code.
    heavy : bool
        Takes seconds to make or to refuse: for ``make test-fuzz``.
    """

    name: str
    write: Callable[[Path], object]
    told: tuple[str, ...]
    words: tuple[str, ...] = FIT
    code: int = BAD_INPUT
    heavy: bool = False


def pool_frame() -> pd.DataFrame:
    """A small sound pool."""
    return small_pool(20)


@cache
def pool_text() -> str:
    return pool_frame().to_csv(index=False)


def pool_lines() -> list[str]:
    return pool_text().splitlines()


def content(data: bytes | str, name: str = "pool.csv") -> Callable[[Path], object]:
    """A file with this content."""
    data = data.encode() if isinstance(data, str) else data
    return lambda folder: (folder / name).write_bytes(data)


def spoilt(change: Callable[[list[str]], object]) -> Callable[[Path], object]:
    """The pool after a change of its lines, in place; the header is the first."""

    def write(folder: Path) -> None:
        lines = pool_lines()
        change(lines)
        (folder / "pool.csv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")

    return write


def cell(column: str, row: int, value: object) -> Callable[[Path], object]:
    """The pool with one cell changed; `row` counts data rows from 0, so that its line is row + 2."""

    def write(folder: Path) -> None:
        frame = pool_frame()
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
        frame.to_csv(folder / "pool.csv", index=False)

    return write


def beside_pool(*others: Callable[[Path], object]) -> Callable[[Path], object]:
    """The sound pool and something else."""

    def write(folder: Path) -> None:
        (folder / "pool.csv").write_text(pool_text(), encoding="utf-8")
        for other in others:
            other(folder)

    return write
