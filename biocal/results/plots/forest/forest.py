"""Forest plots: one odds ratio a study, what they come to together, and how far they disagree."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from biocal.errors import OptionError
from biocal.results.plots.odds_ratio_axis import odds_ratio, odds_ratio_limits, use_odds_ratio_ticks
from biocal.results.plots.style import (
    GREY,
    MILLIMETRES_PER_INCH,
    TWO_COLUMNS_MM,
    new_figure,
    plain,
    print_style,
    thin_ticks,
    wrapped,
)

NAME_LETTERS = 36  # longer names and notes are broken into lines


class ForestTable:
    """The text left and right of the plot, in columns whose widths follow from what is written."""

    def __init__(self, axes: Axes, level: float) -> None:
        self._axes = axes
        self._cells: dict[str, list[tuple[float, str, bool]]] = {
            "study": [(0, "Study", True)],
            "effect": [(0, f"OR ({100 * level:g}% interval)", True)],
            "weight": [],
        }

    def add(
        self,
        line: float,
        label: str,
        estimate: float,
        low: float,
        high: float,
        *,
        weight: float = float("nan"),
        note: str = "",
        bold: bool = False,
    ) -> None:
        """Write one line: name, odds ratio with interval (or the note in its place), weight."""
        estimated = bool(np.isfinite(estimate))
        named = f"{label} ({note})" if note and estimated else label
        self._cells["study"].append((line, textwrap.fill(plain(named), NAME_LETTERS), bold))
        interval = f"({_digits(low)} to {_digits(high)})" if np.isfinite(low) or np.isfinite(high) else ""
        reason = textwrap.fill(plain(note), NAME_LETTERS) or "not fitted"
        effect = f"{_digits(estimate)} {interval}" if estimated else (interval or reason)
        self._cells["effect"].append((line, effect, bold))
        if np.isfinite(weight):
            self._cells["weight"].append((line, f"{100 * weight:.1f}%", bold))

    def place(self) -> None:
        """Put the columns beside the axes: names to the left, odds ratios and weights to the right."""
        if self._cells["weight"]:
            self._cells["weight"].insert(0, (0, "Weight", True))
        gap = 8.0  # points between columns, and from the axes
        widths = {name: self._width(name) for name in self._cells}
        self._write("study", edge=0.0, points=-gap - widths["study"], align="left")
        self._write("effect", edge=1.0, points=gap + widths["effect"], align="right")
        self._write("weight", edge=1.0, points=2 * gap + widths["effect"] + widths["weight"], align="right")

    def _width(self, column: str) -> float:
        """Return the width of a column in points."""
        widest = 0.0
        for _, text, bold in self._cells[column]:
            trial = self._axes.text(0, 0, text, weight="bold" if bold else "normal")
            extent = trial.get_window_extent()
            widest = max(widest, extent.width * 72.0 / self._axes.get_figure().dpi)  # type: ignore[union-attr]
            trial.remove()
        return widest

    def _write(self, column: str, *, edge: float, points: float, align: str) -> None:
        """Write a column at so many points from an edge of the axes."""
        transform = blended_transform_factory(self._axes.transAxes, self._axes.transData)
        for line, text, bold in self._cells[column]:
            self._axes.annotate(
                text, (edge, line), xycoords=transform, xytext=(points, 0), textcoords="offset points",
                ha=align, va="center", linespacing=1.05, annotation_clip=False,
                weight="bold" if bold else "normal",
            )  # fmt: skip


def _digits(log_odds_ratio: float) -> str:
    """Return an odds ratio with two decimals, or as many figures as it needs when very small or large."""
    value = float(odds_ratio(log_odds_ratio))
    if value < 0.1:
        return f"{value:.2g}" if value > 1e-4 else "<0.0001"
    if value < 100:
        return f"{value:.2f}"
    return f"{value:.0f}" if value < 1e5 else ">100000"


_STUDY_COLOUR = "#0072B2"
_POOLED_COLOUR = "#D55E00"
_LARGEST_SQUARE, _SMALLEST_SQUARE = 8.5, 2.5  # points
_ROW_MM, _LINE_MM = 5.2, 3.2
_DIAMOND_MM = 3.6
_LABEL_MM = 90.0  # of the axis label, before it is broken
#: Estimates farther than a factor of six from the median study may lie beyond the axis (ours).
_FARTHEST = float(np.log(6.0))


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One study.

    Attributes
    ----------
    label : str
        Name of the study.
    estimate, low, high : float
        Log odds ratio and its interval; NaN when the study could not be fitted, the note saying why.
    weight : float
        Share of the pooled estimate, 0 to 1; NaN leaves the column blank.
    note : str
        Printed in the place of the odds ratio when there is none, else in grey after the name.
    """

    label: str
    estimate: float
    low: float
    high: float
    weight: float = float("nan")
    note: str = ""


