"""A measure against what was varied in a simulation study, a line a method, with Monte Carlo intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from biocal.results.plots.simulation.grid import (
    MONTE_CARLO_LEVEL,
    finish_grid,
    padded_limits,
    panel_grid,
    require_panels,
    set_limits,
    title_legend,
)
from biocal.results.plots.style import GREY, SeriesStyle, place_legend, plain, print_style, series_styles

__all__ = ["LevelsPanel", "MeasuredSeries", "draw_levels"]

FloatArray = npt.NDArray[np.float64]

#: Methods stand beside one another within this share of the distance between levels.
_SPREAD = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredSeries:
    """One method over the levels.

    Attributes
    ----------
    label : str
    value, mcse : ndarray, shape (n_levels,)
        nan leaves a gap.
    """

    label: str
    value: FloatArray
    mcse: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class LevelsPanel:
    """One panel: series over the levels of the figure; headings as in the other grids."""

    row: str
    column: str
    series: Sequence[MeasuredSeries]


def draw_levels(
    panels: Sequence[LevelsPanel],
    *,
    levels: Sequence[str],
    key_name: str,
    value_name: str,
    target: float,
    title: str = "",
) -> Figure:
    """Draw a measure against the levels of a varied key.

    Parameters
    ----------
    panels : sequence of LevelsPanel
        All panels share their axes.
    levels : sequence of str
        Labels of the levels, evenly spaced: levels need not be numbers.  Lines join those that are.
    key_name, value_name : str
        For the axes.
    target : float
        Where a perfect method would be.
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
    names = list(dict.fromkeys(series.label for panel in panels for series in panel.series))
    styles = dict(zip(names, series_styles(names), strict=True))
    joined = all(_is_number(level) for level in levels)  # names have no order to follow
    every = [series for panel in panels for series in panel.series]
    reach = [MONTE_CARLO_LEVEL * np.nan_to_num(series.mcse) for series in every]
    limits = padded_limits(
        *(series.value - half for series, half in zip(every, reach, strict=True)),
        *(series.value + half for series, half in zip(every, reach, strict=True)),
        include=target,
    )
    with print_style():
        figure, axes = panel_grid(rows, columns, row_mm=36.0, above_mm=16.0 + (5.0 if title else 0.0))
        for panel in panels:
            each = axes[rows.index(panel.row), columns.index(panel.column)]
            _draw_panel(each, panel, levels, target, styles, joined=joined)
        set_limits(list(axes.flat), x=(-0.5, len(levels) - 0.5), y=limits)
        finish_grid(axes)
        figure.supxlabel(plain(key_name), fontsize=8.0)
        figure.supylabel(plain(f"{value_name}\n(bars: 95% Monte Carlo interval)"), fontsize=8.0,
                         multialignment="center")  # fmt: skip
        entries = [_entry(name, styles[name], joined=joined) for name in names]
        legend = place_legend(figure, entries, available=0.98 * figure.bbox.width)
        title_legend(legend, title)
    return figure


def _draw_panel(
    axes: Axes,
    panel: LevelsPanel,
    levels: Sequence[str],
    target: float,
    styles: dict[str, SeriesStyle],
    *,
    joined: bool,
) -> None:
    axes.axhline(target, color=GREY, linewidth=0.7, zorder=1)
    place = np.arange(len(levels), dtype=np.float64)
    shifts = np.linspace(-_SPREAD / 2, _SPREAD / 2, len(styles)) if len(styles) > 1 else np.zeros(1)
    shift_of = dict(zip(styles, shifts, strict=True))
    for series in panel.series:
        style = styles[series.label]
        at = place + shift_of[series.label]
        axes.errorbar(
            at, series.value, yerr=MONTE_CARLO_LEVEL * np.nan_to_num(series.mcse), color=style.colour,
            marker=style.marker, markersize=3, linestyle=style.line if joined else "none", linewidth=0.9,
            elinewidth=0.8, capsize=1.5, label=series.label, zorder=2,
        )  # fmt: skip
    axes.set_xticks(place, [plain(level) for level in levels])


def _is_number(level: str) -> bool:
    try:
        return isfinite(float(level))
    except ValueError:
        return False


def _entry(name: str, style: SeriesStyle, *, joined: bool) -> Line2D:
    return Line2D(
        [], [], color=style.colour, marker=style.marker, markersize=3, linestyle=style.line if joined else "none",
        linewidth=0.9, label=plain(name),
    )  # fmt: skip
