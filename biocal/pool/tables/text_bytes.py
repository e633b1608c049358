"""Bytes of a text file as UTF-8, whatever program wrote them; what is not text is refused."""

from __future__ import annotations

import codecs

from biocal.pool.checks.notices import ProblemLog, counted

# First bytes of files that people give by mistake, and what to do about it.
_NOT_TEXT = (
    (b"PK\x03\x04", "this is an Excel workbook or another zip archive; save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "this is an old Excel workbook; save the sheet as CSV"),
    (b"\x1f\x8b", "the file is compressed (gzip); unpack it first"),
    (b"BZh", "the file is compressed (bzip2); unpack it first"),
    (b"\xfd7zXZ\x00", "the file is compressed (xz); unpack it first"),
    (b"\x28\xb5\x2f\xfd", "the file is compressed (Zstandard); unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "this is a 7-Zip archive; save the table as CSV"),
    (b"\x80\x04\x95", "this is a Python pickle, which is never opened; save the table as CSV"),
    (b"PAR1", "this is a Parquet file; its name must end in .parquet"),
    (b"<stata_dta>", "this is a Stata file; its name must end in .dta"),
    (b"%PDF", "this is a PDF, not a table"),
)
_CONTROL = bytes(set(range(32)) - {9, 10, 12, 13}) + b"\x7f"


def as_utf8(content: bytes, name: str, log: ProblemLog) -> bytes | None:
    """Return the text as UTF-8 without byte-order mark and with ``\\n`` in line ends.

    Parameters
    ----------
    content : bytes
        The whole file.
    name : str
        The file as named in messages.
    log : ProblemLog
        Told of byte-order marks, Latin-1 and UTF-16, and of what cannot be text.

    Returns
    -------
    bytes or None
        None when the file is not text.
    """
    for beginning, advice in _NOT_TEXT:
        if content.startswith(beginning):
            log.add("error", "not-text", advice, file=name)
            return None
    utf8 = _decoded(content, name, log)
    if utf8 is None:
        return None
    n_control = len(utf8) - len(utf8.translate(None, _CONTROL))
    if n_control:
        at = next(i for i, byte in enumerate(utf8) if byte in _CONTROL)
        line = utf8.count(b"\n", 0, at) + 1
        message = f"{counted(n_control, 'byte')} that no text has; is this a table saved as text (CSV)?"
        log.add("error", "not-text", message, file=name, line=line, count=n_control)
        return None
    if b"\r" in utf8 and b"\n" not in utf8:  # line ends of old Macintosh programs
        utf8 = utf8.replace(b"\r", b"\n")
    return utf8


def _decoded(content: bytes, name: str, log: ProblemLog) -> bytes | None:
    """The bytes as UTF-8; None when UTF-16 text is broken."""
    if content.startswith(codecs.BOM_UTF8):
        log.add("note", "byte-order-mark", "the file begins with a byte-order mark; skipped", file=name)
        content = content[len(codecs.BOM_UTF8) :]
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            text = content.decode("utf-16")
        except UnicodeDecodeError:
            log.add(
                "error",
                "not-text",
                "the file begins like UTF-16 text but is not; save it as UTF-8",
                file=name,
            )
            return None
        log.add("note", "encoding", "the text is UTF-16; read as such", file=name)
        return text.encode()
    if content.isascii():
        return content
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as failure:
        line = content.count(b"\n", 0, failure.start) + 1
        message = "the text is not UTF-8; read as Latin-1 (Windows-1252), so check names with accents"
        log.add("note", "encoding", message, file=name, line=line)
        try:
            return content.decode("cp1252").encode()
        except UnicodeDecodeError:  # the five bytes that Windows-1252 leaves undefined
            return content.decode("latin-1").encode()
    return content
