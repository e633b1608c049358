"""A simulation study in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from biocal.results.text import count, number, paragraph, percent
from biocal.simulation.measuring.summaries import relative_bias_floor

if TYPE_CHECKING:
    import pandas as pd

    from biocal.simulation.simulated_study import SimulatedStudy

__all__ = ["FAILURE_LIMIT", "describe", "failure_lines", "level_text", "scenario_label"]

#: Share of failed replicates above which they are shouted.
FAILURE_LIMIT = 0.05
#: Scenarios with failures that are listed one by one, below the limit.
_LISTED = 10


def describe(results: SimulatedStudy) -> str:
    """The summary of a simulation study."""
    failures = results.tables.failures
    scenarios = int(failures["scenario"].nunique())
    fewest, most = int(failures["replicates"].min()), int(failures["replicates"].max())
    replicates = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
    parts = [
        f"Simulation study{': ' + results.title if results.title else ''}",
        f"  {count(scenarios, 'scenario')}, {replicates} replicates, methods {', '.join(results.methods)}",
    ]
    if results.varied:
        parts.append(
            "\n".join(f"  varied: {key} = {_levels_of(results.levels, key)}" for key in results.varied)
        )
    parts.append("\n".join(failure_lines(failures, results.varied)))
    parts.append("Averages over the exposures (Monte Carlo standard errors in brackets)")
    parts.append(results.summary_table().to_text())
    parts.append(paragraph(_floor_note(results), bullet=""))
    return "\n\n".join(parts)


def failure_lines(failures: pd.DataFrame, varied: tuple[str, ...] = ()) -> list[str]:
    """Tell the failures; those above 5 percent of a scenario's replicates begin with WARNING.

    Parameters
    ----------
    failures : DataFrame
        As in :class:`~biocal.simulation.measuring.tables.SimulationTables`.
    varied : tuple of str
        Varied keys, to name the scenario by.
    """
    failed = failures[failures["failed"] > 0]
    if failed.empty:
        return ["  No replicate failed."]
    loud = failed["share"] > FAILURE_LIMIT
    lines = []
    for _, row in failed[loud].iterrows():
        lines.append(
            paragraph(
                f"WARNING: {row['method']} FAILED in {percent(row['share'])} of the replicates of "
                f"{scenario_label(row, varied)}: {int(row['failed']):,} of {int(row['replicates']):,}. What is told of "
                f"it is about the others only, which need not be like them. Commonest error: "
                f"{row['commonest_error'] or 'not recorded'}"
            )
        )
    quiet = failed[~loud]
    for _, row in quiet.head(_LISTED).iterrows():
        lines.append(
            paragraph(
                f"{row['method']} failed in {int(row['failed']):,} of {int(row['replicates']):,} replicates of "
                f"{scenario_label(row, varied)}: {row['commonest_error'] or 'error not recorded'}"
            )
        )
    if len(quiet) > _LISTED:
        rest = quiet.iloc[_LISTED:]
        lines.append(
            f"  and {count(int(rest['failed'].sum()), 'failure')} in {len(rest)} other rows of failures()"
        )
    return lines


def scenario_label(row: Any, varied: tuple[str, ...]) -> str:
    """``scenario 3 (studies.calibrators = 29, studies.r_squared = 0.9)``."""
    keys = ", ".join(f"{key} = {level_text(row[key])}" for key in varied)
    # a row of a table with fractions has its whole numbers as fractions too
    return f"scenario {int(row['scenario'])}" + (f" ({keys})" if keys else "")


def level_text(level: Any) -> str:
    """A level of a varied key as text; it may be a list or a table."""
    if isinstance(level, float | np.floating):
        return f"{level:.6g}"
    if isinstance(level, list | tuple | np.ndarray):
        return "[" + ", ".join(level_text(part) for part in level) + "]"
    return str(level)


def _levels_of(levels: pd.DataFrame, key: str) -> str:
    return ", ".join(dict.fromkeys(level_text(level) for level in levels[key]))


def _floor_note(results: SimulatedStudy) -> str:
    """What averages of absolute values can and cannot show."""
    performance = results.tables.performance
    floors = [
        relative_bias_floor(part["mcse_relative_bias"].to_numpy(dtype=np.float64))
        for _, part in performance.groupby(["scenario", "method"], sort=False)
    ]
    known = [floor for floor in floors if np.isfinite(floor)]
    note = (
        "The average relative bias is the mean of |relative bias|, a fraction, over exposures where the truth "
        "is not 0; the absolute error is weighted by the density of the exposure among controls"
    )
    note += " (here: all exposures alike)." if results.weights is None else "."
    if known:
        span = (
            number(min(known), 2)
            if len(known) == 1
            else f"{number(min(known), 2)} to {number(max(known), 2)}"
        )
        note += f" With so many replicates an estimator without any bias would show an average of {span}."
    return note
