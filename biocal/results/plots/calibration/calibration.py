"""Calibration panels: reference against local values, one small panel a study."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

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
    LineStyle,
    drawn_words,
    new_figure,
    place_legend,
    plain,
    print_style,
    shown_points,
    thin_ticks,
    with_unit,
)

FloatArray = npt.NDArray[np.float64]

_POINT_COLOUR = "#56B4E9"
_LINE_COLOUR = "#0072B2"
#: Panels share their axes when the narrowest of them spans at least this share of the whole (ours).
_LEAST_SHARE_OF_COMMON_AXES = 0.25
_TITLE_LETTERS = 24
_PAGE_MM = 245.0  # an A4 page between its margins
_WITHIN: LineStyle = "-"
_BEYOND: LineStyle = (0, (1, 1))


@dataclass(frozen=True, slots=True)
class CalibrationPanel:
    """What one local study's panel shows.

    Attributes
    ----------
    study : str
        Name of the study.
    local, reference : ndarray, shape (n,)
        The pairs of the calibration subset, in local and reference units.
    intercept, slope : float
        Of the fitted line.  With calibration covariates: the line at the subset's mean covariates.
    r_squared, residual_sd : float
        Of the fit; the residual standard deviation is in reference units.  NaN: not told.
    local_range : tuple of float, optional
        Lowest and highest local value of the whole study; beyond the calibration subset the line is
        dotted, for there it extrapolates (for at most one width of the subset; the panel tells how
        far the study goes when that is farther).
    curve : ndarray, shape (2, m), optional
        Local values, increasing, and calibrated means: drawn instead of the line where the calibration bends.

    Raises
    ------
    OptionError
        No pairs, or arrays of unequal length.
    """

    study: str
    local: FloatArray
    reference: FloatArray
    intercept: float
    slope: float
    r_squared: float
    residual_sd: float
    local_range: tuple[float, float] | None = None
    curve: FloatArray | None = None

    def __post_init__(self) -> None:
        for name in ("local", "reference"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        if self.local.ndim != 1 or self.local.shape != self.reference.shape or self.local.size == 0:
            raise OptionError(
                f"study {self.study!r}: local and reference must hold the same number of values, at least "
                f"one, not {self.local.shape} and {self.reference.shape}",
                study=self.study,
            )

    def subset_range(self) -> tuple[float, float]:
        """Return the lowest and highest local value of the calibration subset."""
        return float(self.local.min()), float(self.local.max())

    def heights(self, local: FloatArray) -> FloatArray:
        """Calibrated means at some local values."""
        if self.curve is None:
            return np.asarray(self.intercept + self.slope * local)
        return np.asarray(np.interp(local, self.curve[0], self.curve[1]), dtype=np.float64)

    def drawn(self) -> npt.NDArray[np.intp]:
        """Positions of the pairs that are drawn: of a large subset not all."""
        return shown_points(self.local, self.reference - self.heights(self.local))

    def span(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the ranges (local, reference) to show: the pairs, and the line as far as it is drawn.

        The line stops where the study's local values do, and at most one width of the subset beyond
        it: a single wild value must not press the pairs into a corner.
        """
        low, high = self.subset_range()
        if self.local_range is not None:
            width = high - low
            low, high = (
                min(low, max(self.local_range[0], low - width)),
                max(high, min(self.local_range[1], high + width)),
            )
        ends = self.heights(np.array([low, high])).tolist()
        return (low, high), (min(float(self.reference.min()), *ends), max(float(self.reference.max()), *ends))


