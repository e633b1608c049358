"""Fitting a calibration in any form by any estimator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import CalibrationDesignError, OptionError
from biocal.model.calibration.forms import (
    LINEAR_FORM,
    LINEAR_LEAST_SQUARES,
    CalibrationForm,
    CalibrationModel,
)
from biocal.model.calibration.huber import fit_huber
from biocal.model.calibration.lines import (
    MIN_PAIRS,
    CalibrationFit,
    CalibrationLayout,
    dense_rows,
    fit_calibration,
)
from biocal.model.calibration.rows import CalibrationRows
from biocal.model.calibration.tobit import fit_tobit

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def fit_calibration_model(
    rows: CalibrationRows,
    reference_assay: FloatArray,
    layout: CalibrationLayout,
    study_names: tuple[str, ...],
    *,
    model: CalibrationModel = LINEAR_LEAST_SQUARES,
    form: CalibrationForm = LINEAR_FORM,
    censored: BoolArray | None = None,
) -> CalibrationFit:
    """Fit the calibration model that was asked for.

    Parameters
    ----------
    rows : CalibrationRows
        The calibration subset, columns 1, W and the covariates.
    reference_assay : ndarray, shape (n_pairs,)
        X; of censored pairs the detection limit.
    layout : CalibrationLayout
        Parameters of the form's columns and the covariates.
    study_names : tuple of str
        Names of the local studies, for messages.
    model : CalibrationModel
        Estimator; censored pairs need least squares, and get censored regression.
    form : CalibrationForm
        Columns made from W.
    censored : ndarray of bool, shape (n_pairs,), optional
        Pairs whose reference value is below its detection limit.

    Raises
    ------
    CalibrationDesignError
        Too few pairs (or too few above the detection limit), constant local values.
    OptionError
        Huber's estimator with censored pairs.
    ConvergenceError
        Huber's or the censored estimate was not found.
    """
    shown, response = form.columns(rows), form.response(reference_assay)
    fitted = replace(fit_calibration(shown, response, layout, study_names), form=form)
    below = censored is not None and bool(censored.any())
    if below:
        if model.estimator == "huber":
            raise OptionError(
                "Huber's estimator cannot take reference values below their detection limit as censored; use "
                "--calibration-estimator least-squares, or a substitution rule (--below-limit lod/2)"
            )
        assert censored is not None
        return _tobit(fitted, shown, response, censored, study_names)
    if model.estimator == "huber":
        design = dense_rows(shown, fitted.layout)
        found = fit_huber(design, response, rows.group, fitted.freedom, fitted.gamma)
        return replace(
            fitted,
            gamma=found.gamma,
            residuals=found.residuals,
            variance=found.variance,
            scores=found.joint.scores[:, : found.gamma.size],
            inverse_bread=found.joint.inverse_bread[: found.gamma.size, : found.gamma.size],
            estimator="huber",
            joint=found.joint,
        )
    return fitted


def _tobit(
    fitted: CalibrationFit,
    shown: CalibrationRows,
    response: FloatArray,
    censored: BoolArray,
    study_names: tuple[str, ...],
) -> CalibrationFit:
    short = [
        name
        for s, name in enumerate(study_names)
        if _too_few(shown.columns[1, (shown.study == s) & ~censored])
    ]
    if short:
        raise CalibrationDesignError(
            f"fewer than {MIN_PAIRS} different calibration pairs with a reference value above its detection limit: "
            f"{', '.join(short)}; leave such a study out or name a substitution rule (--below-limit lod/2)",
            studies=tuple(short),
        )
    design = dense_rows(shown, fitted.layout)
    sigma = np.sqrt(np.maximum(fitted.variance, 1e-12 * response.var() + 1e-300))
    found = fit_tobit(design, response, censored, shown.group, fitted.freedom, (fitted.gamma, sigma))
    size = found.gamma.size
    return replace(
        fitted,
        gamma=found.gamma,
        residuals=found.residuals,
        variance=found.variance,
        scores=found.joint.scores[:, :size],
        inverse_bread=found.joint.inverse_bread[:size, :size],
        estimator="tobit",
        joint=found.joint,
        censored=censored,
    )


def _too_few(local: FloatArray) -> bool:
    return local.size < MIN_PAIRS or float(np.ptp(local)) == 0.0
