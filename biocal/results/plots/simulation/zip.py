"""Zip plots: every confidence interval of a simulation study, the worst on top (Morris et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from biocal.results.plots.simulation.grid import (
    MONTE_CARLO_LEVEL,
    finish_grid,
    panel_grid,
    require_panels,
    title_legend,
)
from biocal.results.plots.style import GREY, place_legend, plain, print_style

__all__ = ["ZipPanel", "draw_zip"]

FloatArray = npt.NDArray[np.float64]

_COVERS, _MISSES = "#9DC3E0", "#D55E00"
#: Intervals reach at most so many typical (median) widths from the truth; then they are cut (ours).
_MOST_WIDTHS = 3.0
#: Intervals drawn in a panel: three a printed dot row at 200 dots per inch, so that none is missed (ours).
MOST_INTERVALS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class ZipPanel:
    """Confidence intervals of one method for one quantity.

    Attributes
    ----------
    row, column : str
        Headings; panels of one heading stand in one row or column.
    estimate, low, high : ndarray, shape (n,)
        Of the replicates that did not fail.
    truth : float
    """

    row: str
    column: str
    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    truth: float


def draw_zip(
    panels: Sequence[ZipPanel], *, level: float = 0.95, value_name: str = "log odds ratio", title: str = ""
) -> Figure:
    """Draw all intervals, ranked by the distance of the estimate from the truth in half-widths.

    Those that miss the truth stand out; with a good method they are the top 5 percent.  Heading each
    panel: its coverage with the 95 percent Monte Carlo interval, also drawn as lines across.  Of more
    than 1,000 intervals every second, third, ... in rank is drawn, and the axis says so; coverage is of
    all of them.

    Parameters
    ----------
    panels : sequence of ZipPanel
    level : float, default .95
        Level of the intervals, where the change of colour should be.
    value_name : str
        For the axis.
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
    with print_style():
        figure, axes = panel_grid(rows, columns, row_mm=42.0, above_mm=14.0 + (5.0 if title else 0.0))
        for panel in panels:
            _draw_panel(axes[rows.index(panel.row), columns.index(panel.column)], panel, level)
        for row, name in enumerate(rows):
            _share_width(axes[row], [panel for panel in panels if panel.row == name])
        finish_grid(axes, share_x=False)
        stride = max(_stride(panel) for panel in panels)
        note = f" (1 in {stride} drawn)" if stride > 1 else ""
        figure.supxlabel(
            plain(f"{100 * level:g}% confidence interval of the {value_name}{note}"), fontsize=8.0
        )
        figure.supylabel("Centile of the distance from the truth", fontsize=8.0)
        legend = place_legend(figure, _legend(level), available=0.98 * figure.bbox.width)
        title_legend(legend, title)
    return figure


def _draw_panel(axes: Axes, panel: ZipPanel, level: float) -> None:
    """One zip, with the truth, the nominal level and the coverage."""
    half = (panel.high - panel.low) / 2.0
    distance = np.abs(panel.estimate - panel.truth) / np.where(half > 0, half, np.nan)
    order = np.argsort(distance, kind="stable")
    n = order.size
    misses = (panel.low > panel.truth) | (panel.high < panel.truth)
    drawn = order[:: _stride(panel)]
    centile = 100.0 * (np.arange(n)[:: _stride(panel)] + 0.5) / max(n, 1)
    segments = np.empty((drawn.size, 2, 2))
    segments[:, :, 1] = centile[:, None]
    segments[:, 0, 0], segments[:, 1, 0] = panel.low[drawn], panel.high[drawn]
    colours = np.where(misses[drawn], _MISSES, _COVERS).tolist()
    # Rasterised: thousands of intervals in a vector file would be slow to open.
    axes.add_collection(
        LineCollection(list(segments), colors=colours, linewidths=0.5, rasterized=True), autolim=False
    )
    axes.axvline(panel.truth, color="black", linewidth=0.7, zorder=3)
    axes.axhline(100.0 * level, color=GREY, linewidth=0.7, zorder=3)
    axes.set_ylim(0.0, 100.0)
    axes.set_yticks([0.0, 25.0, 50.0, 75.0, 100.0 * level])
    if n:
        coverage = 1.0 - misses.mean()
        reach = MONTE_CARLO_LEVEL * np.sqrt(coverage * (1.0 - coverage) / n)
        for edge in (coverage - reach, coverage + reach):
            axes.axhline(100.0 * edge, color="black", linewidth=0.6, linestyle=(0, (3, 2)), zorder=3)
        note = (
            f"{100 * coverage:.1f}% ({100 * (coverage - reach):.1f}–{min(100 * (coverage + reach), 100):.1f})"
        )
    else:
        note = "every replicate failed"
    axes.text(
        0.02, 0.03, note, transform=axes.transAxes, fontsize=6.5, zorder=4,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
    )  # fmt: skip


def _stride(panel: ZipPanel) -> int:
    """One interval in so many is drawn."""
    return -(-panel.estimate.size // MOST_INTERVALS) or 1


def _share_width(axes: Sequence[Axes], panels: Sequence[ZipPanel]) -> None:
    """One x axis for a row; a few enormous intervals are cut, not the scale."""
    widths = np.concatenate([panel.high - panel.low for panel in panels])
    widths = widths[np.isfinite(widths)]
    if widths.size == 0:
        return
    truth = np.array([panel.truth for panel in panels])
    reach = _MOST_WIDTHS * float(np.median(widths)) or 1.0
    lowest = min(float(np.min(panel.low, initial=panel.truth)) for panel in panels)
    highest = max(float(np.max(panel.high, initial=panel.truth)) for panel in panels)
    low, high = max(lowest, float(truth.min()) - reach), min(highest, float(truth.max()) + reach)
    margin = 0.03 * (high - low)
    for each in axes:
        each.set_xlim(low - margin, high + margin)


def _legend(level: float) -> list[Artist]:
    return [
        Line2D([], [], color=_COVERS, linewidth=2.0, label="holds the truth"),
        Line2D([], [], color=_MISSES, linewidth=2.0, label="misses it"),
        Line2D([], [], color="black", linewidth=0.7, label="truth"),
        Line2D([], [], color=GREY, linewidth=0.7, label=f"nominal {100 * level:g}%"),
        Line2D(
            [], [], color="black", linewidth=0.6, linestyle=(0, (3, 2)), label="coverage, Monte Carlo 95%"
        ),
    ]
