"""The tables of a simulation study, all made in one pass over its replicates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from biocal.errors import ColumnError, InputError
from biocal.simulation.fitting.quantities import COEFFICIENT, P_VALUE
from biocal.simulation.measuring.cubes import ReplicateCube, read_cubes
from biocal.simulation.measuring.performance import PERFORMANCE_COLUMNS, performance, performance_of_cube
from biocal.simulation.measuring.summaries import differences_of_cube, failures_of_cube, summary_of_cube

if TYPE_CHECKING:
    import pandas as pd


__all__ = [
    "ALPHAS",
    "SimulationTables",
    "Weights",
    "coefficient_table",
    "difference_table",
    "performance_table",
    "rejection_table",
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


#: Levels at which tests are said to reject.
ALPHAS = (0.05, 0.01)
_COLUMNS = ["scenario", "method", "quantity", "estimate", "std_error", "truth", "converged"]


def coefficient_table(replicates: pd.DataFrame | str | Path) -> pd.DataFrame:
    """Measures of the coefficients: scenario, method, coefficient (1, 2, ...), then as performance.csv.

    Parameters
    ----------
    replicates : DataFrame, str or Path
        Columns of replicates.parquet, or that file.

    Returns
    -------
    DataFrame
        Without rows where no coefficients were kept.
    """
    rows = _rows_of(replicates, COEFFICIENT)
    if rows.empty:
        return rows.reindex(columns=["scenario", "method", "coefficient", *PERFORMANCE_COLUMNS])
    rows["coefficient"] = rows["quantity"].str.removeprefix(COEFFICIENT).astype(np.int64)
    return _as_drawn(rows, performance(rows, by=("scenario", "method", "coefficient")).tidy())


def rejection_table(replicates: pd.DataFrame | str | Path, alphas: Sequence[float] = ALPHAS) -> pd.DataFrame:
    """How often each test rejects: scenario, method, test, alpha, n, failed, rejected, mcse_rejected.

    Parameters
    ----------
    replicates : DataFrame, str or Path
        Columns of replicates.parquet, or that file.
    alphas : sequence of float
        Levels of the test.

    Returns
    -------
    DataFrame
        ``rejected`` is the share of p-values of at most alpha: the type I error where the hypothesis is true,
        the power where it is not.  Without rows where no tests were kept.
    """
    import pandas as pd

    rows = _rows_of(replicates, P_VALUE)
    columns = ["scenario", "method", "test", "alpha", "n", "failed", "rejected", "mcse_rejected"]
    rows["test"] = rows["quantity"].str.removeprefix(P_VALUE)
    parts = []
    for key, part in rows.groupby(["scenario", "method", "test"], sort=False):
        p_value = part["estimate"].to_numpy(dtype=np.float64, na_value=np.nan)
        known = p_value[np.isfinite(p_value) & part["converged"].to_numpy(dtype=bool)]
        for alpha in alphas:
            share = float(np.mean(known <= alpha)) if known.size else float("nan")
            error = float(np.sqrt(share * (1.0 - share) / known.size)) if known.size else float("nan")
            parts.append((*key, alpha, known.size, p_value.size - known.size, share, error))
    return pd.DataFrame(parts, columns=columns)


def _rows_of(replicates: pd.DataFrame | str | Path, prefix: str) -> pd.DataFrame:
    """Rows whose quantity begins so."""
    import pandas as pd

    if isinstance(replicates, str | Path):
        import pyarrow.parquet as pq

        if "quantity" not in pq.read_schema(replicates).names:  # a file of an earlier version
            return pd.DataFrame(columns=_COLUMNS)
        # the names sort together: "p:" to "p;", the character after the colon
        among = [("quantity", ">=", prefix), ("quantity", "<", prefix[:-1] + ";")]
        return pd.read_parquet(replicates, columns=_COLUMNS, filters=among)
    if "quantity" not in replicates.columns:
        return pd.DataFrame(columns=_COLUMNS)
    return replicates.loc[replicates["quantity"].str.startswith(prefix), _COLUMNS].copy()


def _as_drawn(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Methods in the order of the design, not of the alphabet."""
    order = {method: k for k, method in enumerate(rows["method"].drop_duplicates())}
    place = table["method"].map(order)
    return table.assign(_place=place).sort_values(
        ["scenario", "_place", "coefficient"], kind="stable", ignore_index=True
    ).drop(columns="_place")  # fmt: skip
