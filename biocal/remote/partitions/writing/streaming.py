"""Files read a piece at a time: the same tables as when they are read whole, never all in memory."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from biocal.errors import DataProblemsError, InputError
from biocal.pool.checks.notices import Problem, ProblemLog
from biocal.pool.tables.cells import RawColumn
from biocal.pool.tables.delimited import read_delimited
from biocal.pool.tables.frame_table import frame_as_table
from biocal.pool.tables.parquet import as_frame, categories_of
from biocal.pool.tables.spelling import one_spelling
from biocal.pool.tables.statistical import SUFFIXES
from biocal.pool.tables.table import SourceTable

#: Rows of a piece of a Parquet file, and bytes of a piece of text (ours: some tens of megabytes in memory).
PIECE_ROWS, PIECE_BYTES = 200_000, 16 * 2**20
#: Bytes of a row at most; an open quote would else take in the rest of any file.
LONGEST_ROW = 64 * 2**20


def stream_tables(path: str, log: ProblemLog) -> Iterator[SourceTable]:
    """Pieces of a file, one after the other; lines are those of the file.

    Parameters
    ----------
    path : str
        Delimited text or Parquet.
    log : ProblemLog
        Told of what was found while reading.

    Raises
    ------
    InputError
        Another format, or a file that cannot be read.
    DataProblemsError
        Rows that cannot be told apart.
    """
    suffix = Path(path).suffix.lower()
    try:
        if not os.path.isfile(path):
            what = "this is a folder" if os.path.isdir(path) else "there is no such file"
            raise InputError(f"{path}: {what}; name files of delimited text or Parquet", path=path)
        if suffix == ".parquet":
            yield from _parquet_pieces(path)
        elif suffix in SUFFIXES:
            raise InputError(
                f"{path}: only delimited text and .parquet are read in pieces; save it as one", path=path
            )
        else:
            yield from _text_pieces(path, log)
    except (OSError, ValueError) as fault:
        if isinstance(fault, InputError):
            raise
        raise InputError(f"{path}: cannot be read ({str(fault).splitlines()[0]})", path=path) from fault


def categories_of_files(paths: Iterable[str]) -> set[str]:
    """Columns that some Parquet file holds as categories; files that cannot be read are told when they are read."""
    from pyarrow import parquet

    found: set[str] = set()
    for path in paths:
        if Path(path).suffix.lower() == ".parquet":
            with suppress(OSError, ValueError), open(path, "rb") as content:
                with parquet.ParquetFile(content) as file:
                    found |= {one_spelling(name.strip()) for name in categories_of(file.schema_arrow)}
    return found


def _parquet_pieces(path: str) -> Iterator[SourceTable]:
    import pyarrow as pa
    from pyarrow import parquet

    first = 0
    # opened here: Arrow opens no name that is not UTF-8
    with open(path, "rb") as content, parquet.ParquetFile(content) as file:
        for batch in file.iter_batches(batch_size=PIECE_ROWS):
            frame = as_frame(pa.Table.from_batches([batch]))
            if frame.index.names != [None]:
                frame = frame.reset_index()
            table = frame_as_table(frame.reset_index(drop=True), path, stem=Path(path).stem)
            yield replace(table, line=table.line + first)
            first += table.n_rows


@dataclass(frozen=True, slots=True)
class _Header:
    """The lines up to the end of the header, and how many they are."""

    content: bytes
    lines: int


def _text_pieces(path: str, log: ProblemLog) -> Iterator[SourceTable]:
    header: _Header | None = None
    line = 0
    with open(path, "rb") as file:
        if file.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise InputError(f"{path}: UTF-16 text is not read in pieces; save it as UTF-8", path=path)
        for piece in _balanced_pieces(file, path):
            own = ProblemLog()
            before = 0 if header is None else header.lines
            text = read_delimited(piece if header is None else header.content + piece, path, own)
            log.extend(_moved(own.found, line - before, first=header is None))
            if text is None:
                if header is None or own.errors:
                    raise DataProblemsError(_moved(own.found, line - before, first=True))
                line += piece.count(b"\n")
                continue  # blank lines alone
            columns: dict[str, RawColumn] = {}
            for name, column in zip(text.header, text.columns, strict=True):
                if name in columns:
                    raise InputError(
                        f"{path}: the column name '{name}' occurs more than once; keep one of them", path=path
                    )
                if name:
                    columns[name] = column
            yield SourceTable(
                columns, text.line + (line - before), path, stem=Path(path).stem, delimiter=text.delimiter
            )
            line += piece.count(b"\n")
            header = header or _header_of(piece)


def _balanced_pieces(file: BinaryIO, path: str) -> Iterator[bytes]:
    """Whole rows: pieces end with a line in which no quote is open.

    Raises
    ------
    InputError
        A quote stays open for longer than any cell is: it is never closed.
    """
    rest, line = b"", 1
    while True:
        block = file.read(PIECE_BYTES)
        rest += block
        if not block:
            if rest:
                yield rest
            return
        end = _end_of_rows(rest)
        if end > 0:
            yield rest[:end]
            line += rest.count(b"\n", 0, end)
            rest = rest[end:]
        elif len(rest) > LONGEST_ROW:
            raise InputError(
                f"{path}:{line}: a row that begins here has more than {LONGEST_ROW:,} bytes; is a quote never closed?",
                path=path,
            )


def _end_of_rows(text: bytes) -> int:
    """Where the last line ends in which no quote is open; 0 when there is none.

    Lines are looked at from the end, each byte once.
    """
    odd = text.count(b'"') % 2
    end = len(text)
    while True:
        last = text.rfind(b"\n", 0, end) + 1
        odd ^= text.count(b'"', last, end) % 2
        if not odd or last == 0:
            return last
        end = last - 1


def _header_of(piece: bytes) -> _Header:
    """The header as :func:`read_delimited` finds it: the first line with something in it, quotes closed."""
    start, lines = 0, 0
    while True:
        end = piece.find(b"\n", start) + 1 or len(piece)
        lines += 1
        if piece[start:end].removeprefix(codecs.BOM_UTF8).strip(b" \t\r\n,;|"):
            break
        start = end
    while piece.count(b'"', start, end) % 2 and end < len(piece):
        end = piece.find(b"\n", end) + 1 or len(piece)
        lines += 1
    return _Header(piece[:end], lines)


def _moved(problems: list[Problem], by: int, *, first: bool) -> list[Problem]:
    """Problems of a piece at the lines of the file; what is said of the whole file is said once."""
    kept = [one for one in problems if first or one.line is not None or one.level == "error"]
    kept = [one for one in kept if first or one.code != "header-only"]
    return [one if one.line is None else replace(one, line=one.line + by) for one in kept]
