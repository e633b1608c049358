"""Figures of a report: inline SVG that neither clashes with another figure nor reaches outside the page."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from biocal.results.plots.save import PNG_DOTS_PER_INCH, figure_bytes

_HEAD = re.compile(r"^.*?(?=<svg\b)", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->\s*", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)
_INDENT = re.compile(r">\s+<")
_ROOT = re.compile(r"<svg\b[^>]*>")
_VIEW = re.compile(r'viewBox="([\d. -]+)"')
_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(url\(#|href="#)([^)"]+)')


@dataclass(frozen=True, slots=True)
class ReportFigure:
    """A figure as the page shows it.

    Attributes
    ----------
    name : str
        Short word, unique on the page; prefix of all ids within.
    picture : Markup
        The SVG element, or an image of PNG in the page itself.
    caption : str
        What is to be seen, for everybody.
    alternative : str
        The same for those who do not see it.
    width_mm : float
        At which letters have the size they were drawn for.
    """

    name: str
    picture: Markup
    caption: str
    alternative: str
    width_mm: float


def report_figure(
    name: str, drawn: Any, *, caption: str, alternative: str, raster: bool = False
) -> ReportFigure:
    """Put a figure into the page.

    Parameters
    ----------
    name : str
        Letters, digits and hyphens.
    drawn : matplotlib Figure or Axes, or bytes
        Bytes: the file of a figure that was drawn before, SVG or, with `raster`, PNG.
    caption, alternative : str
        Plain text.
    raster : bool, default False
        A picture of dots, for figures with so many marks that lines would take megabytes.
    """
    content = drawn
    if not isinstance(drawn, bytes):
        content = figure_bytes(getattr(drawn, "figure", None) or drawn, "png" if raster else "svg")
    picture = (
        inline_image(content, alternative) if raster else inline_svg(content.decode(), name, alternative)
    )
    return ReportFigure(name, picture, caption, alternative, 25.4 * _width_inches(content))


def _width_inches(content: bytes) -> float:
    """Width in print of a figure's file: PNG tells it in dots, SVG in points."""
    if content.startswith(b"\x89PNG"):
        return int.from_bytes(content[16:20], "big") / PNG_DOTS_PER_INCH
    (view,) = _VIEW.findall(content.decode())[:1]
    return float(view.split()[2]) / 72.0


def inline_svg(source: str, prefix: str, alternative: str) -> Markup:
    """Return an SVG file as an element of the page.

    Ids get a prefix, for clip paths and glyphs of two figures bear the same; comments (matplotlib writes every
    label into one) and metadata go; the size follows from the place.
    """
    body = _METADATA.sub("", _COMMENT.sub("", _HEAD.sub("", source, count=1)))
    body = _ID.sub(lambda found: f'id="{prefix}-{found[1]}"', body)
    body = _REFERENCE.sub(lambda found: f"{found[1]}{prefix}-{found[2]}", body)
    body = _INDENT.sub("><", body.replace("xlink:href", "href"))
    root = _ROOT.search(body)
    view = _VIEW.search(root[0]) if root else None
    if root is None or view is None:
        raise ValueError("this is no SVG as matplotlib writes it")
    opening = f'<svg viewBox="{view[1]}" role="img" aria-label="{escape(alternative)}">'
    return Markup(opening + body[root.end() :].strip())  # matplotlib's own, letters as outlines


def inline_image(png: bytes, alternative: str) -> Markup:
    """Return a PNG as an element that holds its own bytes."""
    data = base64.b64encode(png).decode("ascii")
    return Markup('<img src="data:image/png;base64,{}" alt="{}">').format(Markup(data), alternative)
