"""The replicates of a simulation study with its levels, and the tables made of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.simulation.measuring.paper_tables import PaperTable
from biocal.simulation.measuring.performance import PerformanceTable
from biocal.simulation.measuring.tables import SimulationTables, Weights, simulation_tables, under_levels

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SimulatedStudy"]

FloatArray = NDArray[np.float64]


class SimulatedStudy:
    """Replicates, levels, and tables that are made on first use and kept; see `SimulationResults`."""

    def __init__(
        self,
        replicates: pd.DataFrame | str | Path,
        levels: pd.DataFrame | None = None,
        *,
        weights: Weights | None = None,
        references: Mapping[int, float] | None = None,
        true_curves: Mapping[int, tuple[FloatArray, FloatArray]] | None = None,
        title: str = "",
        level: float = 0.95,
    ) -> None:
        self.source = replicates
        self._levels = levels
        self.weights = weights
        self.references = dict(references or {})
        self.true_curves = dict(true_curves or {})
        self.title = title
        self.level = level

    @classmethod
    def from_design(cls, replicates: pd.DataFrame | str | Path, design: Any) -> Self:
        """Take levels, weights, references and true curves from the design that was run.

        Parameters
        ----------
        replicates : DataFrame, str or Path
        design : Design
            With ``scenarios``, ``levels`` (a mapping of varied keys each) and ``title``.

        Returns
        -------
        SimulationResults
        """
        from biocal.simulation.results_design import facts_of_design

        facts = facts_of_design(design)
        return cls(
            replicates,
            facts.levels,
            weights=facts.weights,
            references=facts.references,
            true_curves=facts.true_curves,
            title=design.title,
        )

    @cached_property
    def replicates(self) -> pd.DataFrame:
        """Every estimate: the columns of replicates.parquet."""
        import pandas as pd

        if isinstance(self.source, str | Path):
            return pd.read_parquet(self.source)
        return self.source

    @property
    def is_empty(self) -> bool:
        """Whether there are no replicates at all: a shard beyond the last batch has none."""
        if isinstance(self.source, str | Path):
            from pyarrow.parquet import read_metadata

            return int(read_metadata(self.source).num_rows) == 0
        return self.source.empty

    @cached_property
    def tables(self) -> SimulationTables:
        """Performance, summary, differences and failures as data frames."""
        return simulation_tables(self.source, self._levels, self.weights, level=self.level)

    @cached_property
    def levels(self) -> pd.DataFrame:
        """scenario, and a column for each varied key."""
        if self._levels is not None:
            return self._levels
        return self.tables.summary[["scenario"]].drop_duplicates(ignore_index=True)

    @property
    def varied(self) -> tuple[str, ...]:
        """The varied keys."""
        return tuple(str(name) for name in self.levels.columns if name != "scenario")

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Methods, in the order of the design."""
        return tuple(str(method) for method in self.tables.summary["method"].drop_duplicates())

    def performance(self) -> PerformanceTable:
        """Measures by scenario, method and exposure; see :func:`biocal.performance` for each.

        Relative bias is blank where the truth is 0 to within 1e-12.

        Returns
        -------
        PerformanceTable
        """
        return PerformanceTable(self.tables.performance, by=("scenario", *self.varied, "method", "exposure"))

    def summary_table(self) -> PaperTable:
        """Averages over the exposures by scenario and method: the content of summary.csv.

        average_relative_bias (mean of the absolute relative biases), average_coverage, and
        weighted_absolute_error (mean absolute error of the curve, weighted by the density of the exposure
        among controls); their Monte Carlo errors allow for the correlation of neighbouring exposures.

        Returns
        -------
        PaperTable
            ``tidy()`` gives the numbers, ``to_text()`` and others a table.
        """
        return PaperTable(self.tables.summary, by=("scenario", *self.varied, "method"))

    def differences(self, method: str | None = None, minus: str | None = None) -> PaperTable:
        """Differences of bias and of squared error between methods, paired by replicate.

        Parameters
        ----------
        method, minus : str, optional
            Only this pair, as method minus the other; default every pair once, the later method in the
            design minus the earlier.

        Returns
        -------
        PaperTable
            ``tidy()`` gives the numbers, ``to_text()`` and others a table.

        Raises
        ------
        OptionError
            Only one of the two, or a method that was not run.
        """
        table = self.tables.differences
        if method is not None or minus is not None:
            table = _one_pair(table, self.methods, method, minus)
        return PaperTable(table, by=("scenario", *self.varied, "method", "minus", "exposure"))

    def coefficients(self) -> PerformanceTable:
        """Measures of the coefficients by scenario and method, where the design asks for them.

        Returns
        -------
        PerformanceTable
            As :meth:`performance`, with ``coefficient`` (1, 2, ...) in place of the exposure; no rows when
            none were kept.
        """
        from biocal.simulation.measuring.tables import coefficient_table

        table = under_levels(coefficient_table(self.source), self._levels)
        return PerformanceTable(table, by=("scenario", *self.varied, "method", "coefficient"))

    def tests(self) -> PaperTable:
        """How often each test rejects at .05 and .01, by scenario and method, where the design asks for tests.

        Returns
        -------
        PaperTable
            ``test``, ``alpha``, ``n``, ``failed``, ``rejected`` (type I error or power) and its Monte Carlo
            standard error; no rows when no tests were kept.
        """
        from biocal.simulation.measuring.tables import rejection_table

        table = under_levels(rejection_table(self.source), self._levels)
        return PaperTable(table, by=("scenario", *self.varied, "method", "test", "alpha"))

    def failures(self) -> PaperTable:
        """Failed replicates by scenario and method, with the commonest error.

        Returns
        -------
        PaperTable
            ``tidy()`` gives the numbers, ``to_text()`` and others a table.
        """
        return PaperTable(self.tables.failures, by=("scenario", *self.varied, "method"))


def _one_pair(
    table: pd.DataFrame, methods: tuple[str, ...], method: str | None, minus: str | None
) -> pd.DataFrame:
    """Rows of one pair, with the sign turned if the table has the pair the other way round."""
    for name, option in ((method, "method"), (minus, "minus")):
        if name not in methods:
            raise OptionError(
                f"{option} must be one of {', '.join(methods)}, not {name!r}", option=option, allowed=methods
            )
    here = table[(table["method"] == method) & (table["minus"] == minus)].reset_index(drop=True)
    if len(here) or method == minus:
        return here
    turned = table[(table["method"] == minus) & (table["minus"] == method)].reset_index(drop=True)
    return turned.assign(
        method=method,
        minus=minus,
        bias_difference=-turned["bias_difference"],
        squared_error_difference=-turned["squared_error_difference"],
    )
