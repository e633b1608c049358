"""Folders made for what is to be written, which go again when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["new_folders"]


@contextmanager
def new_folders(folder: Path) -> Iterator[None]:
    """Make a folder and those above it for a block; what was made goes again when the block fails and left it empty.

    Raises
    ------
    OSError
        They cannot be made.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     try:
    ...         with new_folders(Path(place, "a", "b")):
    ...             raise OSError("the disk is full")
    ...     except OSError:
    ...         os.listdir(place)
    []
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for path in made:
            with suppress(OSError):  # it holds something, or was not made
                path.rmdir()
        raise
