"""From sections to the page: Jinja2 with everything escaped that is not markup of our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


def render(template: str, **content: Any) -> str:
    """Fill a template of this package.

    Parameters
    ----------
    template : str
        File name in ``templates/``.
    **content
        What it shows.  Text is escaped; only `markupsafe.Markup` goes in as it stands.

    Returns
    -------
    str
        The page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("biocal.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**content)


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
