"""What a simulation study found: tables, a summary in words, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from biocal.simulation.simulated_study import SimulatedStudy
from biocal.simulation.text import describe
from biocal.simulation.views import curves_figure, levels_figure, lollipop_figure, zip_figure

__all__ = ["SimulationResults"]


class SimulationResults(SimulatedStudy):
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

    def summary(self) -> str:
        """The study in words: size, failures (above 5 percent, loudly), averages by method.

        Returns
        -------
        str
        """
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
        return curves_figure(self, scenarios)
