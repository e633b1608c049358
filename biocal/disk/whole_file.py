"""The one way biocal writes a file: under a temporary name, synced, renamed.

Whoever looks finds the earlier file or the new one, each whole, whatever ends the process or the machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from biocal.disk.temporary_names import release, remove_abandoned, temporary_file

#: Permissions of a new file before the umask takes its part.
FOR_ALL, FOR_OWNER = 0o666, 0o600


@contextmanager
def whole_file(path: Path, *, durable: bool = True, mode: int = FOR_ALL) -> Iterator[BinaryIO]:
    """Open a file that takes its name when the block ends well, and is removed when it does not.

    Parameters
    ----------
    path : Path
        A file that is there is replaced at the end.
    durable : bool, default True
        Safe from a power failure too, not only from a kill: the content is on the disk before the name is.
    mode : int
        Permissions, less the umask.

    Raises
    ------
    OSError
        The file cannot be written; nothing is left behind.
    """
    partial, lock, handle = temporary_file(path, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        with suppress(OSError):
            partial.unlink()
        release(lock)
    if durable:
        sync_folder(path.parent)


def replace_file(path: Path, content: bytes, *, mode: int = FOR_ALL) -> None:
    """Write a file, whole or not at all, and remove what killed processes left of earlier attempts.

    Parameters
    ----------
    path : Path
        A file that is there is replaced.
    content : bytes
    mode : int
        Permissions, less the umask.

    Raises
    ------
    OSError
        It cannot be written; nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = Path(folder, "a.txt")
    ...     replace_file(place, b"whole")
    ...     place.read_bytes(), os.listdir(folder)
    (b'whole', ['a.txt'])
    """
    remove_abandoned(path.parent, path.name)
    with whole_file(path, mode=mode) as file:
        file.write(content)


def sync_folder(folder: Path) -> None:
    """Make renamings in a folder survive a power failure, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
