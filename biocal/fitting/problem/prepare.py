"""From a validated pool to the arrays that the estimators start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import FormulaError, OptionError
from biocal.fitting.problem.calibration_columns import (
    calibration_columns,
    columns_not_held,
    learn_form,
    names_of_equals,
    observed_calibrators,
    reference_censored,
)
from biocal.fitting.problem.missing_covariates import filled_notes
from biocal.fitting.problem.problem import Calibrators, PooledProblem
from biocal.fitting.problem.season_request import (
    SeasonDesign,
    SeasonRequest,
    season_design,
)
from biocal.fitting.problem.selection import selection_notes
from biocal.fitting.problem.units import distinct_pairs, unit_codes, variance_groups
from biocal.fitting.soundness.large_sets import notes_of_large_sets
from biocal.kernels.sets.layout import SetLayout, lay_out_sets
from biocal.model.calibration.forms import LINEAR_LEAST_SQUARES, CalibrationModel
from biocal.model.calibration.lines import lay_out_parameters
from biocal.model.calibration.rows import PersonRows
from biocal.model.outcome.conditional import constant_within_sets
from biocal.pool.conditions.selection import select_rows
from biocal.pool.formulas.covariates import DesignColumns, design_columns
from biocal.pool.formulas.factors import Factor
from biocal.pool.matched_sets import OutcomeRows, select_outcome_rows
from biocal.pool.pooled import PooledStudies

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: Codes of studies and of their residual variances, one a person.
_CODE = np.int32


@dataclass(frozen=True, slots=True)
class ModelFormulas:
    """What a user asked of the columns.

    Attributes
    ----------
    covariates, matching : str or None
        Outcome covariates, and matching factors (for the calibration).
    modifier : str or None
        Effect modifier, a column or a term such as ``C(stage)``.
    calibration_covariates : str
        "outcome" (covariates and matching factors), "none", or a formula.
    by_study : bool
        Whether calibration covariates have coefficients of their own in each study.
    leverage_scores : bool
        Whether the sandwich's calibration block is HC3-like.
    where : str or None
        Condition on the rows of the outcome model; the calibration keeps every control.
    calibration_model : CalibrationModel
        Form and estimator of the calibration.
    season : SeasonRequest or None
        Season that the exposure is standardised to; the calibration then includes it under "outcome".
    missing : {"complete", "indicator"}
        How missing covariates and matching factors are treated; those of a modifier are never filled.
    """

    covariates: str | None = None
    matching: str | None = None
    modifier: str | None = None
    calibration_covariates: str = "outcome"
    by_study: bool = False
    leverage_scores: bool = False
    where: str | None = None
    calibration_model: CalibrationModel = LINEAR_LEAST_SQUARES
    season: SeasonRequest | None = None
    missing: str = "complete"


@dataclass(frozen=True, slots=True)
class PreparedPool:
    """The problem, and what must be told about how it was made.

    Attributes
    ----------
    problem : PooledProblem
    outcome_rows : OutcomeRows
    calibration_names : tuple of str
        Calibration covariates, in the order of the columns after 1 and W.
    omitted : tuple of str
        Covariates constant within every set, omitted from the outcome model.
    calibration_pool_rows : ndarray of int, shape (n_pairs,)
        Rows of the pool of the calibration subset.
    modifier_design : DesignColumns or None
    notes : tuple of str
    season : SeasonDesign or None
        Of all rows of the pool.
    equals : tuple of two tuples of frozenset of str
        For rows that are a part of others: what equals each column of the modifier, among the covariates and
        among the calibration's other columns.
    factors : tuple of Factor
        Of all formulas.
    """

    problem: PooledProblem
    outcome_rows: OutcomeRows
    calibration_names: tuple[str, ...]
    omitted: tuple[str, ...]
    calibration_pool_rows: IntArray
    modifier_design: DesignColumns | None
    notes: tuple[str, ...]
    season: SeasonDesign | None = None
    equals: tuple[tuple[frozenset[str], ...], tuple[frozenset[str], ...]] = ((), ())
    factors: tuple[Factor, ...] = ()


def prepare(pool: PooledStudies, formulas: ModelFormulas, *, apart: bool = False) -> PreparedPool:
    """Evaluate formulas, choose rows and lay out the arrays.

    Parameters
    ----------
    pool : PooledStudies
    formulas : ModelFormulas
    apart : bool, default False
        The rows are a part of others: what depends on all rows is left open.  The modifier then has all of its
        columns in the calibration, no main effects and no residual variances of its own, and may be constant.

    Raises
    ------
    FormulaError, OptionError, MatchedSetError
        Unknown columns; no set with both a case and a control.
    """
    covariates = design_columns(pool, formulas.covariates, missing=formulas.missing)
    modifier = design_columns(pool, formulas.modifier) if formulas.modifier else None
    season = season_design(pool, formulas.season)
    calibration, season_told = calibration_columns(
        pool,
        covariates,
        modifier,
        season,
        wanted=formulas.calibration_covariates,
        matching=formulas.matching,
        missing=formulas.missing,
        logarithmic=formulas.calibration_model.form == "log-log",
        apart=apart,
    )
    _refuse_measurements(pool, covariates, modifier, calibration.missing)
    selection = select_rows(pool, formulas.where) if formulas.where else None
    chosen = select_outcome_rows(
        pool, _missing_values(pool, covariates, modifier, season, calibration.missing), selection
    )
    local_index = np.where(pool.is_reference_study, -1, np.cumsum(~pool.is_reference_study) - 1)
    study_local = local_index.astype(_CODE)[pool.study]
    local_names = tuple(np.asarray(pool.study_names, dtype=object)[~pool.is_reference_study])
    calibrating = np.flatnonzero(pool.in_calibration)
    calibrating = distinct_pairs(pool, calibrating[np.isfinite(calibration.values(calibrating)).all(axis=0)])
    group, group_study, notes = variance_groups(
        pool, study_local, None if apart else modifier, chosen.rows, calibrating, len(local_names)
    )
    form = learn_form(pool, formulas.calibration_model, calibrating)
    layout_parameters = lay_out_parameters(
        len(local_names),
        form.n_own + len(calibration.names),
        group_study,
        by_study=formulas.by_study,
        n_own=form.n_own,
    )
    set_unit, pair_unit, n_units = unit_codes(pool, chosen, calibrating)
    is_case, rows = chosen.is_case, _rows_or_all(chosen.rows, pool.n_rows)
    columns = np.ascontiguousarray(covariates.values[rows].T)
    width = 4 + columns.shape[0] + (4 * modifier.values.shape[1] if modifier else 0)
    layout = lay_out_sets(chosen.set_code, is_case, n_columns=width)
    constant = constant_within_sets(layout, columns)
    modifier_columns, modifier_main, modifier_names = _modifier_columns(
        modifier, covariates, rows, layout, apart=apart
    )
    local_assay = pool.local_assay[rows]
    pairs = PersonRows(study_local, (pool.local_assay, *calibration.columns), group).take(calibrating)
    persons = PersonRows(
        study_local[rows], (local_assay, *calibration.taken(rows, covariates, columns)), group[rows]
    )
    problem = PooledProblem(
        study=chosen.study,
        set_code=chosen.set_code,
        is_case=is_case,
        local_assay=local_assay,
        reference_assay=pool.reference_assay[rows],
        is_reference=pool.is_reference_study[chosen.study],
        in_calibration=observed_calibrators(pool)[rows],
        covariates=columns[~constant] if constant.any() else columns,
        modifier=modifier_columns,
        modifier_main=modifier_main,
        calibration_rows=persons,
        calibrators=Calibrators(
            pairs,
            pool.reference_assay[calibrating],
            pair_unit,
            layout_parameters,
            formulas.leverage_scores,
            formulas.calibration_model,
            form,
            reference_censored(pool, calibrating),
        ),
        set_unit=set_unit,
        n_units=n_units,
        layout=layout,
        study_names=pool.study_names,
        local_names=local_names,
        covariate_names=tuple(n for n, c in zip(covariates.names, constant, strict=True) if not c),
        modifier_names=modifier_names,
        season=season.rows(rows) if season else None,
    )
    omitted = tuple(n for n, c in zip(covariates.names, constant, strict=True) if c)
    notes = (*season_told, *notes, *selection_notes(chosen, selection))
    notes += notes_of_large_sets(pool, chosen, layout, width)
    notes += filled_notes(pool, chosen, covariates.filled | calibration.filled)
    equals: tuple[tuple[frozenset[str], ...], tuple[frozenset[str], ...]] = ((), ())
    if apart and modifier is not None:
        n_before = calibration.n_before_modifier
        equals = (
            names_of_equals(modifier, covariates.names, list(covariates.values.T)),
            names_of_equals(modifier, calibration.names[:n_before], calibration.columns[:n_before]),
        )
    factors = (*covariates.factors_of("covariates"), *calibration.factors)
    factors += modifier.factors_of("modifier") if modifier else ()
    return PreparedPool(
        problem, chosen, calibration.names, omitted, calibrating, modifier, notes, season, equals, factors
    )


def _missing_values(
    pool: PooledStudies,
    covariates: DesignColumns,
    modifier: DesignColumns | None,
    season: SeasonDesign | None,
    of_calibration: Mapping[str, BoolArray],
) -> dict[str, BoolArray]:
    """Where each variable is missing that a row of the outcome model needs, (n,) each."""
    missing = dict(covariates.missing) | (dict(modifier.missing) if modifier else {})
    is_local = ~pool.is_reference_study[pool.study]
    for name, mask in of_calibration.items():
        known = missing.get(name)
        if known is not mask:
            missing[name] = mask & is_local if known is None else known | (mask & is_local)
    for name, mask in season.columns.missing.items() if season else ():
        missing[name] = missing[name] | mask if name in missing else mask
    return missing


def _rows_or_all(rows: IntArray, n_rows: int) -> IntArray | slice:
    """All rows as a slice where they are wanted in order: nothing is then copied."""
    if rows.size == n_rows and (rows[1:] > rows[:-1]).all():
        return slice(None)
    return rows


def _refuse_measurements(
    pool: PooledStudies,
    covariates: DesignColumns,
    modifier: DesignColumns | None,
    of_calibration: Mapping[str, BoolArray],
) -> None:
    """Case status and the measurements have parts of their own; the local value may bend the calibration."""
    roles = pool.roles
    parts = {
        roles.case: "the case status",
        roles.reference: "the reference value",
        roles.local: "the local value",
    }
    for design in (covariates, modifier):
        for name in design.missing if design else ():
            if name in parts:
                raise FormulaError(
                    f"'{name}' is {parts[name]}; it cannot be a covariate or modifier too", name=name
                )
    for name in of_calibration:
        if name in parts and name != roles.local:
            raise FormulaError(
                f"'{name}' is {parts[name]}; it cannot be a calibration covariate too", name=name
            )


def _modifier_columns(
    modifier: DesignColumns | None,
    covariates: DesignColumns,
    rows: IntArray | slice,
    layout: SetLayout,
    *,
    apart: bool,
) -> tuple[FloatArray, tuple[int, ...], tuple[str, ...]]:
    """The modifier's columns, and which of them are main effects of their own."""
    if modifier is None:
        return np.empty((0, layout.n_persons)), (), ()
    columns = np.ascontiguousarray(modifier.values[rows].T)
    if apart:
        return columns, (), modifier.names
    if np.ptp(columns, axis=1).max(initial=0.0) == 0:
        raise same_for_everybody(modifier.names or tuple(modifier.missing))
    constant = constant_within_sets(layout, columns)
    own = columns_not_held(modifier, covariates.values.T).names
    main = tuple(k for k, name in enumerate(modifier.names) if not constant[k] and name in own)
    return columns, main, modifier.names


def same_for_everybody(names: tuple[str, ...]) -> OptionError:
    """The refusal of a modifier, its columns by name, that does not differ between persons."""
    return OptionError(
        f"the modifier {', '.join(names)} has the same value for everybody in the outcome model",
        modifier=names,
    )
