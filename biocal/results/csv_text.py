"""A data frame as CSV that a spreadsheet shows as text and numbers, never as formulas."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

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
