"""Numbers and tables as people read them: the only place that rounds."""

from __future__ import annotations

import math
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


def p_value(value: float) -> str:
    """A p-value: three decimals, or <.001 with its order of magnitude."""
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
