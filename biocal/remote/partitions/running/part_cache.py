"""Prepared partitions on a worker's own disk, mapped into memory when they are used.

A file is written under another name and renamed when it is whole; its name holds the fit's token, so that
nothing of another fit is ever taken for it, and a file that is not as long as it says is made anew.
"""

from __future__ import annotations

import errno
import mmap
import pickle
import shutil
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from biocal.errors import OutputError
from biocal.system.files import FOR_OWNER, whole_file

#: Arrays begin at multiples of this many bytes, as vector instructions like it.
_ALIGNED = 64
_HEADER = struct.Struct("<8sQQ")
_MAGIC = b"biocal1\n"


def cache_folder(token: str, folder: str) -> Path:
    """Where this process keeps what it has prepared: beside a Dask worker's other files, or in `folder`.

    Parameters
    ----------
    token : str
        Of the fit; the folder's own name holds it, and nothing else is ever removed.
    folder : str
        Made for the fit; used where this process is no Dask worker.
    """
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        with suppress(ValueError):  # no task of a worker
            return cache_of_worker(distributed.get_worker().local_directory, token)
    return Path(folder) / _name(token)


def cache_of_worker(local_directory: str, token: str) -> Path:
    """Where a Dask worker keeps what it has prepared."""
    return Path(local_directory).absolute() / _name(token)


def _name(token: str) -> str:
    return f"biocal-{token}"


def store(path: Path, value: Any) -> None:
    """Keep an object whose arrays are to be mapped.

    Raises
    ------
    OutputError
        The disk is full, or the place cannot be written.
    """
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    sizes = struct.pack(f"<{len(views)}Q", *(view.nbytes for view in views))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, durable=False, mode=FOR_OWNER) as file:
            file.write(_HEADER.pack(_MAGIC, len(views), len(head)))
            file.write(sizes)
            file.write(head)
            for view in views:
                file.write(b"\0" * (-file.tell() % _ALIGNED))
                file.write(view)
    except OSError as fault:
        full = fault.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = (
            "; free some of it, or name another place with TMPDIR (of the workers, with Dask)" if full else ""
        )
        raise OutputError(
            f"prepared partitions cannot be kept in '{path.parent}': {fault.strerror or fault}{advice}",
            path=str(path.parent),
        ) from fault


def load(path: Path) -> Any:
    """What was kept; None when there is nothing whole.

    Arrays are mapped, not read: pages are loaded when they are used, and a change stays in this process.
    """
    try:
        with open(path, "rb") as file:
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError):  # absent, or empty
        return None
    view = memoryview(whole)
    if view.nbytes < _HEADER.size:
        return None
    magic, n_buffers, n_head = _HEADER.unpack_from(view)
    start = _HEADER.size + 8 * n_buffers
    if magic != _MAGIC or view.nbytes < start + n_head:
        return None
    sizes = struct.unpack_from(f"<{n_buffers}Q", view, _HEADER.size)
    place, buffers = start + n_head, []
    for size in sizes:
        place += -place % _ALIGNED
        buffers.append(view[place : place + size])
        place += size
    if place != view.nbytes:
        return None
    return pickle.loads(view[start : start + n_head], buffers=buffers)


def forget(folder: Path, token: str) -> None:
    """Remove a fit's prepared partitions.

    Parameters
    ----------
    folder : Path
        Of :func:`cache_folder`; one that is not named after the fit is left alone.
    token : str
    """
    if token and folder.is_absolute() and folder.name == _name(token):
        shutil.rmtree(folder, ignore_errors=True)
