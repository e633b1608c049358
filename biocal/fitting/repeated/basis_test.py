"""Is the curve's basis enough?  The same curve with one knot more, and a Wald test of what it adds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from biocal.errors import BiocalError
from biocal.fitting.methods.estimate import EstimationOptions, MethodEstimate, estimate_method
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.problem.scale import common_exposure
from biocal.kernels.contrasts import WaldTest, wald_test
from biocal.kernels.splines import MOST_KNOTS
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis, SplineBasis

FloatArray = NDArray[np.float64]

#: Gaps that hold at least this share of the fullest gap's controls count as equally full: quantile knots leave
#: gaps that differ by chance only (our choice).
_EQUALLY_FULL = 0.9
#: A p-value below this is told, with the advice to compare curves (our choice, as for heterogeneity).
_TOLD = 0.10


def basis_test(
    problem: PooledProblem,
    found: MethodEstimate,
    basis: Basis,
    calibration: CalibrationFit | None,
    options: EstimationOptions,
) -> tuple[tuple[WaldTest, ...], tuple[str, ...]]:
    """Refit with one knot more and test what it adds.

    Parameters
    ----------
    problem : PooledProblem
    found : MethodEstimate
        The fit, with `basis` its curve.
    basis : Basis
    calibration : CalibrationFit or None
    options : EstimationOptions

    Returns
    -------
    tests : tuple of WaldTest
        Empty unless the curve is a spline.
    notes : tuple of str

    Notes
    -----
    The knots of the fit stay, so that its curves are among those of the larger fit; a curve is one of the smaller
    where its third derivative does not jump at the new knot.  That jump is a linear combination of the larger
    fit's coefficients, and its covariance is the larger fit's sandwich.
    """
    if not isinstance(basis, SplineBasis) or len(basis.knots) >= MOST_KNOTS:
        return (), ()
    exposure, _ = common_exposure(problem, calibration)
    knot = further_knot(basis.knots, exposure[problem.is_control])
    if knot is None:
        return (), ("one knot more was not tried: no control lies between neighbouring knots",)
    larger = SplineBasis(tuple(sorted((*basis.knots, knot))))
    try:
        more = estimate_method(problem, found.method, larger, calibration, options)
    except BiocalError as error:
        return (), (f"the curve with one knot more, at {knot:.4g}, could not be fitted: {error}",)
    jump = jump_at(larger.knots, knot)
    contrasts = np.zeros((more.model.exposure_positions.shape[0], more.outcome.beta.size))
    for row, positions in zip(contrasts, more.model.exposure_positions, strict=True):
        row[positions] = jump
    added, covariance = contrasts @ more.outcome.beta, contrasts @ more.covariance.vcov @ contrasts.T
    test = wald_test("basis", added, covariance, np.arange(added.size))
    if not test.p_value < _TOLD:
        return (test,), ()
    return (test,), (
        f"one knot more, at {knot:.4g}, adds to the curve (p = {test.p_value:.2g}): {len(basis.knots)} knots may be "
        "too few; compare curves by AIC (option aic), or fit with more knots",
    )


def further_knot(knots: tuple[float, ...], controls: FloatArray) -> float | None:
    """The median of the controls in the fullest gap between knots, the lowest of equally full ones."""
    between = [controls[(controls > low) & (controls < high)] for low, high in pairwise(knots)]
    sizes = np.array([inside.size for inside in between])
    if not sizes.any():
        return None
    return float(np.median(between[int(np.argmax(sizes >= _EQUALLY_FULL * sizes.max()))]))


def jump_at(knots: tuple[float, ...], knot: float) -> FloatArray:
    """Jump of the third derivative at an inner knot, up to a factor, as a combination of the spline's columns."""
    place, n = knots.index(knot), len(knots)
    weights = np.zeros(n - 1)
    if place < n - 2:
        weights[place + 1] = 1.0
    else:  # the last but one: what keeps the curve straight beyond the last
        weights[1:] = (knots[-1] - np.asarray(knots[: n - 2])) / (knots[-1] - knots[0])
    return weights
