"""Messages to stderr, one line each."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from biocal.study.notices import Problem


def tell(level: str, text: str) -> None:
    """Print one line, ``level: text``, to stderr; what a terminal would obey is shown as an escape.

    Where messages cannot be written the work goes on, and the exit code says how it ended.
    """
    try:
        print(f"{level}: {' '.join(plain(text).split())}", file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def say(text: str) -> None:
    """Print a text to stdout; what a terminal would obey is shown as an escape.

    Once nobody reads it (``| head``), the rest is discarded and the work goes on.

    Raises
    ------
    OutputError
        There is no room where it leads.
    """
    try:
        print(plain(text), flush=True)
    except BrokenPipeError:
        discard(sys.stdout)
    except OSError as fault:
        from biocal.errors import OutputError

        discard(sys.stdout)
        raise OutputError(
            f"the results cannot be written: {fault.strerror} (standard output; what is under --out is whole)"
        ) from None


def discard(stream: TextIO) -> None:
    """Send what else is written to a stream nowhere, what it still holds included."""
    with suppress(OSError, ValueError):  # no file, as in tests
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


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
