"""The one way biocal writes a file: under a temporary name, synced, renamed.

Whoever looks finds the earlier file or the new one, each whole, whatever ends the process or the machine.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "new_folders",
]


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


MARK = ".biocal-new-"
#: Where a file system knows no locks, what is younger than this (seconds) may still be written to.
LONG_AGO = 3600.0


def temporary_name(place: Path) -> Path:
    """Return a hidden name beside a place, which nothing has yet."""
    return place.with_name(f"{_beginning(place.name)}{secrets.token_hex(4)}")


def _beginning(name: str) -> str:
    # not the name itself, which may be as long as a file system allows
    return f"{MARK}{sha256(os.fsencode(name)).hexdigest()[:8]}-"


@contextmanager
def temporary_folder(beside: Path, mode: int = 0o777) -> Iterator[Path]:
    """Make a hidden folder beside a place and hold it until the block ends; removing it is the caller's part.

    Unlike those of `tempfile` it has the permissions of any new folder there, for it may become the result, unless
    `mode` gives it fewer.

    Raises
    ------
    OSError
        It cannot be made.
    """
    path, lock = _made_and_held(beside, lambda path: path.mkdir(mode))
    try:
        yield path
    finally:
        release(lock)


def temporary_file(beside: Path, mode: int) -> tuple[Path, int | None, int]:
    """Make an empty hidden file beside a place; return its name, its lock and its descriptor for writing."""
    files: list[int] = []

    def make(path: Path) -> None:
        files.append(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode))

    path, lock = _made_and_held(beside, make)
    return path, lock, files.pop()


#: Windows would turn line feeds into pairs.
_BINARY = getattr(os, "O_BINARY", 0)


def _made_and_held(beside: Path, make: Callable[[Path], None]) -> tuple[Path, int | None]:
    while True:
        path = temporary_name(beside)
        make(path)
        with suppress(FileNotFoundError):  # taken for abandoned between the two
            return path, hold(path)


def hold(path: Path) -> int | None:
    """Lock a temporary file or folder for this process; None where there are no such locks.

    Raises
    ------
    FileNotFoundError
        It was removed before the lock was taken.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        return None
    lock = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(lock), os.stat(path)):
            raise FileNotFoundError
    except (FileNotFoundError, BlockingIOError) as gone:  # held: by who is about to remove it
        os.close(lock)
        raise FileNotFoundError(str(path)) from gone
    except OSError:
        os.close(lock)
        return None
    return lock


def release(lock: int | None) -> None:
    """Let go of what `hold` returned."""
    if lock is not None:
        os.close(lock)


def is_abandoned(path: Path) -> bool:
    """Whether the process that wrote to a temporary file or folder is gone."""
    try:
        import fcntl

        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except ImportError:
        return _is_old(path)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return _is_old(path)
    finally:
        os.close(file)
    return True


def remove_abandoned(folder: Path, name: str | None = None) -> list[str]:
    """Remove temporary files and folders that killed processes left in a folder.

    Parameters
    ----------
    folder : Path
    name : str, optional
        Only those that were to become this file or folder.

    Returns
    -------
    list of str
        Their names.
    """
    beginning = MARK if name is None else _beginning(name)
    try:
        found = [entry.name for entry in os.scandir(folder) if entry.name.startswith(beginning)]
    except OSError:
        return []
    removed = []
    for one in found:
        path = folder / one
        if not is_abandoned(path):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
        removed.append(one)
    return removed


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > LONG_AGO
    except OSError:
        return False


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
