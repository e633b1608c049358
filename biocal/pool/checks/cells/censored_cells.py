"""Cells that say that a value is below its detection limit: "<5.0", "LOD", or a flag in another column."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.pool.checks.columns import did_you_mean
from biocal.pool.checks.notices import ProblemLog
from biocal.pool.tables.cells import as_words, no_numbers, parse_number
from biocal.pool.tables.table import TableStack

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

_LESS_THAN = re.compile(r"[<≤]\s*=?\s*(\S+)")
#: Words for "below the limit" that do not tell it, spaces and a sign before them aside.
_WORDS = frozenset(
    {
        "lod",
        "loq",
        "lloq",
        "dl",
        "bdl",
        "blod",
        "bloq",
        "blq",
        "bld",
        "below lod",
        "below loq",
        "below detection limit",
    }
)
_YES = frozenset({"1", "true", "yes", "y", "t", "<", "lt", "below", "<lod", "lod", "<loq", "loq"})
_NO = frozenset({"0", "false", "no", "n", "f", "=", "ok"})


@dataclass(frozen=True, slots=True)
class CensoredCells:
    """Where an assay column says "below the limit"; arrays of shape (n_rows,).

    Attributes
    ----------
    below : ndarray of bool
    limit : ndarray
        As the cell tells it; NaN where it does not.
    """

    below: BoolArray
    limit: FloatArray


def limit_of(word: str, *, decimal_comma: bool) -> float | None:
    """The limit that a cell names: NaN for "LOD", which names none; None for any other cell."""
    found = _LESS_THAN.fullmatch(word.strip())
    rest = found.group(1) if found else word.strip()
    if rest.casefold() in _WORDS or word.strip().casefold() in _WORDS:
        return np.nan
    if not found:
        return None
    number = parse_number(rest.replace(",", ".") if decimal_comma else rest)
    return None if np.isnan(number) or not np.isfinite(number) else number


def flagged_rows(stack: TableStack, column: str | None, log: ProblemLog) -> BoolArray:
    """Rows whose flag column says "below the limit"; anything but yes and no is an error."""
    flagged = np.zeros(stack.n_rows, dtype=np.bool_)
    if column is None:
        return flagged
    if column not in stack.column_names():
        near = did_you_mean(column, stack.column_names())
        log.add("error", "missing-column", f"there is no such column{near}", column=column)
        return flagged
    for table, rows in stack.parts():
        if column not in table.columns:
            continue
        cells = as_words(table.columns[column])
        words = [word.casefold() for word in cells.words]
        yes = np.array([*(word in _YES for word in words), False])
        known = np.array([*(word in _YES or word in _NO for word in words), True])
        flagged[rows] = yes[cells.codes]
        bad = np.flatnonzero(~known[cells.codes])
        shown = cells.cells(bad)
        stack.tell_rows(
            log,
            "error",
            "flag-unknown",
            rows.start + bad,
            lambda k, shown=shown: f"'{shown[k]}' is neither 1 (below the detection limit) nor 0",  # type: ignore[misc]
            column=column,
        )
    return flagged


def settle_limits(
    stack: TableStack,
    column: str,
    cells: CensoredCells,
    flagged: BoolArray,
    stated: FloatArray,
    *,
    rule: str | None,
    option: str,
    log: ProblemLog,
) -> FloatArray:
    """Limit of every value below one, NaN elsewhere: the cell's own, else the one that was stated.

    Parameters
    ----------
    column : str
        The assay.
    cells : CensoredCells
    flagged : ndarray of bool, shape (n_rows,)
    stated : ndarray, shape (n_rows,)
        Limit stated by option for each row's study; NaN without.
    rule : str or None
        None: every such value is an error, for there is no telling how to take it.
    option : str
        How a limit is stated, for messages.
    """
    below = cells.below | flagged
    if not below.any():
        return no_numbers(below.size)
    limit = np.where(below, np.where(np.isnan(cells.limit), stated, cells.limit), np.nan)
    rows = np.flatnonzero(below)
    place = {"column": column}
    if rule is None:
        advice = "say how to take such values: --below-limit lod/2, lod/sqrt2, lod or censored"
        shown = ["" if np.isnan(one) else f" (<{one:g})" for one in limit[rows]]
        stack.tell_rows(
            log,
            "error",
            "below-limit",
            rows,
            lambda k: f"below the detection limit{shown[k]}; {advice}",
            **place,
        )
        return limit
    unknown = rows[np.isnan(limit[rows])]
    words = f"below the detection limit, which neither the cell nor an option tells; give {option}"
    stack.tell_rows(log, "error", "limit-unknown", unknown, lambda _: words, **place)
    wrong = rows[limit[rows] <= 0]
    stack.tell_rows(
        log, "error", "limit-not-positive", wrong, lambda _: "a detection limit must be above 0", **place
    )
    return limit