@dataclass(frozen=True, slots=True)
class ForestSummary:
    """One pooled estimate, drawn as a diamond: label, log odds ratio and interval."""

    label: str
    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """How far the studies disagree: Q with its degrees of freedom and p, I^2 (0 to 1), tau^2 (log scale)."""

    q: float
    df: float
    p_value: float
    i_squared: float
    tau_squared: float = float("nan")

    def text(self) -> str:
        """Return one line for the foot of the plot."""
        chance = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.3f}"
        text = f"Heterogeneity: Q = {self.q:.1f} on {self.df:g} df, {chance}"
        text += f"; $I^2$ = {100 * self.i_squared:.0f}%"
        return text + (f"; $\\tau^2$ = {self.tau_squared:.3g}" if np.isfinite(self.tau_squared) else "")


def draw_forest(
    rows: Sequence[ForestRow],
    *,
    pooled: Sequence[ForestSummary] | ForestSummary = (),
    prediction: tuple[float, float] | None = None,
    heterogeneity: Heterogeneity | None = None,
    contrast: str = "",
    outcome_name: str = "",
    level: float = 0.95,
    width_mm: float = TWO_COLUMNS_MM,
) -> Figure:
    """Draw a forest plot of log odds ratios on an odds ratio axis.

    Parameters
    ----------
    rows : sequence of ForestRow
        Studies from top to bottom.
    pooled : ForestSummary or sequence of ForestSummary
        Diamonds beneath the studies, such as fixed and random effects.
    prediction : tuple of float, optional
        Log odds ratios between which a new study's effect is expected; a bar beneath the last diamond.
    heterogeneity : Heterogeneity, optional
        Printed at the foot.
    contrast : str
        What is compared, such as ``75 against 50 nmol/L``.
    outcome_name : str
        For the axis label.
    level : float, default 0.95
        Confidence level of the intervals.
    width_mm : float, default 180
        Width of the figure; its height follows from the number of rows.

    Returns
    -------
    matplotlib.figure.Figure
        One axes; intervals that leave it end in an arrow, and the numbers beside it stay exact.

    Raises
    ------
    OptionError
        No row, or no row with an estimate.
    """
    summaries = [pooled] if isinstance(pooled, ForestSummary) else list(pooled)
    if not any(np.isfinite(row.estimate) for row in rows):
        raise OptionError("there is no study with an estimate to draw", option="rows")
    n_lines = len(rows) + len(summaries) + (prediction is not None) + 1
    row_mm = _ROW_MM + _LINE_MM * (max(_lines_of_text(row) for row in rows) - 1)
    with print_style():
        figure = new_figure(width_mm, row_mm * n_lines + 22 + (5 if heterogeneity else 0))
        axes: Axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_xlim(*_limits(rows, summaries, prediction))
        axes.set_ylim(n_lines - 0.4, -0.6)
        table = ForestTable(axes, level)
        _draw_studies(axes, rows, table)
        _draw_summaries(axes, summaries, prediction, table, first_line=len(rows) + 1)
        table.place()
        _finish(
            axes,
            contrast=contrast,
            outcome_name=outcome_name,
            foot=heterogeneity.text() if heterogeneity else None,
        )
    return figure


def _lines_of_text(row: ForestRow) -> int:
    """Return how many lines the name or the note of a study takes."""
    named = f"{row.label} ({row.note})" if row.note else row.label
    return max(1, len(textwrap.wrap(named, NAME_LETTERS)))


def _limits(
    rows: Sequence[ForestRow], summaries: Sequence[ForestSummary], prediction: tuple[float, float] | None
) -> tuple[float, float]:
    """Return odds ratio limits that hold the diamonds and all estimates not far from the others."""
    known = [(row.estimate, row.low, row.high) for row in rows if np.isfinite(row.estimate)]
    typical = float(np.median([estimate for estimate, _, _ in known]))
    middle = [estimate for estimate, _, _ in known if abs(estimate - typical) <= _FARTHEST]
    for summary in summaries:
        middle += [end for end in (summary.estimate, summary.low, summary.high) if np.isfinite(end)]
    low, high = [low for _, low, _ in known], [high for _, _, high in known]
    if prediction is not None:
        low.append(prediction[0])
        high.append(prediction[1])
    lower, upper, _ = odds_ratio_limits(np.array(middle), np.array(low), np.array(high))
    return lower, upper


