"""Fitted seasons study by study, with monthly means as points."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.kernels.splines import DAYS_PER_YEAR, harmonic_columns, mid_month_day, swing
from biocal.results.plots.style import (
    GREY,
    MIDDLE_MM,
    ONE_COLUMN_MM,
    TWO_COLUMNS_MM,
    new_figure,
    place_legend,
    plain,
    print_style,
    thin_ticks,
    with_unit,
)

FloatArray = NDArray[np.float64]

_CURVE_COLOUR, _POINT_COLOUR = "#0072B2", "#5f5f5f"
_MEAN_LINE, _REFERENCE_LINE = (0, (4, 2)), (0, (1.2, 1.2))
_TITLE_LETTERS = 24
_PAGE_MM = 240.0
#: Areas of points: a month with this many controls has the largest one (sqrt scale; ours).
_FULL_SIZE, _MANY = 16.0, 50
_DAYS = np.linspace(0.0, DAYS_PER_YEAR, 241)


@dataclass(frozen=True, slots=True)
class SeasonPanel:
    """One study's season.

    Attributes
    ----------
    study : str
    mean : float
        Annual mean.
    coefficients : ndarray, shape (h,)
        Harmonics, as :func:`biocal.kernels.splines.harmonic_columns` orders them.
    day, level, count : ndarray, shape (k,)
        Months: mean day of the year, mean level, persons.
    """

    study: str
    mean: float
    coefficients: FloatArray
    day: FloatArray
    level: FloatArray
    count: NDArray[np.intp]

    def curve(self, days: FloatArray) -> FloatArray:
        """The fitted season at days of the year."""
        return np.asarray(self.mean + self.coefficients @ harmonic_columns(days, self.coefficients.size // 2))


def draw_season_panels(
    panels: Sequence[SeasonPanel],
    *,
    reference_day: float | None = None,
    exposure_name: str = "exposure",
    unit: str = "",
    width_mm: float | None = None,
) -> Figure:
    """Draw the fitted seasons, a panel a study, on common axes.

    Parameters
    ----------
    panels : sequence of SeasonPanel
        In the order to show.
    reference_day : float, optional
        Day of the year that the exposure is standardised to; None: the annual mean.
    exposure_name, unit : str
        For the axis.
    width_mm : float, optional
        Default: 89 for one panel, 120 for two, else 180.

    Returns
    -------
    matplotlib.figure.Figure
        Its axes are those of the panels, in order.

    Raises
    ------
    OptionError
        No panel.
    """
    if not panels:
        raise OptionError("there is no season to draw: no study was given", option="panels")
    n_columns = len(panels) if len(panels) <= 3 else min(5, int(np.ceil(np.sqrt(len(panels)))))
    n_rows = -(-len(panels) // n_columns)
    width = width_mm or {1: ONE_COLUMN_MM, 2: MIDDLE_MM}.get(n_columns, TWO_COLUMNS_MM)
    limits = _common_limits(panels)
    with print_style():
        title_lines = max(len(textwrap.wrap(panel.study, _TITLE_LETTERS)) for panel in panels)
        row_mm = max(30.0, 0.72 * (width - 8) / n_columns) + 3.2 * title_lines + 4
        figure = new_figure(width, min(n_rows * row_mm + 18, _PAGE_MM))
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
        for spare in grid.flat[len(panels) :]:
            spare.remove()
        for position, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
            # set here, for axes that share limits look at all others whenever one of them is touched
            axes.set_xlim(0.0, DAYS_PER_YEAR)
            axes.set_ylim(*limits)
            _draw_panel(axes, panel, reference_day)
            lowest = position + n_columns >= len(panels)
            axes.tick_params(labelleft=position % n_columns == 0, labelbottom=lowest)
            thin_ticks(axes)
        figure.supxlabel("Month of blood draw", fontsize=8.0)
        figure.supylabel(with_unit(exposure_name, unit), fontsize=8.0)
        place_legend(figure, _legend_entries(reference_day), available=0.98 * figure.bbox.width)
    return figure


def _common_limits(panels: Sequence[SeasonPanel]) -> tuple[float, float]:
    """Limits of the levels that all panels show."""
    levels = [values for panel in panels for values in ([panel.mean], panel.level, panel.curve(_DAYS))]
    low, high = float(np.min(np.concatenate(levels))), float(np.max(np.concatenate(levels)))
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _draw_panel(axes: Axes, panel: SeasonPanel, reference_day: float | None) -> None:
    """The curve, the level that persons are moved to, and the monthly means."""
    axes.axhline(panel.mean, color=GREY, linewidth=0.8, linestyle=_MEAN_LINE, zorder=1)
    if reference_day is not None:
        axes.axvline(reference_day, color=GREY, linewidth=0.9, linestyle=_REFERENCE_LINE, zorder=1)
    axes.plot(_DAYS, panel.curve(_DAYS), color=_CURVE_COLOUR, linewidth=1.4, zorder=3)
    sizes = _FULL_SIZE * np.sqrt(np.minimum(panel.count / _MANY, 1.0))
    axes.scatter(
        panel.day, panel.level, s=np.maximum(sizes, 2.0), color=_POINT_COLOUR, linewidths=0, zorder=2
    )
    half, _ = swing(panel.coefficients)
    axes.set_title(
        "\n".join(textwrap.wrap(plain(panel.study), _TITLE_LETTERS)) + f"\nhalf-swing {half:.3g}", pad=3.0
    )
    axes.set_xticks(mid_month_day(np.array([1, 4, 7, 10])), ["Jan", "Apr", "Jul", "Oct"])


def _legend_entries(reference_day: float | None) -> list[Artist]:
    entries: list[Artist] = [
        Line2D([], [], color=_CURVE_COLOUR, label="fitted season"),
        Line2D(
            [], [], marker="o", linestyle="none", markersize=4.0, color=_POINT_COLOUR, markeredgewidth=0,
            label="mean of a month's controls",
        ),
        Line2D([], [], color=GREY, linewidth=0.8, linestyle=_MEAN_LINE, label="annual mean"),
    ]  # fmt: skip
    if reference_day is not None:
        entries.append(
            Line2D([], [], color=GREY, linewidth=0.9, linestyle=_REFERENCE_LINE, label="reference date")
        )
    return entries
