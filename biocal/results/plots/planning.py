"""Width of an interval against the number of calibrators: how soon it comes to its floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from biocal.errors import OptionError
from biocal.results.plots.style import (
    GREY,
    MIDDLE_MM,
    TWO_COLUMNS_MM,
    SeriesStyle,
    new_figure,
    place_legend,
    plain,
    print_style,
    series_styles,
    thin_ticks,
    wrapped,
)

FloatArray = npt.NDArray[np.float64]

__all__ = ["WidthPanel", "WidthSeries", "draw_widths"]

_TICKS = (5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10000)


@dataclass(frozen=True, slots=True, eq=False)
class WidthSeries:
    """One exposure.

    Attributes
    ----------
    label : str
    calibrators, width : ndarray, shape (k,)
    floor : float
        Width with infinitely many calibrators.
    enough : float or None
        Calibrators from which on the expected width is within `enough` of the floor.
    """

    label: str
    calibrators: FloatArray
    width: FloatArray
    floor: float
    enough: float | None


@dataclass(frozen=True, slots=True, eq=False)
class WidthPanel:
    """One way of choosing calibrators; title and series."""

    title: str
    series: Sequence[WidthSeries]


def draw_widths(
    panels: Sequence[WidthPanel], *, level: float, enough: float, planned: float | None = None
) -> Figure:
    """Draw the width of intervals of log odds ratios against calibrators a study.

    Parameters
    ----------
    panels : sequence of WidthPanel
        All share their axes.
    level : float
        Confidence level.
    enough : float
        What counts as enough: share above the floor.
    planned : float, optional
        Calibrators a study as planned, marked by a line.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OptionError
        No panel.
    """
    if not panels:
        raise OptionError("there is no panel to draw", option="panels")
    labels = [series.label for series in panels[0].series]
    styles = series_styles(labels)
    with print_style():
        figure = new_figure(MIDDLE_MM if len(panels) == 1 else TWO_COLUMNS_MM, 92.0)
        grid = np.ravel(figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False))
        for axes, panel in zip(grid, panels, strict=True):
            for series, style in zip(panel.series, styles, strict=True):
                _draw_series(axes, series, style)
            if planned is not None:
                axes.axvline(planned, color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), zorder=1)
            axes.set_xscale("log")
            axes.set_title(wrapped(plain(panel.title), 0.8 * TWO_COLUMNS_MM / len(panels)))
            _ticks(axes, panel)
        grid[0].set_ylim(bottom=0.0)
        figure.supxlabel("calibrators in each local study", fontsize=8.0)
        figure.supylabel(f"width of the {100 * level:g}% interval of the log odds ratio", fontsize=8.0)
        entries = [
            *(_entry(label, style) for label, style in zip(labels, styles, strict=True)),
            Line2D([], [], color=GREY, linewidth=0.8, linestyle=(0, (4, 2)), label="floor: infinitely many"),
            Line2D([], [], color="black", marker="v", linestyle="none", markersize=5,
                   label=f"enough: within {100 * enough:g}% of the floor"),
        ]  # fmt: skip
        if planned is not None:
            entries.append(
                Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), label="as planned")
            )
        place_legend(figure, entries, available=0.98 * figure.bbox.width)
        for axes in grid:
            thin_ticks(axes)
    return figure


def _draw_series(axes: Axes, series: WidthSeries, style: SeriesStyle) -> None:
    axes.plot(series.calibrators, series.width, color=style.colour, linestyle=style.line, zorder=3)
    axes.axhline(series.floor, color=style.colour, linewidth=0.6, linestyle=(0, (4, 2)), zorder=2)
    if series.enough is not None:
        there = float(np.interp(np.log(series.enough), np.log(series.calibrators), series.width))
        axes.plot(
            [series.enough], [there], marker="v", markersize=6, color=style.colour, markeredgecolor="black",
            markeredgewidth=0.5, linestyle="none", clip_on=False, zorder=4,
        )  # fmt: skip


def _ticks(axes: Axes, panel: WidthPanel) -> None:
    """Round numbers on the logarithmic axis."""
    low = min(float(series.calibrators.min()) for series in panel.series)
    high = max(float(series.calibrators.max()) for series in panel.series)
    axes.set_xlim(low, high)
    axes.set_xticks([tick for tick in _TICKS if low <= tick <= high])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _entry(label: str, style: SeriesStyle) -> Line2D:
    return Line2D([], [], color=style.colour, linestyle=style.line, label=plain(label))
