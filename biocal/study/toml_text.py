"""TOML from strangers: parsed, and refused where it nests or counts beyond reason."""

from __future__ import annotations

import tomllib
from typing import Any

#: Tables and lists in one another; the deepest key of a spec has three.  Copying and comparing stay shallow.
DEEPEST = 20


class UnreadableTomlError(ValueError):
    """A file that breaks no rule of TOML and still cannot be an analysis."""


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a spec or a design.

    Raises
    ------
    tomllib.TOMLDecodeError
        It is not TOML.
    UnreadableTomlError
        Lists or tables stand in one another too deeply, or a number has thousands of digits.

    Examples
    --------
    >>> parse_toml("at = [[[30]]]")
    {'at': [[[30]]]}
    """
    deeply = f"lists or tables stand in one another more than {DEEPEST} deep"
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError as fault:
        raise UnreadableTomlError(deeply) from fault
    except ValueError as fault:  # Python turns no more than 4,300 digits into a number
        raise UnreadableTomlError("a whole number has thousands of digits") from fault
    if _is_deep(found):
        raise UnreadableTomlError(deeply)
    return found


def _is_deep(found: dict[str, Any]) -> bool:
    layer: list[Any] = [found]
    for _ in range(DEEPEST):
        inside = [part for one in layer for part in (one.values() if isinstance(one, dict) else one)]
        layer = [part for part in inside if isinstance(part, dict | list)]
        if not layer:
            return False
    return True
