"""The pooled problem in arrays: what every estimator starts from, once tables are left behind."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.kernels.sets.layout import SetLayout, lay_out_sets
from biocal.model.calibration.estimators import fit_calibration_model
from biocal.model.calibration.forms import (
    LINEAR_FORM,
    LINEAR_LEAST_SQUARES,
    CalibrationForm,
    CalibrationModel,
)
from biocal.model.calibration.lines import CalibrationFit, CalibrationLayout
from biocal.model.calibration.rows import CalibrationRows, PersonRows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Calibrators:
    """The calibration subset: persons with both measurements.

    Attributes
    ----------
    rows : CalibrationRows
        n_pairs persons.
    response : ndarray, shape (n_pairs,)
        Reference-laboratory values.
    unit : ndarray of int, shape (n_pairs,)
        Independent unit (matched set, person, or cluster of sets that share a person).
    layout : CalibrationLayout
        Parameters of the calibration model.
    leverage_scores : bool
        Whether the sandwich takes scores as HC3 does; see :meth:`CalibrationFit.with_leverage_scores`.
    model : CalibrationModel
        Estimator.
    form : CalibrationForm
        Columns made from W.
    censored : ndarray of bool, shape (n_pairs,), or None
        Pairs whose reference value is only known to be below the limit in `response`.
    """

    rows: CalibrationRows
    response: FloatArray
    unit: IntArray
    layout: CalibrationLayout
    leverage_scores: bool = False
    model: CalibrationModel = LINEAR_LEAST_SQUARES
    form: CalibrationForm = LINEAR_FORM
    censored: BoolArray | None = None

    def fit(self, local_names: tuple[str, ...]) -> CalibrationFit:
        """Fit the calibration model; raises CalibrationDesignError, or OptionError for hc3 without least squares."""
        fitted = fit_calibration_model(
            self.rows,
            self.response,
            self.layout,
            local_names,
            model=self.model,
            form=self.form,
            censored=self.censored,
        )
        if not self.leverage_scores:
            return fitted
        if fitted.estimator != "least-squares":
            raise OptionError(
                f"the calibration variance hc3 is made for least squares, not for {fitted.estimator}; leave it robust"
            )
        return fitted.with_leverage_scores()

    def take(self, pairs: IntArray, unit: IntArray) -> Calibrators:
        """Some pairs, repeats allowed, with independent units of their own."""
        return replace(
            self,
            rows=self.rows.take(pairs),
            response=self.response[pairs],
            unit=unit,
            censored=None if self.censored is None else self.censored[pairs],
        )


@dataclass(frozen=True, slots=True)
class SeasonRows:
    """When blood was drawn, and the date that the exposure is standardised to.

    Attributes
    ----------
    harmonics : ndarray, shape (h, n)
        h(t_i): cosines and sines of the day of each person of the outcome model.
    origin : ndarray, shape (h,)
        h(t_0) of the reference date; zeros for the annual mean.
    with_own_set : bool
        Whether controls take part in the season that is taken off their own set.
    """

    harmonics: FloatArray
    origin: FloatArray
    with_own_set: bool = False

    def take(self, rows: IntArray | slice) -> SeasonRows:
        """The same for some persons, repeats allowed."""
        return SeasonRows(self.harmonics[:, rows], self.origin, self.with_own_set)


@dataclass(frozen=True, slots=True)
class PooledProblem:
    """Persons of the outcome model, and the calibration subset.

    Attributes
    ----------
    study : ndarray of int, shape (n,)
        Study, an index into `study_names`.
    set_code : ndarray of int, shape (n,)
        Matched sets 0..n_sets-1.
    is_case : ndarray of bool, shape (n,)
    local_assay, reference_assay : ndarray, shape (n,)
        W and X, NaN where absent.
    is_reference : ndarray of bool, shape (n,)
        Person of a reference study.
    in_calibration : ndarray of bool, shape (n,)
        Person of the calibration subset.
    covariates : ndarray, shape (kz, n)
        Z, columns that vary within sets.
    modifier : ndarray, shape (km, n)
        Effect modifier's columns (km = 0 without).
    modifier_main : tuple of int
        Those of them that enter as main effects too (the others are constant within sets or in Z).
    calibration_rows : PersonRows or CalibrationRows
        Calibration columns of the same persons.
    calibrators : Calibrators
    set_unit : ndarray of int, shape (n_sets,)
        Independent unit of each set.
    n_units : int
    layout : SetLayout
        The sets in blocks.
    study_names : tuple of str
    local_names : tuple of str
        Local studies, in the order of the calibration's index.
    covariate_names, modifier_names : tuple of str
    season : SeasonRows or None
        None when the exposure is not standardised to a season.
    """

    study: IntArray
    set_code: IntArray
    is_case: BoolArray
    local_assay: FloatArray
    reference_assay: FloatArray
    is_reference: BoolArray
    in_calibration: BoolArray
    covariates: FloatArray
    modifier: FloatArray
    modifier_main: tuple[int, ...]
    calibration_rows: PersonRows | CalibrationRows
    calibrators: Calibrators
    set_unit: IntArray
    n_units: int
    layout: SetLayout
    study_names: tuple[str, ...]
    local_names: tuple[str, ...]
    covariate_names: tuple[str, ...]
    modifier_names: tuple[str, ...]
    season: SeasonRows | None = None

    @property
    def n_sets(self) -> int:
        """Matched sets."""
        return int(self.set_unit.size)

    @property
    def is_control(self) -> BoolArray:
        """Controls, shape (n,)."""
        return ~self.is_case

    def take_persons(
        self, persons: IntArray | slice, set_code: IntArray, set_unit: IntArray, n_units: int
    ) -> PooledProblem:
        """The problem of some persons under new set codes; the calibration subset is left as it is.

        Neighbours, given as a slice, are not copied.
        """
        rows = self.calibration_rows
        if isinstance(persons, slice) and isinstance(rows, PersonRows):
            own: PersonRows | CalibrationRows = rows.part(persons)
        else:
            own = rows.take(persons)
        return replace(
            self,
            study=self.study[persons],
            set_code=set_code,
            is_case=self.is_case[persons],
            local_assay=self.local_assay[persons],
            reference_assay=self.reference_assay[persons],
            is_reference=self.is_reference[persons],
            in_calibration=self.in_calibration[persons],
            covariates=self.covariates[:, persons],
            modifier=self.modifier[:, persons],
            calibration_rows=own,
            set_unit=set_unit,
            n_units=n_units,
            season=None if self.season is None else self.season.take(persons),
            layout=lay_out_sets(set_code, self.is_case[persons], n_columns=self.layout_columns),
        )

    @property
    def layout_columns(self) -> int:
        """Columns that the layout's blocks are sized for."""
        return int(4 + self.covariates.shape[0] + len(self.modifier_main) + 3 * self.modifier.shape[0])
