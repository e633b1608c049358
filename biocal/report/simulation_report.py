"""The report of a simulation study: design, performance, figures, failures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.report.figures import ReportFigure, report_figure
from biocal.report.page import ReportTable, render
from biocal.report.sections.appendix import Download, download, version_table
from biocal.report.sections.methods_text import simulation_references
from biocal.results.text import count, exact, percent
from biocal.simulation.results import SimulationResults
from biocal.simulation.text import FAILURE_LIMIT, level_text, scenario_label

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

#: Rows of performance that the page shows; the rest is in the table to take away (our choice).
_MOST_ROWS = 100
#: Measures of the performance table, in its order.
_MEASURES = ("bias", "empirical_se", "model_se", "rmse", "coverage")
_NAMES: Mapping[str, str] = {
    "bias": "Bias",
    "relative_bias": "Relative bias",
    "empirical_se": "Empirical SE",
    "model_se": "Model SE",
    "rmse": "RMSE",
    "coverage": "Coverage",
    "average_relative_bias": "Average |relative bias|",
    "average_coverage": "Average coverage",
    "weighted_absolute_error": "Weighted absolute error",
    "bias_difference": "Difference of bias",
    "squared_error_difference": "Difference of squared error",
}
_SECTIONS = ("exposure", "truth", "measurement", "fit", "estimand")


def simulation_page(
    results: SimulationResults,
    *,
    design: Mapping[str, Any] | None = None,
    title: str = "",
    drawn: Mapping[str, bytes] | None = None,
) -> str:
    """Return the page of a simulation study.

    Parameters
    ----------
    results : SimulationResults
    design : mapping, optional
        The design as a spec file would hold it (``Design.to_dict()``), to be shown.
    title : str
        Default: the design's.
    drawn : mapping of str to bytes, optional
        Files of these results' figures by name, taken instead of drawing the same again.
    """
    failures = results.tables.failures
    fewest, most = int(failures["replicates"].min()), int(failures["replicates"].max())
    replicates = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
    n_scenarios = int(failures["scenario"].nunique())
    return render(
        "simulation.html",
        title=title or results.title or "Simulation study",
        size=f"{count(n_scenarios, 'scenario')}, {replicates} replicates of each",
        methods=results.methods,
        warnings=_loud_failures(results),
        design=[] if design is None else _design_tables(design),
        scenarios=_scenario_table(results),
        averages=_measured(results.tables.summary, "Averages over the exposures", results, ("method",)),
        performance=_measured(
            results.tables.performance, "Performance by exposure", results, ("method", "exposure"), _MEASURES
        ),
        differences=_differences(results),
        failures=_failure_table(results),
        figures=list(_figures(results, drawn or {})),
        references=simulation_references(),
        level=f"{100 * results.level:g}",
        versions=version_table(),
        downloads=_downloads(results),
    )


def _loud_failures(results: SimulationResults) -> list[str]:
    """Methods that failed too often to be judged by what is left."""
    failures = results.tables.failures
    loud = failures[failures["share"] > FAILURE_LIMIT]
    return [
        f"{row['method']} failed in {percent(float(row['share']))} of the replicates of "
        f"{scenario_label(row, results.varied)}. What is told of it is about the others only, which need not be like "
        f"them. Commonest error: {row['commonest_error'] or 'not recorded'}"
        for _, row in loud.iterrows()
    ]


def _design_tables(design: Mapping[str, Any]) -> list[ReportTable]:
    """The design: what is common, then a column a study."""
    top = [(key, level_text(design[key])) for key in ("replicates", "seed", "methods") if key in design]
    for section in _SECTIONS:
        for key, value in dict(design.get(section, {})).items():
            top.append((f"{section}: {key.replace('_', ' ')}", _value(value)))
    for key, value in dict(design.get("vary", {})).items():
        top.append((f"varied: {key}", _value(value)))
    tables = [ReportTable("Design", ("What", "Value"), top, left=2)]
    studies = [dict(study) for study in design.get("studies", [])]
    if studies:
        keys = list(dict.fromkeys(key for study in studies for key in study))
        rows = [tuple(_value(study[key]) if key in study else "" for key in keys) for study in studies]
        tables.append(ReportTable("Simulated studies", [key.replace("_", " ") for key in keys], rows))
    return tables


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_value(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_value(one) for one in value)
    return exact(value) if isinstance(value, float) else str(value)


def _scenario_table(results: SimulationResults) -> ReportTable | None:
    if not results.varied:
        return None
    rows = [
        (str(int(row["scenario"])), *(level_text(row[key]) for key in results.varied))
        for _, row in results.levels.iterrows()
    ]
    return ReportTable("Scenarios", ("Scenario", *results.varied), rows)


def _measured(
    table: pd.DataFrame,
    caption: str,
    results: SimulationResults,
    keys: Sequence[str],
    measures: Sequence[str] | None = None,
) -> ReportTable:
    """Measures with their Monte Carlo standard errors, a row a scenario (told by what varies) and `keys`."""
    shown = [name for name in table.columns if f"mcse_{name}" in table.columns]
    if measures is not None:
        shown = [name for name in measures if name in shown]
    names = (*results.varied, *keys)
    head = [*results.varied, *(_NAMES.get(name, name.capitalize()) for name in (*keys, *shown))]
    decimals = {name: _decimals(table[f"mcse_{name}"].to_numpy(dtype=float)) for name in shown}
    rows = [
        (
            *(level_text(row[name]) for name in names),
            *(_with_monte_carlo(row[m], row[f"mcse_{m}"], decimals[m]) for m in shown),
        )
        for row in table.head(_MOST_ROWS).to_dict("records")
    ]
    note = "In brackets: Monte Carlo standard errors."
    if len(table) > _MOST_ROWS:
        note += f" The first {_MOST_ROWS} of {len(table):,} rows; all are in the table to take away."
    return ReportTable(caption, head, rows, left=len(names), note=note)


def _decimals(errors: FloatArray) -> int:
    """So many that the typical Monte Carlo standard error of a column shows two digits."""
    known = errors[np.isfinite(errors) & (errors > 0)]
    return 4 if known.size == 0 else min(6, max(0, 1 - math.floor(math.log10(float(np.median(known))))))


def _with_monte_carlo(value: float, error: float, decimals: int) -> str:
    if not math.isfinite(value):
        return ""
    told = f" ({error:.{decimals}f})" if math.isfinite(error) else ""
    return f"{value:.{decimals}f}{told}"


def _differences(results: SimulationResults) -> ReportTable | None:
    table = results.tables.differences
    if table.empty:
        return None
    return _measured(table, "Methods compared, paired by replicate", results, ("method", "minus", "exposure"))


def _failure_table(results: SimulationResults) -> ReportTable | None:
    failures = results.tables.failures
    failed = failures[failures["failed"] > 0]
    if failed.empty:
        return None
    rows = [
        (
            scenario_label(row, results.varied),
            str(row["method"]),
            f"{int(row['failed']):,} of {int(row['replicates']):,}",
            percent(float(row["share"])),
            str(row["commonest_error"] or ""),
        )
        for _, row in failed.head(_MOST_ROWS).iterrows()
    ]
    header = ("Scenario", "Method", "Failed", "Share", "Commonest error")
    return ReportTable("Failed replicates", header, rows, left=2)


def _figures(results: SimulationResults, drawn: Mapping[str, bytes]) -> Iterator[ReportFigure]:
    """The figures, one after the other in memory."""
    told = "The tables have the numbers."
    for measure in ("bias", "coverage"):
        words = f"{measure.capitalize()} of each method with Monte Carlo intervals; scenarios in rows, exposures in "
        words += "columns."
        picture = drawn.get(f"{measure}.svg") or results.plot_lollipop(measure)
        yield report_figure(measure, picture, caption=words, alternative=f"{words} {told}")
    words = "Estimated curves over the truth; rows are scenarios, columns methods."
    picture = drawn.get("curves.svg") or results.plot_curves()
    yield report_figure("curves", picture, caption=words, alternative=words)
    for position, key in enumerate(results.varied):
        words = f"Bias against {key}, a line a method."
        picture = drawn.get(f"bias_by_{key.replace('.', '_')}.svg") or results.plot_bias(key)
        yield report_figure(f"by-{position}", picture, caption=words, alternative=f"{words} {told}")
    words = "Every confidence interval of the first scenario, ranked by its distance from the truth."
    # a line for every interval: megabytes as vectors
    picture = drawn.get("zip_0.png") or results.plot_zip()
    yield report_figure("zip", picture, caption=words, alternative=f"{words} {told}", raster=True)


def _downloads(results: SimulationResults) -> list[Download]:
    tables = results.tables
    return [
        download("performance.csv", "measures by scenario, method and exposure", tables.performance),
        download("summary.csv", "averages over the exposures", tables.summary),
        download("differences.csv", "differences between methods, paired by replicate", tables.differences),
        download("failures.csv", "failed replicates", tables.failures),
    ]
