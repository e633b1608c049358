"""How far a simulation has come, its rate, and the time left: on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

__all__ = ["Progress", "showing_progress", "time_left"]

#: Told how many replicates are done, and of how many.
Progress = Callable[[int, int], None]


@contextmanager
def showing_progress(
    progress: Progress | bool | None, *, done: int, total: int
) -> Iterator[Callable[[int], None]]:
    """Give a function to be told of every batch that ended, by its number of replicates.

    Parameters
    ----------
    progress : callable, bool or None
        Called with (replicates done, replicates); or whether to draw a bar; None: where stderr is a terminal.
    done : int
        Replicates that an earlier run did: they are done, but do not count for the rate.
    total : int
        Replicates of all scenarios together.
    """
    if callable(progress):
        yield _counting(progress, done, total)
        return
    if progress is None:
        progress = sys.stderr.isatty()
    if not progress:
        yield lambda count: None
        return
    with _bar(done, total) as advance:
        yield advance


def time_left(done_now: int, seconds: float, remaining: int) -> str:
    """Time that the remaining replicates take at the rate so far, as hours, minutes, seconds."""
    if not done_now or seconds <= 0:
        return "?"
    return str(timedelta(seconds=round(remaining * seconds / done_now)))


def _counting(progress: Progress, done: int, total: int) -> Callable[[int], None]:
    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    return advance


@contextmanager
def _bar(done: int, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("simulating"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} replicates"),
        TextColumn("{task.fields[rate]}"),
    )
    begun, done_now = time.monotonic(), 0
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("simulating", total=total, completed=done, rate="")

        def advance(count: int) -> None:
            nonlocal done_now
            done_now += count
            seconds = time.monotonic() - begun
            left = time_left(done_now, seconds, total - done - done_now)
            shown.update(task, advance=count, rate=f"{done_now / seconds:,.0f} a second, {left} left")

        yield advance
