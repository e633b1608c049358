"""The growth curves of the page, from the stored numbers, in the style of the package's figures."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from biocal.results.plots.style import (
    GREY,
    MIDDLE_MM,
    TWO_COLUMNS_MM,
    new_figure,
    place_legend,
    print_style,
    thin_ticks,
)

Parts = dict[str, dict[str, Any]]
Points = list[tuple[float, float]]
DOTS_PER_INCH, HEIGHT_MM = 160, 82.0
SLOPE_ONE = "slope 1: cost in proportion to sets"
#: Colour, dashes and marker of each line, the same in every figure; Okabe and Ito's colours.
LOOKS: dict[str, tuple[str, Any, str]] = {
    "biocal": ("#0072B2", "-", "o"),
    "biocal fit, full, Parquet": ("#0072B2", "-", "o"),
    "biocal fit, full, CSV": ("#56B4E9", (0, (5, 2)), "s"),
    "biocal fit, induced, Parquet": ("#B0458F", (0, (1.2, 1.2)), "D"),
    "bc.fit, full, Parquet": ("#000000", (0, (6, 1.5, 1.2, 1.5)), "^"),
    "full": ("#0072B2", "-", "o"),
    "induced": ("#B0458F", (0, (1.2, 1.2)), "D"),
    "R clogit, exact": ("#D55E00", (0, (5, 2)), "s"),
    "R by hand, CSV": ("#D55E00", (0, (5, 2)), "v"),
    "R bare C fitter": ("#009E73", (0, (6, 1.5, 1.2, 1.5)), "^"),
    "statsmodels": ("#A07000", (0, (1.2, 1.2)), "D"),
    "statsmodels by hand, CSV": ("#A07000", (0, (6, 1.5, 1.2, 1.5, 1.2, 1.5)), "P"),
    "lifelines": ("#000000", (0, (10, 2)), "v"),
    "biocal simulate": ("#0072B2", "-", "o"),
    "independent processes": (GREY, (0, (5, 2)), "s"),
}


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines by name, what the axes are, and gates as (x, y) points."""

    title: str
    x_label: str
    y_label: str
    lines: dict[str, Points]
    slope_through: tuple[float, float] | None = None
    slope_label: str = SLOPE_ONE
    slope_dashes: Any = "-"
    linear: bool = False
    gates: tuple[tuple[float, float, str], ...] = ()


def engine_panels(found: dict[str, Any]) -> list[Panel]:
    """CPU time and extra memory of one fit against sets."""
    seconds: dict[str, Points] = {}
    memory: dict[str, Points] = {}
    for row in found["rows"]:
        seconds.setdefault(row["program"], []).append((row["sets"], row["cpu_s"]))
        # below a megabyte the allocator is seen, not the program
        if row["extra_MB"] is not None and row["extra_MB"] >= 1:
            memory.setdefault(row["program"], []).append((row["sets"], row["extra_MB"]))
    panels = [_growth("One fit: time", "CPU seconds", _ours_first(seconds), "biocal")]
    if memory:
        panels.append(_growth("One fit: memory added", "MB", _ours_first(memory), "biocal"))
    return panels


def fit_panels(found: dict[str, Any]) -> list[Panel]:
    """Wall time and peak memory of whole processes against sets."""
    seconds: dict[str, Points] = {}
    memory: dict[str, Points] = {}
    for row in found["rows"]:
        if "failed" not in row:
            seconds.setdefault(row["run"], []).append((row["sets"], row["wall_s"]))
            memory.setdefault(row["run"], []).append((row["sets"], row["peak_MB"]))
    anchor = "biocal fit, full, Parquet"
    numbers = max(((int(sets), size) for sets, size in found["numeric_MB"].items()), default=(1, 1.0))
    time = _growth("Whole processes: time", "wall seconds", seconds, anchor)
    of_memory = _growth("Whole processes: peak memory", "MB", memory, anchor)
    gates = ((1e6, 60.0, "gate, Parquet"), (1e6, 120.0, "gate, CSV"))
    return [
        Panel(time.title, time.x_label, time.y_label, seconds, time.slope_through, gates=gates),
        Panel(
            of_memory.title,
            of_memory.x_label,
            of_memory.y_label,
            memory,
            (numbers[0], 4 * numbers[1]),
            "gate: 4 x the numbers",
            (0, (1.2, 1.6)),
        ),
    ]


def induced_panels(found: dict[str, Any]) -> list[Panel]:
    """CPU time of the maximisation, induced beside full, 1:4 sets."""
    rows = [row for row in found["rows"] if row["controls"] == 4]
    lines = {name: [(row["sets"], row[f"{name}_s"]) for row in rows] for name in ("full", "induced")}
    return [_growth("Induced beside full, 1:4", "CPU seconds", lines, "full")]


def jobs_panels(found: dict[str, Any]) -> list[Panel]:
    """Rate of simulation against jobs; none when it was not measured."""
    jobs = found.get("gains", {}).get("jobs", [])
    if not jobs:
        return []
    one = jobs[0]["replicates_a_second"]
    lines = {
        "biocal simulate": [(row["jobs"], row["replicates_a_second"]) for row in jobs],
        "independent processes": [(row["jobs"], one * row["gain_of_independent_processes"]) for row in jobs],
    }
    label = "slope 1: rate in proportion to jobs"
    return [Panel("Simulation", "jobs", "replicates a second", lines, (1, one), label, "-", True)]


