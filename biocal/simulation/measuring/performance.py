"""Performance of estimators over the replicates of a simulation study, ours or anybody's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from biocal.simulation.measuring.measures import MEASURES, EstimateRows, measure_groups
from biocal.simulation.measuring.paper_tables import PaperTable
from biocal.simulation.measuring.performance_columns import RowColumns, critical_value, read_rows

if TYPE_CHECKING:
    import pandas as pd

    from biocal.simulation.measuring.cubes import ReplicateCube


__all__ = [
    "NULL_TRUTH",
    "PERFORMANCE_COLUMNS",
    "PerformanceTable",
    "performance",
    "performance_of_cube",
]


#: Columns of a performance table after those that name the group.
PERFORMANCE_COLUMNS = ("truth", "n", "failed", "mean", *MEASURES, *(f"mcse_{name}" for name in MEASURES))
_SUMMARY_BLOCKS = (
    ("truth", "n", "failed", "bias", "relative_bias", "empirical_se", "rmse"),
    ("model_se", "relative_error_model_se", "coverage", "bias_eliminated_coverage", "power"),
)
#: rsimsum's names of our measures, and theirs that need squaring.
_RSIMSUM = {
    "mean": "thetamean",
    "bias": "bias",
    "relative_bias": "rbias",
    "empirical_se": "empse",
    "rmse": "mse",
    "model_se": "modelse",
    "relative_error_model_se": "relerror",
    "coverage": "cover",
    "bias_eliminated_coverage": "becover",
    "power": "power",
}


class PerformanceTable(PaperTable):
    """Performance measures, one row a group: `tidy()`, `long()`, and tables for papers.

    Examples
    --------
    >>> import pandas as pd
    >>> import biocal as bc
    >>> drawn = pd.DataFrame({"method": ["a", "a", "a"], "estimate": [0.9, 1.0, 1.4], "std_error": 0.2})
    >>> print(bc.performance(drawn, truth=1.0, by="method").to_text(measures=["bias", "coverage"]))
      method         bias     coverage
      --------------------------------
      a       0.10 (0.15)  0.67 (0.27)
    """

    def long(self) -> pd.DataFrame:
        """One row a group and measure, by the names of R's rsimsum.

        Returns
        -------
        DataFrame
            The columns that name the group, then ``stat``, ``est``, ``mcse``: what ``tidy(simsum(...))``
            gives.  ``nsim`` is our n, ``mse`` the square of our rmse, ``relerror`` in percent.
        """
        import pandas as pd

        frame = self.tidy()
        parts = [frame[list(self.by)].assign(stat="nsim", est=frame["n"].astype(float), mcse=np.nan)]
        for name, stat in _RSIMSUM.items():
            est, mcse = frame[name], frame.get(f"mcse_{name}", np.nan)
            if stat == "mse":
                est, mcse = est**2, 2.0 * est * mcse
            parts.append(frame[list(self.by)].assign(stat=stat, est=est, mcse=mcse))
        long = pd.concat(parts, keys=range(len(parts)), names=["measure", "group"])
        return long.sort_index(level=["group", "measure"]).reset_index(drop=True)

    def summary(self) -> str:
        """Two tables as text, estimates and intervals, with Monte Carlo standard errors in brackets.

        Returns
        -------
        str
        """
        failed, n = int(self.frame["failed"].sum()), int(self.frame["n"].sum())
        parts = ["Performance (Monte Carlo standard errors in brackets)"]
        parts += [self.to_text(measures=block) for block in _SUMMARY_BLOCKS]
        parts.append("  The relative error of the model SE is in percent; all else as estimated.")
        if failed:
            parts.append(f"  {failed:,} of {failed + n:,} rows failed; they enter no measure.")
        return "\n\n".join(parts)


def performance(
    frame: pd.DataFrame,
    *,
    estimate: str = "estimate",
    std_error: str | None = "std_error",
    truth: str | float | None = "truth",
    by: str | Sequence[str] | None = None,
    level: float = 0.95,
    conf_low: str | None = None,
    conf_high: str | None = None,
    df: str | float | None = None,
    power_df: float | None = None,
    converged: str | None = None,
) -> PerformanceTable:
    """Return how estimators performed over replicates, with Monte Carlo standard errors.

    Takes any table of results with one row a replicate (and method, and scenario, ...), such as R's
    rsimsum takes.

    Parameters
    ----------
    frame : DataFrame
        Row order does not matter.
    estimate, std_error : str
        Columns of the point estimates and of their standard errors; without standard errors
        (``std_error=None``) what needs them is blank.
    truth : str, float or None
        Column or number: the true value.  A column may differ between groups, and within them.
    by : str or sequence of str, optional
        Columns that name the groups.  Default: those of ``scenario``, ``method``, ``exposure`` that
        are there.
    level : float, default .95
        Confidence level of intervals and, as 1 - level, of the test whose power is told.
    conf_low, conf_high : str, optional
        Columns of the confidence limits.  Default: estimate -+ quantile * standard error.
    df : str or float, optional
        Column or number: degrees of freedom of the t quantile for those intervals; default normal.
    power_df : float, optional
        Degrees of freedom of the test; default normal.
    converged : str, optional
        Column that is false for failed replicates; default ``converged`` if there is one.

    Returns
    -------
    PerformanceTable
        ``tidy()`` has a row a group: the columns of `by`; truth; n, the rows used; failed, the rows that
        are not: not converged, or without estimate, standard error or limits; mean; the measures; and
        ``mcse_`` with the name of each.

    Raises
    ------
    ColumnError
        A column is missing or not numeric; a standard error is negative; limits are the wrong way round;
        a truth is missing.
    OptionError
        A level outside (0, 1); one confidence limit without the other; degrees of freedom not positive.

    Notes
    -----
    With e_i the estimate, s_i its standard error, t the truth, sums over the n rows used, and sd() with
    divisor n - 1, the formulas of [1]_ (table 6), which are those of rsimsum:

    ========================= ================================== =======================================
    measure                   value                              Monte Carlo standard error
    ========================= ================================== =======================================
    bias                      mean(e - t)                        sd(e - t) / sqrt(n)
    relative_bias             mean((e - t) / t)                  sd((e - t) / t) / sqrt(n)
    empirical_se              sd(e)                              empirical_se / sqrt(2 (n - 1))
    model_se                  sqrt(mean(s^2))                    sd(s^2) / (2 sqrt(n) model_se)
    rmse                      sqrt(mean((e - t)^2))              sd((e - t)^2) / (2 sqrt(n) rmse)
    relative_error_model_se   100 (model_se / empirical_se - 1)  100 (model_se / empirical_se) *
                                                                 sqrt(var(s^2) / (4 n model_se^4)
                                                                 + 1 / (2 (n - 1)))
    coverage                  share of low <= t <= high          sqrt(share (1 - share) / n)
    bias_eliminated_coverage  share of low <= t + bias <= high   sqrt(share (1 - share) / n)
    power                     share of abs(e) >= quantile * s    sqrt(share (1 - share) / n)
    ========================= ================================== =======================================

    The error of rmse is that of the mean squared error by the delta method (rsimsum gives the mean
    squared error itself; so does ``long()``).  Relative bias is a fraction and blank where a truth is 0;
    the relative error of the model SE is in percent: both as in rsimsum.  A share of exactly 0 or 1 has
    an estimated Monte Carlo error of 0, which means only that n was too small to see the exceptions; and
    with n = 1 whatever needs a spread is blank.  The error of empirical_se assumes normal estimates.

    References
    ----------
    .. [1] Morris TP, White IR, Crowther MJ. Using simulation studies to evaluate statistical methods.
       Stat Med 2019;38:2074-2102, doi:10.1002/sim.8086, table 6.

    Examples
    --------
    >>> import pandas as pd
    >>> import biocal as bc
    >>> drawn = pd.DataFrame({"method": ["a", "a", "a"], "estimate": [0.9, 1.0, 1.4], "std_error": 0.2})
    >>> table = bc.performance(drawn, truth=1.0, by="method").tidy()
    >>> round(float(table["bias"][0]), 3), round(float(table["mcse_bias"][0]), 3)
    (0.1, 0.153)
    """
    grouped = read_rows(
        frame,
        RowColumns(estimate, std_error, truth, by, conf_low, conf_high, df, converged),
        level=level,
    )
    measures = measure_groups(grouped.rows, power_critical=float(critical_value(level, power_df)))
    table = grouped.keys
    for name in PERFORMANCE_COLUMNS:
        table[name] = measures[name].astype(np.int64) if name in ("n", "failed") else measures[name]
    return PerformanceTable(table, by=grouped.by)


#: Log odds ratios this small are 0 but for rounding, such as f(x) - f(x0) on a plateau (our choice).
NULL_TRUTH = 1e-12


def performance_of_cube(cube: ReplicateCube, *, level: float = 0.95) -> pd.DataFrame:
    """Measures of one scenario, a row a method and exposure."""
    import pandas as pd

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
