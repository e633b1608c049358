"""Messages to stderr, one line each."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biocal.study.notices import Problem


def tell(level: str, text: str) -> None:
    """Print one line, ``level: text``, to stderr; what a terminal would obey is shown as an escape."""
    print(f"{level}: {' '.join(plain(text).split())}", file=sys.stderr)


def say(text: str) -> None:
    """Print a text to stdout; what a terminal would obey is shown as an escape."""
    print(plain(text))


def plain(text: str) -> str:
    """Return a text with its control characters as escapes, such as ``\\x1b``; line breaks and tabs stay.

    Names of studies and files come from others: a terminal must not obey what they hold, nor let them
    turn the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() or mark in "\n\t\r" else _escaped(mark) for mark in text)


def _escaped(mark: str) -> str:
    return mark.encode("unicode_escape").decode("ascii")


def tell_problems(problems: Iterable[Problem], *, quiet: bool = False) -> None:
    """Print problems found in data, one a line; with `quiet` only the errors."""
    for problem in problems:
        if problem.level == "error" or not quiet:
            tell(problem.level, str(problem))


@contextmanager
def warnings_told(*, quiet: bool) -> Iterator[None]:
    """Tell warnings of the block as lines of the command's own; with `quiet` not at all."""

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        if not quiet:
            tell("warning", str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
