"""Dose-response curves: odds ratios on a log axis, bands, and where the controls are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from biocal.errors import OptionError
from biocal.plots.odds_ratio_axis import odds_ratio, odds_ratio_limits, use_odds_ratio_ticks
from biocal.plots.style import (
    GREY,
    LIGHT_GREY,
    MIDDLE_MM,
    TWO_COLUMNS_MM,
    SeriesStyle,
    new_figure,
    print_style,
    series_styles,
    thin_ticks,
    with_unit,
)

FloatArray = npt.NDArray[np.float64]

#: Label of the axes that hold the histogram of the controls, to find them in ``figure.axes``.
DISTRIBUTION_AXES = "distribution of controls"
_N_BINS = 40


@dataclass(frozen=True, slots=True)
class Curve:
    """One dose-response curve, on the log odds ratio scale.

    Attributes
    ----------
    label : str
        Name of the method or group; ``full``, ``naive`` and the other methods keep their colours.
    exposure : ndarray, shape (m,)
        Exposure values, ascending, in units of the reference laboratory.
    log_or, low, high : ndarray, shape (m,)
        Log odds ratio against the reference exposure, and the ends of its interval; NaN leaves a gap.

    Raises
    ------
    OptionError
        Arrays of unequal length, fewer than two points, or no finite log odds ratio.
    """

    label: str
    exposure: FloatArray
    log_or: FloatArray
    low: FloatArray
    high: FloatArray

    def __post_init__(self) -> None:
        for name in ("exposure", "log_or", "low", "high"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        shapes = {name: getattr(self, name).shape for name in ("exposure", "log_or", "low", "high")}
        if len(set(shapes.values())) > 1 or self.exposure.ndim != 1 or self.exposure.size < 2:
            raise OptionError(
                f"curve {self.label!r}: exposure, log_or, low and high must be one-dimensional, of one "
                f"length and at least two points, not {shapes}",
                curve=self.label,
            )
        if not np.isfinite(self.log_or).any() or not np.isfinite(self.exposure).all():
            raise OptionError(
                f"curve {self.label!r}: nothing to draw, as exposure or log odds ratio is not finite",
                curve=self.label,
            )


@dataclass(frozen=True, slots=True)
class DoseResponsePanel:
    """The curves of one panel, with the controls they belong to.

    Attributes
    ----------
    title : str
        Heading of the panel, such as ``sex: women``.
    curves : sequence of Curve
        Curves to overlay.
    control_exposure, control_weights : ndarray, shape (n_controls,), optional
        Exposure of the controls of this level, and weights (default 1).
    """

    title: str
    curves: Sequence[Curve]
    control_exposure: FloatArray | None = None
    control_weights: FloatArray | None = None


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
        Spline knots, marked by ticks at the foot of the curves.
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
    labels = _AxisLabels(
        with_unit(exposure_name, unit), _odds_ratio_label(outcome_name, reference, unit, level)
    )
    if ax is not None:
        _draw_panel(ax, panel, reference=reference, knots=knots, limits=_limits([panel]), labels=labels)
        _label_curves(ax, curves, knots)
        return ax
    with print_style():
        axes = new_figure(width_mm, 0.8 * width_mm).subplots()
        _draw_panel(axes, panel, reference=reference, knots=knots, limits=_limits([panel]), labels=labels)
        _label_curves(axes, curves, knots)
        for each in axes.figure.axes:
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
    width_mm: float = TWO_COLUMNS_MM,
) -> Figure:
    """Draw one panel of curves for each level of an effect modifier, on common axes.

    Parameters
    ----------
    panels : sequence of DoseResponsePanel
        In the order to show; three stand in a row.
    reference, exposure_name, unit, outcome_name, level, knots, width_mm
        As in :func:`draw_dose_response`.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; its first axes are those of the panels' curves, in order.

    Raises
    ------
    OptionError
        No panel, or a panel without curves.
    """
    limits = _limits(panels)
    n_columns = len(panels) if len(panels) <= 3 else (2 if len(panels) == 4 else 3)
    n_rows = -(-len(panels) // n_columns)
    labels = _AxisLabels(with_unit(exposure_name, unit), "")
    with print_style():
        panel_mm = width_mm / max(n_columns, 2)
        figure = new_figure(width_mm, n_rows * min(0.95 * panel_mm, 75.0) + 16.0)
        grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        for spare in grid.flat[len(panels) :]:
            spare.remove()
        for position, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
            _draw_panel(axes, panel, reference=reference, knots=knots, limits=limits, labels=labels)
            axes.set_title(panel.title)
            axes.tick_params(labelleft=position % n_columns == 0)
        _label_figure(figure, panels, knots)
        figure.supylabel(_odds_ratio_label(outcome_name, reference, unit, level), fontsize=8.0)
        for axes in figure.axes:
            thin_ticks(axes)
    return figure


@dataclass(frozen=True, slots=True)
class _AxisLabels:
    exposure: str
    odds_ratio: str


@dataclass(frozen=True, slots=True)
class _Limits:
    exposure: tuple[float, float]
    odds_ratio: tuple[float, float]
    cut: bool


def _limits(panels: Sequence[DoseResponsePanel]) -> _Limits:
    """Return limits that all panels share."""
    curves = [curve for panel in panels for curve in panel.curves]
    if not curves or not all(panel.curves for panel in panels):
        raise OptionError("there is no curve to draw", option="curves")
    low, high, cut = odds_ratio_limits(
        np.concatenate([curve.log_or for curve in curves]),
        np.concatenate([curve.low for curve in curves]),
        np.concatenate([curve.high for curve in curves]),
    )
    exposure = np.concatenate([curve.exposure for curve in curves])
    return _Limits((float(exposure.min()), float(exposure.max())), (low, high), cut)


def _odds_ratio_label(outcome_name: str, reference: float, unit: str, level: float) -> str:
    """Return the label of the odds ratio axis: of what, against what, which interval."""
    what = f"Odds ratio of {outcome_name}" if outcome_name else "Odds ratio"
    return f"{what}\nagainst {reference:g}{' ' if unit else ''}{unit}, {100 * level:g}% interval"


def _draw_panel(
    axes: Axes,
    panel: DoseResponsePanel,
    *,
    reference: float,
    knots: Sequence[float] | None,
    limits: _Limits,
    labels: _AxisLabels,
) -> None:
    """Draw the curves, the reference, the knots and, beneath, the controls."""
    axes.set_yscale("log")
    axes.axhline(1.0, color=GREY, linewidth=0.6, zorder=1)
    axes.axvline(reference, color=GREY, linewidth=0.6, linestyle=(0, (2, 2)), zorder=1)
    for curve, style in zip(panel.curves, series_styles([c.label for c in panel.curves]), strict=True):
        _draw_curve(axes, curve, style, crowded=len(panel.curves) > 2)
    axes.plot([reference], [1.0], marker="o", markersize=4, color="black", linestyle="none", zorder=4)
    first, last = limits.exposure
    margin = 0.015 * (last - first)
    axes.set_xlim(min(first, reference) - margin, max(last, reference) + margin)
    axes.set_ylim(*limits.odds_ratio)
    use_odds_ratio_ticks(axes.yaxis)
    axes.set_ylabel(labels.odds_ratio)
    if knots is not None:
        _draw_knots(axes, knots)
    if limits.cut:
        axes.text(
            0.99, 0.985, "intervals continue beyond the axis", transform=axes.transAxes,
            ha="right", va="top", fontsize="small", color=GREY,
        )  # fmt: skip
    lowest = axes
    if panel.control_exposure is not None:
        lowest = _draw_controls(axes, panel)
    lowest.set_xlabel(labels.exposure)


def _draw_curve(axes: Axes, curve: Curve, style: SeriesStyle, *, crowded: bool) -> None:
    """Draw one curve with its band; bands of many curves are outlined rather than filled."""
    low, high = odds_ratio(curve.low), odds_ratio(curve.high)
    axes.fill_between(
        curve.exposure, low, high, color=style.colour, alpha=0.07 if crowded else 0.16, linewidth=0, zorder=2
    )
    for edge in (low, high):
        axes.plot(
            curve.exposure, edge, color=style.colour, linestyle=style.line, linewidth=0.5, alpha=0.8, zorder=2
        )
    axes.plot(
        curve.exposure, odds_ratio(curve.log_or), color=style.colour, linestyle=style.line, label=curve.label,
        zorder=3,
    )  # fmt: skip


def _draw_knots(axes: Axes, knots: Sequence[float]) -> None:
    """Mark the knots by short strokes at the foot of the curves."""
    axes.plot(
        list(knots), [0.0] * len(knots), transform=axes.get_xaxis_transform(), marker="|", markersize=9,
        color="black", linestyle="none", clip_on=False, zorder=4,
    )  # fmt: skip


def _draw_controls(axes: Axes, panel: DoseResponsePanel) -> Axes:
    """Draw the histogram of the controls in axes of its own, and tell how many lie beyond it."""
    exposure = np.asarray(panel.control_exposure, dtype=np.float64)
    weights = np.ones(exposure.shape)
    if panel.control_weights is not None:
        weights = np.asarray(panel.control_weights, dtype=np.float64)
    if weights.shape != exposure.shape:
        raise OptionError(
            f"there are {exposure.size} controls but {weights.size} weights", option="control_weights"
        )
    beneath = _axes_beneath(axes)
    low, high = axes.get_xlim()
    known = np.isfinite(exposure)
    inside = known & (exposure >= low) & (exposure <= high)
    beneath.hist(
        exposure[inside], bins=np.linspace(low, high, _N_BINS + 1).tolist(), weights=weights[inside],
        color=LIGHT_GREY, linewidth=0,
    )  # fmt: skip
    beneath.set_yticks([])
    beneath.spines["left"].set_visible(False)
    note = "controls"
    if weights[known & ~inside].sum() > 0:
        beyond = 100 * weights[known & ~inside].sum() / weights[known].sum()
        note = f"controls ({beyond:.1f}% beyond the axis)" if beyond >= 0.05 else "controls (<0.1% beyond)"
    beneath.text(
        0.995, 0.97, note, transform=beneath.transAxes, ha="right", va="top", fontsize="small", color=GREY
    )
    return beneath


def _axes_beneath(axes: Axes) -> Axes:
    """Split the place of ``axes`` in two and return new axes in the lower part, sharing x."""
    figure = axes.figure
    spec = axes.get_subplotspec()
    if spec is not None:
        halves = spec.subgridspec(2, 1, height_ratios=[5.5, 1], hspace=0.06)
        axes.set_subplotspec(halves[0])
        beneath = figure.add_subplot(halves[1], sharex=axes, label=DISTRIBUTION_AXES)
    else:
        place = axes.get_position()
        axes.set_position((place.x0, place.y0 + 0.18 * place.height, place.width, 0.82 * place.height))
        beneath = figure.add_axes(
            (place.x0, place.y0, place.width, 0.15 * place.height), sharex=axes, label=DISTRIBUTION_AXES
        )
    axes.tick_params(axis="x", labelbottom=False)
    return beneath


def _legend_entries(curves: Sequence[Curve], knots: Sequence[float] | None) -> list[Line2D]:
    """Return one line a curve (none for a single unnamed one), the reference mark, and the knots."""
    entries = []
    seen: set[str] = set()
    for curve, style in zip(curves, series_styles([c.label for c in curves]), strict=True):
        if curve.label and curve.label not in seen:
            entries.append(Line2D([], [], color=style.colour, linestyle=style.line, label=curve.label))
            seen.add(curve.label)
    entries.append(
        Line2D([], [], color="black", marker="o", markersize=4, linestyle="none", label="reference")
    )
    if knots is not None and len(knots):
        entries.append(
            Line2D([], [], color="black", marker="|", markersize=7, linestyle="none", label="knots")
        )
    return entries


def _label_curves(axes: Axes, curves: Sequence[Curve], knots: Sequence[float] | None) -> None:
    """Name the curves in a row above the axes, where no curve can run through the names."""
    entries = _legend_entries(curves, knots)
    axes.legend(
        handles=entries, loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2, columnspacing=1.4,
        handletextpad=0.5, ncols=len(entries) if len(entries) <= 4 else -(-len(entries) // 2),
    )  # fmt: skip


def _label_figure(figure: Figure, panels: Sequence[DoseResponsePanel], knots: Sequence[float] | None) -> None:
    """Name the curves once for all panels, above them."""
    curves = list({curve.label: curve for panel in panels for curve in panel.curves}.values())
    entries = _legend_entries(curves, knots)
    figure.legend(
        handles=entries, loc="outside upper center", ncols=min(len(entries), 7), columnspacing=1.4,
        handletextpad=0.5,
    )  # fmt: skip
