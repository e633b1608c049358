"""Reading a spec: a TOML file whose keys are the options of the commands."""

from __future__ import annotations

import glob
import os
import re
import tomllib
from collections.abc import Collection, Iterator
from fnmatch import translate
from typing import Any

from biocal.cli.options.options import from_toml
from biocal.cli.options.table import EXCLUSIVE, FEDERATED_KEYS, OPTIONS
from biocal.errors import DataProblemsError
from biocal.pool.checks.cells.natural_order import natural_key
from biocal.pool.checks.columns import did_you_mean
from biocal.pool.checks.notices import LISTED_PLACES, ProblemLog
from biocal.system.bytes import LARGEST_TEXT_OF_OPTIONS, UnreadableTomlError, file_bytes, parse_toml

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


def read_spec(path: str, *, more: Collection[str] = ()) -> dict[str, Any]:
    """Read a spec and check its keys and the kinds of their values.

    Parameters
    ----------
    path : str
        A TOML file.
    more : collection of str
        Keys that the command knows beside those of the others.

    Returns
    -------
    dict
        Values by key; `files` and `out` are relative to the working folder now, patterns expanded.

    Raises
    ------
    DataProblemsError
        Every problem found, each with its line.
    """
    log = ProblemLog()
    text = _text(path, log)
    found = _parse(path, text, log)
    values: dict[str, Any] = {}
    known = {key: one for key, one in OPTIONS.items() if key != "spec"}
    known |= {key: one for key, one in FEDERATED_KEYS.items() if key in more}
    unknown = [key for key in found if key not in known]
    for key in unknown[LISTED_PLACES:]:
        del found[key]
    for key, value in found.items():
        line = _line_of(key, text)
        if key not in known:
            message = f"'{key}' is not an option{did_you_mean(key, known) or '; see biocal fit --help'}"
            log.add("error", "unknown-key", message, file=path, line=line)
            continue
        try:
            values[key] = from_toml(known[key], value)
        except ValueError as fault:
            log.add("error", "bad-value", f"{key}: {fault}", file=path, line=line)
    if len(unknown) > LISTED_PLACES:
        message = f"... and {len(unknown) - LISTED_PLACES:,} more keys that are no options"
        log.add("error", "unknown-key", message, file=path)
    for group in EXCLUSIVE:
        several = [key for key in group if key in values]
        if len(several) > 1:
            message = f"{' and '.join(several)} say the same thing in different ways; keep one of them"
            log.add("error", "exclusive-keys", message, file=path, line=_line_of(several[1], text))
    _resolve_places(path, values, text, log)
    log.require_no_errors()
    return values


def _text(path: str, log: ProblemLog) -> str:
    try:
        return file_bytes(path, most=LARGEST_TEXT_OF_OPTIONS).decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        log.add("error", "not-utf8", f"not UTF-8 text (byte {fault.start}); save it as UTF-8", file=path)
    except FileNotFoundError:
        log.add("error", "no-file", "there is no such file", file=path)
    except IsADirectoryError:
        log.add("error", "no-file", "this is a folder; name the TOML file in it", file=path)
    except OSError as fault:
        log.add("error", "no-file", f"cannot be read ({fault.strerror})", file=path)
    raise DataProblemsError(log.found)


def _parse(path: str, text: str, log: ProblemLog) -> dict[str, Any]:
    try:
        return parse_toml(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as fault:
        message = str(fault)
        place = re.search(r" \(at line (\d+), column \d+\)$", message)
        line = int(place[1]) if place else None
        reason = message[: place.start()] if place else message.replace("(at end of document)", "at the end")
        log.add("error", "not-toml", f"not valid TOML: {reason}", file=path, line=line)
        raise DataProblemsError(log.found) from fault
    except UnreadableTomlError as fault:
        log.add("error", "not-toml", f"not a spec: {fault}", file=path)
        raise DataProblemsError(log.found) from fault


def _line_of(key: str, text: str) -> int | None:
    """Line on which a key, or the table of that name, stands."""
    name = re.escape(key)
    pattern = re.compile(rf"""^\s*(\[\s*["']?{name}["']?\s*\]|["']?{name}["']?\s*[=.])""")
    return next((n for n, line in enumerate(text.splitlines(), start=1) if pattern.match(line)), None)


def _resolve_places(path: str, values: dict[str, Any], text: str, log: ProblemLog) -> None:
    """Take `files` and `out` as relative to the spec's folder, and expand patterns."""
    folder = os.path.dirname(path)
    if "out" in values:
        values["out"] = os.path.join(folder, values["out"])
    if "files" not in values:
        return
    try:
        values["files"] = [name for pattern in values["files"] for name in matching_files(folder, pattern)]
    except (FileNotFoundError, PatternTooWideError) as fault:
        log.add("error", "no-file", f"files: {fault}", file=path, line=_line_of("files", text))
