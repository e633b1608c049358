"""First stage of two-stage pooling: calibration and outcome model within each study.

Each study gets its own calibration, the outcome model with the pool's knots and coding, and its own stacked
sandwich (METHODS section 8).  A study that cannot be fitted is left out by name, with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import (
    CalibrationDesignError,
    FitError,
    SeasonDesignError,
    SeparationError,
    SingularInformationError,
)
from biocal.fitting.methods.plug_in import PlugInExposure, fit_plug_in, plug_in_exposure
from biocal.fitting.problem.model_columns import ModelColumns, lay_out_columns
from biocal.fitting.problem.problem import Calibrators, PooledProblem
from biocal.fitting.problem.units import count_units
from biocal.kernels.sandwich import StackedScores, calibration_influence, stacked_covariance
from biocal.model.calibration.lines import CalibrationFit, lay_out_parameters
from biocal.model.calibration.rows import CalibrationRows
from biocal.model.exposure import Basis
from biocal.model.outcome.conditional import OutcomeFit, constant_within_sets

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Fewest informative sets a coefficient.  A sandwich over n sets with p coefficients is too small by a factor
#: of about 1 - p/n, and a variance that is too small is a weight that is too large (our choice).
SETS_PER_COEFFICIENT = 5
#: Fewest calibration pairs a coefficient for calibration covariates of a study's own, for the same reason
#: (our choice): 29 pairs carry the line and three covariates.
PAIRS_PER_COEFFICIENT = 5
#: Why a study is not fitted that is not among those asked for.
NOT_ASKED_FOR = "not among the studies of the curve"
#: What keeps a study whose exposure terms cannot be estimated, by kind of exposure.
_TO_KEEP_A_STUDY = {
    "categories": "one category that is empty or separated loses the whole study: merge it or choose other cuts to "
    "keep the study",
    "rcs": "fewer knots, or knots where its persons are, may keep the study",
    "linear": "its exposure does not tell its cases from its controls by a finite odds ratio",
}


@dataclass(frozen=True, slots=True, eq=False)
class StudyFit:
    """The fit of one study.

    Attributes
    ----------
    study : int
        Index into the problem's study names.
    positions : ndarray of int, shape (p_s,)
        Places of its coefficients among the pool's p terms; covariates that the study's sets say nothing
        about (constant within them, collinear) are not among them.
    beta : ndarray, shape (p_s,)
    vcov, vcov_uncorrected : ndarray, shape (p_s, p_s)
    units : ndarray of int, shape (u,)
        Independent units of the pool that the study's coefficients depend on.
    influence : ndarray, shape (u, p_s)
        Their influence; outer products sum to `vcov`.
    calibration_influence : ndarray, shape (u, p_s)
        The part of it that comes through the calibration.
    shares_covariates : bool
        True when the coefficients of the calibration covariates are the pooled calibration's.
    iterations : int
    decrement : float
    """

    study: int
    positions: IntArray
    beta: FloatArray
    vcov: FloatArray
    vcov_uncorrected: FloatArray
    units: IntArray
    influence: FloatArray
    calibration_influence: FloatArray
    shares_covariates: bool
    iterations: int
    decrement: float

    def without_influences(self) -> StudyFit:
        """The estimates and their covariances alone."""
        nothing = np.empty((0, self.beta.size))
        return replace(
            self, units=np.empty(0, dtype=np.intp), influence=nothing, calibration_influence=nothing
        )


@dataclass(frozen=True, slots=True, eq=False)
class FirstStage:
    """All studies' fits.

    Attributes
    ----------
    model : ModelColumns
        The pool's terms.
    fits : tuple of StudyFit
        Studies that could be fitted, in the pool's order.
    left_out : dict of int to str
        Studies that could not, and why.
    sets, cases : ndarray of int, shape (n_studies,)
        Of the outcome model.
    """

    model: ModelColumns
    fits: tuple[StudyFit, ...]
    left_out: dict[int, str]
    sets: IntArray
    cases: IntArray


def fit_each_study(
    problem: PooledProblem,
    method: str,
    basis: Basis,
    calibration: CalibrationFit | None,
    *,
    influences: bool = True,
    studies: IntArray | None = None,
) -> FirstStage:
    """Fit the outcome model study by study.

    Parameters
    ----------
    problem : PooledProblem
    method : {"naive", "internalized", "full"}
        Exposure; two-stage is "full".
    basis : Basis
        Knots and coding, common to the studies.
    calibration : CalibrationFit or None
        The pooled calibration.  A study's line is its own.  So are the coefficients of the calibration
        covariates where its subset has `PAIRS_PER_COEFFICIENT` pairs a coefficient and tells all of them
        apart, or where the pooled calibration has them by study; elsewhere they are the pooled
        calibration's, because leaving the covariates out would bias that study alone (METHODS section 2).
    influences : bool, default True
        Whether the units' influences are kept, which pooled standard errors need.
    studies : ndarray of int, optional
        Those to fit; the others are left out.
    """
    model = lay_out_columns(basis, problem)
    fits: list[StudyFit] = []
    left_out: dict[int, str] = {}
    n_studies = len(problem.study_names)
    for study in range(n_studies):
        if studies is not None and study not in studies:
            left_out[study] = NOT_ASKED_FOR
            continue
        try:
            fit = _fit_study(problem, study, method, basis, calibration, model)
            fits.append(fit if influences else fit.without_influences())
        except (FitError, CalibrationDesignError, SeasonDesignError) as error:
            left_out[study] = _reason(error, model, basis)
    study_of_set = np.empty(problem.n_sets, dtype=np.intp)
    study_of_set[problem.set_code] = problem.study
    sets = np.bincount(study_of_set, minlength=n_studies)
    cases = np.bincount(problem.study[problem.is_case], minlength=n_studies)
    return FirstStage(model, tuple(fits), left_out, sets.astype(np.intp), cases.astype(np.intp))


def _reason(error: Exception, model: ModelColumns, basis: Basis) -> str:
    """Why a study cannot be fitted; of an exposure term with the advice that fits all studies' common terms."""
    exposure_terms = {model.terms[k] for k in model.exposure_positions.ravel()}
    terms = set(getattr(error, "terms", ()))
    if not isinstance(error, SeparationError | SingularInformationError) or not terms & exposure_terms:
        return str(error)
    return f"{str(error).rpartition('; ')[0]}; {_TO_KEEP_A_STUDY[basis.kind]}"


