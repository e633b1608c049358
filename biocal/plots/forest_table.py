"""The columns of text beside a forest plot."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from biocal.plots.odds_ratio_axis import odds_ratio
from biocal.plots.style import plain

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
