"""Calibrating a pool: from validated studies to the calibration that users see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import CalibrationDesignError, OptionError
from biocal.fitting.calibration_quality import Batches, read_batches, study_qualities
from biocal.fitting.problem.calibration_columns import learn_form, reference_censored
from biocal.fitting.problem.units import distinct_pairs
from biocal.fitting.soundness.digits import require_digits
from biocal.kernels.contrasts import WaldTest, wald_test
from biocal.model.calibration.estimators import fit_calibration_model
from biocal.model.calibration.forms import CalibrationModel
from biocal.model.calibration.lines import CalibrationFit, dense_rows, fit_calibration, lay_out_parameters
from biocal.model.calibration.rows import CalibrationRows
from biocal.pool.formulas.covariates import design_columns
from biocal.pool.pooled import PooledStudies
from biocal.results.calibration.quality import StudyQuality
from biocal.results.calibration.results import (
    CalibrationResults,
    CovariateCoefficient,
    StudyCalibration,
    calibration_notes,
)
from biocal.results.labels import Labels

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Points of a bent calibration in figures.
_CURVE_POINTS = 101


def calibrate(
    pool: PooledStudies,
    *,
    calibration_covariates: str | None = None,
    calibration_coefficients: str = "common",
    calibration_form: str = "linear",
    calibration_estimator: str = "least-squares",
    calibration_knots: int | None = None,
    batch: str | None = None,
    unit: str = "",
) -> CalibrationResults:
    """Fit the calibration of every local study.

    Parameters
    ----------
    pool : PooledStudies
        From :func:`biocal.read_studies`.
    calibration_covariates : str, optional
        A formula; "none" or None (the default here, there being no outcome model) for a line a study.
    calibration_coefficients : {"common", "by-study"}
        Whether covariates' coefficients are common to the studies.
    calibration_form : {"linear", "log-log", "rcs"}
        X on W; log X on log W, with E[X | W] = exp(mu + sigma^2 / 2); X on a restricted cubic spline of W
        in each study.
    calibration_estimator : {"least-squares", "huber"}
        Huber's M-estimate (k = 1.345, proposal 2) lets gross errors count less.
    calibration_knots : int, optional
        Of the form "rcs": 3 (default) or 4.
    batch : str, optional
        Column of the assay batch; the quality gate then compares the batches' lines.
    unit : str
        Unit of the reference laboratory, for figures.

    Returns
    -------
    CalibrationResults
        ``tidy()`` has a row a study.

    Raises
    ------
    CalibrationDesignError
        Fewer than 3 pairs in a local study, or constant local values there.
    FormulaError
        A formula that cannot be read.

    Notes
    -----
    X = a_s + b_s W + c'V + e by ordinary least squares in controls with both measurements ([1]_, eq. 2; V
    empty there).

    References
    ----------
    .. [1] Wu, Gail, Smith-Warner, Ziegler, Wang. Cancers 2022;14:2783; arXiv:1911.09254.

    Examples
    --------
    >>> import pandas as pd
    >>> import biocal as bc
    >>> pool = bc.PooledStudies.from_frame(pd.DataFrame({
    ...     "study": "B", "set": [1, 1, 2, 2, 3, 3, 4, 4], "case": [1, 0] * 4,
    ...     "local": [30, 20, 50, 40, 70, 60, 90, 80],
    ...     "reference": [None, 26, None, 44, None, 66, None, 84]}))

    >>> bc.calibrate(pool).tidy()["r_squared"].round(3).tolist()
    [0.998]
    """
    by_study = require_coefficients(calibration_coefficients)
    model = CalibrationModel.of(calibration_form, calibration_estimator, calibration_knots)
    formula = None if calibration_covariates in (None, "none") else calibration_covariates
    design = design_columns(pool, formula)
    local_index = local_indices(pool)
    local_names = local_study_names(pool)
    rows = np.flatnonzero(pool.in_calibration & np.isfinite(design.values).all(axis=1))
    rows = distinct_pairs(pool, rows)
    compact = np.vstack([np.ones(pool.n_rows), pool.local_assay, design.values.T])
    study = local_index[pool.study]
    everybody = CalibrationRows(study, compact, np.maximum(study, 0))
    form = learn_form(pool, model, rows)
    layout = lay_out_parameters(
        len(local_names),
        form.n_own + len(design.names),
        np.arange(len(local_names)),
        by_study=by_study,
        n_own=form.n_own,
    )
    if not local_names:
        return calibration_results(pool, None, rows, everybody.take(rows), design.names, Labels(unit=unit))
    told = require_digits(everybody.take(rows), design.names, local_names)
    batches = read_batches(pool, batch)
    censored = reference_censored(pool, rows)
    fitted = fit_calibration_model(
        everybody.take(rows),
        pool.reference_assay[rows],
        layout,
        local_names,
        model=model,
        form=form,
        censored=censored,
    )
    found = calibration_results(
        pool, fitted, rows, everybody.take(rows), design.names, Labels(unit=unit), batches
    )
    return replace(found, notes=(*found.notes, *told))


def require_coefficients(choice: str) -> bool:
    """True for "by-study", False for "common"."""
    if choice not in ("common", "by-study"):
        raise OptionError(
            f"calibration coefficients are 'common' or 'by-study', not {choice!r}",
            allowed=("common", "by-study"),
        )
    return choice == "by-study"


def local_indices(pool: PooledStudies) -> IntArray:
    """Index of each study among the local ones; -1 for reference studies."""
    return np.where(pool.is_reference_study, -1, np.cumsum(~pool.is_reference_study) - 1).astype(np.intp)


def local_study_names(pool: PooledStudies) -> tuple[str, ...]:
    """Names of the local studies, in order."""
    return tuple(n for n, r in zip(pool.study_names, pool.is_reference_study, strict=True) if not r)


def calibration_results(
    pool: PooledStudies,
    fitted: CalibrationFit | None,
    pool_rows: IntArray,
    rows: CalibrationRows,
    covariate_names: tuple[str, ...],
    labels: Labels,
    batches: Batches | None = None,
) -> CalibrationResults:
    """Put a fitted calibration into the words of its studies.

    Parameters
    ----------
    pool : PooledStudies
    fitted : CalibrationFit or None
        None when all studies are reference studies.
    pool_rows : ndarray of int, shape (n_pairs,)
        Rows of the pool in the calibration subset.
    rows : CalibrationRows
        The same persons.
    covariate_names : tuple of str
        Calibration covariates, in the order of the columns after 1 and W.
    labels : Labels
    batches : Batches, optional
        Assay batches, for the quality gate.
    """
    errors = None if fitted is None else np.sqrt(np.diagonal(calibration_covariance(fitted, rows)))
    local_index = local_indices(pool)
    studies = tuple(
        _study_calibration(pool, s, int(local_index[s]), fitted, errors, pool_rows, rows)
        for s in range(pool.n_studies)
    )
    covariates: tuple[CovariateCoefficient, ...] = ()
    notes = calibration_notes(studies)
    form, estimator = "linear", "least-squares"
    quality: tuple[StudyQuality, ...] = ()
    if fitted is not None and errors is not None:
        names = (*fitted.form.own_terms(pool.roles.local), *covariate_names)
        covariates = covariate_coefficients(fitted, errors, names, local_study_names(pool))
        notes += dropped_notes(fitted, names, local_study_names(pool))
        form, estimator = fitted.form.kind, fitted.estimator
        quality = study_qualities(pool, fitted, pool_rows, rows, studies, batches)
    return CalibrationResults(studies, covariates, covariate_names, notes, labels, form, estimator, quality)


def calibration_covariance(fitted: CalibrationFit, rows: CalibrationRows) -> FloatArray:
    """Covariance of the calibration parameters, (G, G).

    Least squares: with each group's own residual variance.  Censored regression: from the information.
    Huber: the sandwich, as its residuals have no one variance.
    """
    if fitted.joint is not None:
        size, inverse = fitted.gamma.size, fitted.joint.inverse_bread
        if fitted.estimator == "tobit":
            return inverse[:size, :size]
        influence = fitted.joint.scores @ inverse[:size].T
        return np.asarray(influence.T @ influence)
    design = dense_rows(fitted.form.columns(rows), fitted.layout)
    scale = np.linalg.norm(design, axis=0)
    q, r = np.linalg.qr(design / scale)
    # A product of influences, so that no variance is negative, however close to 1 the other columns lie.
    influence = np.linalg.solve(r, q.T) / scale[:, None]
    return np.asarray((influence * fitted.variance[rows.group]) @ influence.T)


def partial_association(
    rows: CalibrationRows, covariates: FloatArray, response: FloatArray, local_names: tuple[str, ...]
) -> WaldTest | None:
    """Test that covariates left out of the calibration say nothing beyond the local value.

    Parameters
    ----------
    rows : CalibrationRows
        Calibration subset without covariates (columns 1 and W).
    covariates : ndarray, shape (k, n_pairs)
        What was left out, NaN where missing.
    response : ndarray, shape (n_pairs,)
        Reference values.
    local_names : tuple of str

    Returns
    -------
    WaldTest or None
        None when nothing can be tested.
    """
    kept = np.isfinite(covariates).all(axis=0)
    if covariates.shape[0] == 0 or kept.sum() < 2 * len(local_names) + covariates.shape[0] + 3:
        return None
    some = rows.take(np.flatnonzero(kept))
    wider = CalibrationRows(some.study, np.vstack([some.columns[:2], covariates[:, kept]]), some.study)
    layout = lay_out_parameters(
        len(local_names), wider.columns.shape[0], np.arange(len(local_names)), by_study=False
    )
    try:
        fitted = fit_calibration(wider, response[kept], layout, local_names)
    except CalibrationDesignError:  # of no concern to methods that need none, nor where only covariates lack
        return None
    extra = np.unique(fitted.layout.position[:, 2:])
    extra = extra[extra >= 0]
    if extra.size == 0:
        return None
    # Heteroscedasticity-consistent, as the calibration block of the sandwich is.
    meat = fitted.scores.T @ fitted.scores
    vcov = fitted.inverse_bread @ meat @ fitted.inverse_bread.T
    return wald_test("calibration covariates", fitted.gamma, vcov, extra)


def _study_calibration(
    pool: PooledStudies,
    study: int,
    local: int,
    fitted: CalibrationFit | None,
    errors: FloatArray | None,
    pool_rows: IntArray,
    rows: CalibrationRows,
) -> StudyCalibration:
    mine = pool.study == study
    name = pool.study_names[study]
    nothing = np.empty(0)
    nan = float("nan")
    if local < 0 or fitted is None or errors is None:
        n = int(np.isfinite(pool.reference_assay[mine]).sum())
        return StudyCalibration(
            name,
            "reference",
            n,
            0,
            0.0,
            1.0,
            nan,
            nan,
            nan,
            nan,
            nan,
            nan,
            nan,
            nan,
            nan,
            nothing,
            nothing,
            nan,
        )
    values = pool.local_assay[mine]
    values = values[np.isfinite(values)]
    pairs = rows.study == local
    w, x = rows.columns[1, pairs], pool.reference_assay[pool_rows[pairs]]
    low, high = float(w.min()), float(w.max())
    residuals = fitted.residuals[pairs]
    coefficients = fitted.coefficients()[local]
    groups = fitted.layout.group_study == local
    variance = float((fitted.variance[groups] * fitted.freedom[groups]).sum() / fitted.freedom[groups].sum())
    position = fitted.layout.position[local]
    own, line = fitted.layout.n_own, fitted.form.response(x)
    spread = float(((line - line.mean()) ** 2).sum())
    mean_covariates = rows.columns[2:, pairs].mean(axis=1)
    return StudyCalibration(
        study=name,
        kind="local",
        n=int(values.size),
        n_calibration=int(w.size),
        intercept=float(coefficients[0]),
        slope=float(coefficients[1]),
        se_intercept=float(errors[position[0]]),
        se_slope=float(errors[position[1]]),
        residual_sd=float(np.sqrt(variance)),
        r_squared=1.0 - float((residuals**2).sum()) / spread if spread > 0 else nan,
        local_min=float(values.min()),
        local_max=float(values.max()),
        calibration_min=low,
        calibration_max=high,
        outside=float(((values < low) | (values > high)).mean()),
        pairs_local=w,
        pairs_reference=x,
        intercept_at_mean=float(coefficients[0] + coefficients[own:] @ mean_covariates),
        curve=_drawn_curve(fitted, local, mean_covariates, values),
    )


def _drawn_curve(
    fitted: CalibrationFit, local: int, mean_covariates: FloatArray, values: FloatArray
) -> FloatArray | None:
    """A bent calibration at the pairs' mean covariates, over the study's local values: shape (2, m)."""
    if fitted.form.kind == "linear":
        return None
    grid = np.linspace(values.min(), values.max(), _CURVE_POINTS)
    columns = np.vstack([np.ones(grid.size), grid, np.repeat(mean_covariates[:, None], grid.size, axis=1)])
    # of several residual variances the study's first: they differ with a modifier alone
    group = int(np.flatnonzero(fitted.layout.group_study == local)[0])
    rows = CalibrationRows(np.full(grid.size, local), columns, np.full(grid.size, group))
    return np.vstack([grid, fitted.predict(rows)])


def covariate_coefficients(
    fitted: CalibrationFit, errors: FloatArray, names: tuple[str, ...], local_names: tuple[str, ...]
) -> tuple[CovariateCoefficient, ...]:
    """Coefficients of the calibration covariates with their standard errors (G,), common or by study."""
    position = fitted.layout.position[:, 2:]
    found = []
    for k, name in enumerate(names):
        common = bool((position[:, k] == position[0, k]).all()) and k >= fitted.layout.n_own - 2
        for s in range(1 if common else len(local_names)):
            place = position[s, k]
            if place >= 0:
                found.append(
                    CovariateCoefficient(
                        "" if common and len(local_names) > 1 else local_names[s],
                        name,
                        float(fitted.gamma[place]),
                        float(errors[place]),
                    )
                )
    return tuple(found)


def dropped_notes(
    fitted: CalibrationFit, names: tuple[str, ...], local_names: tuple[str, ...]
) -> tuple[str, ...]:
    """Calibration covariates whose coefficient could not be estimated, by name and study."""
    if not fitted.dropped:
        return ()
    common = [names[c - 2] for s, c in fitted.dropped if s < 0]
    notes = []
    reason = "constant or collinear in the calibration subset, coefficient set to 0"
    if common:
        notes.append(f"calibration covariates left out, {reason}: {', '.join(common)}")
    own: dict[str, list[str]] = {}
    for s, c in fitted.dropped:
        if s >= 0:
            own.setdefault(local_names[s], []).append(names[c - 2])
    notes += [
        f"calibration covariates left out of study {s}, {reason}: {', '.join(c)}" for s, c in own.items()
    ]
    return tuple(notes)
