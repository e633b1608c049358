"""Small panels, one a study, of points about horizontal levels: Bland and Altman's plot, calibration residuals."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from biocal.errors import OptionError
from biocal.results.plots.style import (
    GREY,
    MIDDLE_MM,
    ONE_COLUMN_MM,
    TWO_COLUMNS_MM,
    drawn_words,
    new_figure,
    place_legend,
    plain,
    print_style,
    shown_points,
    thin_ticks,
)

FloatArray = npt.NDArray[np.float64]

_POINT, _LINE, _MARK = "#56B4E9", "#0072B2", "#D55E00"
_TITLE_LETTERS = 24
_PAGE_MM = 245.0  # an A4 page between its margins


@dataclass(frozen=True, slots=True)
class LevelPanel:
    """Points of one study, and levels to judge them by.

    Attributes
    ----------
    study : str
    across, up : ndarray, shape (n,)
    centre : float
        A solid line right across.
    bands : tuple of (left, right, low, high)
        Dashed levels from left to right.
    marked : ndarray of bool, shape (n,), or None
        Points that stand out.
    facts : str
        A line above the panel.
    """

    study: str
    across: FloatArray
    up: FloatArray
    centre: float
    bands: tuple[tuple[float, float, float, float], ...]
    marked: npt.NDArray[np.bool_] | None = None
    facts: str = ""


@dataclass(frozen=True, slots=True)
class LevelWords:
    """What axes and legend say."""

    across: str
    up: str
    point: str
    centre: str
    band: str
    marked: str = ""


def draw_level_panels(panels: Sequence[LevelPanel], words: LevelWords) -> Figure:
    """Draw the panels in a grid; each has its own axes across, all share those up.

    Parameters
    ----------
    panels : sequence of LevelPanel
        In the order to show.
    words : LevelWords

    Raises
    ------
    OptionError
        No panel.
    """
    if not panels:
        raise OptionError("there is no calibration to draw: no local study was given", option="panels")
    n_columns = len(panels) if len(panels) <= 3 else 4 if len(panels) > 9 else 3
    n_rows = -(-len(panels) // n_columns)
    width = {1: ONE_COLUMN_MM, 2: MIDDLE_MM}.get(n_columns, TWO_COLUMNS_MM)
    limits = _limits(panels)
    with print_style():
        panel_mm = (width - 8) / n_columns
        titles = max(len(textwrap.wrap(panel.study, _TITLE_LETTERS)) for panel in panels)
        figure = new_figure(width, min(n_rows * (0.85 * panel_mm + 3.2 * titles + 7) + 16, _PAGE_MM))
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
        for spare in grid.flat[len(panels) :]:
            spare.remove()
        for position, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
            axes.set_ylim(*limits)
            _draw(axes, panel)
            axes.tick_params(labelleft=position % n_columns == 0)
            axes.locator_params(nbins=5)
            thin_ticks(axes)
        figure.supxlabel(words.across, fontsize=8.0)
        figure.supylabel(words.up, fontsize=8.0)
        place_legend(figure, _legend(panels, words), available=0.98 * figure.bbox.width)
    return figure


def _limits(panels: Sequence[LevelPanel]) -> tuple[float, float]:
    levels = [level for panel in panels for band in panel.bands for level in band[2:]]
    values = np.concatenate([*(panel.up for panel in panels), np.array(levels)])
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _draw(axes: Axes, panel: LevelPanel) -> None:
    axes.axhline(0.0, color=GREY, linewidth=0.6)
    axes.axhline(panel.centre, color=_LINE, linewidth=1.2)
    for left, right, low, high in panel.bands:
        for level in (low, high):
            axes.plot([left, right], [level, level], color=_LINE, linewidth=1.0, linestyle=(0, (4, 2)))
    plainly = np.zeros(panel.across.size, dtype=bool)
    shown = shown_points(panel.across, panel.up - panel.centre)
    plainly[shown] = True
    if panel.marked is not None:
        plainly &= ~panel.marked
    style: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 2.6, "markeredgecolor": "none"}
    axes.plot(panel.across[plainly], panel.up[plainly], markerfacecolor=_POINT, alpha=0.85, **style)
    if panel.marked is not None and panel.marked.any():
        style["markersize"] = 3.6
        axes.plot(
            panel.across[panel.marked], panel.up[panel.marked], markerfacecolor=_MARK, zorder=4, **style
        )
    axes.set_title("\n".join(textwrap.wrap(plain(panel.study), _TITLE_LETTERS)), pad=13.0)
    facts = panel.facts + drawn_words(panel.across.size, shown.size)
    axes.annotate(
        facts, (0.5, 1.0), xycoords="axes fraction", xytext=(0, 2.5), textcoords="offset points",
        ha="center", va="bottom", fontsize=6.5,
    )  # fmt: skip


def _legend(panels: Sequence[LevelPanel], words: LevelWords) -> list[Artist]:
    point: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 3.5, "markeredgecolor": "none"}
    entries: list[Artist] = [Line2D([], [], markerfacecolor=_POINT, label=words.point, **point)]
    if any(panel.marked is not None and panel.marked.any() for panel in panels):
        entries.append(Line2D([], [], markerfacecolor=_MARK, label=words.marked, **point))
    if words.centre:
        entries.append(Line2D([], [], color=_LINE, linewidth=1.2, label=words.centre))
    entries.append(Line2D([], [], color=_LINE, linewidth=1.0, linestyle=(0, (4, 2)), label=words.band))
    return entries
