"""A connection to a running Dask scheduler, and silence where Dask would show tracebacks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from biocal.errors import OptionError

__all__ = ["connect", "without_tracebacks"]


@contextmanager
def without_tracebacks() -> Iterator[None]:
    """Keep Dask from logging the traceback of a lost connection, which is told in a sentence."""
    loggers = [logging.getLogger(f"distributed.{part}") for part in ("client", "core", "comm", "batched")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    # not put back after an error: Dask's own threads find it out a moment later
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def connect(address: str, patience: float) -> Any:
    """A client of a running scheduler.

    Parameters
    ----------
    address : str
        Such as ``tcp://host:8786``.
    patience : float
        Seconds to wait for an answer.

    Raises
    ------
    OptionError
        Dask is not installed, or no scheduler answers there.
    """
    try:
        from distributed import Client  # it sets up its logging when it is first imported
    except ImportError as fault:
        raise OptionError("--scheduler needs Dask: pip install 'biocal[dask]'", option="scheduler") from fault
    try:
        return Client(address, timeout=patience, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as fault:
        raise OptionError(
            f"no Dask scheduler answers at '{address}' ({fault or type(fault).__name__}): is it running, and can "
            "this machine reach it?",
            option="scheduler",
        ) from fault
