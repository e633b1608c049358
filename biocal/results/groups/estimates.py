"""Estimates in parts of a pool: its subgroups, and what is left without one study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.kernels.contrasts import WaldTest, differences_from_first, equality_test
from biocal.kernels.meta.rubin import RubinPooled
from biocal.results.fit.curve import response_axis, response_contrasts

if TYPE_CHECKING:
    import pandas as pd

    from biocal.results.fit.fit import Fit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Counts:
    """What an estimate rests on.

    Attributes
    ----------
    sets, cases, controls : int
        Of the outcome model.
    by_category : ndarray of int, shape (number of categories, 3), or None
        For a categorised exposure: sets with a person in the category, cases and controls in it, by the exposure
        that the method plugs in (induced and two-stage: full calibration's).
    """

    sets: int
    cases: int
    controls: int
    by_category: IntArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GroupEstimate:
    """The fit of one part of a pool.

    Attributes
    ----------
    name : str
        Level of the variable, or the study left out.
    counts : Counts
    fit : Fit or None
        None when the part could not be fitted.
    reason : str
        Why it could not.
    calibrators : int
        Persons of the calibration subset used.
    influence : ndarray, shape (n_units, K'), or None
        Influence of the whole pool's independent units on the exposure coefficients and their products.
    """

    name: str
    counts: Counts
    fit: Fit | None
    reason: str = ""
    calibrators: int = 0
    influence: FloatArray | None = None


class GroupFits(Mapping[str, GroupEstimate]):
    """Fits of one method to parts of a pool: a mapping from the part's name to `GroupEstimate`.

    Attributes
    ----------
    groups : tuple of GroupEstimate
    overall : Fit
        The whole pool.
    """

    __slots__ = ()

    groups: tuple[GroupEstimate, ...]
    overall: Fit

    def __getitem__(self, name: str) -> GroupEstimate:
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(group.name for group in self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def method(self) -> str:
        """Method of the fits."""
        return self.overall.method

    @property
    def fitted(self) -> tuple[GroupEstimate, ...]:
        """Parts that could be fitted."""
        return tuple(group for group in self.groups if group.fit is not None)


@dataclass(frozen=True, slots=True, eq=False)
class Subgroups(GroupFits):
    """Fits of one method by the levels of a variable: a mapping from level to `GroupEstimate`.

    Knots, reference exposure and, unless asked otherwise, the calibration are those of all persons together, so
    that levels differ by their sets alone.

    Attributes
    ----------
    variable : str
    of_case : bool
        The variable describes the case: sets go with their case.
    groups : tuple of GroupEstimate
    overall : Fit
        All levels together, as fitted without the variable.
    overall_counts : Counts
    covariance : ndarray, shape (L K', L K'), or None
        Joint covariance of the exposure coefficients (and products) of the levels fitted, level after level.
        Levels share the calibration, and sets may share persons: the blocks off the diagonal are not 0.
    notes : tuple of str
        Sets and persons without a part in it, levels that could not be fitted.
    imputation : RubinPooled or None
        After multiple imputation: the exposure coefficients of the levels fitted, level after level.
    """

    variable: str
    of_case: bool
    groups: tuple[GroupEstimate, ...]
    overall: Fit
    overall_counts: Counts
    covariance: FloatArray | None
    notes: tuple[str, ...] = ()
    imputation: RubinPooled | None = None

    def test_heterogeneity(self, at: float | str | None = None) -> WaldTest:
        """Wald test that the levels have the same curve, or the same log odds ratio at one exposure.

        Parameters
        ----------
        at : float or str, optional
            Exposure (or category) against the reference; default the whole curve.

        Raises
        ------
        OptionError
            An unknown category; an exposure where there is an effect modifier, whose levels each have a curve.
        """
        name = "heterogeneity"
        if self.covariance is None or len(self.fitted) < 2:
            return WaldTest(name, float("nan"), 0, float("nan"))
        fits = [group.fit for group in self.fitted if group.fit is not None]
        estimates = np.stack([fit.estimates[fit.exposure_positions.ravel()] for fit in fits])
        weights = np.eye(estimates.shape[1]) if at is None else self._weights(at)[None, :]
        if self.imputation is not None:
            differences = differences_from_first(len(fits), weights.shape[0]) @ np.kron(
                np.eye(len(fits)), weights
            )
            return self.imputation.along(differences.T).test(
                name, np.arange(differences.shape[0], dtype=np.intp)
            )
        if at is None:
            return equality_test(name, estimates, self.covariance)
        block = np.kron(np.eye(len(fits)), weights)
        return equality_test(name, estimates @ weights.T, block @ self.covariance @ block.T)

    def _weights(self, at: float | str) -> FloatArray:
        """Weights of the exposure columns in the log odds ratio at an exposure, shape (K,)."""
        fit = self.overall
        positions = fit.exposure_positions
        if positions.shape[0] > 1:
            raise OptionError("with an effect modifier, test the whole curve: at cannot be given")
        k = positions.shape[1]
        scale, places = fit.info.scale, np.arange(k, dtype=np.intp)[None, :]
        axis = response_axis(fit.basis, np.array([scale.reference]), scale.reference)
        if axis.categories is not None:
            if at not in axis.categories:
                raise OptionError(f"{at!r} is not one of {', '.join(axis.categories)}", at=at)
            chosen = axis.categories.index(str(at))
            return response_contrasts(fit.basis, places, k, axis, (1.0,))[:, chosen]
        axis = response_axis(fit.basis, np.array([float(at)]), scale.reference)
        return response_contrasts(fit.basis, places, k, axis, (1.0,))[:, 0]

    def tidy(self, *, at: Any = None) -> pd.DataFrame:
        """One row a level and exposure, all persons first.

        Parameters
        ----------
        at : sequence of float, optional
            Exposures; default the fit's.

        Returns
        -------
        DataFrame
            method, variable, level, (modifier,) exposure, reference_exposure, log_or, std_error, or, or_low, or_high,
            sets, cases, controls, (category_sets, category_cases, category_controls,) note; a level that could not
            be fitted has one row, the note saying why.
        """
        from biocal.results.groups.views import subgroup_table

        return subgroup_table(self, at)

    def tests(self) -> pd.DataFrame:
        """Tests of heterogeneity: the whole curve, then each exposure of the fit's grid but the reference.

        Returns
        -------
        DataFrame
            method, variable, exposure (blank for the curve), statistic, df, p_value, levels, sets, cases.
        """
        from biocal.results.groups.views import heterogeneity_table

        return heterogeneity_table(self)

    def summary(self) -> str:
        """Odds ratios by level, and the test of heterogeneity: text for a person."""
        from biocal.results.groups.text import subgroup_lines

        return "\n".join(subgroup_lines([self]))

    def plot(self, at: Any = None) -> Any:
        """Draw the forest plot; returns the matplotlib Figure.

        Parameters
        ----------
        at : sequence of float, optional
            Exposures, a panel each; default a few of the fit's, or the 10th and 90th percentile of the controls.
        """
        from biocal.results.groups.views import draw_subgroups

        return draw_subgroups([self], at)


@dataclass(frozen=True, slots=True, eq=False)
class LeaveOneOut(GroupFits):
    """Fits of one method without each study in turn, its calibration too: a mapping from the study left out.

    Knots and reference exposure are those of all studies.

    Attributes
    ----------
    groups : tuple of GroupEstimate
    overall : Fit
        All studies.
    overall_counts : Counts
    """

    groups: tuple[GroupEstimate, ...]
    overall: Fit
    overall_counts: Counts

    def tidy(self, *, at: Any = None) -> pd.DataFrame:
        """One row a study left out and exposure, all studies first, and the same by level of each subgroup variable.

        Returns
        -------
        DataFrame
            method, left_out (blank: none), variable, level, (modifier,) exposure, reference_exposure, log_or,
            std_error, or, or_low, or_high, change (of log_or by leaving the study out), sets, cases, controls,
            (category_sets, category_cases, category_controls,) calibrators, note.
        """
        from biocal.results.groups.views import leave_one_out_table

        return leave_one_out_table(self, at)

    def summary(self) -> str:
        """Odds ratios without each study: text for a person."""
        from biocal.results.groups.text import leave_one_out_lines

        return "\n".join(leave_one_out_lines(self))

    def plot(self, at: Any = None) -> Any:
        """Draw the estimates without each study beside those of all; returns the matplotlib Figure."""
        from biocal.results.groups.views import draw_leave_one_out

        return draw_leave_one_out(self, at)
