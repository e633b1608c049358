"""Estimated dose-response curves of many replicates over the true one."""

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

from biocal.results.plots.odds_ratio_axis import odds_ratio, odds_ratio_limits, use_odds_ratio_ticks
from biocal.results.plots.simulation.grid import finish_grid, panel_grid, require_panels, title_legend
from biocal.results.plots.style import GREY, LIGHT_GREY, place_legend, plain, print_style, series_styles

__all__ = ["ReplicateCurvesPanel", "draw_replicate_curves"]

FloatArray = npt.NDArray[np.float64]

#: Single replicates drawn; more would be a grey block (ours, by eye).
MOST_SINGLE_CURVES = 100
_CENTRAL = (2.5, 97.5)
_TRUTH: tuple[int, tuple[float, ...]] = (0, (4, 1.5))


@dataclass(frozen=True, slots=True, eq=False)
class ReplicateCurvesPanel:
    """Curves of one method.

    Attributes
    ----------
    row, column : str
        Headings; the column is the method, which keeps its colour.
    exposure : ndarray, shape (m,)
        Ascending.
    single : ndarray, shape (s, m)
        Log odds ratios of some replicates that did not fail; none: "every replicate failed".
    mean, low, high : ndarray, shape (m,)
        Mean of all of them, and where their central 95 percent end.
    truth_exposure, truth_log_or : ndarray, shape (t,)
        The true curve, where it is known.
    reference : float or None
        Reference exposure, marked.
    """

    row: str
    column: str
    exposure: FloatArray
    single: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    truth_exposure: FloatArray
    truth_log_or: FloatArray
    reference: float | None = None

    @classmethod
    def of_replicates(
        cls,
        headings: tuple[str, str],
        exposure: FloatArray,
        log_or: FloatArray,
        truth: tuple[FloatArray, FloatArray],
        reference: float | None = None,
    ) -> ReplicateCurvesPanel:
        """Summarise all replicates, log_or (n, m), so that they need not be kept."""
        row, column = headings
        if len(log_or):
            mean, (low, high) = log_or.mean(axis=0), np.percentile(log_or, _CENTRAL, axis=0)
        else:
            mean = low = high = np.full(exposure.shape, np.nan)
        single = log_or[:MOST_SINGLE_CURVES].copy()  # a view would keep all of them
        return cls(row, column, exposure, single, mean, low, high, *truth, reference)


def draw_replicate_curves(
    panels: Sequence[ReplicateCurvesPanel], *, exposure_name: str = "exposure", title: str = ""
) -> Figure:
    """Draw single replicates, their mean and central 95 percent, and the truth.

    Parameters
    ----------
    panels : sequence of ReplicateCurvesPanel
        All panels share their axes.
    exposure_name : str
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
    colours = dict(zip(columns, (style.colour for style in series_styles(columns)), strict=True))
    low, high, _ = odds_ratio_limits(*_shown(panels))
    with print_style():
        figure, axes = panel_grid(rows, columns, row_mm=42.0, above_mm=16.0 + (5.0 if title else 0.0))
        for panel in panels:
            each = axes[rows.index(panel.row), columns.index(panel.column)]
            _draw_panel(each, panel, colours[panel.column], (low, high))
        finish_grid(axes)
        figure.supxlabel(plain(exposure_name), fontsize=8.0)
        figure.supylabel("Odds ratio", fontsize=8.0)
        legend = place_legend(figure, _legend(), available=0.98 * figure.bbox.width)
        title_legend(legend, title)
    return figure


def _shown(panels: Sequence[ReplicateCurvesPanel]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What the axis must hold: truths and means, and the central 95 percent about them."""
    middle = np.concatenate([part for panel in panels for part in (panel.truth_log_or, panel.mean)])
    low = np.concatenate([panel.low for panel in panels])
    return middle, low, np.concatenate([panel.high for panel in panels])


def _draw_panel(axes: Axes, panel: ReplicateCurvesPanel, colour: str, limits: tuple[float, float]) -> None:
    axes.set_yscale("log")
    axes.axhline(1.0, color=GREY, linewidth=0.5, zorder=1)
    if len(panel.single):
        segments = [np.column_stack([panel.exposure, curve]) for curve in odds_ratio(panel.single)]
        axes.add_collection(
            LineCollection(segments, colors=LIGHT_GREY, linewidths=0.3, rasterized=True, zorder=1),
            autolim=False,
        )
        for edge in (panel.low, panel.high):
            axes.plot(
                panel.exposure, odds_ratio(edge), color=colour, linewidth=0.7, linestyle=(0, (1, 1)), zorder=3
            )
        axes.plot(
            panel.exposure,
            odds_ratio(panel.mean),
            color=colour,
            linewidth=1.2,
            marker="o",
            markersize=2.0,
            zorder=3,
        )
    else:
        axes.text(0.5, 0.5, "every replicate failed", transform=axes.transAxes, ha="center", fontsize=6.5)
    axes.plot(
        panel.truth_exposure,
        odds_ratio(panel.truth_log_or),
        color="black",
        linewidth=1.0,
        linestyle=_TRUTH,
        zorder=4,
    )
    if panel.reference is not None:
        axes.plot(
            [panel.reference], [1.0], marker="o", markersize=3.5, color="black", linestyle="none", zorder=5
        )
    margin = 0.02 * float(panel.exposure[-1] - panel.exposure[0])
    axes.set_xlim(float(panel.exposure[0]) - margin, float(panel.exposure[-1]) + margin)
    axes.set_ylim(*limits)
    use_odds_ratio_ticks(axes.yaxis)


def _legend() -> list[Artist]:
    return [
        Line2D([], [], color="black", linewidth=1.0, linestyle=_TRUTH, label="truth"),
        Line2D([], [], color=GREY, linewidth=1.2, marker="o", markersize=2.0, label="mean of the estimates"),
        Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (1, 1)), label="95% of the estimates"),
        Line2D(
            [], [], color=LIGHT_GREY, linewidth=0.8, label=f"single replicates (up to {MOST_SINGLE_CURVES})"
        ),
    ]
