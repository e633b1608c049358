"""Lollipops: how far each method lies from where it should be, with Monte Carlo intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from biocal.results.plots.simulation.grid import (
    MONTE_CARLO_LEVEL,
    finish_grid,
    padded_limits,
    panel_grid,
    require_panels,
    set_limits,
)
from biocal.results.plots.style import GREY, plain, print_style, series_styles

__all__ = ["LollipopPanel", "draw_lollipops"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LollipopPanel:
    """One measure of several methods.

    Attributes
    ----------
    row, column : str
        Headings; panels of one heading stand in one row or column.
    labels : sequence of str, length k
        Methods, from top to bottom.
    value, mcse : ndarray, shape (k,)
        nan is left blank.
    """

    row: str
    column: str
    labels: Sequence[str]
    value: FloatArray
    mcse: FloatArray


def draw_lollipops(
    panels: Sequence[LollipopPanel], *, target: float, value_name: str, title: str = ""
) -> Figure:
    """Draw a stick from the target to each value, and its 95 percent Monte Carlo interval as brackets.

    Parameters
    ----------
    panels : sequence of LollipopPanel
        All panels share one axis.
    target : float
        Where a perfect method would be: 0 for bias, .95 for coverage.
    value_name : str
        Name of the measure, for the axis.
    title : str
        Over the figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OptionError
        No panel.
    """
    require_panels(len(panels))
    rows = list(dict.fromkeys(panel.row for panel in panels))
    columns = list(dict.fromkeys(panel.column for panel in panels))
    most = max(len(panel.labels) for panel in panels)
    reach = [MONTE_CARLO_LEVEL * np.nan_to_num(panel.mcse) for panel in panels]
    limits = padded_limits(
        *(panel.value - half for panel, half in zip(panels, reach, strict=True)),
        *(panel.value + half for panel, half in zip(panels, reach, strict=True)),
        include=target,
    )
    with print_style():
        figure, axes = panel_grid(
            rows, columns, row_mm=5.5 * most + 7.0, above_mm=9.0 + (5.0 if title else 0.0)
        )
        for panel, half in zip(panels, reach, strict=True):
            _draw_panel(axes[rows.index(panel.row), columns.index(panel.column)], panel, half, target)
        set_limits(list(axes.flat), x=limits, y=None)
        finish_grid(axes)
        figure.supxlabel(plain(f"{value_name} (brackets: 95% Monte Carlo interval)"), fontsize=8.0)
        if title:
            figure.suptitle(plain(title), fontsize=8.0)
    return figure


def _draw_panel(axes: Axes, panel: LollipopPanel, half: FloatArray, target: float) -> None:
    place = np.arange(len(panel.labels), dtype=np.float64)
    axes.axvline(target, color=GREY, linewidth=0.7, zorder=1)
    for y, value, reach, style in zip(place, panel.value, half, series_styles(panel.labels), strict=True):
        if not np.isfinite(value):
            axes.text(target, y, " blank", fontsize=6.5, va="center", color=GREY)
            continue
        axes.plot([target, value], [y, y], color=style.colour, linewidth=1.0, zorder=2)
        axes.plot([value], [y], marker=style.marker, markersize=4, color=style.colour, zorder=3)
        for edge, bracket in ((value - reach, r"$($"), (value + reach, r"$)$")):
            axes.plot([edge], [y], marker=bracket, markersize=6, color="black", markeredgewidth=0.2, zorder=4)
    axes.set_ylim(len(panel.labels) - 0.4, -0.6)
    axes.set_yticks(place, [plain(label) for label in panel.labels])
    axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