def draw_calibration_panels(
    panels: Sequence[CalibrationPanel],
    *,
    local_unit: str = "",
    reference_unit: str = "",
    adjusted: bool = False,
    width_mm: float | None = None,
) -> Figure:
    """Draw reference against local values study by study, with the fitted and the identity line.

    Parameters
    ----------
    panels : sequence of CalibrationPanel
        In the order to show.
    local_unit, reference_unit : str
        For the axis labels.  When both are given and differ, the identity line means nothing and is
        left out.
    adjusted : bool, default False
        The calibrations hold covariates, and the lines are those at mean covariates; said in the legend.
    width_mm : float, optional
        Default: 89 for one panel, 120 for two, else 180.

    Returns
    -------
    matplotlib.figure.Figure
        Its axes are those of the panels, in order.  They share their limits unless one study's values
        span less than a quarter of the whole.

    Raises
    ------
    OptionError
        No panel.
    """
    if not panels:
        raise OptionError("there is no calibration to draw: no local study was given", option="panels")
    n_columns = _columns(len(panels))
    n_rows = -(-len(panels) // n_columns)
    width = width_mm or {1: ONE_COLUMN_MM, 2: MIDDLE_MM}.get(n_columns, TWO_COLUMNS_MM)
    common = _common_limits(panels)
    same_unit = not (local_unit and reference_unit and local_unit != reference_unit)
    with print_style():
        panel_mm = (width - 8) / n_columns
        title_lines = max(len(textwrap.wrap(panel.study, _TITLE_LETTERS)) for panel in panels)
        row_mm = panel_mm + 3.2 * title_lines + (6 if common is None else 2)
        figure = new_figure(width, min(n_rows * row_mm + 16, _PAGE_MM))
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
        for spare in grid.flat[len(panels) :]:
            spare.remove()
        for position, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
            _draw_panel(axes, panel, limits=common or _own_limits(panel), identity=same_unit)
            if common is not None:
                axes.tick_params(
                    labelleft=position % n_columns == 0, labelbottom=position + n_columns >= len(panels)
                )
            axes.locator_params(nbins=4 if n_columns > 2 else 6)
            thin_ticks(axes)
        figure.supxlabel(with_unit("Local laboratory", local_unit), fontsize=8.0)
        figure.supylabel(with_unit("Reference laboratory", reference_unit), fontsize=8.0)
        entries = _legend_entries(panels, identity=same_unit, adjusted=adjusted)
        place_legend(figure, entries, available=0.98 * figure.bbox.width)
    return figure


def _columns(n_panels: int) -> int:
    """Return how many panels stand in a row: near a square, five at most to stay legible at 180 mm."""
    if n_panels <= 3:
        return n_panels
    return next(columns for columns in (2, 3, 4, 5) if columns == 5 or n_panels <= columns * columns)


def _common_limits(
    panels: Sequence[CalibrationPanel],
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return limits for all panels, or None when the scales are too unlike to share axes."""
    spans = np.array([panel.span() for panel in panels])  # (n_panels, local/reference, low/high)
    common = np.stack([spans[:, :, 0].min(axis=0), spans[:, :, 1].max(axis=0)], axis=1)
    widths = spans[:, :, 1] - spans[:, :, 0]
    if np.any(widths < _LEAST_SHARE_OF_COMMON_AXES * (common[:, 1] - common[:, 0])):
        return None
    return _with_margin(tuple(common[0])), _with_margin(tuple(common[1]))


def _own_limits(panel: CalibrationPanel) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the limits of one panel."""
    local, reference = panel.span()
    return _with_margin(local), _with_margin(reference)


def _with_margin(limits: tuple[float, ...]) -> tuple[float, float]:
    """Widen limits by a little, and by something when they are equal."""
    low, high = float(limits[0]), float(limits[1])
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _draw_panel(
    axes: Axes,
    panel: CalibrationPanel,
    *,
    limits: tuple[tuple[float, float], tuple[float, float]],
    identity: bool,
) -> None:
    """Draw the pairs and the lines of one study."""
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    if identity:
        axes.axline((limits[0][0], limits[0][0]), slope=1.0, color=GREY, linewidth=0.7, linestyle=(0, (4, 2)))
    crowd, shown = panel.local.size, panel.drawn()
    axes.plot(
        panel.local[shown], panel.reference[shown], marker="o", linestyle="none",
        markersize=2.6 if crowd <= 200 else 1.6,
        markerfacecolor=_POINT_COLOUR, markeredgecolor="none", alpha=0.85 if crowd <= 200 else 0.5, zorder=2,
    )  # fmt: skip
    whole, _ = panel.span()
    for ends, line, width in ((whole, _BEYOND, 1.0), (panel.subset_range(), _WITHIN, 1.4)):
        local = np.linspace(*ends, 2 if panel.curve is None else 101)
        axes.plot(local, panel.heights(local), color=_LINE_COLOUR, linestyle=line, linewidth=width, zorder=3)
    axes.set_title("\n".join(textwrap.wrap(plain(panel.study), _TITLE_LETTERS)), pad=13.0)
    axes.annotate(
        _facts(panel), (0.5, 1.0), xycoords="axes fraction", xytext=(0, 2.5), textcoords="offset points",
        ha="center", va="bottom", fontsize=6.5,
    )  # fmt: skip
    axes.text(0.98, 0.03, _not_shown(panel), transform=axes.transAxes, ha="right", va="bottom", fontsize=6.5)


def _facts(panel: CalibrationPanel) -> str:
    """Return the count and the quality of the fit, for the line above a panel."""
    facts = f"n = {panel.local.size}{drawn_words(panel.local.size, panel.drawn().size)}"
    if np.isfinite(panel.r_squared):
        facts += f", R² {panel.r_squared:.2f}"
    if np.isfinite(panel.residual_sd):
        facts += f", SD {panel.residual_sd:.3g}"
    return facts


def _not_shown(panel: CalibrationPanel) -> str:
    """Return how far the study's local values go where the panel does not follow them."""
    if panel.local_range is None:
        return ""
    (lowest, highest), (low, high) = panel.local_range, panel.span()[0]
    ends = [f"from {lowest:.4g}"] if lowest < low else []
    ends += [f"to {highest:.4g}"] if highest > high else []
    return "local " + " ".join(ends) if ends else ""


def _legend_entries(panels: Sequence[CalibrationPanel], *, identity: bool, adjusted: bool) -> list[Artist]:
    """Return the entries that occur in some panel."""
    line = "fitted line at mean covariates" if adjusted else "fitted line"
    entries: list[Artist] = [
        Line2D([], [], marker="o", linestyle="none", markersize=3.5, markerfacecolor=_POINT_COLOUR,
               markeredgecolor="none", label="calibration pair"),
        Line2D([], [], color=_LINE_COLOUR, label=line),
    ]  # fmt: skip
    if any(panel.span()[0] != panel.subset_range() for panel in panels):
        entries.append(Line2D([], [], color=_LINE_COLOUR, linestyle=_BEYOND, label="beyond the subset"))
    if identity:
        entries.append(Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (4, 2)), label="identity"))
    return entries
