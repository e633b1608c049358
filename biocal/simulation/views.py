"""Figures of a simulation study: results are turned into plain arrays for :mod:`biocal.results.plots` here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.simulation.measuring.cubes import ReplicateCube, read_cubes
from biocal.simulation.measuring.measures import MEASURES
from biocal.simulation.measuring.summaries import SUMMARIES
from biocal.simulation.text import level_text, scenario_label

if TYPE_CHECKING:
    import pandas as pd

    from biocal.simulation.simulated_study import SimulatedStudy

__all__ = ["curves_figure", "levels_figure", "lollipop_figure", "zip_figure"]

FloatArray = NDArray[np.float64]

#: Columns and rows that can be read on a page (ours, by eye).
_MOST_EXPOSURES = 6
_MOST_ROWS = 12
_MOST_CURVE_ROWS = 6
_VALUE_NAMES = {
    "bias": "Bias of the log odds ratio",
    "relative_bias": "Relative bias",
    "empirical_se": "Empirical standard error",
    "model_se": "Model standard error",
    "rmse": "Root mean squared error",
    "relative_error_model_se": "Relative error of the model standard error (%)",
    "coverage": "Coverage",
    "bias_eliminated_coverage": "Bias-eliminated coverage",
    "power": "Power",
    "average_relative_bias": "Average relative bias",
    "average_coverage": "Average coverage",
    "weighted_absolute_error": "Weighted absolute error of the log odds ratio",
}


def zip_figure(results: SimulatedStudy, scenario: int | None, exposures: Sequence[float] | None) -> Any:
    """Rows are exposures, columns methods."""
    from biocal.results.plots.simulation.zip import ZipPanel, draw_zip

    index = _scenarios(results, None if scenario is None else [scenario], 1)[0][0]
    cube = next(_cubes(results, [index]))
    shown = _exposures(cube.exposures, exposures)
    panels = []
    for k, method in enumerate(cube.methods):
        for m in np.flatnonzero(np.isin(cube.exposures, shown)):
            sound = cube.sound[:, k, m] & (cube.conf_high[:, k, m] > cube.conf_low[:, k, m])
            row = f"log odds ratio at exposure {cube.exposures[m]:g}"
            estimate, low, high = (
                part[sound, k, m] for part in (cube.estimate, cube.conf_low, cube.conf_high)
            )
            panels.append(ZipPanel(row, method, estimate, low, high, float(cube.truth[m])))
    return draw_zip(panels, level=results.level, title=_heading(results, index) if results.varied else "")


def lollipop_figure(
    results: SimulatedStudy,
    measure: str,
    scenarios: Sequence[int] | None,
    exposures: Sequence[float] | None,
) -> Any:
    """Rows are scenarios, columns exposures."""
    from biocal.results.plots.simulation.lollipop import LollipopPanel, draw_lollipops

    _require_measure(measure, (*MEASURES, *SUMMARIES))
    chosen, note = _scenarios(results, scenarios, _MOST_ROWS)
    panels = []
    for scenario in chosen:
        row = _heading(results, scenario) if len(chosen) > 1 or results.varied else ""
        for column, table in _by_exposure(results, measure, exposures).items():
            part = table[table["scenario"] == scenario]
            value, mcse = _values(part, measure)
            panels.append(LollipopPanel(row, column, part["method"].tolist(), value, mcse))
    return draw_lollipops(
        panels, target=_target(results, measure), value_name=_VALUE_NAMES[measure], title=note
    )


def levels_figure(
    results: SimulatedStudy,
    key: str | None,
    measure: str,
    where: Mapping[str, Any] | None,
    exposures: Sequence[float] | None,
) -> Any:
    """Rows are combinations of the other keys, columns exposures."""
    from biocal.results.plots.simulation.measures import LevelsPanel, MeasuredSeries, draw_levels

    key = _require_key(results, key)
    _require_measure(measure, (*MEASURES, *SUMMARIES))
    levels = _chosen_levels(results, where)
    names = list(dict.fromkeys(level_text(level) for level in levels[key]))
    place_of = {int(row["scenario"]): names.index(level_text(row[key])) for _, row in levels.iterrows()}
    scenarios_of = _other_levels(levels, [other for other in results.varied if other != key])
    shown_rows = list(scenarios_of)[:_MOST_ROWS]
    more = len(scenarios_of) > _MOST_ROWS
    panels = []
    for row in shown_rows:
        for column, table in _by_exposure(results, measure, exposures).items():
            here = table[table["scenario"].isin(scenarios_of[row])]
            series = []
            for method in results.methods:
                part = here[here["method"] == method]
                value, mcse = np.full(len(names), np.nan), np.full(len(names), np.nan)
                place = [place_of[int(scenario)] for scenario in part["scenario"]]
                value[place], mcse[place] = _values(part, measure)
                series.append(MeasuredSeries(method, value, mcse))
            panels.append(LevelsPanel(row, column, series))
    return draw_levels(
        panels,
        levels=names,
        key_name=key,
        value_name=_VALUE_NAMES[measure],
        target=_target(results, measure),
        title=f"the first {_MOST_ROWS} of {len(scenarios_of)} combinations" if more else "",
    )


def _other_levels(levels: pd.DataFrame, others: Sequence[str]) -> dict[str, list[int]]:
    """Scenarios of each combination of the other varied keys, by its name."""
    scenarios: dict[str, list[int]] = {}
    for _, row in levels.iterrows():
        name = ", ".join(f"{other} = {level_text(row[other])}" for other in others)
        scenarios.setdefault(name, []).append(int(row["scenario"]))
    return scenarios


def _by_exposure(
    results: SimulatedStudy, measure: str, exposures: Sequence[float] | None
) -> dict[str, pd.DataFrame]:
    """Values of a measure by the heading of their column; averages over exposures have one column."""
    if measure in SUMMARIES:
        return {"": results.tables.summary}
    table = results.tables.performance
    shown = _exposures(np.unique(table["exposure"].to_numpy(dtype=np.float64)), exposures)
    return {f"exposure {exposure:g}": table[table["exposure"] == exposure] for exposure in shown}


def curves_figure(results: SimulatedStudy, scenarios: Sequence[int] | None) -> Any:
    """Rows are scenarios, columns methods."""
    from biocal.results.plots.simulation.curves import ReplicateCurvesPanel, draw_replicate_curves

    chosen, note = _scenarios(results, scenarios, _MOST_CURVE_ROWS)
    panels: dict[int, list[ReplicateCurvesPanel]] = {}
    for cube in _cubes(results, chosen):
        index = cube.scenario
        reference = results.references.get(index)
        truth = results.true_curves.get(index) or _with_reference(cube.exposures, cube.truth, reference)
        heading = _heading(results, index) if len(chosen) > 1 or results.varied else ""
        panels[index] = []
        for k, method in enumerate(cube.methods):
            log_or = cube.estimate[cube.sound[:, k].all(axis=1), k]
            at, log_or = _with_reference(cube.exposures, log_or, reference)
            panel = ReplicateCurvesPanel.of_replicates((heading, method), at, log_or, truth, reference)
            panels[index].append(panel)
    return draw_replicate_curves([panel for index in chosen for panel in panels[index]], title=note)


def _with_reference(
    exposures: FloatArray, log_or: FloatArray, reference: float | None
) -> tuple[FloatArray, FloatArray]:
    """Curves (..., m) with the reference exposure among their points, where they are 0 by definition."""
    if reference is None or reference in exposures:
        return exposures, log_or
    place = int(np.searchsorted(exposures, reference))
    return np.insert(exposures, place, reference), np.insert(log_or, place, 0.0, axis=-1)


def _values(part: pd.DataFrame, measure: str) -> tuple[FloatArray, FloatArray]:
    return part[measure].to_numpy(dtype=np.float64), part[f"mcse_{measure}"].to_numpy(dtype=np.float64)


def _target(results: SimulatedStudy, measure: str) -> float:
    if "coverage" in measure:
        return results.level
    return 1.0 - results.level if measure == "power" else 0.0


def _heading(results: SimulatedStudy, scenario: int) -> str:
    levels = results.levels
    row = levels[levels["scenario"] == scenario].iloc[0]
    return scenario_label(row, results.varied)


def _cubes(results: SimulatedStudy, chosen: Sequence[int]) -> Iterator[ReplicateCube]:
    """Arrays of some scenarios, one at a time, in ascending order."""
    for cube in read_cubes(results.source):
        if cube.scenario in chosen:
            yield cube
        if cube.scenario >= max(chosen):
            return


def _scenarios(results: SimulatedStudy, asked: Sequence[int] | None, most: int) -> tuple[list[int], str]:
    """Scenarios to show, and a note when there are more."""
    there = [int(scenario) for scenario in results.tables.summary["scenario"].drop_duplicates()]
    if asked is None:
        note = "" if len(there) <= most else f"the first {most} of {len(there)} scenarios"
        return there[:most], note
    unknown = [scenario for scenario in asked if scenario not in there]
    if unknown or not asked:
        raise OptionError(
            f"there is no scenario {unknown[0] if unknown else ''}; there are {there[0]} to {there[-1]}",
            option="scenarios",
            allowed=tuple(there),
        )
    return list(asked), ""


def _exposures(there: FloatArray, asked: Sequence[float] | None) -> FloatArray:
    """Exposures to show."""
    if asked is None:
        if there.size <= _MOST_EXPOSURES:
            return there
        spread = np.round(np.linspace(0, there.size - 1, _MOST_EXPOSURES)).astype(np.intp)
        return np.asarray(there[spread])
    unknown = [exposure for exposure in asked if exposure not in there]
    if unknown or not len(asked):
        raise OptionError(
            f"exposure {unknown[0] if unknown else ''} is not among {', '.join(f'{x:g}' for x in there)}",
            option="exposures",
            allowed=tuple(there.tolist()),
        )
    return np.asarray(asked, dtype=np.float64)


def _require_measure(measure: str, allowed: Sequence[str]) -> None:
    if measure not in allowed:
        raise OptionError(
            f"measure must be one of {', '.join(allowed)}, not {measure!r}",
            option="measure",
            allowed=tuple(allowed),
        )


def _require_key(results: SimulatedStudy, key: str | None) -> str:
    if not results.varied:
        raise OptionError(
            "nothing was varied in this study: plot_lollipop() shows its one scenario", option="key"
        )
    if key is None:
        return results.varied[0]
    if key not in results.varied:
        raise OptionError(
            f"key must be one of {', '.join(results.varied)}, not {key!r}",
            option="key",
            allowed=results.varied,
        )
    return key


def _chosen_levels(results: SimulatedStudy, where: Mapping[str, Any] | None) -> pd.DataFrame:
    """Scenarios with the levels asked for."""
    levels = results.levels
    for key, level in (where or {}).items():
        if key not in results.varied:
            raise OptionError(
                f"where: {key!r} was not varied; choose among {', '.join(results.varied)}",
                option="where",
                allowed=results.varied,
            )
        there = levels[key].map(level_text)
        if level_text(level) not in set(there):
            raise OptionError(
                f"where: {key} was never {level_text(level)} there; levels are {', '.join(dict.fromkeys(there))}",
                option="where",
            )
        levels = levels[there == level_text(level)]
    return levels
