"""Delimited text (CSV and its relatives) into raw columns, with the true line of every row.

The whole file goes through pyarrow's reader, all columns as text.  Where that reader or the count
of lines says that something is unusual (ragged rows, quoted line breaks, blank lines), Python's
slower `csv` reader takes over, because it knows the line it is in.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.study.cells import MISSING_SPELLINGS, RawColumn
from biocal.study.notices import ProblemLog
from biocal.study.text_bytes import as_utf8

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True, slots=True)
class DelimitedText:
    """Columns of a delimited file, by position.

    Attributes
    ----------
    header : list of str
        Names as in the file, trimmed.
    columns : list of pyarrow arrays of strings, each of length n_rows
    line : ndarray, shape (n_rows,)
        Line in the file on which each row starts; the header is in line 1.
    delimiter : str
    """

    header: list[str]
    columns: list[RawColumn]
    line: NDArray[np.intp]
    delimiter: str


def read_delimited(content: bytes, name: str, log: ProblemLog) -> DelimitedText | None:
    """Read a delimited file; None when it cannot be read at all (the log says why).

    Parameters
    ----------
    content : bytes
        The whole file.
    name : str
        The file as named in messages.
    log : ProblemLog
        Receives what was found.
    """
    utf8 = as_utf8(content, name, log)
    if utf8 is None:
        return None
    first = _header(utf8)
    if first is None:
        log.add("error", "empty-file", "the file is empty; it needs a header line and data rows", file=name)
        return None
    header, delimiter, header_lines, start = first
    if delimiter != ",":
        words = f"columns are separated by {DELIMITERS[delimiter]}; read as such"
        log.add("note", "delimiter", words, file=name)
    if not utf8[start:].strip():
        message = "there is a header line but no data rows"
        log.add("error", "header-only", message, file=name, line=header_lines)
        return None
    fast = _read_fast(utf8, start, len(header), delimiter)
    if fast is not None:
        line = np.arange(header_lines + 1, header_lines + 1 + fast.num_rows, dtype=np.intp)
        return DelimitedText(header, fast.columns, line, delimiter)
    return _read_slowly(utf8, header, delimiter, header_lines, start, name, log)


def _header(utf8: bytes) -> tuple[list[str], str, int, int] | None:
    """Names, delimiter, the line in which the header ends, and the byte after it; None if no text."""
    start, lines = 0, 0
    while start < len(utf8):
        end = utf8.find(b"\n", start)
        end = len(utf8) if end < 0 else end + 1
        lines += 1
        if utf8[start:end].strip(b" \t\r\n,;|"):
            break
        start = end
    else:
        return None
    # A name in quotes may hold a line break: go on until the quotes are balanced.
    while utf8.count(b'"', start, end) % 2 and end < len(utf8):
        following = utf8.find(b"\n", end)
        end = len(utf8) if following < 0 else following + 1
        lines += 1
    text = utf8[start:end].decode()
    delimiter = max(DELIMITERS, key=lambda mark: len(_split(text, mark)))
    return [" ".join(word.split()) for word in _split(text, delimiter)], delimiter, lines, end


def _split(text: str, delimiter: str) -> list[str]:
    return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])


def _read_fast(utf8: bytes, start: int, n_columns: int, delimiter: str) -> Any | None:
    """The body as a pyarrow table of text; None when a slower look is needed."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [str(i) for i in range(n_columns)]
    body = pa.py_buffer(utf8).slice(start)
    has_quotes = utf8.find(b'"', start) >= 0
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(body),
            read_options=arrow_csv.ReadOptions(column_names=names),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=has_quotes),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=MISSING_SPELLINGS,
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None
    n_lines = utf8.count(b"\n", start) + (not utf8.endswith(b"\n"))
    # Blank lines and line breaks inside quotes: row numbers are not line numbers.
    return table if table.num_rows == n_lines else None


def _read_slowly(
    utf8: bytes,
    header: list[str],
    delimiter: str,
    header_lines: int,
    start: int,
    name: str,
    log: ProblemLog,
) -> DelimitedText | None:
    """The body row by row, with the line of each; ragged rows are told and left blank beyond repair."""
    import pyarrow as pa

    width = len(header)
    rows: list[list[str]] = []
    lines: list[int] = []
    ragged: list[tuple[int, int]] = []
    reader = csv.reader(io.StringIO(utf8[start:].decode(), newline=""), delimiter=delimiter, strict=True)
    at = header_lines + 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                if len(row) != width and (len(row) < width or any(cell.strip() for cell in row[width:])):
                    ragged.append((at, len(row)))
                rows.append((row + [""] * width)[:width])
                lines.append(at)
            at = header_lines + 1 + reader.line_num
    except csv.Error as failure:
        message = f"quotes are not closed properly from here on ({failure})"
        log.add("error", "quotes", message, file=name, line=at)
        return None
    log.add_lines(
        "error",
        "ragged-row",
        [line for line, _ in ragged],
        lambda k: f"{ragged[k][1]} cells where the header has {width}; is a quote or a delimiter missing?",
        file=name,
    )
    columns = [pa.array(cells, type=pa.string()) for cells in zip(*rows, strict=True)]
    return DelimitedText(header, columns, np.array(lines, dtype=np.intp), delimiter)
