"""Messages to stderr, one line each."""

from __future__ import annotations

import errno
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from biocal.pool.checks.notices import Problem


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


_ADVICE = {
    "reading": "keep only the columns that the analysis needs, or save the data as Parquet",
    "simulating": "give it fewer --jobs; finished batches are kept, go on with --resume",
    "fitting": "ask for one --method at a time, and fewer --jobs with --bootstrap",
}
_DRAWING = "ask for fewer methods, subgroups or scenarios at a time"


def is_memory_error(error: BaseException) -> bool:
    """Whether an error came of want of memory, itself or by what it was made of."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, MemoryError) or (isinstance(one, OSError) and one.errno == errno.ENOMEM):
            return True
        one = one.__cause__ or one.__context__
    return False


def memory_message(error: BaseException, phase: str) -> str:
    """A sentence on want of memory in a phase such as ``"reading"``; blank before anything was done."""
    during = f"while {phase}" if phase else "while loading what the command needs"
    asked = f" ({error})" if str(error) else ""
    advice = f", or {_ADVICE.get(phase.split(' ', maxsplit=1)[0], _DRAWING)}" if phase else ""
    return f"out of memory {during}{asked}: give it more memory{advice}"


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


def version_line() -> str:
    """What ``--version`` shows."""
    from biocal import __version__

    return f"biocal {__version__}"
