"""Delimited text (CSV and its relatives) into raw columns, with the true line of every row.

The whole file goes through pyarrow's reader, all columns as text.  Where that reader or the count
of lines says that something is unusual (ragged rows, quoted line breaks, blank lines), Python's
slower `csv` reader takes over, because it knows the line it is in.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from biocal.pool.checks.notices import ProblemLog, counted
from biocal.pool.tables.cells import MISSING_SPELLINGS, RawColumn
from biocal.pool.tables.spelling import one_spelling
from biocal.pool.tables.table import RowNumbers, numbered_lines
from biocal.pool.tables.text_bytes import as_utf8

_SOMETHING = re.compile(rb"[^\s,;|]")
#: A table with more columns than this is refused rather than left to fill the memory (ours).
MOST_COLUMNS = 20_000
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
    line: RowNumbers
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
    try:
        first = _header(utf8)
    except csv.Error:
        message = f"the header cannot be read: a name has more than {csv.field_size_limit():,} characters"
        log.add("error", "header", f"{message}; is this a table?", file=name, line=1)
        return None
    if first is None:
        log.add("error", "empty-file", "the file is empty; it needs a header line and data rows", file=name)
        return None
    header, delimiter, header_lines, start = first
    if len(header) > MOST_COLUMNS:
        message = (
            f"the header has {len(header):,} columns, more than the {MOST_COLUMNS:,} that are read; keep the "
            "columns that the analysis needs"
        )
        log.add("error", "too-many-columns", message, file=name, line=header_lines)
        return None
    if delimiter != ",":
        words = f"columns are separated by {DELIMITERS[delimiter]}; read as such"
        log.add("note", "delimiter", words, file=name)
    if len(header) == 1:
        message = (
            f"the header is one column, '{header[0]}'; columns must be separated by commas, "
            "semicolons, tabs or vertical bars"
        )
        log.add("error", "delimiter", message, file=name, line=header_lines)
        return None
    if not _SOMETHING.search(utf8, start):
        message = "there is a header line but no data rows"
        log.add("error", "header-only", message, file=name, line=header_lines)
        return None
    body = _Body(utf8, start, header_lines + 1, delimiter, len(header))
    read = _read_with_row_names(body, name, log) or _read_fast(body) or _read_slowly(body, name, log)
    if read is None:
        return None
    columns, line = _without_blank_rows(*read, name, log)
    return DelimitedText(header, columns, line, delimiter)


@dataclass(frozen=True, slots=True)
class _Body:
    """The data rows: text from byte ``start``, which is in line ``first_line``."""

    utf8: bytes
    start: int
    first_line: int
    delimiter: str
    width: int

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line and cells of every row that is not a blank line (the slow way)."""
        text = io.TextIOWrapper(io.BytesIO(memoryview(self.utf8)[self.start :]), "utf-8", newline="")
        reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        line = self.first_line
        try:
            for row in reader:
                if len(row) > 1 or (row and row[0].strip()):
                    yield line, row
                line = self.first_line + reader.line_num
        except csv.Error as failure:
            raise _UnclosedQuote(line, str(failure)) from failure


class _UnclosedQuote(Exception):
    """Quotes that are not closed: the line, and the csv reader's words."""


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
    delimiter = max(DELIMITERS, key=lambda mark: _n_names(text, mark))
    return [one_spelling(" ".join(word.split())) for word in _split(text, delimiter)], delimiter, lines, end


def _n_names(text: str, delimiter: str) -> int:
    """Names in a header, by a delimiter; 0 where a name would be longer than is read."""
    try:
        return len(_split(text, delimiter))
    except csv.Error:
        return 0


def _split(text: str, delimiter: str) -> list[str]:
    return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])


