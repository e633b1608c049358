"""Dose-response figures: odds ratios on a log axis, bands, and where the controls are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biocal.results.plots.curves import (
    Curve,
    DoseResponsePanel,
    common_limits,
    draw_panel,
    legend_entries,
)
from biocal.results.plots.style import (
    MIDDLE_MM,
    TWO_COLUMNS_MM,
    new_figure,
    place_legend,
    plain,
    print_style,
    thin_ticks,
    with_unit,
    wrapped,
)

FloatArray = npt.NDArray[np.float64]

__all__ = ["Curve", "DoseResponsePanel", "draw_dose_response", "draw_dose_response_panels"]


def draw_dose_response(
    curves: Sequence[Curve],
    *,
    reference: float,
    control_exposure: FloatArray | None = None,
    control_weights: FloatArray | None = None,
    exposure_name: str = "exposure",
    unit: str = "",
    outcome_name: str = "",
    level: float = 0.95,
    knots: Sequence[float] | None = None,
    ax: Axes | None = None,
    width_mm: float = MIDDLE_MM,
) -> Axes:
    """Draw dose-response curves over one another, and the distribution of the controls beneath.

    Parameters
    ----------
    curves : sequence of Curve
        One or several; they should share ``reference``.
    reference : float
        Reference exposure, where the odds ratio is 1; in exposure units.
    control_exposure, control_weights : ndarray, shape (n_controls,), optional
        Exposure of the controls and weights for the histogram; without them there is no lower panel.
    exposure_name, unit, outcome_name : str
        For the axis labels.
    level : float, default 0.95
        Confidence level of the bands, told in the label.
    knots : sequence of float, optional
        Spline knots, marked by small triangles at the foot of the curves.
    ax : matplotlib.axes.Axes, optional
        Draw here, in the caller's style; its lower part goes to the controls.  Default: a new figure.
    width_mm : float, default 120
        Width of the new figure; 89 to 180 print well.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the curves.  The histogram's axes have the label ``distribution of controls``.

    Raises
    ------
    OptionError
        No curve, or a weight for only some controls.
    """
    panel = DoseResponsePanel("", curves, control_exposure, control_weights)
    limits = common_limits([panel])
    entries = legend_entries([panel], knots, limits.axis(reference))
    exposure_label = with_unit(exposure_name, unit)
    odds_ratio_label = _odds_ratio_label(outcome_name, reference, unit, level, cut=limits.cut)
    if ax is not None:
        lowest = draw_panel(ax, panel, reference=reference, knots=knots, limits=limits)
        ax.set_ylabel(odds_ratio_label)
        lowest.set_xlabel(exposure_label)
        place_legend(ax, entries, available=ax.get_window_extent().width)
        return ax
    with print_style():
        rows_of_names = len(entries) * 28.0 / width_mm  # a name with its line takes about 28 mm
        height_mm = max(0.75 * width_mm, 75.0) + 5.0 * rows_of_names
        figure = new_figure(width_mm, height_mm)
        axes: Axes = figure.subplots()
        lowest = draw_panel(axes, panel, reference=reference, knots=knots, limits=limits)
        axes.set_ylabel(wrapped(odds_ratio_label, 0.62 * height_mm))
        lowest.set_xlabel(wrapped(exposure_label, 0.8 * width_mm))
        place_legend(figure, entries, available=0.98 * figure.bbox.width)
        for each in figure.axes:
            thin_ticks(each)
    return axes


def draw_dose_response_panels(
    panels: Sequence[DoseResponsePanel],
    *,
    reference: float,
    exposure_name: str = "exposure",
    unit: str = "",
    outcome_name: str = "",
    level: float = 0.95,
    knots: Sequence[float] | None = None,
    reference_group: str = "",
    width_mm: float = TWO_COLUMNS_MM,
) -> Figure:
    """Draw one panel of curves for each level of an effect modifier, on common axes.

    Parameters
    ----------
    panels : sequence of DoseResponsePanel
        In the order to show; three stand in a row.
    reference, exposure_name, unit, outcome_name, level, knots, width_mm
        As in :func:`draw_dose_response`.
    reference_group : str
        Level of an effect modifier that belongs to the reference too, such as ``sex = f``.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; its first axes are those of the panels' curves, in order.

    Raises
    ------
    OptionError
        No panel, or a panel without curves.
    """
    limits = common_limits(panels)
    n_columns = len(panels) if len(panels) <= 3 else (2 if len(panels) == 4 else 3)
    n_rows = -(-len(panels) // n_columns)
    odds_ratio_label = _odds_ratio_label(
        outcome_name, reference, unit, level, cut=limits.cut, group=reference_group
    )
    with print_style():
        height_mm = n_rows * min(0.95 * width_mm / max(n_columns, 2), 75.0) + 18.0
        figure = new_figure(width_mm, height_mm)
        grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        for spare in grid.flat[len(panels) :]:
            spare.remove()
        for position, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
            lowest = draw_panel(axes, panel, reference=reference, knots=knots, limits=limits)
            axes.set_title(plain(panel.title))
            axes.tick_params(labelleft=position % n_columns == 0)
            lowest.tick_params(labelbottom=True)
        figure.supylabel(wrapped(odds_ratio_label, 0.7 * height_mm), fontsize=8.0, multialignment="center")
        figure.supxlabel(wrapped(with_unit(exposure_name, unit), 0.8 * width_mm), fontsize=8.0)
        place_legend(
            figure, legend_entries(panels, knots, limits.axis(reference)), available=0.98 * figure.bbox.width
        )
        for axes in figure.axes:
            thin_ticks(axes)
    return figure


def _odds_ratio_label(
    outcome_name: str, reference: float, unit: str, level: float, *, cut: bool, group: str = ""
) -> str:
    """Return the label of the odds ratio axis: of what, against what, which interval."""
    what = f"Odds ratio of {outcome_name}" if outcome_name else "Odds ratio"
    interval = f"{100 * level:g}% interval{', cut at the edge' if cut else ''}"
    anchor = f"{reference:g}{' ' if unit else ''}{unit}"
    if group:
        anchor += f"\nand {group}"
    return plain(f"{what}\nagainst {anchor}, {interval}")
