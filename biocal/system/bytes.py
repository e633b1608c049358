"""The content of a file that someone named: ordinary files only, so that nothing hangs or never ends."""

from __future__ import annotations

import errno
import io
import os
import stat
import tomllib
import zlib
from typing import Any

#: A spec or design larger than this is no such thing (ours; the bundled ones have about 2 kB).
LARGEST_TEXT_OF_OPTIONS = 4 * 2**20
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
#: Ordinary by their kind, but without a size, and read from a running machine.
_OF_THE_KERNEL = ("/proc/", "/sys/")


def file_bytes(path: str | os.PathLike[str], *, most: int | None = None) -> bytes:
    """Read a whole file.

    Parameters
    ----------
    path : path
        Links are followed.
    most : int, optional
        Bytes it may have.

    Returns
    -------
    bytes

    Raises
    ------
    OSError
        It cannot be read, changes while it is read, has more than `most` bytes, or is a pipe, a device, a
        socket or a file of the kernel, from which reading may never end; ``strerror`` says what.

    Examples
    --------
    >>> file_bytes("/dev/zero")
    Traceback (most recent call last):
    OSError: [Errno 22] it is a device; name an ordinary file: '/dev/zero'
    """
    try:
        about = os.stat(path)
    except ValueError as fault:  # a NUL in the name
        raise _refused(path, "its name holds a character that no name of a file has") from fault
    kind = next((words for is_one, words in _KINDS if is_one(about.st_mode)), None)
    if kind is not None:
        raise _refused(path, f"it is {kind}; name an ordinary file")
    if is_of_the_kernel(path):
        raise _refused(path, "the kernel makes it up as it is read, and some such files never end")
    if most is not None and about.st_size > most:
        raise _refused(path, f"it has {about.st_size:,} bytes, more than the {most:,} allowed here")
    try:
        with open(path, "rb") as file:
            before = os.fstat(file.fileno())
            content = file.read()
            after = os.fstat(file.fileno())
    except MemoryError as fault:
        raise _refused(path, f"its {about.st_size:,} bytes do not fit into memory") from fault
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(
        content
    ) != after.st_size:
        raise _refused(path, "it changed while it was read; wait until it is whole, then run this again")
    return content


def is_of_the_kernel(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads into what the kernel shows of itself."""
    return os.path.realpath(path).startswith(_OF_THE_KERNEL)


def is_text(word: str) -> bool:
    """Whether a name or an option, which the system gives as bytes, is text in UTF-8."""
    return word.isascii() or not any("\ud800" <= mark <= "\udfff" for mark in word)


def in_a_line(path: str | os.PathLike[str]) -> str:
    """The name of a file as a message shows it: line breaks would make two messages of one."""
    return " ".join(os.fspath(path).split())


def _refused(path: str | os.PathLike[str], reason: str) -> OSError:
    return OSError(errno.EINVAL, reason, os.fspath(path))


#: Tables and lists in one another; the deepest key of a spec has three.  Copying and comparing stay shallow.
DEEPEST = 20


class UnreadableTomlError(ValueError):
    """A file that breaks no rule of TOML and still cannot be an analysis."""


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a spec or a design.

    Raises
    ------
    tomllib.TOMLDecodeError
        It is not TOML.
    UnreadableTomlError
        Lists or tables stand in one another too deeply, or a number has thousands of digits.

    Examples
    --------
    >>> parse_toml("at = [[[30]]]")
    {'at': [[[30]]]}
    """
    deeply = f"lists or tables stand in one another more than {DEEPEST} deep"
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError as fault:
        raise UnreadableTomlError(deeply) from fault
    except ValueError as fault:  # Python turns no more than 4,300 digits into a number
        raise UnreadableTomlError("a whole number has thousands of digits") from fault
    if _is_deep(found):
        raise UnreadableTomlError(deeply)
    return found


def _is_deep(found: dict[str, Any]) -> bool:
    layer: list[Any] = [found]
    for _ in range(DEEPEST):
        inside = [part for one in layer for part in (one.values() if isinstance(one, dict) else one)]
        layer = [part for part in inside if isinstance(part, dict | list)]
        if not layer:
            return False
    return True


#: Files that unpack into no more than this are let through without a question.
SMALL = 512 * 2**20
#: How many times larger than the file its content may be; tables of real studies reach 20.
LARGEST_RATIO = 100
_PIECE = 2**20


class UnpacksTooLargeError(ValueError):
    """A file holds far more than its size tells; the message says how much."""


def require_parquet_fits(content: bytes) -> None:
    """Refuse a Parquet file whose rows, or whose pages, are out of all proportion to its size.

    Raises
    ------
    UnpacksTooLargeError
    """
    import pyarrow.parquet as pq

    about = pq.ParquetFile(io.BytesIO(content)).metadata
    pages = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
    _require(max(pages, 8 * about.num_rows * about.num_columns), len(content))


def require_gzip_fits(content: bytes) -> None:
    """Refuse gzip data, as in .rds files, that unpack into too much; other data pass.

    Raises
    ------
    UnpacksTooLargeError
    """
    if not content.startswith(b"\x1f\x8b"):
        return
    unpack = zlib.decompressobj(wbits=31)
    size, left = 0, content
    most = max(SMALL, LARGEST_RATIO * len(content))
    while left and not unpack.eof and size <= most:
        try:
            size += len(unpack.decompress(left, _PIECE))
        except zlib.error:  # broken: the reader will say so
            return
        left = unpack.unconsumed_tail
    _require(size, len(content))


def _require(size: int, file_size: int) -> None:
    if size > SMALL and size > LARGEST_RATIO * file_size:
        raise UnpacksTooLargeError(
            f"its {file_size:,} bytes unpack into {size:,} or more, as no table of studies does"
        )
