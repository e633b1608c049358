"""From a validated pool to the arrays that the estimators start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.calibration.choices import LINEAR_LEAST_SQUARES, CalibrationModel
from biocal.calibration.regression import CalibrationRows, lay_out_parameters
from biocal.errors import FormulaError, OptionError
from biocal.kernels.set_layout import SetLayout, lay_out_sets
from biocal.outcome.conditional_logistic import constant_within_sets
from biocal.pooling.calibration_form import learn_form, observed_calibrators, reference_censored
from biocal.pooling.independent_units import distinct_pairs, unit_codes
from biocal.pooling.missing_covariates import filled_notes
from biocal.pooling.problem import Calibrators, PooledProblem
from biocal.pooling.season_request import (
    SeasonDesign,
    SeasonRequest,
    calibration_holds_season,
    season_design,
    season_notes,
)
from biocal.pooling.selection import selection_notes
from biocal.study.covariates import DesignColumns, design_columns
from biocal.study.matched_sets import OutcomeRows, select_outcome_rows
from biocal.study.pooled import PooledStudies
from biocal.study.row_selection import select_rows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Fewest calibrators for a residual SD of its own in a level of the modifier (our choice).
_PAIRS_PER_VARIANCE = 10


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
    """

    problem: PooledProblem
    outcome_rows: OutcomeRows
    calibration_names: tuple[str, ...]
    omitted: tuple[str, ...]
    calibration_pool_rows: IntArray
    modifier_design: DesignColumns | None
    notes: tuple[str, ...]
    season: SeasonDesign | None = None


