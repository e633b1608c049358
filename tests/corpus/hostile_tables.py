"""Text tables that are broken, odd or huge."""

from __future__ import annotations

import codecs

from corpus.hostile_input import (
    CHECK,
    FINE,
    FIT,
    HostileInput,
    cell,
    content,
    pool_frame,
    pool_lines,
    pool_text,
    spoilt,
)

HEADER, *ROWS = pool_lines()
TEXT = pool_text()


def _line(number: int, text: str):
    return spoilt(lambda lines: lines.__setitem__(number - 1, text))


def _added(column: str, cells: list[str]) -> str:
    return (
        "\n".join(f"{row},{word}" for row, word in zip([HEADER, *ROWS], [column, *cells], strict=True)) + "\n"
    )


def _mixed_encodings() -> bytes:
    lines = TEXT.encode().splitlines(keepends=True)
    lines[5] = lines[5].replace(b"North", "Nör".encode())
    lines[6] = lines[6].replace(b"North", "Nör".encode("latin-1"))
    return b"".join(lines)


def _studies(names: dict[str, str]) -> str:
    return pool_frame().replace({"study": names}).to_csv(index=False)


# fmt: off
TABLES = (
    HostileInput("empty file", content(b""), ("pool.csv", "empty")),
    HostileInput("blank lines only", content("\n" * 1000), ("pool.csv", "empty")),
    HostileInput("byte-order mark only", content(codecs.BOM_UTF8), ("pool.csv", "empty")),
    HostileInput("header only", content(HEADER), ("pool.csv:1", "no data rows")),
    HostileInput("one column", content("study\n1\n2\n"), ("pool.csv:1", "one column")),
    HostileInput("commas only", content(",,,,\n" * 50), ("pool.csv",)),
    HostileInput("row with cells missing", _line(9, "North,4,1"), ("pool.csv:9", "3 cells")),
    HostileInput("row with cells too many", _line(9, ROWS[7] + ",1,2"), ("pool.csv:9", "cells")),
    HostileInput("quote never closed", _line(9, '"' + ROWS[7]), ("pool.csv:9", "quote")),
    HostileInput("quote within a cell", _line(9, 'No"rth' + ROWS[7][5:]), ("pool.csv",)),
    HostileInput("text after a closing quote", _line(9, '"North"x' + ROWS[7][5:]), ("pool.csv:9",)),
    HostileInput("nested quotes", _line(9, '"No""r""th"' + ROWS[7][5:]), ('No"r"th',)),
    HostileInput("line break within a header name", content(HEADER.replace("set", '"se\nt"') + "\n" + "\n".join(ROWS)), ("pool.csv", "column 'set'", "se t")),
    HostileInput("NUL byte in a cell", content(TEXT.replace("60.", "6\0.", 1)), ("pool.csv:", "no text has")),
    HostileInput("NUL bytes only", content(bytes(4096)), ("pool.csv:1",)),
    HostileInput("escape sequences of a terminal", content(TEXT.replace("North", "\x1b[2JNorth")), ("pool.csv:2",)),
    HostileInput("random bytes", content(bytes((7 * i * i + 3 * i) % 256 for i in range(20000))), ("pool.csv",)),
    HostileInput("a single line of 10 MB", content("x" * 10_000_000), ("pool.csv:1",)),
    HostileInput("a header of 10 MB", content("x" * 10_000_000 + "," + TEXT), ("pool.csv:1", "more than 131,072 characters")),
    HostileInput("a cell of 10 MB", cell("local", 3, "9" * 10_000_000), ("pool.csv:5", "more than 131,072 characters")),
    HostileInput("an id of 10 MB of digits", cell("set", 3, "9" * 10_000_000), ("pool.csv:5", "more than 131,072 characters")),
    HostileInput("an id of 5,000 digits", cell("set", 3, "9" * 5000), ("pool.csv:5", "only controls"), CHECK, FINE),
    HostileInput("a study name of 5,000 digits", content(_studies({"North": "9" * 5000})), (), CHECK, FINE),
    HostileInput("5,000 columns without one that is needed", content((",".join(f"x{i}" for i in range(5000)) + "\n") + (",".join("1" * 5000) + "\n") * 20), ("pool.csv", "column 'set'", "x0, x1")),
    HostileInput("100,000 columns", content((",".join(f"x{i}" for i in range(100_000)) + "\n") + ("," * 99_999 + "\n") * 3), ("pool.csv",)),
    HostileInput("100,000 delimiters and nothing else", content("study" + "," * 100_000 + "\n" + "1" + "," * 100_000 + "\n"), ("pool.csv",)),
    HostileInput("the largest number there is", cell("local", 3, "1e308"), ("pool.csv:5", "column 'local'", "1e+308")),
    HostileInput("the largest numbers of all persons", content(pool_frame().assign(local=lambda f: f["local"] * 1e306).to_csv(index=False)), ("pool.csv:2", "column 'local'", "change the unit")),
    HostileInput("the smallest numbers of all persons", content(pool_frame().assign(local=lambda f: f["local"] * 1e-310).to_csv(index=False)), ("pool.csv:2", "column 'local'", "change the unit")),
    HostileInput("a number beyond all bounds", cell("local", 3, "1e400"), ("pool.csv:5", "column 'local'", "infinite")),
    HostileInput("a number below all bounds", cell("reference", 90, "-1e400"), ("pool.csv:92", "column 'reference'", "infinite")),
    HostileInput("a number with underscores", cell("local", 3, "1_000"), ("pool.csv:5", "column 'local'", "1_000")),
    HostileInput("a hexadecimal number", cell("local", 3, "0x1F"), ("pool.csv:5", "column 'local'", "0x1F")),
    HostileInput("Arabic digits", cell("local", 3, "٤٢"), ("pool.csv:5", "column 'local'")),
    HostileInput("a number with spaces for thousands", cell("local", 3, "1 234"), ("pool.csv:5", "column 'local'")),
    HostileInput("a percentage", cell("local", 3, "45%"), ("pool.csv:5", "column 'local'", "45%")),
    HostileInput("a unit beside the number", cell("local", 3, "45 nmol/L"), ("pool.csv:5", "column 'local'", "45 nmol/L")),
    HostileInput("a date in a column of numbers", cell("local", 3, "2024-03-01"), ("pool.csv:5", "column 'local'", "2024-03-01")),
    HostileInput("a spreadsheet's error in a column of numbers", cell("local", 3, "#DIV/0!"), ("pool.csv:5", "column 'local'", "#DIV/0!")),
    HostileInput("a formula in a column of numbers", cell("local", 3, "=SUM(A1:A9)"), ("pool.csv:5", "column 'local'", "=SUM(A1:A9)")),
    HostileInput("dates in the column of cases", cell("case", 3, "1/1/2020"), ("pool.csv:5", "column 'case'", "1/1/2020")),
    HostileInput("a case of 0.5", cell("case", 3, "0.5"), ("pool.csv:5", "column 'case'", "0.5")),
    HostileInput("case as a formula", cell("case", 3, "=1"), ("pool.csv:5", "column 'case'", "=1")),
    HostileInput("a covariate of numbers with a date", cell("bmi", 3, "2024-03-01"), ("pool.csv:5", "column 'bmi'", "2024-03-01"), (*FIT, "--covariates", "bmi")),
    HostileInput("a covariate beyond all bounds", cell("bmi", 3, "1e999"), ("pool.csv:5", "column 'bmi'", "infinite; treated as missing"), CHECK, FINE),
    HostileInput("UTF-8 and Latin-1 in one file", content(_mixed_encodings()), ("pool.csv:7", "not UTF-8"), CHECK),
    HostileInput("UTF-16 without a mark", content(TEXT.encode("utf-16-le")), ("pool.csv:1",)),
    HostileInput("UTF-16 cut within a character", content(TEXT.encode("utf-16")[:-1]), ("pool.csv", "UTF-16")),
    HostileInput("UTF-32", content(TEXT.encode("utf-32")), ("pool.csv",)),
    HostileInput("half a surrogate", content(TEXT.encode().replace(b"North", b"N\xed\xa0\x80", 1)), ("pool.csv:2",), CHECK),
    HostileInput("columns named alike", content(HEADER.replace("bmi", "case") + "\n" + "\n".join(ROWS)), ("pool.csv:1", "column 'case'", "2 times")),
    HostileInput("columns that differ in letter case", content(HEADER.replace("case", "CASE") + "\n" + "\n".join(ROWS)), ("pool.csv", "column 'case'", "CASE")),
    HostileInput("every id blank", content(pool_frame().assign(set="").to_csv(index=False)), ("pool.csv",)),
    HostileInput("every study blank", content(pool_frame().assign(study="").to_csv(index=False)), ("pool.csv:2", "column 'study'")),
    HostileInput("no set is matched", content(pool_frame().assign(set=lambda f: range(len(f))).to_csv(index=False)), ("none of the 120 matched sets",)),
    HostileInput("one set holds everybody", content(pool_frame().assign(study="A", set=1).to_csv(index=False)), ("pool.csv", "study 'A'"), CHECK, FINE),
    HostileInput("every row a study", content(pool_frame().assign(study=lambda f: range(len(f))).to_csv(index=False)), ("pool.csv",)),
    HostileInput("a set of 150 cases and 150 controls", content("study,set,case,local,reference\n" + "".join(f"A,1,{i % 2},,{(i * 37) % 101}\n" for i in range(300))), ("pool.csv:204", "equal in every column"), CHECK, FINE),
    HostileInput("HTML in study names", content(_studies({"North": "<script>alert(1)</script>"})), (), CHECK, FINE),
    HostileInput("formulas in study names", content(_studies({"North": "=cmd|' /C calc'!A0", "South": "@SUM(1)", "West": "+1+1"})), (), CHECK, FINE),
    HostileInput("paths in study names", content(_studies({"North": "../../North", "South": "/etc/passwd", "West": "C:\\con"})), (), CHECK, FINE),
    HostileInput("mathematical notation in study names", content(_studies({"North": "$\\frac{", "South": "$x_$", "West": "\\undefined"})), (), CHECK, FINE),
    HostileInput("writing from right to left in study names", content(_studies({"North": "\u202eNorth", "South": "\u200bSouth"})), (), CHECK, FINE),
)
# fmt: on
