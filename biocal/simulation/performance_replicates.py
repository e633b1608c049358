"""Performance of each method at each exposure of each scenario: the columns of performance.csv."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from biocal.simulation.measures import EstimateRows, measure_groups
from biocal.simulation.performance_columns import critical_value

if TYPE_CHECKING:
    import pandas as pd

    from biocal.simulation.results_cubes import ReplicateCube

__all__ = ["NULL_TRUTH", "performance_of_cube"]

#: Log odds ratios this small are 0 but for rounding, such as f(x) - f(x0) on a plateau (our choice).
NULL_TRUTH = 1e-12


def performance_of_cube(cube: ReplicateCube, *, level: float = 0.95) -> pd.DataFrame:
    """Measures of one scenario, a row a method and exposure."""
    import pandas as pd

    from biocal.simulation.performance import PERFORMANCE_COLUMNS

    quantile = float(critical_value(level, None))
    n_exposures = cube.exposures.size
    parts = []
    for k, method in enumerate(cube.methods):
        there = cube.present[:, k].reshape(-1)
        group = np.broadcast_to(np.arange(n_exposures), cube.present[:, k].shape).reshape(-1)[there]
        rows = EstimateRows(
            group, n_exposures, cube.failed[:, k].reshape(-1)[there], cube.estimate[:, k].reshape(-1)[there],
            cube.std_error[:, k].reshape(-1)[there], cube.truth[group],
            cube.conf_low[:, k].reshape(-1)[there], cube.conf_high[:, k].reshape(-1)[there],
        )  # fmt: skip
        measures = measure_groups(rows, power_critical=quantile, null_truth=NULL_TRUTH)
        measures["truth"] = cube.truth  # also where no row is
        names = {"scenario": cube.scenario, "method": method, "exposure": cube.exposures}
        parts.append(pd.DataFrame(names | {name: measures[name] for name in PERFORMANCE_COLUMNS}))
    return pd.concat(parts, ignore_index=True).astype({"n": np.int64, "failed": np.int64})