def _growth(title: str, y_label: str, lines: dict[str, Points], anchor: str) -> Panel:
    """A panel against sets, with slope 1 through our largest point."""
    through = max(lines[anchor]) if lines.get(anchor) else None
    return Panel(title, "matched sets", y_label, lines, through)


def _ours_first(lines: dict[str, Points]) -> dict[str, Points]:
    return {name: lines[name] for name in sorted(lines, key=lambda name: name != "biocal")}


#: Name of the file -> the part it shows, how, and its text for those who do not see it.
FIGURES: dict[str, tuple[str, Callable[[dict[str, Any]], list[Panel]], str]] = {
    "engine": (
        "growth",
        engine_panels,
        "Time and memory of one fit against the number of sets, beside peers",
    ),
    "fit": ("fit", fit_panels, "Time and memory of whole processes against the number of sets"),
    "induced": ("induced", induced_panels, "Time of induced and full fits against the number of sets"),
    "jobs": ("simulate", jobs_panels, "Replicates a second against the number of jobs"),
}


def panels_of(name: str, parts: Parts) -> list[Panel]:
    """The panels of one figure; none when its part was not measured."""
    part, panels, _ = FIGURES[name]
    return panels(parts[part]["found"]) if part in parts and "found" in parts[part] else []


def digest(panels: Sequence[Panel]) -> str:
    """What stands in the file, by which a figure is known to show these numbers and no others."""
    points = [[panel.lines, panel.slope_through, panel.gates] for panel in panels]
    return hashlib.sha256(json.dumps(points).encode()).hexdigest()


def draw(panels: Sequence[Panel]) -> Figure:
    """The panels side by side, one legend above."""
    with print_style():
        figure = new_figure(TWO_COLUMNS_MM if len(panels) > 1 else MIDDLE_MM, HEIGHT_MM)
        handles: dict[str, Any] = {}
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            handles |= _draw_panel(axes, panel)
        place_legend(figure, list(handles.values()), available=0.98 * figure.bbox.width)
    return figure


def _draw_panel(axes: Axes, panel: Panel) -> dict[str, Any]:
    handles: dict[str, Any] = {}
    if not panel.linear:
        axes.set_xscale("log")
        axes.set_yscale("log")
    for name, points in panel.lines.items():
        colour, dashes, marker = LOOKS[name]
        x, y = zip(*sorted(points), strict=True)
        (handles[name],) = axes.plot(
            x, y, color=colour, linestyle=dashes, marker=marker, markersize=4, label=name
        )
    if panel.linear:
        axes.set_xlim(0, 1.1 * axes.get_xlim()[1])
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
    low, high = axes.get_ylim()
    if panel.slope_through is not None:
        x0, y0 = panel.slope_through
        left, right = axes.get_xlim()
        look: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "linestyle": panel.slope_dashes}
        axes.plot([left, right], [y0 * left / x0, y0 * right / x0], zorder=0, **look)
        axes.set_xlim(left, right)
        if panel.linear:
            high = max(high, y0 * right / x0)
        handles[panel.slope_label] = Line2D([], [], label=panel.slope_label, **look)
    shown = [gate for gate in panel.gates if axes.get_xlim()[0] <= gate[0] <= axes.get_xlim()[1]]
    for x0, y0, label in shown:
        axes.plot([x0], [y0], marker="_", color="black", markersize=14, markeredgewidth=1.2)
        axes.annotate(
            f"{label} ", (x0, y0), ha="right", va="center", xytext=(-8, 0), textcoords="offset points"
        )
    axes.set_ylim(low, max(high, *(2 * gate[1] for gate in shown)) if shown else high)
    axes.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
    if panel.linear:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        thin_ticks(axes)
    else:
        _decimal_ticks(axes)
    return handles


def _decimal_ticks(axes: Axes) -> None:
    """Ticks that say 0.01, 1, 10k, 1M and not powers of ten; at 1, 2, 5 where the range is short."""
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 30 else (1.0,)))
        axis.set_major_formatter(FuncFormatter(_short))
        axis.set_minor_formatter(NullFormatter())
    thin_ticks(axes)


def _short(value: float, _: int) -> str:
    """A number for a tick: 10,000 is 10k, a million 1M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.10g}{letter}"
    return f"{value:.10g}"


def write_figures(folder: Path, parts: Parts) -> list[Path]:
    """Write every figure that can be drawn as PNG and SVG; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in FIGURES:
        panels = panels_of(name, parts)
        if not panels:
            continue
        figure = draw(panels)
        for ending, silent in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            content = io.BytesIO()
            with matplotlib.rc_context({"svg.hashsalt": "biocal", "svg.fonttype": "path"}):
                figure.savefig(
                    content,
                    format=ending,
                    dpi=DOTS_PER_INCH,
                    metadata={**silent, "Description": digest(panels)},
                )
            path = folder / f"{name}.{ending}"
            path.write_bytes(content.getvalue())
            written.append(path)
    return written
