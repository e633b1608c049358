"""Figures as bytes and files that do not change when nothing changed: no dates, no random ids."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from biocal.errors import OptionError
from biocal.system.files import replace_file

PNG_DOTS_PER_INCH = 200
#: Keys each format writes by itself and which differ between runs or machines.
_NO_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@contextmanager
def laid_out(figure: Figure) -> Iterator[None]:
    """Lay a figure out once, at the dots of PNG, for all the formats it is written in meanwhile.

    matplotlib lays out anew for every format and, to do so, draws the whole figure once for nothing: together more
    than half of the time that a figure takes.  Afterwards the figure is laid out as before when it is drawn.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Any figure.
    """
    engine = figure.get_layout_engine()
    if engine is None or not figure.axes:
        yield
        return
    dots = figure.dpi
    with matplotlib.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
        figure.dpi = PNG_DOTS_PER_INCH
        with suppress(ValueError):  # as matplotlib does when it draws
            engine.execute(figure)
        figure.dpi = dots
        figure.set_layout_engine(None)
        try:
            yield
        finally:
            figure.set_layout_engine(engine)


def figure_bytes(figure: Figure, file_format: str = "png") -> bytes:
    """Return the figure as the content of a PNG, SVG or PDF file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Any figure.
    file_format : {"png", "svg", "pdf"}
        PNG has 200 dots per inch.  Letters in SVG are outlines, so that they look alike on machines
        that lack the font.

    Returns
    -------
    bytes
        The same bytes for the same figure under the same matplotlib.

    Raises
    ------
    OptionError
        Another format.
    """
    if file_format not in _NO_METADATA:
        raise OptionError(
            f"cannot write a figure as {file_format!r}: choose one of {', '.join(_NO_METADATA)}",
            option="file_format",
            allowed=tuple(_NO_METADATA),
        )
    content = io.BytesIO()
    with laid_out(figure), matplotlib.rc_context({"svg.hashsalt": "biocal", "svg.fonttype": "path"}):
        figure.savefig(content, format=file_format, dpi=PNG_DOTS_PER_INCH, metadata=_NO_METADATA[file_format])
    return content.getvalue()


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write the figure to ``path``; the ending (.png, .svg, .pdf) chooses the format.

    It is drawn in memory first and written whole or not at all.  A file that is there is replaced; whether
    it may be is the caller's to ask.

    Returns
    -------
    pathlib.Path
        The path written.

    Raises
    ------
    OptionError
        Another ending.
    OSError
        The place cannot be written.
    """
    path = Path(path)
    replace_file(path, figure_bytes(figure, path.suffix.lstrip(".").lower()))
    return path