def prepare(pool: PooledStudies, formulas: ModelFormulas) -> PreparedPool:
    """Evaluate formulas, choose rows and lay out the arrays.

    Raises
    ------
    FormulaError, OptionError, MatchedSetError
        Unknown columns; no set with both a case and a control.
    """
    covariates = design_columns(pool, formulas.covariates, missing=formulas.missing)
    modifier = design_columns(pool, formulas.modifier) if formulas.modifier else None
    season = season_design(pool, formulas.season)
    calibration, season_told = _calibration_columns(pool, formulas, covariates, modifier, season)
    _refuse_measurements(pool, covariates, modifier, calibration)
    is_local = ~pool.is_reference_study[pool.study]
    missing = dict(covariates.missing) | (dict(modifier.missing) if modifier else {})
    for name, mask in calibration.missing.items():
        missing[name] = missing.get(name, np.zeros_like(mask)) | (mask & is_local)
    for name, mask in season.columns.missing.items() if season else ():
        missing[name] = missing.get(name, np.zeros_like(mask)) | mask
    selection = select_rows(pool, formulas.where) if formulas.where else None
    chosen = select_outcome_rows(pool, missing, selection)
    local_index = np.where(pool.is_reference_study, -1, np.cumsum(~pool.is_reference_study) - 1)
    study_local = local_index[pool.study]
    local_names = tuple(np.asarray(pool.study_names, dtype=object)[~pool.is_reference_study])
    calibrating = np.flatnonzero(pool.in_calibration & np.isfinite(calibration.values).all(axis=1))
    calibrating = distinct_pairs(pool, calibrating)
    group, group_study, notes = _variance_groups(
        pool, study_local, modifier, chosen.rows, calibrating, len(local_names)
    )
    compact = np.vstack([np.ones(pool.n_rows), pool.local_assay, calibration.values.T])
    everybody = CalibrationRows(study_local, compact, group)
    form = learn_form(pool, formulas.calibration_model, calibrating)
    layout_parameters = lay_out_parameters(
        len(local_names),
        form.n_own + compact.shape[0] - 2,
        group_study,
        by_study=formulas.by_study,
        n_own=form.n_own,
    )
    set_unit, pair_unit, n_units = unit_codes(pool, chosen, calibrating)
    is_case, rows = chosen.is_case, chosen.rows
    columns = np.ascontiguousarray(covariates.values[rows].T)
    width = 4 + columns.shape[0] + (4 * modifier.values.shape[1] if modifier else 0)
    layout = lay_out_sets(chosen.set_code, is_case, n_columns=width)
    constant = constant_within_sets(layout, columns)
    modifier_columns, modifier_main, modifier_names = _modifier_columns(modifier, covariates, rows, layout)
    rows_of_reference = pool.is_reference_study[chosen.study]
    problem = PooledProblem(
        study=chosen.study,
        set_code=chosen.set_code,
        is_case=is_case,
        local_assay=pool.local_assay[rows],
        reference_assay=pool.reference_assay[rows],
        is_reference=rows_of_reference,
        in_calibration=observed_calibrators(pool)[rows],
        covariates=columns[~constant] if constant.any() else columns,
        modifier=modifier_columns,
        modifier_main=modifier_main,
        calibration_rows=everybody.take(rows),
        calibrators=Calibrators(
            everybody.take(calibrating),
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
    notes += filled_notes(pool, chosen, covariates.filled | calibration.filled)
    return PreparedPool(problem, chosen, calibration.names, omitted, calibrating, modifier, notes, season)


def _refuse_measurements(
    pool: PooledStudies, covariates: DesignColumns, modifier: DesignColumns | None, calibration: DesignColumns
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
    for name in calibration.missing:
        if name in parts and name != roles.local:
            raise FormulaError(
                f"'{name}' is {parts[name]}; it cannot be a calibration covariate too", name=name
            )


def _calibration_columns(
    pool: PooledStudies,
    formulas: ModelFormulas,
    covariates: DesignColumns,
    modifier: DesignColumns | None,
    season: SeasonDesign | None,
) -> tuple[DesignColumns, tuple[str, ...]]:
    """Calibration covariates V, the modifier and its products with the local value last; the season's notes."""
    wanted = formulas.calibration_covariates
    if wanted == "outcome":
        parts = [covariates, design_columns(pool, formulas.matching, missing=formulas.missing)]
    elif wanted == "none":
        parts = []
    else:
        parts = [design_columns(pool, wanted, missing=formulas.missing)]
    told: tuple[str, ...] = ()
    if season is not None:
        held = calibration_holds_season(pool, season, parts)
        if wanted == "outcome" and not held:
            parts, held = [*parts, season.columns], True
        told = season_notes(calibrated=not pool.is_reference_study.all(), held=held)
    joined = _joined(pool.n_rows, parts)
    if modifier is None:
        return joined, told
    local = pool.local_assay
    if formulas.calibration_model.form == "log-log":
        local = np.log(np.where(local > 0, local, np.nan))  # the form refuses others by name
    product = modifier.values * local[:, None]
    names = tuple(f"{pool.roles.local}:{name}" for name in modifier.names)
    with_products = [joined, _not_held(modifier, joined), DesignColumns(names, product, {})]
    return _joined(pool.n_rows, with_products), told


def _not_held(design: DesignColumns, others: DesignColumns) -> DesignColumns:
    """Columns of a design that no other column equals: C(smoking) may hold the modifier smoking already."""
    new = [
        k
        for k, column in enumerate(design.values.T)
        if not any(_same(column, other) for other in others.values.T)
    ]
    return DesignColumns(tuple(design.names[k] for k in new), design.values[:, new], design.missing)


def _same(column: FloatArray, other: FloatArray) -> bool:
    """Whether columns are equal where both are known: a design is NaN where any of its variables is missing."""
    known = np.isfinite(column) & np.isfinite(other)
    return bool(known.any()) and np.array_equal(column[known], other[known])


def _joined(n_rows: int, parts: Sequence[DesignColumns]) -> DesignColumns:
    """Columns of several designs side by side, a repeated name once."""
    names: list[str] = []
    columns: list[FloatArray] = []
    missing: dict[str, NDArray[np.bool_]] = {}
    for part in parts:
        missing |= part.missing
        for k, name in enumerate(part.names):
            if name not in names:
                names.append(name)
                columns.append(part.values[:, k])
    values = np.column_stack(columns) if columns else np.empty((n_rows, 0))
    filled = {name: how for part in parts for name, how in part.filled.items()}
    return DesignColumns(tuple(names), values, missing, filled)


def _modifier_columns(
    modifier: DesignColumns | None, covariates: DesignColumns, rows: IntArray, layout: SetLayout
) -> tuple[FloatArray, tuple[int, ...], tuple[str, ...]]:
    """The modifier's columns, and which of them are main effects of their own."""
    if modifier is None:
        return np.empty((0, rows.size)), (), ()
    columns = np.ascontiguousarray(modifier.values[rows].T)
    if np.ptp(columns, axis=1).max(initial=0.0) == 0:
        raise OptionError(
            f"the modifier {', '.join(modifier.names)} has the same value for everybody in the outcome model",
            modifier=modifier.names,
        )
    constant = constant_within_sets(layout, columns)
    own = _not_held(modifier, covariates).names
    main = tuple(k for k, name in enumerate(modifier.names) if not constant[k] and name in own)
    return columns, main, modifier.names


def _variance_groups(
    pool: PooledStudies,
    study_local: IntArray,
    modifier: DesignColumns | None,
    outcome_rows: IntArray,
    calibrating: IntArray,
    n_local: int,
) -> tuple[IntArray, IntArray, tuple[str, ...]]:
    """Which residual variance applies to each row: the study's, or its level of a categorical modifier.

    A level has one of its own in a study only when it holds enough calibrators there.
    """
    if modifier is None or not _is_indicator(modifier.values):
        return np.maximum(study_local, 0), np.arange(n_local), ()
    level = np.nan_to_num(modifier.values) @ np.arange(1, modifier.values.shape[1] + 1)
    group, group_study = np.maximum(study_local, 0).astype(np.intp), list(range(n_local))
    pooled_levels = []
    for s in range(n_local):
        mine = study_local == s
        used = np.unique(level[outcome_rows[mine[outcome_rows]]])
        pairs = level[calibrating[mine[calibrating]]]
        if used.size > 1 and all((pairs == value).sum() >= _PAIRS_PER_VARIANCE for value in used):
            for value in used[1:]:
                group[mine & (level == value)] = len(group_study)
                group_study.append(s)
        elif used.size > 1:
            pooled_levels.append(pool.study_names[int(np.flatnonzero(~pool.is_reference_study)[s])])
    notes: tuple[str, ...] = ()
    if pooled_levels:
        notes = (
            f"one residual SD of the calibration for all levels of the modifier in {', '.join(pooled_levels)}: "
            f"fewer than {_PAIRS_PER_VARIANCE} pairs in a level (used by induced only)",
        )
    return group, np.asarray(group_study, dtype=np.intp), notes


def _is_indicator(values: FloatArray) -> bool:
    finite = values[np.isfinite(values).all(axis=1)]
    return bool(np.isin(finite, (0.0, 1.0)).all() and (finite.sum(axis=1) <= 1).all())
