"""A table of a report: text only, ready for the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table as the page shows it.

    Attributes
    ----------
    caption : str
    header : sequence of str, length k
    rows : sequence of sequence of str, length k
        The first cell names the row.
    foot : sequence of str
        Totals, of length k; empty without.
    left : int
        Columns flush left, from the first; the others hold numbers.
    note : str
        Said beneath the table.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    foot: Sequence[str] = ()
    left: int = 1
    note: str = ""
