"""Signs of life during long work, on a terminal only; and what was being done when something stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Phases that were left by an error, innermost first.
_stopped: list[str] = []


@contextmanager
def working(what: str, *, quiet: bool) -> Iterator[None]:
    """Show what is being done until it is done; nothing when stderr is not a terminal."""
    with phase(what):
        if quiet or not sys.stderr.isatty():
            yield
            return
        from rich.console import Console

        with Console(stderr=True).status(f"{what} ..."):
            yield


@contextmanager
def naming(what: str, *, quiet: bool) -> Iterator[Callable[[str], None] | None]:
    """Show what is being done and its stage; yields a function of the stage, None when nothing is shown."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{what} ...") as status:
        yield lambda stage: status.update(f"{what}: {stage} ...")


@contextmanager
def counting(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show how far long work has come; yields a function of (done, total), None when nothing is shown."""
    with phase(what):
        if quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as shown:
            task = shown.add_task(what, total=total)
            yield lambda done, _: shown.update(task, completed=done)


@contextmanager
def phase(what: str) -> Iterator[None]:
    """Remember what was being done, for an error that does not know."""
    try:
        yield
    except BaseException:
        _stopped.append(what)
        raise


def stopped_in() -> str:
    """What was being done when the last error came; blank when nothing was.  Forgotten by asking."""
    found = _stopped[0] if _stopped else ""
    _stopped.clear()
    return found
