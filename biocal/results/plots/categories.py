"""Odds ratios by category of exposure, with error bars, methods side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biocal.errors import OptionError
from biocal.results.plots.odds_ratio_axis import odds_ratio, odds_ratio_limits, use_odds_ratio_ticks
from biocal.results.plots.style import (
    GREY,
    LETTER_MM,
    MIDDLE_MM,
    MILLIMETRES_PER_INCH,
    TWO_COLUMNS_MM,
    SeriesStyle,
    new_figure,
    place_legend,
    plain,
    print_style,
    series_styles,
    thin_ticks,
    with_unit,
    wrapped,
)

FloatArray = npt.NDArray[np.float64]

#: Share of the distance between categories over which the methods are spread (ours, by eye).
_SPREAD = 0.62


@dataclass(frozen=True, slots=True)
class CategoryEstimates:
    """Odds ratios of all categories by one method, on the log scale.

    Attributes
    ----------
    label : str
        Name of the method.
    log_or, low, high : ndarray, shape (n_categories,)
        Log odds ratio against the reference category and the ends of its interval; 0 with zero width
        at the reference.  NaN: not estimated, left blank.
    """

    label: str
    log_or: FloatArray
    low: FloatArray
    high: FloatArray

    def __post_init__(self) -> None:
        for name in ("log_or", "low", "high"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))


def draw_category_odds_ratios(
    estimates: Sequence[CategoryEstimates],
    *,
    categories: Sequence[str],
    reference_category: str,
    control_counts: Sequence[float] | None = None,
    exposure_name: str = "exposure",
    unit: str = "",
    outcome_name: str = "",
    level: float = 0.95,
    ax: Axes | None = None,
    width_mm: float = MIDDLE_MM,
) -> Axes:
    """Draw odds ratios by category with error bars, one colour and marker a method.

    Parameters
    ----------
    estimates : sequence of CategoryEstimates
        One a method, all with the same categories.
    categories : sequence of str, length n_categories
        Names in ascending order, such as ``[30, 50)``.
    reference_category : str
        The one whose odds ratio is 1; drawn as an open diamond.
    control_counts : sequence of float, optional
        Controls in each category, printed beneath its name.
    exposure_name, unit, outcome_name, level, ax, width_mm
        As in :func:`biocal.results.plots.draw_dose_response`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    OptionError
        No estimates, lengths that differ, or a reference category that is not among the categories.
    """
    _require_consistent(estimates, categories, reference_category, control_counts)
    labels = with_unit(exposure_name, unit), _label(outcome_name, reference_category, level)
    if ax is not None:
        entries = _draw(ax, estimates, list(categories), reference_category, control_counts, labels)
        place_legend(ax, entries, available=ax.get_window_extent().width)
        return ax
    with print_style():
        height_mm = max(0.68 * width_mm, 70.0)
        figure = new_figure(width_mm, height_mm)
        axes: Axes = figure.subplots()
        labels = wrapped(labels[0], 0.8 * width_mm), wrapped(labels[1], 0.7 * height_mm)
        entries = _draw(axes, estimates, list(categories), reference_category, control_counts, labels)
        place_legend(figure, entries, available=0.98 * figure.bbox.width)
        thin_ticks(axes)
    return axes


def draw_category_panels(
    panels: Sequence[tuple[str, Sequence[CategoryEstimates]]],
    *,
    categories: Sequence[str],
    reference_category: str,
    exposure_name: str = "exposure",
    unit: str = "",
    outcome_name: str = "",
    level: float = 0.95,
    reference_group: str = "",
    width_mm: float = TWO_COLUMNS_MM,
) -> Figure:
    """Draw one panel of odds ratios by category for each level of an effect modifier, on common axes.

    Parameters
    ----------
    panels : sequence of (str, sequence of CategoryEstimates)
        Title and estimates of each level, in the order to show; three stand in a row.
    categories, reference_category, exposure_name, unit, outcome_name, level, width_mm
        As in :func:`draw_category_odds_ratios`.
    reference_group : str
        Level of an effect modifier that belongs to the reference too, such as ``sex = f``; the other
        levels' odds ratios in the reference category are drawn then.

    Returns
    -------
    matplotlib.figure.Figure
        Its axes are those of the panels, in order.

    Raises
    ------
    OptionError
        No panel, or pieces that do not fit together.
    """
    if not panels:
        raise OptionError("there is no panel to draw", option="panels")
    for _, estimates in panels:
        _require_consistent(estimates, categories, reference_category, None)
    n_columns = len(panels) if len(panels) <= 3 else (2 if len(panels) == 4 else 3)
    n_rows = -(-len(panels) // n_columns)
    with print_style():
        height_mm = n_rows * 75.0 + 18.0
        figure = new_figure(width_mm, height_mm)
        grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        for spare in grid.flat[len(panels) :]:
            spare.remove()
        limits = []
        for position, (axes, (title, estimates)) in enumerate(zip(grid.flat, panels, strict=False)):
            entries = _draw(
                axes,
                estimates,
                list(categories),
                reference_category,
                None,
                ("", ""),
                all_drawn=bool(reference_group),
            )
            limits += axes.get_ylim()
            axes.set(title=plain(title), xlabel="", ylabel="")
            axes.tick_params(
                labelleft=position % n_columns == 0, labelbottom=position + n_columns >= len(panels)
            )
        grid.flat[0].set_ylim(min(limits), max(limits))
        anchor = f"{reference_category} and {reference_group}" if reference_group else reference_category
        label = _label(outcome_name, anchor, level)
        figure.supylabel(wrapped(label, 0.7 * height_mm), fontsize=8.0, multialignment="center")
        figure.supxlabel(wrapped(with_unit(exposure_name, unit), 0.8 * width_mm), fontsize=8.0)
        place_legend(figure, entries, available=0.98 * figure.bbox.width)
        for axes in figure.axes:
            thin_ticks(axes)
    return figure


def _label(outcome_name: str, reference_category: str, level: float) -> str:
    what = f"Odds ratio of {outcome_name}" if outcome_name else "Odds ratio"
    return plain(f"{what}\nagainst {reference_category}, {100 * level:g}% interval")


def _require_consistent(
    estimates: Sequence[CategoryEstimates],
    categories: Sequence[str],
    reference_category: str,
    control_counts: Sequence[float] | None,
) -> None:
    """Raise when the pieces do not fit together."""
    if not estimates:
        raise OptionError("there is no method to draw", option="estimates")
    if reference_category not in categories:
        raise OptionError(
            f"the reference category {reference_category!r} is not among {list(categories)}",
            option="reference_category",
            allowed=tuple(categories),
        )
    for each in estimates:
        lengths = {each.log_or.size, each.low.size, each.high.size}
        if lengths != {len(categories)}:
            raise OptionError(
                f"{each.label!r}: there are {len(categories)} categories but "
                f"{sorted(lengths)} odds ratios or limits",
                option="estimates",
            )
    if control_counts is not None and len(control_counts) != len(categories):
        raise OptionError(
            f"there are {len(categories)} categories but {len(control_counts)} counts of controls",
            option="control_counts",
        )


def _draw(
    axes: Axes,
    estimates: Sequence[CategoryEstimates],
    categories: list[str],
    reference_category: str,
    control_counts: Sequence[float] | None,
    labels: tuple[str, str],
    *,
    all_drawn: bool = False,
) -> list[Artist]:
    """Draw everything on the axes; return the artists that the legend names."""
    exposure_label, odds_ratio_label = labels
    place_of_reference = categories.index(reference_category)
    axes.set_yscale("log")
    axes.axhline(1.0, color=GREY, linewidth=0.6, zorder=1)
    bars: list[Artist] = []
    step = _SPREAD / len(estimates)
    for rank, (each, style) in enumerate(
        zip(estimates, series_styles([e.label for e in estimates]), strict=True)
    ):
        offset = (rank - (len(estimates) - 1) / 2) * step
        hidden = (
            None
            if all_drawn and each.high[place_of_reference] > each.low[place_of_reference]
            else place_of_reference
        )
        bars += _draw_method(axes, each, style, offset=offset, without=hidden)
    (mark,) = axes.plot([place_of_reference], [1.0], marker="D", markersize=6, markerfacecolor="white",
              markeredgecolor="black", linestyle="none", zorder=4, label="reference")  # fmt: skip
    low, high, cut = odds_ratio_limits(
        np.concatenate([e.log_or for e in estimates]),
        np.concatenate([e.low for e in estimates]),
        np.concatenate([e.high for e in estimates]),
    )
    axes.set_ylim(low, high)
    use_odds_ratio_ticks(axes.yaxis)
    names = [plain(name) for name in categories]
    if control_counts is not None:
        names = [f"{name}\n{count:,.0f}" for name, count in zip(names, control_counts, strict=True)]
        exposure_label += "; number of controls"
    axes.set_xticks(range(len(categories)), names)
    _turn_crowded_names(axes, names)
    axes.set_xlim(-0.5, len(categories) - 0.5)
    axes.set_xlabel(exposure_label)
    axes.set_ylabel(odds_ratio_label + (", cut at the edge" if cut else ""))
    return [*bars, mark]


def _turn_crowded_names(axes: Axes, names: Sequence[str]) -> None:
    """Turn the names of the categories when they would run into each other."""
    room_mm = axes.get_window_extent().width / axes.figure.dpi * MILLIMETRES_PER_INCH / len(names)
    longest = max(len(line) for name in names for line in name.splitlines())
    if longest * LETTER_MM > 0.95 * room_mm:
        axes.tick_params(axis="x", rotation=40)
        for text in axes.get_xticklabels():
            text.set(horizontalalignment="right", rotation_mode="anchor")


def _draw_method(
    axes: Axes, estimates: CategoryEstimates, style: SeriesStyle, *, offset: float, without: int | None
) -> list[Artist]:
    """Draw one method's points and bars without the reference category; return the named artist."""
    places = np.arange(estimates.log_or.size)
    places = places if without is None else np.delete(places, without)
    middle = odds_ratio(estimates.log_or[places])
    lower, upper = odds_ratio(estimates.low[places]), odds_ratio(estimates.high[places])
    bars: Any = axes.errorbar(
        places + offset, middle, yerr=np.vstack([middle - lower, upper - middle]), fmt=style.marker,
        color=style.colour, markersize=4.5, elinewidth=1.0, capsize=2.0,
        label=plain(estimates.label) or None, zorder=3,
    )  # fmt: skip
    return [bars] if estimates.label else []