def _draw_studies(axes: Axes, rows: Sequence[ForestRow], table: ForestTable) -> None:
    """Draw a square and an interval for each study, the square's area in proportion to the weight."""
    heaviest = np.nanmax([row.weight for row in rows], initial=0.0)
    for line, row in enumerate(rows, start=1):
        table.add(line, row.label, row.estimate, row.low, row.high, weight=row.weight, note=row.note)
        if not np.isfinite(row.estimate):
            continue
        _draw_interval(axes, line, row.low, row.high, colour=_STUDY_COLOUR, width=1.0)
        size = _LARGEST_SQUARE * np.sqrt(row.weight / heaviest) if row.weight > 0 else _SMALLEST_SQUARE
        axes.plot(
            [odds_ratio(row.estimate)], [line], marker="s", markersize=max(float(size), _SMALLEST_SQUARE),
            color=_STUDY_COLOUR, linestyle="none", zorder=3,
        )  # fmt: skip


def _draw_interval(axes: Axes, line: float, low: float, high: float, *, colour: str, width: float) -> None:
    """Draw an interval; an end beyond the axis becomes an arrow head there."""
    if not (np.isfinite(low) or np.isfinite(high)):
        return
    left, right = axes.get_xlim()
    ends = float(odds_ratio(low)), float(odds_ratio(high))
    shown = max(ends[0], left), min(ends[1], right)
    axes.plot(list(shown), [line, line], color=colour, linewidth=width, solid_capstyle="butt", zorder=2)
    for end, edge, marker in ((ends[0], left, "<"), (ends[1], right, ">")):
        if (end < edge) if marker == "<" else (end > edge):
            axes.plot([edge], [line], marker=marker, markersize=4, color=colour, clip_on=False, zorder=3)


def _draw_summaries(
    axes: Axes,
    summaries: Sequence[ForestSummary],
    prediction: tuple[float, float] | None,
    table: ForestTable,
    *,
    first_line: int,
) -> None:
    """Draw the diamonds, the prediction interval, and the line that parts them from the studies."""
    if summaries or prediction is not None:
        axes.axhline(first_line - 0.5, color=GREY, linewidth=0.5)
    line = first_line
    rows_mm = axes.figure.bbox.height / axes.figure.dpi * MILLIMETRES_PER_INCH / axes.get_ylim()[0]
    half_height = _DIAMOND_MM / 2 / rows_mm
    for summary in summaries:
        corners = odds_ratio(np.array([summary.low, summary.estimate, summary.high, summary.estimate]))
        axes.fill(
            corners,
            [line, line - half_height, line, line + half_height],
            color=_POOLED_COLOUR,
            linewidth=0,
            zorder=3,
        )
        table.add(line, summary.label, summary.estimate, summary.low, summary.high, bold=True)
        line += 1
    if summaries:
        axes.plot(
            [float(odds_ratio(summaries[-1].estimate))] * 2, [0.5, first_line - 0.5],
            color=_POOLED_COLOUR, linewidth=0.7, linestyle=(0, (3, 2)), zorder=1,
        )  # fmt: skip
    if prediction is not None:
        _draw_interval(axes, line, *prediction, colour=_POOLED_COLOUR, width=2.4)
        table.add(line, "Prediction interval", float("nan"), *prediction)


def _finish(axes: Axes, *, contrast: str, outcome_name: str, foot: str | None) -> None:
    """Draw the line of no effect and label the axis."""
    bottom, top = axes.get_ylim()
    axes.plot([1.0, 1.0], [bottom, 0.5], color="black", linewidth=0.6, zorder=1)
    axes.set_ylim(bottom, top)
    use_odds_ratio_ticks(axes.xaxis)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    label = f"Odds ratio of {outcome_name}" if outcome_name else "Odds ratio"
    axes.set_xlabel(wrapped(plain(f"{label}, {contrast}" if contrast else label), _LABEL_MM))
    thin_ticks(axes)
    if foot:
        axes.figure.supxlabel(foot, fontsize=7.5, x=0.01, ha="left")
