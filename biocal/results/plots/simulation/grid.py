"""Panels in rows and columns, as the figures of a simulation study share them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import MaxNLocator

from biocal.errors import OptionError
from biocal.results.plots.style import TWO_COLUMNS_MM, new_figure, plain, thin_ticks, wrapped

__all__ = [
    "MONTE_CARLO_LEVEL",
    "finish_grid",
    "padded_limits",
    "panel_grid",
    "require_panels",
    "set_limits",
    "title_legend",
]

FloatArray = npt.NDArray[np.float64]

#: Monte Carlo intervals are value -+ 1.96 standard errors.
MONTE_CARLO_LEVEL = 1.959963984540054
_WIDEST_COLUMN_MM = 75.0


def panel_grid(
    row_labels: Sequence[str], column_labels: Sequence[str], *, row_mm: float, above_mm: float = 12.0
) -> tuple[Figure, npt.NDArray[Any]]:
    """Return a figure with a heading over each row and each column of panels.

    Parameters
    ----------
    row_labels, column_labels : sequence of str
        An empty label takes no room.
    row_mm : float
        Height of a row of panels, in print.
    above_mm : float, default 12
        Room for the legend and the labels of the axes.

    Returns
    -------
    figure : Figure
        One, two columns or less wide, by the number of columns.
    axes : ndarray of Axes, shape (n_rows, n_columns)
    """
    width_mm = min(TWO_COLUMNS_MM, 22.0 + _WIDEST_COLUMN_MM * len(column_labels))
    heading_mm = 5.0 if any(row_labels) else 0.0
    # The first row is higher by the headings of the columns, the last by the tick labels.
    heights = [row_mm + heading_mm for _ in row_labels]
    heights[0] += 5.0 if any(column_labels) else 0.0
    heights[-1] += 4.0
    figure = new_figure(width_mm, sum(heights) + above_mm)
    rows = np.atleast_1d(
        np.asarray(figure.subfigures(len(row_labels), 1, height_ratios=heights), dtype=object)
    )
    axes = np.empty((len(row_labels), len(column_labels)), dtype=object)
    for row, (part, row_label) in enumerate(zip(rows, row_labels, strict=True)):
        axes[row] = part.subplots(1, len(column_labels), squeeze=False)[0]
        if row_label:
            part.suptitle(wrapped(plain(row_label), width_mm), x=0.02, ha="left", fontsize=8.0)
        if row == 0:
            for each, label in zip(axes[0], column_labels, strict=True):
                each.set_title(wrapped(plain(label), 0.9 * width_mm / len(column_labels)))
    return figure, axes


def finish_grid(axes: npt.NDArray[Any], *, share_x: bool = True) -> None:
    """Leave tick labels at the left edge and the foot only, and fix tick sizes."""
    for row, panels in enumerate(axes):
        for column, each in enumerate(panels):
            each.tick_params(labelleft=column == 0, labelbottom=row == len(axes) - 1 or not share_x)
            thin_ticks(each)


def padded_limits(*values: FloatArray, include: float) -> tuple[float, float]:
    """Limits that hold every finite value and one more number, with a margin."""
    known = np.concatenate([np.ravel(part) for part in values])
    known = np.append(known[np.isfinite(known)], include)
    low, high = float(known.min()), float(known.max())
    margin = 0.06 * (high - low) or 0.05 * max(abs(high), 1e-3)
    return low - margin, high + margin


def require_panels(n_panels: int) -> None:
    """Raise when there is nothing to draw."""
    if n_panels == 0:
        raise OptionError("there is no panel to draw", option="panels")


def set_limits(axes: Sequence[Axes], *, x: tuple[float, float] | None, y: tuple[float, float] | None) -> None:
    """Give panels the same limits and, up and down, the same ticks."""
    for each in axes:
        if x is not None:
            each.set_xlim(*x)
        if y is not None:
            each.set_ylim(*y)
            # Rows of slightly different height would choose ticks of their own.
            low, high = y
            ticks = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
            each.set_yticks([tick for tick in ticks if low <= tick <= high])


def title_legend(legend: Legend, title: str) -> None:
    """Put the title of a figure on its legend: a title of its own would be drawn across it."""
    if title:
        legend.set_title(plain(title))
        legend.get_title().set_fontsize(8.0)
