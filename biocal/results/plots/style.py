"""Colours, line styles, sizes: one look for every figure, made for print.

Colours are those of Okabe and Ito (2008, Color Universal Design), which remain apart under the common
forms of colour blindness; each also has its own line style and marker, so that a grey copy still reads.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend

MILLIMETRES_PER_INCH = 25.4
#: Widths journals print at: one column, one and a half, two columns (mm).
ONE_COLUMN_MM, MIDDLE_MM, TWO_COLUMNS_MM = 89.0, 120.0, 180.0

GREY, LIGHT_GREY = "#5f5f5f", "#c4c4c4"
#: Mean width of a letter of 8 point type (mm), for breaking long labels.
LETTER_MM = 1.55

#: A dash pattern in matplotlib's (offset, on-off) form, or a solid line.
LineStyle = tuple[int, tuple[float, ...]] | Literal["-"]
_PRINT_RC: Any = {
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "lines.linewidth": 1.4,
    "mathtext.default": "regular",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True, slots=True)
class SeriesStyle:
    """How one method is drawn in every figure."""

    colour: str
    line: LineStyle
    marker: str


_METHOD_STYLES = {
    "full": SeriesStyle("#0072B2", "-", "o"),
    "naive": SeriesStyle("#D55E00", (0, (5, 2)), "s"),
    "internalized": SeriesStyle("#009E73", (0, (6, 1.5, 1.2, 1.5)), "^"),
    "induced": SeriesStyle("#B0458F", (0, (1.2, 1.2)), "D"),
    "two-stage": SeriesStyle("#A07000", (0, (6, 1.5, 1.2, 1.5, 1.2, 1.5)), "v"),
    "reference": SeriesStyle("#000000", (0, (10, 2)), "P"),
}


def series_styles(labels: Sequence[str]) -> list[SeriesStyle]:
    """Return the style of each label; a method keeps its own, other labels take those left over."""
    taken = {label.lower() for label in labels} & _METHOD_STYLES.keys()
    spare = [style for name, style in _METHOD_STYLES.items() if name not in taken]
    spare = spare or list(_METHOD_STYLES.values())
    styles, used = [], 0
    for label in labels:
        style = _METHOD_STYLES.get(label.lower())
        if style is None:
            style = spare[used % len(spare)]
            used += 1
        styles.append(style)
    return styles


def print_style() -> AbstractContextManager[None]:
    """Set the sizes for print while a figure of our own is drawn; the caller's settings come back after."""
    return matplotlib.rc_context(_PRINT_RC)


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """Return an empty figure of that printed size (mm), laid out so that no label is clipped."""
    figure = Figure(
        figsize=(width_mm / MILLIMETRES_PER_INCH, height_mm / MILLIMETRES_PER_INCH), layout="constrained"
    )
    FigureCanvasAgg(figure)
    return figure


def thin_ticks(axes: Axes) -> None:
    """Fix tick sizes now: matplotlib makes ticks late, when the settings for print are gone again."""
    axes.tick_params(which="major", length=2.5, width=0.6, pad=2.0, labelsize=_PRINT_RC["xtick.labelsize"])


def place_legend(owner: Axes | Figure, handles: Sequence[Artist], *, available: float) -> Legend:
    """Put the legend in rows above the plot, as few rows as fit into the width available.

    Parameters
    ----------
    owner : Axes or Figure
        The layout of a figure of our own makes room; on the caller's axes the legend stands on their
        upper edge.
    handles : sequence of artists
        The entries, in order.
    available : float
        Width in pixels of the owner's figure.
    """
    place: dict[str, Any] = {"loc": "outside upper center"}
    if isinstance(owner, Axes):
        place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.2}
    look: dict[str, Any] = {"columnspacing": 1.4, "handletextpad": 0.5, "frameon": False} | place
    for rows in range(1, len(handles) + 1):
        legend = owner.legend(handles=handles, ncols=-(-len(handles) // rows), **look)
        if rows == len(handles) or legend.get_window_extent().width <= available:
            break
        legend.remove()
    return legend


def wrapped(label: str, available_mm: float) -> str:
    """Break a label so that each line fits in so many millimetres of print."""
    letters = max(12, int(available_mm / LETTER_MM))
    return "\n".join(textwrap.fill(line, letters, break_long_words=False) for line in label.splitlines())


def plain(text: str) -> str:
    """Return a user's text so that dollar signs in it are printed and do not begin a formula."""
    return text.replace("$", r"\$")


def with_unit(name: str, unit: str) -> str:
    """Return ``name (unit)``, or the name alone when there is no unit."""
    return plain(f"{name} ({unit})" if unit else name)


FloatArray = npt.NDArray[np.float64]

#: Most points of a panel (our choice): more overlap at a journal's width, and make files of many megabytes.
MOST_POINTS = 4_000


def shown_points(across: FloatArray, off: FloatArray) -> npt.NDArray[np.intp]:
    """Positions of the points to draw, in order.

    All up to `MOST_POINTS`.  Of more, a tenth of that number are those farthest off, and the others are spread
    evenly over the order of the values across, both ends among them.

    Parameters
    ----------
    across : ndarray, shape (n,)
        Where the points stand across.
    off : ndarray, shape (n,)
        How far they lie from the line.

    Returns
    -------
    ndarray of int, shape (m,)
    """
    n = across.size
    if n <= MOST_POINTS:
        return np.arange(n)
    outermost = MOST_POINTS // 10
    far = np.argpartition(-np.abs(off), outermost)[:outermost]
    places = np.linspace(0, n - 1, MOST_POINTS - outermost).round().astype(np.intp)
    return np.union1d(far, np.argsort(across, kind="stable")[places])


def drawn_words(n: int, drawn: int) -> str:
    """What is said of points that are not drawn; nothing where all are."""
    return f" ({drawn:,} drawn)" if drawn < n else ""
