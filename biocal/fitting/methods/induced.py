"""The induced estimator: the conditional likelihood of the local measurements themselves.

Not a plug-in: exp(b'f(exposure)) is replaced by its expectation given the local value among controls,
Prentice's induced relative risk (METHODS section 7).  Calibration controls enter with their local value,
not their reference value: being calibrated reveals being a control.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from biocal.errors import FitError, OptionError
from biocal.fitting.methods.log_scale import on_log_scale
from biocal.fitting.methods.plug_in import (
    PlugInExposure,
    add_by_unit,
    derivative_by_exposure,
    fit_plug_in,
    plug_in_coefficients,
    plug_in_exposure,
    without_details,
)
from biocal.fitting.methods.season import stack_season
from biocal.fitting.problem.model_columns import ModelColumns, lay_out_columns
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.soundness.fits import InformativeSets, require_moderate_slope
from biocal.kernels.newton import Optimum
from biocal.kernels.sandwich import StackedScores, inverse_of_information
from biocal.kernels.sets.spread import SpreadByUnit
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis
from biocal.model.outcome.conditional import OutcomeFit
from biocal.model.outcome.induced import InducedLikelihood
from biocal.model.outcome.induced_ascent import maximise_induced, null_loglik
from biocal.model.outcome.induced_law import ExposureBasis, ExposureLaw
from biocal.model.outcome.induced_piece import InducedDesign
from biocal.model.outcome.induced_risk import DEFAULT_NODES

FloatArray = NDArray[np.float64]

#: "normal": residuals of the calibration are normal.  "smearing": they are the calibration's own residuals.
ResidualLaw = Literal["normal", "smearing"]


def fit_induced(
    problem: PooledProblem,
    basis: Basis,
    calibration: CalibrationFit | None,
    *,
    residual_law: ResidualLaw = "normal",
    nodes: int = DEFAULT_NODES,
    start: FloatArray | None = None,
    interpolate: bool | None = None,
) -> tuple[ModelColumns, OutcomeFit, StackedScores | None]:
    """Fit the induced likelihood and stack its scores with those of all calibration parameters.

    Parameters
    ----------
    problem : PooledProblem
    basis : Basis
        Exposure terms; the knots are those of the other methods.
    calibration : CalibrationFit or None
        None when every study is a reference study: the plain conditional logit.
    residual_law : {"normal", "smearing"}
        Law of the reference value about the calibrated mean: normal, or the variance group's own
        calibration residuals, each as likely.
    nodes : int, default 20
        Gauss-Hermite nodes of a spline; linear terms and categories have closed forms.
    start : ndarray, shape (p,), optional
        The full-calibration estimate when it is there already; otherwise it is fitted.
    interpolate : bool, optional
        Whether quadrature is interpolated in the calibrated mean; default where it saves time.

    Returns
    -------
    ModelColumns, OutcomeFit, StackedScores or None
        `information` is the observed one (minus the Hessian), and so is B22 of the stacked scores.  No
        stacked scores under smearing: the residuals are nodes, not a few parameters, and the bootstrap is
        the way to intervals.

    Raises
    ------
    SingularInformationError, SeparationError, ConvergenceError
        The likelihood has no single finite maximum, or it was not found.
    OptionError
        An unknown residual law or number of nodes.

    Notes
    -----
    theta = (gamma, sigma^2 of each variance group, beta); sigma_g^2 solves
    ``sum over the group's calibrators of r_i^2 - sigma_g^2 mean(1 - h) = 0`` under least squares.  After a
    calibration between logarithms log X given (W, V) is normal, and the nodes lie on the log scale.  A season
    shifts the mean of the law and adds its harmonics to theta.
    """
    _require_law(residual_law)
    exposure = plug_in_exposure(problem, "full", calibration)
    if calibration is None or not exposure.calibrated.any():
        return fit_plug_in(problem, exposure, basis, calibration)
    model = lay_out_columns(basis, problem)
    likelihood = induced_likelihood(
        problem,
        model,
        basis,
        calibration,
        exposure,
        residual_law=residual_law,
        nodes=nodes,
        interpolate=interpolate,
    )
    if start is None:
        start = _full_estimate(problem, exposure, basis)
    if start is not None:
        require_moderate_slope(model, basis, start, exposure.value, exposure.calibrated, problem, calibration)
    optimum = maximise_induced(likelihood, start, model.terms)
    return model, *_stack_induced(problem, likelihood, optimum, model, basis, calibration, exposure)


def induced_coefficients(
    problem: PooledProblem,
    basis: Basis,
    calibration: CalibrationFit | None,
    *,
    residual_law: ResidualLaw = "normal",
    nodes: int = DEFAULT_NODES,
    start: FloatArray | None = None,
    interpolate: bool | None = None,
) -> tuple[ModelColumns, FloatArray]:
    """Terms and coefficients of :func:`fit_induced` alone, as a bootstrap replicate needs them.

    Parameters and errors as there; a start near the estimate saves the full-calibration fit.
    """
    _require_law(residual_law)
    exposure = plug_in_exposure(problem, "full", calibration)
    if calibration is None or not exposure.calibrated.any():
        return plug_in_coefficients(problem, exposure, basis)
    model = lay_out_columns(basis, problem)
    likelihood = induced_likelihood(
        problem,
        model,
        basis,
        calibration,
        exposure,
        residual_law=residual_law,
        nodes=nodes,
        interpolate=interpolate,
    )
    if start is None:
        start = _full_estimate(problem, exposure, basis)
    return model, maximise_induced(likelihood, start, model.terms).point[0]


def _require_law(residual_law: str) -> None:
    if residual_law not in get_args(ResidualLaw):
        raise OptionError(
            f"residual law {residual_law!r} is not one of {', '.join(get_args(ResidualLaw))}",
            allowed=get_args(ResidualLaw),
        )


def induced_likelihood(
    problem: PooledProblem,
    model: ModelColumns,
    basis: Basis,
    calibration: CalibrationFit,
    exposure: PlugInExposure,
    *,
    residual_law: ResidualLaw,
    nodes: int,
    interpolate: bool | None,
) -> InducedLikelihood:
    """The induced likelihood of local and reference studies together."""
    law, terms = exposure_law(problem, basis, calibration, exposure, residual_law=residual_law)
    return InducedLikelihood(
        problem.layout, _design(model, problem), law, terms, nodes=nodes, interpolate=interpolate
    )


def exposure_law(
    problem: PooledProblem,
    basis: Basis,
    calibration: CalibrationFit,
    exposure: PlugInExposure,
    *,
    residual_law: ResidualLaw = "normal",
) -> tuple[ExposureLaw, ExposureBasis]:
    """Law of every person's exposure among controls, and the terms as functions of what it is the law of."""
    group = np.where(exposure.calibrated, problem.calibration_rows.group, np.int32(-1))
    residuals = _residuals_by_group(problem, calibration) if residual_law == "smearing" else None
    mean = exposure.value
    terms: ExposureBasis = basis
    if calibration.form.logarithmic and exposure.season is not None:
        raise OptionError(
            "induced does not standardise to a season after a calibration between logarithms; use the calibration "
            "form linear or rcs, or method full"
        )
    if calibration.form.logarithmic:
        mean, terms = _log_mean(problem, calibration, exposure), on_log_scale(basis)
    return ExposureLaw(mean, group, calibration.variance, residuals), terms


