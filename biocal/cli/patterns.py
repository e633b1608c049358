"""Files that a pattern such as ``cohorts/*.csv`` stands for, found in bounded time."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from fnmatch import translate

from biocal.study.natural_order import natural_key

#: Files and folders that a pattern may look at (ours): seconds on a disk; ``/**/*.csv`` would look at millions.
MOST_VISITED = 100_000


class PatternTooWideError(ValueError):
    """A pattern looks at more of the disk than any analysis needs; the message says what to do."""


def matching_files(folder: str, pattern: str) -> list[str]:
    """Files that a pattern stands for, in natural order; a plain name stands for itself.

    Parameters
    ----------
    folder : str
        That the pattern is relative to; it may hold brackets itself.
    pattern : str
        With ``*``, ``?``, ``[...]`` within a name, and ``**`` for any folders.

    Raises
    ------
    FileNotFoundError
        The pattern matches nothing.
    PatternTooWideError
        It looks at more than `MOST_VISITED` files and folders.
    """
    wanted = os.path.join(folder, pattern)
    if not glob.has_magic(pattern) or os.path.exists(wanted):
        return [wanted]
    search = _Search(wanted)
    drive, path = os.path.splitdrive(pattern.replace(os.altsep or os.sep, os.sep))
    start = drive + os.sep if path.startswith(os.sep) else folder
    parts = [part for part in path.split(os.sep) if part]
    found = dict.fromkeys(search.matches(start, parts))
    if not found:
        raise FileNotFoundError(f"no file matches '{wanted}'")
    return sorted(found, key=natural_key)


class _Search:
    """Walks along a pattern and counts what it looks at."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.visited = 0

    def matches(self, folder: str, parts: list[str]) -> Iterator[str]:
        """Paths below `folder` that fit the parts of a pattern."""
        part, *rest = parts
        if part == "**":
            yield from self._below(folder, rest or ["*"])
            return
        if not glob.has_magic(part):
            yield from self._next(os.path.join(folder, part), rest)
            return
        fits = re.compile(translate(part)).match
        for name, _ in self._entries(folder):
            # as in a shell, * stands for no hidden name
            if fits(name) and (part.startswith(".") or not name.startswith(".")):
                yield from self._next(os.path.join(folder, name), rest)

    def _next(self, path: str, rest: list[str]) -> Iterator[str]:
        if rest:
            yield from self.matches(path, rest)
        elif os.path.lexists(path):
            yield path

    def _below(self, folder: str, rest: list[str]) -> Iterator[str]:
        waiting = [folder]
        while waiting:
            place = waiting.pop()
            yield from self.matches(place, rest)
            waiting += [
                os.path.join(place, name)
                for name, is_folder in self._entries(place)
                if is_folder and not name.startswith(".")
            ]

    def _entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        """Names in a folder, and whether each is a folder; nothing where it cannot be read."""
        try:
            with os.scandir(folder or os.curdir) as entries:
                for entry in entries:
                    self.visited += 1
                    if self.visited > MOST_VISITED:
                        raise PatternTooWideError(
                            f"'{self.wanted}' looks at more than {MOST_VISITED:,} files and folders; begin it with "
                            "the folder that the files are in"
                        )
                    yield entry.name, _is_folder(entry)
        except OSError:
            return


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
