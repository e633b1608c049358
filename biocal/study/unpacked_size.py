"""Small files that unpack into large ones: measured before they are unpacked."""

from __future__ import annotations

import io
import zlib

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
