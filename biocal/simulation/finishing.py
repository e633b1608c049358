"""What a finished simulation's folder holds beside replicates.parquet: tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biocal.disk.whole_file import replace_file
from biocal.results.csv_text import csv_bytes
from biocal.simulation.folder import FIGURES_FOLDER, REPLICATES_FILE

if TYPE_CHECKING:
    from biocal.simulation.design import Design
    from biocal.simulation.results import SimulationResults

__all__ = ["loud_failures", "results_of", "write_results"]

#: Scenarios that get a zip plot of their own; a figure each of hundreds would bury the others.
MOST_ZIP_PLOTS = 12


def results_of(path: Path, design: Design) -> SimulationResults:
    """Return the results in a folder, read when they are needed."""
    from biocal.simulation.results import SimulationResults

    return SimulationResults.from_design(path / REPLICATES_FILE, design)


def write_results(path: Path, design: Design) -> None:
    """Write performance.csv, summary.csv, differences.csv and the figures; coefficients.csv, tests.csv if asked.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    results = results_of(path, design)
    for name in ("performance", "summary", "differences"):
        table = getattr(results.tables, name)
        replace_file(path / f"{name}.csv", csv_bytes(table))
    for name, asked in _asked_for(design):
        if asked:
            replace_file(path / f"{name}.csv", csv_bytes(getattr(results, name)().tidy()))
    figures = path / FIGURES_FOLDER
    figures.mkdir(exist_ok=True)
    for name, draw in _figures(results, design):
        _write_figure(figures / name, draw())


def loud_failures(results: SimulationResults) -> list[str]:
    """Sentences on methods that failed in more than 5 percent of a scenario's replicates."""
    from biocal.simulation.results_text import FAILURE_LIMIT, failure_lines

    if results.is_empty:
        return []
    failures = results.tables.failures
    loud = failures[failures["share"] > FAILURE_LIMIT]
    if loud.empty:
        return []
    return [" ".join(line.split()) for line in failure_lines(loud, results.varied)]


def _asked_for(design: Design) -> Iterator[tuple[str, bool]]:
    """Tables of what a design may ask for beside the curve."""
    estimands = [scenario.estimand for scenario in design.scenarios]
    yield "coefficients", any(estimand.coefficients for estimand in estimands)
    yield "tests", any(estimand.tests for estimand in estimands)


def _figures(results: SimulationResults, design: Design) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Names of the figures, and how to draw each: one at a time is in memory."""
    yield "bias", results.plot_lollipop
    yield "coverage", partial(results.plot_lollipop, "coverage")
    yield "curves", results.plot_curves
    for key in results.varied:
        name = key.replace(".", "_")
        yield f"bias_by_{name}", partial(results.plot_bias, key)
        yield f"coverage_by_{name}", partial(results.plot_coverage, key)
    for scenario in range(min(len(design.scenarios), MOST_ZIP_PLOTS)):
        yield f"zip_{scenario}", partial(results.plot_zip, scenario)


def _write_figure(path: Path, figure: Any) -> None:
    from biocal.plots.save import figure_bytes, laid_out

    # a zip plot has a line for every interval: megabytes as vectors
    formats = ("png",) if path.name.startswith("zip_") else ("png", "svg")
    with laid_out(figure):
        for file_format in formats:
            replace_file(path.with_name(f"{path.name}.{file_format}"), figure_bytes(figure, file_format))
