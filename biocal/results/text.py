"""Numbers and tables as people read them: the only place that rounds."""

from __future__ import annotations

import csv
import io
import math
import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import pandas as pd


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


def odds_ratio(log_odds_ratio: ArrayLike) -> Any:
    """exp; what a computer cannot hold is infinite, without a warning: limits of an interval may be that far out.

    Parameters
    ----------
    log_odds_ratio : array_like, shape (...)

    Returns
    -------
    ndarray or float, shape (...)

    Examples
    --------
    >>> float(odds_ratio(800.0))
    inf
    """
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(log_odds_ratio)


# What a spreadsheet takes for the beginning of a formula, in both widths (OWASP, CSV Injection).
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
# Text that is but a number, or a dash for nothing, does no harm.
_HARMLESS = re.compile(r"[+-]?(\d[\d.,]*|\.\d+)?([eE][+-]?\d+)?%?", re.ASCII)


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as CSV: numbers in full precision, blanks where there is none, UTF-8, Unix line ends.

    Text that a spreadsheet would run as a formula, such as a study named ``=1+1``, gets an apostrophe before it.

    Examples
    --------
    >>> import pandas as pd
    >>> csv_bytes(pd.DataFrame({"study": ["=1+1", "-5", "A"], "estimate": [-0.5, 1.0, 2.0]})).decode().split()
    ['study,estimate', "'=1+1,-0.5", '-5,1.0', 'A,2.0']
    """
    import pandas as pd
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    columns: dict[int, pd.Series[Any]] = {}
    has_return = False
    for place, dtype in enumerate(table.dtypes):
        column = table.iloc[:, place]
        if not (is_numeric_dtype(dtype) or is_bool_dtype(dtype)):
            cells = [text_of_cell(cell) for cell in column]
            has_return = has_return or any(isinstance(cell, str) and "\r" in cell for cell in cells)
            # as objects: 1 beside a blank must not become 1.0
            column = pd.Series(cells, index=table.index, dtype=object)
        columns[place] = column
    safe = pd.DataFrame(columns, index=table.index)
    safe.columns = pd.Index([text_of_cell(str(name)) for name in table.columns])
    text = io.StringIO()
    # older csv modules leave a carriage return without quotes, and readers then begin a row there
    quoting: Any = csv.QUOTE_NONNUMERIC if has_return else csv.QUOTE_MINIMAL
    safe.to_csv(text, index=False, lineterminator="\n", quoting=quoting)
    return text.getvalue().encode()


def text_of_cell(cell: Any) -> Any:
    """Return a cell or name as it is written: text that begins like a formula with an apostrophe before it."""
    if isinstance(cell, str) and cell.startswith(_FORMULA) and not _HARMLESS.fullmatch(cell):
        return f"'{cell}"
    return cell
