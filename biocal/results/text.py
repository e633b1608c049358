"""Numbers and tables as people read them: the only place that rounds."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence

WIDTH = 100


def number(value: float, digits: int = 4) -> str:
    """A number to some significant digits; blank when absent."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:.{decimals}f}"
    return f"{value:.{digits - 1}e}"


def exact(value: float, digits: int = 6) -> str:
    """A number that someone chose: at most some significant digits, no trailing zeros."""
    return f"{value:.{digits}g}"


def p_value(value: float) -> str:
    """A p-value: three decimals; small ones with two digits and their order of magnitude."""
    if math.isnan(value):
        return ""
    if value < 1e-3:
        return f"{value:.1e}"
    return f"{value:.3f}"


def percent(share: float) -> str:
    """A share as a percentage."""
    return "" if math.isnan(share) else f"{100 * share:.1f} %"


def count(n: int, noun: str, plural: str | None = None) -> str:
    """1 set, 2 sets, 5,706 cases."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, indent: int = 2, left: int = 1) -> str:
    """Columns set side by side: the first `left` flush left, the others flush right."""
    widths = [
        max(len(header[k]), *(len(row[k]) for row in rows)) if rows else len(header[k])
        for k in range(len(header))
    ]

    def line(cells: Sequence[str]) -> str:
        parts = [
            c.ljust(w) if k < left else c.rjust(w) for k, (c, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return " " * indent + "  ".join(parts).rstrip()

    rule = " " * indent + "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line(header), rule, *(line(row) for row in rows)])


def paragraph(text: str, *, indent: int = 2, bullet: str = "") -> str:
    """Text folded to the page, with an optional bullet."""
    lead = " " * indent + bullet
    return textwrap.fill(text, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead))


def labelled(label: str, text: str, *, width: int = 12) -> str:
    """A label and its text, which is folded beneath itself."""
    lead = label.ljust(width)
    return textwrap.fill(
        text, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_on_hyphens=False
    )


def terms_of_columns(names: Sequence[str]) -> str:
    """Terms of a formula in place of its columns: ``bmi, C(month) (11 columns)``."""
    columns: dict[str, int] = {}
    for name in names:
        term = re.sub(r"\[[^\[\]]*\]", "", name)
        columns[term] = columns.get(term, 0) + 1
    return ", ".join(term if n == 1 else f"{term} ({n} columns)" for term, n in columns.items())
