"""Sections of a design file turned into records: types, required keys, unknown keys."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

from biocal.pool.checks.columns import did_you_mean

Record = TypeVar("Record")

#: Replicates of a scenario; ours, far beyond what Monte Carlo errors ask for.
MOST_REPLICATES = 10_000_000


class WrongTypeError(Exception):
    """A value is not of the kind its key takes; the message says what it should be."""


@dataclass
class Problems:
    """Problems found so far: key as written in the file, and what is wrong with it.

    Attributes
    ----------
    found : list of (str, str)
        Key and message.
    """

    found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, key: str, message: str) -> None:
        """Note a problem, once."""
        if (key, message) not in self.found:
            self.found.append((key, message))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def as_number(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WrongTypeError(f"must be a number, not {_shown(value)}")
    return float(value)


def as_integer(value: Any) -> int:
    """A whole number."""
    number = as_number(value)
    if number != int(number):
        raise WrongTypeError(f"must be a whole number, not {_shown(value)}")
    return int(number)


def as_word(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise WrongTypeError(f"must be a text in quotes, not {_shown(value)}")
    return value.strip()


def as_flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise WrongTypeError(f"must be true or false, not {_shown(value)}")
    return value


def as_numbers(value: Any) -> tuple[float, ...]:
    """A list of finite numbers."""
    if not isinstance(value, list | tuple):
        raise WrongTypeError(f"must be a list of numbers such as [1, 2], not {_shown(value)}")
    return tuple(as_number(item) for item in value)


def as_words(value: Any) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list | tuple):
        raise WrongTypeError(f'must be a list of texts such as ["a", "b"], not {_shown(value)}')
    return tuple(as_word(item) for item in value)


def as_numbers_or_integer(value: Any) -> tuple[float, ...] | int:
    """A list of numbers, or how many."""
    return as_numbers(value) if isinstance(value, list | tuple) else as_integer(value)


# How a record's field is read, by its annotation.
_READERS: dict[str, Callable[[Any], Any]] = {
    "float": as_number,
    "float | None": as_number,
    "int": as_integer,
    "int | None": as_integer,
    "str": as_word,
    "str | None": as_word,
    "bool": as_flag,
    "tuple[float, ...]": as_numbers,
    "tuple[str, ...]": as_words,
    "tuple[str, ...] | None": as_words,
    "tuple[float, ...] | int": as_numbers_or_integer,
}


def keys_of(record: type) -> tuple[str, ...]:
    """The keys of a section: the fields of its record."""
    return tuple(each.name for each in fields(record))


def read_value(read: Callable[[Any], Any], value: Any, key: str, problems: Problems) -> Any:
    """Read one value; None with a problem noted when it is of the wrong kind."""
    try:
        return read(value)
    except WrongTypeError as wrong:
        problems.add(key, str(wrong))
        return None


def note_unknown(table: Mapping[str, Any], known: tuple[str, ...], section: str, problems: Problems) -> None:
    """Note keys that a section does not have, with near names."""
    prefix = f"{section}." if section else ""
    for name in table:
        if name not in known:
            hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
            problems.add(f"{prefix}{name}", f"there is no such key{hint}")


def read_record(record: type[Record], table: Any, section: str, problems: Problems) -> Record | None:
    """Read a section into its record.

    Parameters
    ----------
    record : dataclass
        Whose fields are the keys; those without a default are required.
    table : mapping
        The section as read from TOML.
    section : str
        Its name, for messages.
    problems : Problems
        Gets whatever is wrong.

    Returns
    -------
    record or None
        None when it cannot be built.
    """
    if not isinstance(table, Mapping):
        problems.add(section, f"must be a table of keys, not {_shown(table)}")
        return None
    before = len(problems.found)
    note_unknown(table, keys_of(record), section, problems)
    values: dict[str, Any] = {}
    broken = False
    for each in fields(record):  # type: ignore[arg-type]
        key = f"{section}.{each.name}"
        if each.name in table:
            values[each.name] = read_value(_READERS[str(each.type)], table[each.name], key, problems)
        elif each.default is MISSING and each.default_factory is MISSING:
            missing = "is missing" if len(problems.found) == before else "is missing (or misspelt)"
            problems.add(key, missing)
            broken = True
    broken = broken or any(value is None for value in values.values())
    return None if broken else record(**values)


_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\"'-]+)\s*\]")
_KEY = re.compile(r"\s*(\"[^\"]*\"|'[^']*'|[\w.-]+)\s*=")
_STEP = re.compile(r'(\w+)(?:\[(\d+)\])?(?:\.(".*"|[\w-]+))?')


def line_of(text: str, key: str) -> int | None:
    """Find the line of a key such as ``studies[1].r_squared``.

    Parameters
    ----------
    text : str
        The file.
    key : str
        ``section.key``, ``section[i].key`` (i from 0), ``vary."a.b"`` or a key outside sections.

    Returns
    -------
    int or None
        From 1; that of the section's header when the key itself is missing, None when that is too.
    """
    match = _STEP.match(key)
    if match is None:
        return None
    section, wanted_index, name = match[1], int(match[2] or 0), (match[3] or "").strip('"')
    here, seen = "", -1
    header_line = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header:
            here = header[2].strip("\"'")
            if here == section:
                seen += 1
                if seen == wanted_index:
                    header_line = number
            continue
        assignment = _KEY.match(line)
        if assignment is None:
            continue
        found = assignment[1].strip("\"'")
        if here == section and seen == wanted_index and name and found == name:
            return number
        if not here and found in (section, f"{section}.{name}"):
            header_line = header_line or number
    return header_line