def _log_mean(problem: PooledProblem, calibration: CalibrationFit, exposure: PlugInExposure) -> FloatArray:
    """Mean of log X given (W, V), and log X itself where it is known.

    Raises
    ------
    OptionError
        A reference study has a value of 0 or below.
    """
    known = ~exposure.calibrated
    bad = known & ~(problem.reference_assay > 0)
    if bad.any():
        names = sorted({problem.study_names[s] for s in problem.study[bad]})
        raise OptionError(
            f"induced with the calibration form log-log needs positive reference values, but {', '.join(names)} "
            f"{'has' if len(names) == 1 else 'have'} {int(bad.sum())} that are not; use the calibration form linear "
            "or rcs, or method full"
        )
    values = np.where(known, problem.reference_assay, 1.0)
    return np.where(known, np.log(values), calibration.linear_predictor(problem.calibration_rows))


def _design(model: ModelColumns, problem: PooledProblem) -> InducedDesign:
    """The outcome model's columns, the exposure's apart; without a modifier nothing is copied."""
    ones, others = np.broadcast_to(np.ones((1, 1)), (1, problem.is_case.size)), problem.covariates
    if problem.modifier_main:
        others = np.concatenate([others, problem.modifier[list(problem.modifier_main)]])
    return InducedDesign(
        multipliers=np.concatenate([ones, problem.modifier]) if problem.modifier.size else ones,
        exposure_positions=model.exposure_positions,
        others=others,
        other_positions=np.concatenate([model.covariate_positions, model.modifier_positions]),
    )


