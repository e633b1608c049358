"""What a simulation study found: tables, a summary in words, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.simulation.paper_tables import PaperTable
from biocal.simulation.performance import PerformanceTable
from biocal.simulation.results_tables import SimulationTables, Weights, simulation_tables, under_levels

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SimulationResults"]

FloatArray = NDArray[np.float64]


class SimulationResults:
    """Replicates of a simulation study and what they say of each method.

    The tables are made on first use and kept; ``print(results)`` is the summary.

    Parameters
    ----------
    replicates : DataFrame, str or Path
        Columns of replicates.parquet, or that file: then one scenario at a time is held in memory.
    levels : DataFrame, optional
        scenario, and a column for each varied key; default one scenario after the other, without keys.
    weights : mapping from scenario to mapping from exposure to weight, optional
        Density of the exposure among controls, for weighted_absolute_error; default all exposures alike.
    references : mapping from scenario to float, optional
        Reference exposures, to mark in figures.
    true_curves : mapping from scenario to (exposures, log odds ratios), optional
        Smooth true curves, for figures; default the truth at the estimand's exposures.
    title : str
    level : float, default .95
        Level of the intervals.

    Examples
    --------
    >>> import pandas as pd
    >>> from biocal.simulation.results import SimulationResults
    >>> drawn = pd.DataFrame({"scenario": 0, "replicate": [0, 1, 2], "method": "full", "exposure": 25.0,
    ...     "estimate": [0.5, 0.6, 0.7], "std_error": 0.1, "conf_low": [0.3, 0.4, 0.5],
    ...     "conf_high": [0.7, 0.8, 0.9], "truth": 0.55, "converged": True, "error": ""})
    >>> round(float(SimulationResults(drawn).performance().tidy()["bias"][0]), 4)
    0.05
    """

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
    def from_design(cls, replicates: pd.DataFrame | str | Path, design: Any) -> SimulationResults:
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
        from biocal.simulation.results_quantities import coefficient_table

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
        from biocal.simulation.results_quantities import rejection_table

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

    def summary(self) -> str:
        """The study in words: size, failures (above 5 percent, loudly), averages by method.

        Returns
        -------
        str
        """
        from biocal.simulation.results_text import describe

        return describe(self)

    def __str__(self) -> str:
        return self.summary()

    def plot_zip(self, scenario: int | None = None, *, exposures: Sequence[float] | None = None) -> Any:
        """Every confidence interval, ranked by its distance from the truth: the zip plot of Morris et al.

        Parameters
        ----------
        scenario : int, optional
            Default the first.
        exposures : sequence of float, optional
            A row each; default all, but at most six spread over the grid.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        OptionError
            A scenario or exposure that is not there.
        """
        from biocal.simulation.results_figures import zip_figure

        return zip_figure(self, scenario, exposures)

    def plot_lollipop(
        self,
        measure: str = "bias",
        *,
        scenarios: Sequence[int] | None = None,
        exposures: Sequence[float] | None = None,
    ) -> Any:
        """A measure of each method with its Monte Carlo interval; rows are scenarios, columns exposures.

        Parameters
        ----------
        measure : str, default "bias"
            Any measure of :func:`biocal.performance`; or of :meth:`summary_table`, with one column.
        scenarios : sequence of int, optional
            Default the first twelve; the figure tells when there are more.
        exposures : sequence of float, optional
            Default all, but at most six spread over the grid.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        OptionError
            A measure, scenario or exposure that is not there.
        """
        from biocal.simulation.results_figures import lollipop_figure

        return lollipop_figure(self, measure, scenarios, exposures)

    def plot_bias(
        self,
        key: str | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        exposures: Sequence[float] | None = None,
    ) -> Any:
        """Bias against a varied key, a line a method; see :meth:`plot_against`.

        Parameters
        ----------
        key : str, optional
            Default the first varied key.
        where : mapping from key to level, optional
            Only scenarios with these levels of the other keys.
        exposures : sequence of float, optional
            Columns; default all, but at most six spread over the grid.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return self.plot_against(key, "bias", where=where, exposures=exposures)

    def plot_coverage(
        self,
        key: str | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        exposures: Sequence[float] | None = None,
    ) -> Any:
        """Coverage against a varied key, a line a method; see :meth:`plot_against`.

        Parameters
        ----------
        key : str, optional
            Default the first varied key.
        where : mapping from key to level, optional
            Only scenarios with these levels of the other keys.
        exposures : sequence of float, optional
            Columns; default all, but at most six spread over the grid.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return self.plot_against(key, "coverage", where=where, exposures=exposures)

    def plot_against(
        self,
        key: str | None = None,
        measure: str = "bias",
        *,
        where: Mapping[str, Any] | None = None,
        exposures: Sequence[float] | None = None,
    ) -> Any:
        """Any measure against a varied key, a line a method, with Monte Carlo intervals.

        Parameters
        ----------
        key : str, optional
            Default the first varied key.
        measure : str, default "bias"
            Any measure of :func:`biocal.performance`, with a column an exposure; or of
            :meth:`summary_table`, with one column.
        where : mapping from key to level, optional
            Only scenarios with these levels of the other keys.  Their other combinations are the rows, at
            most twelve; the figure tells when there are more.
        exposures : sequence of float, optional
            Columns; default all, but at most six spread over the grid.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        OptionError
            Nothing was varied, or a key, level, measure or exposure is not there.
        """
        from biocal.simulation.results_figures import levels_figure

        return levels_figure(self, key, measure, where, exposures)

    def plot_curves(self, scenarios: Sequence[int] | None = None) -> Any:
        """Estimated curves over the truth; rows are scenarios, columns methods.

        Parameters
        ----------
        scenarios : sequence of int, optional
            Default the first six; the figure tells when there are more.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        OptionError
            A scenario that is not there.
        """
        from biocal.simulation.results_figures import curves_figure

        return curves_figure(self, scenarios)


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
