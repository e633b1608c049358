"""One run at a time in a folder."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from biocal.errors import OutputError

__all__ = ["LOCK_NAME", "FolderInUseError", "FolderLock"]

LOCK_NAME = ".biocal-lock"
#: A running process touches its lock so often (seconds) ...
HEARTBEAT = 15.0
#: ... and on another machine counts as dead after so long: some beats may be lost on a slow network folder.
DEAD_AFTER = 120.0


class FolderInUseError(OutputError):
    """Another run is writing to the folder (attributes: pid, host)."""


class FolderLock:
    """Hold a folder for this process, from ``with`` to the end of the block.

    The operating system's lock on the file decides on one machine: it vanishes with its process, however
    that ended, so that a killed run never leaves the folder locked.  File systems that have no such locks,
    or keep them to one machine, are covered by what the file says: process, machine, and a heartbeat.

    Parameters
    ----------
    folder : Path
        An existing folder.

    Raises
    ------
    FolderInUseError
        On entering: another run holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_NAME
        self._file: int | None = None
        self._stop = threading.Event()

    def __enter__(self) -> FolderLock:
        while self._file is None:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                certain = self._take(file)
                if not self._is_current(file):  # its holder removed the file while we were opening it
                    os.close(file)
                    continue
                self._require_dead(_read(file), certain=certain)
                os.ftruncate(file, 0)
                os.pwrite(file, json.dumps(_own_identity()).encode(), 0)
            except BaseException:
                os.close(file)
                raise
            self._file = file
        threading.Thread(target=self._beat, name="biocal-lock", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._file is not None:
            with suppress(OSError):  # the folder may be gone
                if self._is_current(self._file):
                    self.path.unlink()
            os.close(self._file)
            self._file = None

    def _take(self, file: int) -> bool:
        """Take the operating system's lock; False when there are none here."""
        try:
            import fcntl
        except ImportError:  # not on Windows
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._in_use(_read(file)) from None
        except OSError:
            return False
        return True

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _require_dead(self, holder: dict[str, Any], *, certain: bool) -> None:
        """Refuse unless the process that the file names, if any, is gone."""
        if not holder:
            return
        if holder.get("host") == socket.gethostname():
            if certain or not _is_alive(holder):
                return
        elif self._silence() > DEAD_AFTER:
            return
        raise self._in_use(holder)

    def _silence(self) -> float:
        """Seconds since the last heartbeat, by the file server's own clock."""
        with tempfile.TemporaryFile(dir=self.path.parent) as now:
            return os.fstat(now.fileno()).st_mtime - os.stat(self.path).st_mtime

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            with suppress(OSError):
                os.utime(self.path)

    def _in_use(self, holder: dict[str, Any]) -> FolderInUseError:
        who = f"process {holder['pid']} on {holder['host']}" if holder else "another process"
        return FolderInUseError(
            f"'{self.path.parent}' is in use by another run ({who}): wait for its end, or name another folder; "
            f"if that machine is down, wait {DEAD_AFTER:.0f} seconds",
            pid=holder.get("pid"),
            host=holder.get("host"),
        )


def is_locked(folder: Path) -> bool:
    """Whether a run is going on in a folder."""
    if not (folder / LOCK_NAME).exists():
        return False
    try:
        with FolderLock(folder):
            return False
    except FolderInUseError:
        return True
    except OSError:  # a folder that may not be written to
        return False


def _own_identity() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "start": _start_time(os.getpid())}


def _read(file: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(file, 4096, 0) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) and {"pid", "host"} <= set(found) else {}


def _is_alive(holder: dict[str, Any]) -> bool:
    """Whether the process lives; a later process of the same number is not the same process."""
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _start_time(int(holder["pid"])) == holder.get("start")


def _start_time(pid: int) -> str | None:
    """When a process began, in ticks since boot; None where /proc does not tell."""
    try:
        # field 22 of stat; the command in brackets may hold blanks
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