def _fit_study(
    problem: PooledProblem,
    study: int,
    method: str,
    basis: Basis,
    calibration: CalibrationFit | None,
    model: ModelColumns,
) -> StudyFit:
    alone, set_units = _persons_of(problem, study)
    _require_varying_modifier(alone)
    alone, kept_main = _without_constant_main_effects(alone)
    kept = np.flatnonzero(~constant_within_sets(alone.layout, alone.covariates))
    used, shares = None, False
    if method != "naive" and calibration is not None and not alone.is_reference.all():
        alone, used, shares = _calibrated(alone, calibration)
    alone, units = _with_units(alone, set_units, calibrated=used is not None)
    exposure = plug_in_exposure(alone, method, used)
    (own, outcome, stacked), kept = _fit_without_collinear(alone, kept, exposure, basis, used)
    covariance = stacked_covariance(stacked, len(alone.local_names) if used is not None else 0)
    positions = np.empty(own.n_terms, dtype=np.intp)
    positions[own.exposure_positions] = model.exposure_positions
    positions[own.covariate_positions] = model.covariate_positions[kept]
    positions[own.modifier_positions] = model.modifier_positions[kept_main]
    return StudyFit(
        study,
        positions,
        outcome.beta,
        covariance.vcov,
        covariance.vcov_uncorrected,
        units,
        covariance.influence,
        calibration_influence(stacked),
        shares,
        outcome.iterations,
        outcome.decrement,
    )


def _persons_of(problem: PooledProblem, study: int) -> tuple[PooledProblem, IntArray]:
    """The persons of one study with set codes of their own, and the units of its sets in the pool."""
    persons = _rows_of_study(problem, study)
    set_code = problem.set_code[persons]
    if set_code.size == 0:
        raise FitError("no matched set with a case and a control is left")
    steps = np.diff(set_code, prepend=set_code[:1])
    if (steps >= 0).all():
        codes, set_code = set_code[np.flatnonzero(np.diff(set_code, prepend=-1))], np.cumsum(steps > 0)
    else:
        codes, set_code = np.unique(set_code, return_inverse=True)
    set_units = problem.set_unit[codes]
    alone = problem.take_persons(persons, set_code.astype(np.intp), set_units, problem.n_units)
    return alone, set_units


def _rows_of_study(problem: PooledProblem, study: int) -> IntArray | slice:
    """Persons of a study; a slice where they are neighbours, as in the order of the sets they are."""
    mine = problem.study == study
    first, count = int(mine.argmax()), int(np.count_nonzero(mine))
    if mine[first : first + count].all():
        return slice(first, first + count)
    return np.flatnonzero(mine)


def _require_varying_modifier(alone: PooledProblem) -> None:
    for name, values in zip(alone.modifier_names, alone.modifier, strict=True):
        if np.ptp(values) == 0:
            raise FitError(f"{name} is the same for everybody, so the study cannot show effect modification")