def _read_fast(body: _Body) -> tuple[list[RawColumn], RowNumbers] | None:
    """Columns of text and the line of each row; None when a slower look is needed."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [str(i) for i in range(body.width)]
    has_quotes = body.utf8.find(b'"', body.start) >= 0
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(pa.py_buffer(body.utf8).slice(body.start)),
            read_options=arrow_csv.ReadOptions(column_names=names),
            parse_options=arrow_csv.ParseOptions(delimiter=body.delimiter, newlines_in_values=has_quotes),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=MISSING_SPELLINGS,
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None
    if has_quotes and _text_after_quote(body):
        return None
    n_lines = body.utf8.count(b"\n", body.start) + (not body.utf8.endswith(b"\n"))
    if table.num_rows == n_lines:
        return table.columns, numbered_lines(body.first_line, n_lines)
    # Blank lines, or line breaks inside quotes: row numbers are not line numbers.
    try:
        line = np.fromiter((line for line, _ in body.rows()), dtype=np.intp)
    except _UnclosedQuote:
        return None
    return (table.columns, line) if line.size == table.num_rows else None


def _read_with_row_names(
    body: _Body, name: str, log: ProblemLog
) -> tuple[list[RawColumn], RowNumbers] | None:
    """Columns of a file whose header is one name short, as R writes row names; None for any other file."""
    import pyarrow.compute as pc

    try:
        _, row = next(body.rows(), (0, []))
    except _UnclosedQuote:
        return None
    if len(row) != body.width + 1 or not row[-1].strip():
        return None
    read = _read_fast(replace(body, width=body.width + 1))
    if read is None:
        return None
    (row_names, *columns), line = read
    if row_names.null_count or pc.count_distinct(row_names).as_py() < line.size:
        return None  # row names are unique; the header lacks a name, or is a title
    message = (
        "the header has one name less than the rows have cells; the first cell of each row is read as the row's name, "
        "as R writes it, and is not used"
    )
    log.add("note", "row-names", message, file=name, line=body.first_line - 1)
    return columns, line


def _text_after_quote(body: _Body) -> bool:
    """Whether something may follow a closing quote within a cell, as in ``"North"x``: Arrow joins the two."""
    mark = re.escape(body.delimiter.encode())
    beginning = rb"(?:^|[\n" + mark + rb'])"'
    return (
        re.compile(beginning + rb'[^"]*(?:""[^"]*)*"[^"\r\n' + mark + rb"]").search(body.utf8, body.start)
        is not None
    )


def _read_slowly(body: _Body, name: str, log: ProblemLog) -> tuple[list[RawColumn], RowNumbers] | None:
    """The same row by row; ragged rows are told, filled up or cut; None when quotes are not closed."""
    import pyarrow as pa

    rows: list[list[str]] = []
    lines: list[int] = []
    ragged: list[tuple[int, int]] = []
    try:
        for line, row in body.rows():
            beyond = any(cell.strip() for cell in row[body.width :])
            if any(cell.strip() for cell in row) and (len(row) < body.width or beyond):
                ragged.append((line, len(row)))
            rows.append((row + [""] * body.width)[: body.width])
            lines.append(line)
    except _UnclosedQuote as failure:
        line, reason = failure.args
        if "field limit" in reason:
            message = f"a cell has more than {csv.field_size_limit():,} characters; is a quote not closed?"
        else:
            message = f"quotes are not closed properly from here on ({reason})"
        log.add("error", "quotes", message, file=name, line=line)
        return None
    advice = "is a quote or a delimiter missing?"
    if (
        len(ragged) == len(rows) > 1
        and len({cells for _, cells in ragged}) == 1
        and ragged[0][1] > body.width
    ):
        advice = "do lines of a title stand above the names of the columns? take them out"
    log.add_lines(
        "error",
        "ragged-row",
        [line for line, _ in ragged],
        lambda k: f"{ragged[k][1]} cells where the header has {body.width}; {advice}",
        file=name,
    )
    columns = [pa.array(cells, type=pa.string()) for cells in zip(*rows, strict=True)]
    return columns, np.array(lines, dtype=np.intp)


def _without_blank_rows(
    columns: list[RawColumn], line: RowNumbers, name: str, log: ProblemLog
) -> tuple[list[RawColumn], RowNumbers]:
    """Leave out rows such as ``,,,`` that spreadsheets write below the data, and say so."""
    import pyarrow as pa
    import pyarrow.compute as pc

    blank = np.ones(line.size, dtype=np.bool_)
    for column in columns:
        empty = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(column), ""), True)
        blank &= np.asarray(empty)
        if not blank.any():
            return columns, line
    n_blank = int(blank.sum())
    first = int(line[blank][0])
    message = f"{counted(n_blank, 'row')} without any value left out (first in this line)"
    log.add("note", "blank-row", message, file=name, line=first, count=n_blank)
    kept = pa.array(~blank)
    return [column.filter(kept) for column in columns], line[~blank]
