"""Forest plots of several contrasts side by side: subgroups, or what is left without each study."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from matplotlib.transforms import blended_transform_factory

from biocal.errors import OptionError
from biocal.results.plots.odds_ratio_axis import (
    odds_ratio,
    odds_ratio_limits,
    odds_ratio_ticks,
    use_odds_ratio_ticks,
)
from biocal.results.plots.style import (
    GREY,
    LIGHT_GREY,
    TWO_COLUMNS_MM,
    new_figure,
    plain,
    print_style,
    thin_ticks,
    wrapped,
)

_COLOUR, _WHOLE_COLOUR = "#0072B2", "#D55E00"
_ROW_MM, _LINE_MM = 5.0, 3.2
#: Panels beside which odds ratios are printed too; with more there is no room.
_WITH_NUMBERS = 2
_LABEL_LETTERS = 34
#: Share of a narrow panel between two ticks (ours, by eye).
_LEAST_GAP = 0.15
_GAP = 7.0  # points between columns of text


@dataclass(frozen=True, slots=True)
class PanelRow:
    """One line of the plot.

    Attributes
    ----------
    label : str
    counts : tuple of str
        Cells of the columns between the name and the plot.
    estimates : tuple of (float, float, float)
        Log odds ratio and its interval in each panel; empty for a heading or a line that only has a note.
    note : str
        Printed in the place of missing estimates.
    kind : {"part", "whole", "heading"}
    """

    label: str
    counts: tuple[str, ...] = ()
    estimates: tuple[tuple[float, float, float], ...] = ()
    note: str = ""
    kind: str = "part"


def draw_forest_panels(
    rows: Sequence[PanelRow],
    panels: Sequence[str],
    *,
    columns: Sequence[str] = ("Sets", "Cases"),
    first_column: str = "",
    foot: str = "",
    outcome_name: str = "",
    level: float = 0.95,
    width_mm: float = TWO_COLUMNS_MM,
) -> Figure:
    """Draw log odds ratios of several contrasts, a panel each, on a common odds ratio axis.

    Parameters
    ----------
    rows : sequence of PanelRow
        From top to bottom; rows of kind "whole" are drawn as a diamond with a line and band through the panel.
    panels : sequence of str
        What each panel compares, such as ``75 against 50 nmol/L``.
    columns : sequence of str
        Heads of the counts.
    first_column : str
        Head of the names.
    foot : str
        Printed beneath.
    outcome_name : str
        For the axis label.
    level : float, default 0.95
        Confidence level of the intervals.
    width_mm : float, default 180

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OptionError
        Nothing to draw.
    """
    if not panels or not any(row.estimates for row in rows):
        raise OptionError("there is no estimate to draw", option="rows")
    heights = np.array([_height(row) for row in rows])
    places = np.concatenate([[0.0], 1.0 + np.cumsum(heights) - heights / 2 - 0.5])
    total = 1.0 + float(heights.sum())
    with print_style():
        figure = new_figure(width_mm, _ROW_MM * total + 20)
        axes = np.atleast_1d(np.asarray(figure.subplots(1, len(panels), sharey=True), dtype=object)).tolist()
        limits = _limits(rows)
        for k, (one, title) in enumerate(zip(axes, panels, strict=True)):
            one.set_xscale("log")
            one.set_xlim(*limits)
            one.set_ylim(total - 0.4, -0.6)
            _draw_panel(one, rows, places[1:], k)
            _finish(one, title, outcome_name, len(panels))
        _write_names(axes[0], rows, places, columns, first_column)
        if foot:
            figure.supxlabel(foot, fontsize=7.5, x=0.01, ha="left")
        if len(panels) <= _WITH_NUMBERS:
            for k, one in enumerate(axes):
                _write_numbers(one, rows, places, k, level)
    return figure


def _height(row: PanelRow) -> float:
    lines = len(textwrap.wrap(row.label, _letters(row))) or 1
    return 1.0 + (lines - 1) * _LINE_MM / _ROW_MM


def _letters(row: PanelRow) -> int:
    return 2 * _LABEL_LETTERS if row.kind == "heading" else _LABEL_LETTERS


def _limits(rows: Sequence[PanelRow]) -> tuple[float, float]:
    values = np.array([part for row in rows for part in row.estimates])
    lower, upper, _ = odds_ratio_limits(values[:, 0], values[:, 1], values[:, 2])
    return lower, upper


def _draw_panel(axes: Axes, rows: Sequence[PanelRow], places: np.ndarray, k: int) -> None:
    left, right = axes.get_xlim()
    bottom, _ = axes.get_ylim()
    axes.plot([1.0, 1.0], [bottom, 0.4], color="black", linewidth=0.6, zorder=1)
    for row, place in zip(rows, places, strict=True):
        if not row.estimates and row.kind != "heading":
            axes.text(left, float(place), " not fitted", color=GREY, va="center", ha="left")
        if not row.estimates or not np.isfinite(row.estimates[k][0]):
            continue
        middle, low, high = (float(odds_ratio(value)) for value in row.estimates[k])
        whole = row.kind == "whole"
        colour = _WHOLE_COLOUR if whole else _COLOUR
        if whole:
            axes.axvspan(
                max(low, left), min(high, right), color=LIGHT_GREY, alpha=0.35, linewidth=0, zorder=0
            )
            axes.plot(
                [middle] * 2, [bottom, 0.4], color=colour, linewidth=0.7, linestyle=(0, (3, 2)), zorder=1
            )
        if np.isfinite(low) and np.isfinite(high):
            shown = [max(low, left), min(high, right)]
            axes.plot(shown, [place] * 2, color=colour, linewidth=1.0, solid_capstyle="butt", zorder=2)
            for end, edge, marker in ((low, left, "<"), (high, right, ">")):
                if (end < edge) if marker == "<" else (end > edge):
                    axes.plot(
                        [edge], [place], marker=marker, markersize=4, color=colour, clip_on=False, zorder=3
                    )
        mark, size = ("D", 5.0) if whole else ("s", 4.0)
        axes.plot([middle], [place], marker=mark, markersize=size, color=colour, linestyle="none", zorder=4)


def _finish(axes: Axes, title: str, outcome_name: str, n_panels: int) -> None:
    use_odds_ratio_ticks(axes.xaxis)
    axes.xaxis.set_major_locator(FixedLocator(_sparse_ticks(*axes.get_xlim())))
    axes.tick_params(left=False, labelleft=False)
    axes.spines["left"].set_visible(False)
    room = 120.0 / n_panels
    axes.set_title(wrapped(plain(title), room), fontsize=8)
    label = f"Odds ratio of {outcome_name}" if outcome_name else "Odds ratio"
    axes.set_xlabel(wrapped(plain(label), room))
    thin_ticks(axes)


def _sparse_ticks(low: float, high: float) -> list[float]:
    """Ticks far enough apart for a narrow panel: 1, and others outward from it."""
    ticks = odds_ratio_ticks(low, high)
    kept: list[float] = []
    for tick in sorted(ticks, key=lambda t: abs(np.log(t))):
        gaps = [abs(np.log(tick / other)) for other in kept]
        if min(gaps, default=np.inf) >= _LEAST_GAP * np.log(high / low):
            kept.append(tick)
    return sorted(kept)


def _write_names(
    axes: Axes, rows: Sequence[PanelRow], places: np.ndarray, columns: Sequence[str], first_column: str
) -> None:
    """Names and counts to the left of the first panel, the counts nearest to it."""
    edge = -_GAP
    for j in reversed(range(len(columns))):
        cells = [columns[j], *(row.counts[j] if j < len(row.counts) else "" for row in rows)]
        _write(axes, cells, rows, places, edge, "right")
        edge -= _width(axes, cells) + (_GAP if j else 1.5 * _GAP)
    names = [first_column]
    for row in rows:
        indent = "" if row.kind != "part" else "  "
        names.append("\n".join(indent + line for line in textwrap.wrap(plain(row.label), _letters(row))))
    # a heading may reach over the columns of counts, which its line leaves empty
    widest = _width(axes, [n for n, row in zip(names[1:], rows, strict=True) if row.kind != "heading"])
    _write(axes, names, rows, places, edge - max(widest, _width(axes, names[:1])), "left")


def _write_numbers(axes: Axes, rows: Sequence[PanelRow], places: np.ndarray, k: int, level: float) -> None:
    cells = [f"OR ({100 * level:g}% CI)"]
    for row in rows:
        if not row.estimates:
            cells.append(textwrap.shorten(plain(row.note), 40, placeholder=" ...") if k == 0 else "")
            continue
        middle, low, high = (float(odds_ratio(value)) for value in row.estimates[k])
        interval = f" ({low:.2f} to {high:.2f})" if np.isfinite(low) else ""
        cells.append(f"{middle:.2f}{interval}" if np.isfinite(middle) else "")
    _write(axes, cells, rows, places, _GAP + _width(axes, cells), "right", edge=1.0)


def _width(axes: Axes, cells: Sequence[str]) -> float:
    """Width of the widest cell in points, set in bold."""
    widest = 0.0
    for text in dict.fromkeys(cells):
        trial = axes.text(1, 0, text, weight="bold")
        extent = trial.get_window_extent()
        widest = max(widest, extent.width * 72.0 / axes.get_figure().dpi)  # type: ignore[union-attr]
        trial.remove()
    return widest


def _write(
    axes: Axes,
    cells: Sequence[str],
    rows: Sequence[PanelRow],
    places: np.ndarray,
    points: float,
    align: str,
    *,
    edge: float = 0.0,
) -> None:
    """A column of text at so many points from an edge of the axes, its head bold."""
    transform = blended_transform_factory(axes.transAxes, axes.transData)
    kinds = ["head", *(row.kind for row in rows)]
    for text, place, kind in zip(cells, places, kinds, strict=True):
        if text:
            axes.annotate(
                text, (edge, float(place)), xycoords=transform, xytext=(points, 0), textcoords="offset points",
                ha=align, va="center", linespacing=1.05, annotation_clip=False,
                weight="normal" if kind == "part" else "bold",
                color=GREY if kind == "part" and text.endswith(" ...") else "black",
            )  # fmt: skip