def _without_constant_main_effects(alone: PooledProblem) -> tuple[PooledProblem, IntArray]:
    """Leave out main effects of the modifier on which the study's sets say nothing."""
    main = np.asarray(alone.modifier_main, dtype=np.intp)
    kept = np.flatnonzero(~constant_within_sets(alone.layout, alone.modifier[main]))
    return replace(alone, modifier_main=tuple(int(k) for k in main[kept])), kept


def _fit_without_collinear(
    alone: PooledProblem,
    kept: IntArray,
    exposure: PlugInExposure,
    basis: Basis,
    calibration: CalibrationFit | None,
) -> tuple[tuple[ModelColumns, OutcomeFit, StackedScores], IntArray]:
    """Fit with the covariates `kept`, less those that this study's sets cannot tell from the others."""
    while True:
        smaller = replace(
            alone,
            covariates=np.ascontiguousarray(alone.covariates[kept]),
            covariate_names=tuple(alone.covariate_names[k] for k in kept),
        )
        _require_sets(smaller, lay_out_columns(basis, smaller).n_terms)
        try:
            return fit_plug_in(smaller, exposure, basis, calibration), kept
        except SingularInformationError as error:
            terms: tuple[str, ...] = getattr(error, "terms", ())
            staying = np.array([name not in terms for name in smaller.covariate_names], dtype=bool)
            if not set(terms) <= set(smaller.covariate_names) or staying.all():
                raise
            kept = kept[staying]


def _require_sets(alone: PooledProblem, n_terms: int) -> None:
    n_units = count_units(alone.set_unit)
    if n_units < min(alone.layout.n_informative, SETS_PER_COEFFICIENT * n_terms):
        raise FitError(
            f"too few independent units for a variance of its own: {n_units} (sets that share a person are one) "
            f"for {n_terms} coefficients, at least {SETS_PER_COEFFICIENT} a coefficient are needed"
        )
    n_sets = alone.layout.n_informative
    if n_sets < SETS_PER_COEFFICIENT * n_terms:
        raise FitError(
            f"too few matched sets for a variance of its own: {n_sets} for {n_terms} coefficients, "
            f"at least {SETS_PER_COEFFICIENT} a coefficient are needed"
        )


def _calibrated(
    alone: PooledProblem, calibration: CalibrationFit
) -> tuple[PooledProblem, CalibrationFit, bool]:
    """The study with its own calibration, or with the pool's where covariates' coefficients are shared."""
    local = int(alone.calibration_rows.study[0])
    layout = alone.calibrators.layout
    shared = layout.shares_covariates
    mine = np.flatnonzero(alone.calibrators.rows.study == local)
    columns = alone.calibrators.rows.columns[:, mine]
    if shared:
        n_varying = int((np.ptp(columns[2:], axis=1) > 0).sum())
        if mine.size < PAIRS_PER_COEFFICIENT * (layout.n_own + n_varying):
            return alone, calibration, True
    own = _own_calibrators(alone, mine, local)
    name = (alone.local_names[local],)
    fitted = own.fit(name)
    # columns of the persons are 1, W and the covariates, whatever the form makes of W
    untold = [column - (layout.n_own - 2) for _, column in fitted.dropped if column >= layout.n_own]
    persons = alone.calibration_rows
    if shared and any(np.ptp(persons.column(k)) > 0 for k in untold):
        return alone, calibration, True
    zeros = np.zeros_like(persons.study)
    rows = replace(persons, study=zeros, group=zeros)
    return replace(alone, calibrators=own, calibration_rows=rows, local_names=name), fitted, False


def _own_calibrators(alone: PooledProblem, mine: IntArray, local: int) -> Calibrators:
    """The calibration subset of the study alone, as the only local study."""
    everybody = alone.calibrators
    zeros = np.zeros(mine.size, dtype=np.intp)
    columns = everybody.rows.columns[:, mine]
    form = everybody.form.of_study(local)
    n_columns = form.n_own + columns.shape[0] - 2
    layout = lay_out_parameters(1, n_columns, np.zeros(1, dtype=np.intp), by_study=True, n_own=form.n_own)
    return replace(
        everybody.take(mine, everybody.unit[mine]),
        rows=CalibrationRows(zeros, columns, zeros),
        layout=layout,
        form=form,
    )


def _with_units(
    alone: PooledProblem, set_units: IntArray, *, calibrated: bool
) -> tuple[PooledProblem, IntArray]:
    """Number the units that the study depends on 0, 1, ..., and give their numbers in the pool."""
    pair_units = alone.calibrators.unit if calibrated else np.empty(0, dtype=np.intp)
    units, code = np.unique(np.concatenate([set_units, pair_units]), return_inverse=True)
    code = code.astype(np.intp)
    alone = replace(alone, set_unit=code[: set_units.size], n_units=int(units.size))
    if calibrated:
        alone = replace(alone, calibrators=replace(alone.calibrators, unit=code[set_units.size :]))
    return alone, units
