"""Tables of what stands beside the curves in replicates.parquet: coefficients and tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from biocal.simulation.performance import PERFORMANCE_COLUMNS, performance
from biocal.simulation.quantities import COEFFICIENT, P_VALUE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ALPHAS", "coefficient_table", "rejection_table"]

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
