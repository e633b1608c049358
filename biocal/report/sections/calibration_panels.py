"""Small calibration panels that show lines and means of groups, never a single person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from biocal.results.plots.save import laid_out
from biocal.results.plots.style import GREY, new_figure, print_style, thin_ticks, with_unit

FloatArray = NDArray[np.float64]

_WIDTH_MM, _HEIGHT_MM = 58.0, 54.0
_LINE_COLOUR = "#0072B2"
#: Panels share their axes when the narrowest spans at least this share of the whole (ours).
_LEAST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class PanelGroups:
    """What one panel shows.

    Attributes
    ----------
    local, reference : ndarray, shape (n_groups,)
        Means of groups of calibration pairs, in the order of the local value; empty when there are too few.
    intercept, slope : float
        The line, at mean covariates.
    residual_sd : float
        In reference units; NaN draws no band.
    curve : ndarray, shape (2, m), or None
        Local values and calibrated means where the calibration is not a straight line.
    """

    local: FloatArray
    reference: FloatArray
    intercept: float
    slope: float
    residual_sd: float
    curve: FloatArray | None = None

    def heights(self, local: FloatArray) -> FloatArray:
        """Calibrated means at some local values."""
        if self.curve is None:
            return np.asarray(self.intercept + self.slope * local)
        return np.asarray(np.interp(local, self.curve[0], self.curve[1]), dtype=np.float64)


Limits = tuple[tuple[float, float], tuple[float, float]]


def panel_limits(panels: Sequence[PanelGroups]) -> Limits | None:
    """Return limits that all panels share, or None when their scales are too unlike."""
    own = [limits for panel in panels if (limits := _own_limits(panel)) is not None]
    if not own:
        return None
    spans = np.array(own)
    low, high = spans[:, :, 0].min(axis=0), spans[:, :, 1].max(axis=0)
    if np.any(spans[:, :, 1] - spans[:, :, 0] < _LEAST_SHARE * (high - low)):
        return None
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def draw_panels(panels: Sequence[PanelGroups], unit: str) -> Iterator[Figure]:
    """Draw the panels one by one, on common axes where their scales allow it; arguments as of `draw_panel`."""
    limits = panel_limits(panels)
    place = None
    for panel in panels:
        figure = draw_panel(panel, limits, unit)
        (axes,) = figure.axes
        if place is not None:
            figure.set_layout_engine("none")
            axes.set_position(place)
        elif limits is not None:
            # the same axes bear the same labels: what the first panel needs for them is what all need
            with laid_out(figure):
                place = axes.get_position()
        yield figure


def draw_panel(panel: PanelGroups, limits: Limits | None, unit: str) -> Figure:
    """Draw the line with a band of one residual SD, the identity line and the means of groups.

    Parameters
    ----------
    panel : PanelGroups
    limits : pair of pairs, or None
        Of the local and the reference axis; None: the panel's own.
    unit : str
        Of the reference laboratory.
    """
    (left, right), (low, high) = limits or _own_limits(panel) or ((0.0, 1.0), (0.0, 1.0))
    with print_style():
        figure = new_figure(_WIDTH_MM, _HEIGHT_MM)
        axes = figure.subplots()
        axes.set_xlim(left, right)
        axes.set_ylim(low, high)
        axes.axline((left, left), slope=1.0, color=GREY, linewidth=0.8, linestyle=(0, (4, 2)))
        ends = _ends(panel, (left, right))
        if panel.curve is not None:
            ends = np.linspace(ends[0], ends[1], 61)
        line = panel.heights(ends)
        sd = panel.residual_sd if np.isfinite(panel.residual_sd) else 0.0
        axes.fill_between(ends, line - sd, line + sd, color=_LINE_COLOUR, alpha=0.15, linewidth=0)
        axes.plot(ends, line, color=_LINE_COLOUR)
        axes.plot(
            panel.local, panel.reference, marker="o", linestyle="none", markersize=4, color=_LINE_COLOUR
        )
        axes.set_xlabel(with_unit("Local", unit))
        axes.set_ylabel(with_unit("Reference", unit))
        axes.locator_params(nbins=5)
        thin_ticks(axes)
    return figure


def _ends(panel: PanelGroups, axis: tuple[float, float]) -> FloatArray:
    """From where to where the line is drawn: its groups and a little more, without telling their extremes."""
    if panel.local.size < 2:
        return np.array(axis)
    margin = 0.15 * float(np.ptp(panel.local))
    return np.array([panel.local[0] - margin, panel.local[-1] + margin])


def _own_limits(panel: PanelGroups) -> Limits | None:
    if panel.local.size < 2:
        return None
    ends = _ends(panel, (0.0, 1.0))
    heights = panel.heights(ends)
    sd = 1.6 * panel.residual_sd if np.isfinite(panel.residual_sd) else 0.0
    values = np.concatenate([heights - sd, heights + sd, panel.reference])
    margin = 0.05 * float(np.ptp(ends))
    return (float(ends[0]) - margin, float(ends[1]) + margin), (float(values.min()), float(values.max()))
