"""A folder for prepared partitions that is gone when its fit is, at the latest when the next one begins."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from biocal.errors import OutputError

_PREFIX, _LOCK = "biocal-partitions-", "held-by-a-running-fit"
#: Seconds within which a folder may be without its lock yet.
_YOUNG = 60.0


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A new folder in the system's place for temporary files, removed with the block.

    A fit that was killed leaves its folder; the system lets go of the lock within, by which the next fit knows
    and removes it.

    Raises
    ------
    OutputError
        There is no place.
    """
    try:
        _remove_abandoned(Path(tempfile.gettempdir()))
        folder = tempfile.mkdtemp(prefix=_PREFIX)
        lock = os.open(Path(folder, _LOCK), os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as fault:
        raise OutputError(
            f"there is no place for prepared partitions ({fault.strerror or fault}); name one with TMPDIR"
        ) from fault
    try:
        _locked(lock)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(file: int) -> bool:
    """Take the lock of an open file unless another process has it; False where there are no such locks."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _remove_abandoned(place: Path) -> None:
    """Remove folders of this user's fits that run no more; anything that is not surely one is left."""
    if not hasattr(os, "getuid"):
        return
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            about = folder.lstat()
            own = folder.is_dir() and not folder.is_symlink() and about.st_uid == os.getuid()
            if not own or time.time() - about.st_mtime < _YOUNG or not (folder / _LOCK).is_file():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR)
            try:
                if _locked(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
