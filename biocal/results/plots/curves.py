"""One panel of dose-response curves: the curves, their bands, the reference, the controls beneath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from biocal.errors import OptionError
from biocal.results.plots.odds_ratio_axis import odds_ratio, odds_ratio_limits, use_odds_ratio_ticks
from biocal.results.plots.style import GREY, LIGHT_GREY, SeriesStyle, plain, series_styles

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


@dataclass(frozen=True, slots=True)
class PanelLimits:
    """Limits that all panels of a figure share, and whether they cut some interval."""

    exposure: tuple[float, float]
    odds_ratio: tuple[float, float]
    cut: bool

    def axis(self, reference: float) -> tuple[float, float]:
        """Ends of the axis of the exposure: all curves, the reference, and a margin."""
        first, last = self.exposure
        margin = 0.015 * (last - first)
        return min(first, reference) - margin, max(last, reference) + margin


def common_limits(panels: Sequence[DoseResponsePanel]) -> PanelLimits:
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
    return PanelLimits((float(exposure.min()), float(exposure.max())), (low, high), cut)


def draw_panel(
    axes: Axes,
    panel: DoseResponsePanel,
    *,
    reference: float,
    knots: Sequence[float] | None,
    limits: PanelLimits,
) -> Axes:
    """Draw the curves, the reference, the knots and, beneath, the controls; return the lowest axes."""
    axes.set_yscale("log")
    axes.axhline(1.0, color=GREY, linewidth=0.6, zorder=1)
    axes.axvline(reference, color=GREY, linewidth=0.6, linestyle=(0, (2, 2)), zorder=1)
    for curve, style in zip(panel.curves, series_styles([c.label for c in panel.curves]), strict=True):
        _draw_curve(axes, curve, style, crowded=len(panel.curves) > 2)
    axes.plot([reference], [1.0], marker="o", markersize=4, color="black", linestyle="none", zorder=4)
    low, high = limits.axis(reference)
    axes.set_xlim(low, high)
    axes.set_ylim(*limits.odds_ratio)
    use_odds_ratio_ticks(axes.yaxis)
    if knots is not None:
        _draw_knots(axes, [knot for knot in knots if low <= knot <= high])
    return axes if panel.control_exposure is None else _draw_controls(axes, panel)


def _draw_curve(axes: Axes, curve: Curve, style: SeriesStyle, *, crowded: bool) -> None:
    """Draw one curve with its band; bands of many curves are outlined rather than filled."""
    low, high = odds_ratio(curve.low), odds_ratio(curve.high)
    if not crowded:
        axes.fill_between(curve.exposure, low, high, color=style.colour, alpha=0.14, linewidth=0, zorder=2)
    for edge in (low, high):
        axes.plot(
            curve.exposure, edge, color=style.colour, linestyle=style.line, linewidth=0.5, alpha=0.8, zorder=2
        )
    axes.plot(
        curve.exposure, odds_ratio(curve.log_or), color=style.colour, linestyle=style.line, label=curve.label,
        zorder=3,
    )  # fmt: skip


def _draw_knots(axes: Axes, knots: Sequence[float]) -> None:
    """Mark the knots by small triangles at the foot of the curves."""
    axes.plot(
        list(knots), [0.0] * len(knots), transform=axes.get_xaxis_transform(), marker="^", markersize=5,
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
    beneath.set_ylim(0.0, 1.5 * beneath.get_ylim()[1])  # room for the note above the bars
    note = "controls"
    hidden = weights[known & ~inside].sum()
    if hidden > 0:
        note += f" ({max(100 * hidden / weights[known].sum(), 0.1):.1f}% not shown)"
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


def legend_entries(
    panels: Sequence[DoseResponsePanel], knots: Sequence[float] | None, axis: tuple[float, float]
) -> list[Artist]:
    """Return one line for each named curve, the reference mark, and that of the knots, of which some may lie beyond."""
    entries: dict[str, Artist] = {}
    for panel in panels:
        styles = series_styles([curve.label for curve in panel.curves])
        for curve, style in zip(panel.curves, styles, strict=True):
            entries[curve.label] = Line2D(
                [], [], color=style.colour, linestyle=style.line, label=plain(curve.label)
            )
    entries.pop("", None)
    marks = {"reference": "o"}
    if knots is not None and len(knots):
        beyond = sum(not axis[0] <= knot <= axis[1] for knot in knots)
        marks[f"knots ({beyond} not shown)" if beyond else "knots"] = "^"
    for name, marker in marks.items():
        entries["mark of " + name] = Line2D(
            [], [], color="black", marker=marker, markersize=4, linestyle="none", label=name
        )
    return list(entries.values())
