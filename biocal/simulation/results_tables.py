"""The tables of a simulation study, all made in one pass over its replicates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from biocal.errors import ColumnError, InputError
from biocal.simulation.differences import differences_of_cube
from biocal.simulation.performance_replicates import performance_of_cube
from biocal.simulation.results_cubes import ReplicateCube
from biocal.simulation.results_file import read_cubes
from biocal.simulation.summaries import failures_of_cube, summary_of_cube

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SimulationTables",
    "Weights",
    "difference_table",
    "performance_table",
    "simulation_tables",
    "summary_table",
    "under_levels",
]

#: Weight of each exposure of each scenario.
Weights = Mapping[int, Mapping[float, float]]


@dataclass(frozen=True, slots=True, eq=False)
class SimulationTables:
    """What is told of a simulation study; scenario and varied keys begin every table.

    Attributes
    ----------
    performance, summary, differences : DataFrame
        Content of performance.csv, summary.csv, differences.csv.
    failures : DataFrame
        scenario, (varied keys), method, replicates, failed, share, commonest_error.
    """

    performance: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame
    failures: pd.DataFrame


def simulation_tables(
    replicates: pd.DataFrame | str | Path,
    levels: pd.DataFrame | None = None,
    weights: Weights | None = None,
    *,
    level: float = 0.95,
) -> SimulationTables:
    """Make all tables, holding one scenario at a time.

    Parameters
    ----------
    replicates : DataFrame, str or Path
        Columns of replicates.parquet, or that file.
    levels : DataFrame, optional
        scenario, and a column for each varied key.
    weights : mapping from scenario to mapping from exposure to weight, optional
        For weighted_absolute_error; default all exposures alike.
    level : float, default .95
        Of the intervals, for the power of the test.

    Raises
    ------
    ColumnError, InputError
        The replicates, levels or weights do not fit together; the message says where.
    """
    parts: list[tuple[pd.DataFrame, ...]] = []
    for cube in read_cubes(replicates):
        parts.append(
            (
                performance_of_cube(cube, level=level),
                summary_of_cube(cube, _weights_of(cube, weights)),
                differences_of_cube(cube),
                failures_of_cube(cube),
            )
        )
    return SimulationTables(*(_under_one_another(table, levels) for table in zip(*parts, strict=True)))


def performance_table(
    replicates: pd.DataFrame | str | Path, levels: pd.DataFrame | None = None, *, level: float = 0.95
) -> pd.DataFrame:
    """The content of performance.csv; arguments as in :func:`simulation_tables`."""
    return _one_table(replicates, levels, lambda cube: performance_of_cube(cube, level=level))


def summary_table(
    replicates: pd.DataFrame | str | Path, levels: pd.DataFrame | None = None, weights: Weights | None = None
) -> pd.DataFrame:
    """The content of summary.csv; arguments as in :func:`simulation_tables`."""
    return _one_table(replicates, levels, lambda cube: summary_of_cube(cube, _weights_of(cube, weights)))


def difference_table(
    replicates: pd.DataFrame | str | Path, levels: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The content of differences.csv; arguments as in :func:`simulation_tables`."""
    return _one_table(replicates, levels, differences_of_cube)


def _one_table(
    replicates: pd.DataFrame | str | Path,
    levels: pd.DataFrame | None,
    table_of: Callable[[ReplicateCube], pd.DataFrame],
) -> pd.DataFrame:
    return _under_one_another([table_of(cube) for cube in read_cubes(replicates)], levels)


def _weights_of(cube: ReplicateCube, weights: Weights | None) -> Mapping[float, float] | None:
    if weights is None:
        return None
    if cube.scenario not in weights:
        raise InputError(f"there are no weights for scenario {cube.scenario}", scenario=cube.scenario)
    return weights[cube.scenario]


def _under_one_another(tables: Sequence[pd.DataFrame], levels: pd.DataFrame | None) -> pd.DataFrame:
    import pandas as pd

    return under_levels(pd.concat(tables, ignore_index=True), levels)


def under_levels(table: pd.DataFrame, levels: pd.DataFrame | None) -> pd.DataFrame:
    """Return the table with the varied keys after the scenario.

    Raises
    ------
    ColumnError, InputError
        The varied keys have no scenario, or not all of them.
    """
    import pandas as pd

    if levels is None:
        return table
    if "scenario" not in levels.columns:
        raise ColumnError("the varied keys need a column 'scenario'", column="scenario")
    place = pd.Index(levels["scenario"]).get_indexer(table["scenario"])
    if (place < 0).any():
        unknown = table["scenario"].iloc[int((place < 0).argmax())]
        raise InputError(f"there are no varied keys for scenario {unknown}", scenario=unknown)
    keys = levels.drop(columns="scenario").iloc[place].reset_index(drop=True)
    joined: pd.DataFrame = pd.concat([table[["scenario"]], keys, table.drop(columns="scenario")], axis=1)
    return joined
