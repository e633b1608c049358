"""Kinder words for what the option library says of a value that is no number."""

from __future__ import annotations

import re
from collections.abc import Sequence

_INVALID = re.compile(r"Invalid value for '(?:-\w' / ')?(--[\w-]+)': (.*)", re.DOTALL)
#: What versions of the library say, and the kind of number that was wanted.
_KINDS = (
    (re.compile(r"valid integer|not a valid int"), "a whole number, such as 4"),
    (re.compile(r"valid number|not a valid float"), "a number, such as 0.5"),
    (
        re.compile(r"greater than or equal to (-?\d+)|not in the range x>=(-?\d+)"),
        "a whole number, {0} or more",
    ),
)


def kinder(message: str, words: Sequence[str]) -> str:
    """Return a message of the library in plain words, with the value that was typed.

    Parameters
    ----------
    message : str
        Of a usage error.
    words : sequence of str
        What was typed after ``biocal``.

    Examples
    --------
    >>> kinder("Invalid value for '--ref': Input should be a valid number", ["fit", "--ref", "50,5"])
    "--ref takes a number, such as 0.5, not '50,5'; write 50.5, with a point"
    """
    invalid = _INVALID.fullmatch(message)
    if invalid is None:
        return message
    option, reason = invalid.groups()
    for said, kind in _KINDS:
        bound = said.search(reason)
        if bound is not None:
            wanted = kind.format(*(part for part in bound.groups() if part is not None))
            typed = _typed(option, words)
            shown = "" if typed is None else f", not '{typed}'{_hint(typed)}"
            return f"{option} takes {wanted}{shown}"
    return message


def _typed(option: str, words: Sequence[str]) -> str | None:
    """The value of an option, which stood after it or after ``=``."""
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word == option:
            return following
        if word.startswith(f"{option}="):
            return word[len(option) + 1 :]
    return None


def _hint(typed: str) -> str:
    if re.fullmatch(r"[-+]?\d+,\d+", typed):
        return f"; write {typed.replace(',', '.')}, with a point"
    if re.fullmatch(r"\d+(\.\d+)?\s*%", typed):
        return f"; write {float(typed.rstrip('% ')) / 100:g}"
    return ""
