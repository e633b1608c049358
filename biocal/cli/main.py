"""The outermost edge: runs a command, turns every error into a line and an exit code."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from biocal.cli.edge.messages import (
    discard,
    is_memory_error,
    memory_message,
    tell,
    tell_problems,
    version_line,
)
from biocal.cli.edge.progress import stopped_in

FINE, OUR_FAULT, USAGE, BAD_INPUT, FIT_FAILED, INTERRUPTED = 0, 1, 2, 3, 4, 130
#: What a shell reports for a process that was asked to end.
TERMINATED = 128 + signal.SIGTERM

DEBUG_VARIABLE = "BIOCAL_DEBUG"

#: New objects between two searches for unused ones that refer to each other, and how many searches of the young make
#: one of the older.  By Python's default of hundreds, the modules and figures of a short command are searched again
#: and again, a tenth of its time; with many more, figures that are done with stay in memory.
_OBJECTS_BETWEEN_SEARCHES = (10_000, 10, 2)


def run() -> NoReturn:
    """Entry point of the ``biocal`` command."""
    _open_what_is_closed()
    atexit.register(_end_process)
    _code.append(run_here())
    sys.exit(_code[-1])


def _open_what_is_closed() -> None:
    """Let a standard stream that the caller closed (``>&-``) lead nowhere.

    Else the next file that is opened takes its number, and is written to by whoever means the stream.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))


def run_here() -> int:
    """Run the command that was typed in this process and return its exit code."""
    gc.set_threshold(*_OBJECTS_BETWEEN_SEARCHES)
    signal.signal(signal.SIGTERM, _end)
    _keep_to_our_warnings()
    try:
        return main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FINE if ended.code is None else OUR_FAULT


#: The exit code, once it is known.
_code: list[int] = []


def _end_process() -> None:
    """End before the destructors of libraries run: now and then, on a busy machine, Arrow's abort the process.

    Results that are whole would then go with exit code 134.  Registered before all else, so called after all else that
    is to be done at exit.
    """
    if _code and "pyarrow" in sys.modules and not os.environ.get(DEBUG_VARIABLE):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(_code[-1])


def _keep_to_our_warnings() -> None:
    """Hide the warnings of other packages, which tell a user nothing; those who debug see them."""
    from biocal.errors import BiocalWarning

    if not os.environ.get(DEBUG_VARIABLE):
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", BiocalWarning)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """End by an exception, so that unfinished files are removed on the way out."""
    raise SystemExit(TERMINATED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after ``biocal``; default those of the process.

    Returns
    -------
    int
        0 fine, 1 our fault, 2 usage, 3 bad input or output place, 4 the fit failed, 130 interrupted.
    """
    stopped_in()  # forgotten
    try:
        _print_anything()
        _command(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        tell("error", "interrupted; files are written whole or not at all")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of help (such as `head`) has seen enough.  Python would complain once more at exit.
        discard(sys.stdout)
    except SystemExit as ended:
        # rich, which sets the help, ends so when its reader has gone; nothing of ours ends with 1
        if ended.code != 1:
            raise
    except Exception as error:
        return _tell_error(error, sys.argv[1:] if arguments is None else arguments)
    return FINE


def _print_anything() -> None:
    """Let names that a terminal's character set lacks be shown as escapes rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _command(arguments: Sequence[str] | None) -> None:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        # asked by scripts, over and over: answered before anything heavy is imported
        print(version_line())
        return
    import typer

    from biocal.cli.app import app

    # Not app(): it has its own way with interrupts, closed pipes and usage errors, which differs by version.
    command = typer.main.get_command(app)
    try:
        with command.make_context("biocal", words) as context:
            command.invoke(context)
    except typer.Exit:
        pass  # after --help
    except typer.Abort:
        raise KeyboardInterrupt from None


def _tell_error(error: Exception, words: Sequence[str] = ()) -> int:
    """Tell an error in a line a problem; return the exit code."""
    if is_memory_error(error) and not _is_ours(error):
        phase = stopped_in()
        tell("error", memory_message(error, phase))
        # of the data when they were being read, else of what was to be done with them
        return BAD_INPUT if phase in ("", "reading") else FIT_FAILED
    from biocal.errors import DataProblemsError, FitError, InputError, SimulationError

    usage = _usage_message(error, words)
    if usage:
        tell("error", usage)
        return USAGE
    if isinstance(error, DataProblemsError):
        tell_problems(error.problems)  # type: ignore[attr-defined]
        return BAD_INPUT
    if isinstance(error, InputError | FitError | SimulationError):
        # a fit notes which of several methods it was
        text = ": ".join([*getattr(error, "__notes__", ()), str(error)])
        for problem in text.splitlines() or [text]:
            tell("error", problem)
        return BAD_INPUT if isinstance(error, InputError) else FIT_FAILED
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
        tell("error", f"the results cannot be written: {error.strerror}")
        return BAD_INPUT
    return _tell_our_fault(error)


def _is_ours(error: Exception) -> bool:
    """Whether an error is one that biocal raised, whose sentence says enough."""
    known = sys.modules.get("biocal.errors")
    return known is not None and isinstance(error, known.BiocalError)


def _usage_message(error: Exception, words: Sequence[str]) -> str:
    """What is wrong with the words typed, and where help is; blank for other errors."""
    import typer

    # Typer has its own copy of click or uses the installed one, by version; its errors show which.
    usage_error = typer.BadParameter.__mro__[1]
    click_error = typer.BadParameter.__mro__[2]
    if not isinstance(error, click_error):
        return ""
    context = getattr(error, "ctx", None) if isinstance(error, usage_error) else None
    path = context.command_path if context is not None else "biocal"
    from biocal.cli.edge.messages import kinder

    message = kinder(error.format_message().rstrip("."), words)  # type: ignore[attr-defined]
    return f"{message} (see '{path} --help')"


def _tell_our_fault(error: Exception) -> int:
    """An error nobody foresaw: its type in one line; the traceback for those who ask."""
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exception(error)
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = ""
    if place is not None:
        where = f" at {os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno}"
    tell(
        "error",
        f"internal error, {type(error).__name__}: {error}{where}; this is a fault of biocal: please report it "
        f"({DEBUG_VARIABLE}=1 shows the traceback)",
    )
    return OUR_FAULT