def _full_estimate(problem: PooledProblem, exposure: PlugInExposure, basis: Basis) -> FloatArray | None:
    """Full calibration's coefficients, or None where it has none: the induced fit then looks for itself.

    A category in which no calibrated mean falls, say, stops full calibration alone.
    """
    try:
        return plug_in_coefficients(problem, exposure, basis)[1]
    except FitError:
        return None


def _residuals_by_group(problem: PooledProblem, calibration: CalibrationFit) -> tuple[FloatArray, ...]:
    if calibration.estimator == "tobit":
        raise OptionError(
            "the residual law smearing needs every calibrator's reference value, but some are below their detection "
            "limit; use the residual law normal, or a substitution rule (--below-limit lod/2)"
        )
    group = problem.calibrators.rows.group
    return tuple(calibration.residuals[group == g] for g in range(calibration.layout.n_groups))


def _stack_induced(
    problem: PooledProblem,
    likelihood: InducedLikelihood,
    optimum: Optimum,
    model: ModelColumns,
    basis: Basis,
    calibration: CalibrationFit,
    exposure: PlugInExposure,
) -> tuple[OutcomeFit, StackedScores | None]:
    """Stacked scores with the calibration's coefficients and residual variances (METHODS sections 6 and 7).

    Sums over the pieces of the likelihood; only a season takes everybody's derivative at once.
    """
    n_groups, n_terms = calibration.layout.n_groups, model.n_terms
    beta, season = optimum.point[0], exposure.season
    smearing = likelihood.smearing
    loglik, information = 0.0, np.zeros((n_terms, n_terms))
    scores = np.zeros((problem.n_units, n_terms))
    cross = np.zeros((n_terms, calibration.layout.n_parameters + n_groups))
    by_everybody = np.zeros((n_terms, problem.is_case.size if season is not None else 0))
    telling = InformativeSets(n_terms, problem.n_sets)
    positions = model.exposure_positions.ravel()
    directions = inverse_of_information(optimum.information[0])[:, positions]
    by_unit = SpreadByUnit(problem.n_units, positions.size)
    for found in likelihood.sweep(beta, directions):
        loglik += found.terms.loglik
        information += found.terms.information
        add_by_unit(scores, problem.set_unit[found.sets], found.set_scores)
        telling.add(found.sets, found.largest_slopes)
        assert found.spread is not None
        by_unit.add(problem.set_unit[found.sets], found.spread)
        if smearing:
            continue
        rows = problem.calibration_rows.take(found.persons)
        cross[:, :-n_groups] -= calibration.fold_predictor(found.by_mean, rows)
        for row, part in zip(cross[:, -n_groups:], found.by_variance, strict=True):
            row -= np.bincount(rows.group, weights=part, minlength=n_groups)
        if season is not None:
            measured = derivative_by_exposure(
                model, basis, beta, exposure.value, problem, found.persons, found.residual, found.slope
            )
            by_everybody[:, found.persons] = np.where(
                exposure.calibrated[found.persons], found.by_mean, measured
            )
    spread = by_unit.found(directions, positions)
    outcome = without_details(
        optimum, loglik, information, null_loglik(problem.layout), telling.found(), spread
    )
    if smearing:
        return outcome, None
    joint, calibrators = calibration.joint_scores(), problem.calibrators
    stacked = StackedScores(
        scores,
        information,
        cross,
        joint.scores,
        calibrators.unit,
        calibrators.rows.study,
        joint.inverse_bread,
    )
    if season is not None:
        stacked = stack_season(stacked, problem, season, calibration, by_everybody)
    return outcome, stacked
