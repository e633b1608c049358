"""The linear fit beside a curve, and curves of other shapes on the same persons."""

from __future__ import annotations

from dataclasses import replace

from biocal.errors import BiocalError
from biocal.fitting.methods.estimate import (
    EstimationOptions,
    MethodEstimate,
    estimate_method,
    estimate_two_stage,
)
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.problem.scale import learn_basis
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Linear, rcs
from biocal.results.fit.asked.curve_models import CurveModel
from biocal.results.fit.asked.increments import LinearTrend
from biocal.results.model import ExposureBasis

#: Numbers of knots that are compared: all that have default places.
KNOT_NUMBERS = (3, 4, 5, 6, 7)


def linear_trend(straight: MethodEstimate) -> LinearTrend:
    """What a linear fit says of the exposure."""
    positions = straight.model.exposure_positions[:, 0]
    vcov = straight.covariance.vcov[positions[:, None], positions]
    outcome = straight.outcome
    return LinearTrend(outcome.beta[positions], vcov, outcome.loglik, outcome.beta.size)


def compare_curves(
    problem: PooledProblem,
    found: MethodEstimate,
    basis: ExposureBasis,
    trend: LinearTrend,
    calibration: CalibrationFit | None,
    options: EstimationOptions,
    knot_rule: str,
) -> tuple[CurveModel, ...]:
    """Log-likelihood of the linear fit, of splines with 3 to 7 knots and of the fit's own curve.

    Persons, covariates, calibration and the rule that places knots are those of the fit.  Knots are at their
    default quantiles; the fit's own curve stands apart when it is none of these.

    Parameters
    ----------
    problem : PooledProblem
    found : MethodEstimate
        The fit, with `basis` its curve.
    basis : ExposureBasis
    trend : LinearTrend
        The linear fit by the same method.
    calibration : CalibrationFit or None
    options : EstimationOptions
    knot_rule : str

    Returns
    -------
    tuple of CurveModel
        Empty for two-stage, which has no likelihood of its own.  A curve that cannot be fitted keeps its
        place, with the reason.
    """
    if found.method == "two-stage":
        return ()
    own_knots: tuple[float, ...] = tuple(getattr(basis, "knots", ()))
    models = [CurveModel("linear", (), trend.n_terms, trend.loglik, basis.kind == "linear")]
    for number in KNOT_NUMBERS:
        name = f"rcs, {number} knots"
        try:
            other = learn_basis(rcs(number), problem, found.method, calibration, knot_rule=knot_rule)
            knots: tuple[float, ...] = tuple(getattr(other, "knots", ()))
            shown = knots == own_knots
            one = found if shown else estimate_method(problem, found.method, other, calibration, options)
            models.append(CurveModel(name, knots, one.outcome.beta.size, one.outcome.loglik, shown))
        except BiocalError as error:
            models.append(CurveModel(name, (), 0, float("nan"), failure=str(error)))
    if not any(model.chosen for model in models):
        name = f"rcs, {len(own_knots)} knots as given" if own_knots else "categories"
        models.append(CurveModel(name, own_knots, found.outcome.beta.size, found.outcome.loglik, True))
    return tuple(models)


def straight_fit(
    problem: PooledProblem,
    found: MethodEstimate,
    basis: ExposureBasis,
    calibration: CalibrationFit | None,
    options: EstimationOptions,
) -> MethodEstimate:
    """The linear fit by the same method, of two-stage to the same studies; the fit itself when it is linear."""
    if basis.kind == "linear":
        return found
    line = Linear().learn()
    if found.studies is not None:
        straight = estimate_two_stage(problem, line, calibration, found.studies.fitted)
    else:
        straight = estimate_method(problem, found.method, line, calibration, options)
    return replace(straight, covariance=straight.covariance.without_influence())


def lost_by_the_line(found: MethodEstimate, straight: MethodEstimate) -> tuple[str, ...]:
    """Studies of a two-stage curve that its linear fit, and so the test of trend, does not have."""
    if found.studies is None or straight.studies is None:
        return ()
    return tuple(
        f"the linear fit and the test of trend leave out study {name}: {reason}"
        for name, reason in straight.studies.left_out.items()
        if name not in found.studies.left_out
    )
