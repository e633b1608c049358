"""How an uncertain calibration line changes the expected variance itself: the second-order term.

A line estimated too flat makes the exposure too narrow, and so the coefficients and all that is proportional to
them too large; since 1 / slope is convex, the average variance over calibration subsets exceeds the variance at
the true line.  The expected model variance is expanded to second order in each study's level and slope, with
derivatives by central differences: full calibration is refitted to one large study under moved lines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.problem.problem import PooledProblem
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis
from biocal.simulation.design.scenario import Scenario
from biocal.simulation.planning.expected import basis_of, large_problem, limit_fit
from biocal.simulation.planning.variance import VariancePieces

FloatArray = NDArray[np.float64]

#: Persons of the study on which differences are taken: these hardly depend on the sample, which is the same.
_PERSONS = 20_000
#: Calibrators at whose standard error the lines are moved; root 3 of it meets the normal law's fourth moment.
_STEP_CALIBRATORS = 50.0
_ROOT_3 = 3.0**0.5


@dataclass(frozen=True, slots=True, eq=False)
class MovedLine:
    """The curve's variance pieces when one study's line is moved both ways.

    Attributes
    ----------
    study : int
        Local study.
    direction : int
        0: level at the mean local value; 1: slope about it.
    step : float
        How far it was moved.
    change : ndarray, shape (m,)
        Second difference of the log OR's outcome variance, relative to it.
    transfers : ndarray, shape (2, m, G)
        Derivative of the log ORs in the calibration parameters, moved up and down.
    """

    study: int
    direction: int
    step: float
    change: FloatArray
    transfers: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Curvature:
    """Second-order terms of the expected variance of log odds ratios.

    Attributes
    ----------
    transfer : ndarray, shape (m, G)
        Derivative of the log ORs in the calibration parameters, at the true lines.
    moved : tuple of MovedLine
    """

    transfer: FloatArray
    moved: tuple[MovedLine, ...]

    def ratios(
        self, pieces: VariancePieces, calibrators: FloatArray, spread: str
    ) -> tuple[FloatArray, FloatArray]:
        """Factors of the outcome part and of the calibration part of Var(log OR), each of shape (m,)."""
        covariance = pieces.calibration_covariance(calibrators, spread)
        base = np.einsum("mg,gh,mh->m", self.transfer, covariance, self.transfer)
        outcome, calibration = np.ones(base.size), np.ones(base.size)
        for line in self.moved:
            law = pieces.laws[spread][line.study]
            weight = line_variance(covariance, law.line, law.local_mean, line.direction) / (
                2.0 * line.step**2
            )
            outcome += weight * line.change
            both = np.einsum("kmg,gh,kmh->km", line.transfers, covariance, line.transfers).sum(axis=0)
            with np.errstate(divide="ignore", invalid="ignore"):
                calibration += np.where(base > 0, weight * (both / base - 2.0), 0.0)
        return outcome, calibration


def line_variance(covariance: FloatArray, line: tuple[int, int], mean: float, direction: int) -> float:
    """Variance of a line's level at the mean local value, or of its slope."""
    a, b = line
    if direction == 1:
        return float(covariance[b, b])
    return float(covariance[a, a] + 2 * mean * covariance[a, b] + mean**2 * covariance[b, b])


def curvature_of(
    scenario: Scenario, pieces: VariancePieces, at: FloatArray, reference: float, seed: int
) -> Curvature:
    """Move every study's line and see what becomes of the variance.

    Parameters
    ----------
    scenario : Scenario
    pieces : VariancePieces
    at : ndarray, shape (m,)
        Exposures of the log odds ratios.
    reference : float
    seed : int
    """
    persons = sum(study.n_persons for study in scenario.studies)
    problem = large_problem(scenario, max(1, -(-_PERSONS // persons)), seed)
    calibration = problem.calibrators.fit(problem.local_names)
    middle_variance, middle = _curve_pieces(scenario, problem, calibration, at, reference)
    numbers = np.full(len(problem.local_names), _STEP_CALIBRATORS)
    spread = scenario.measurement.sampling
    covariance = pieces.calibration_covariance(numbers, spread)
    moved = []
    for study, law in enumerate(pieces.laws[spread]):
        a, b = law.line
        for direction in (0, 1):
            step = _ROOT_3 * line_variance(covariance, law.line, law.local_mean, direction) ** 0.5
            shift = np.zeros(calibration.gamma.size)
            shift[a], shift[b] = (step, 0.0) if direction == 0 else (-step * law.local_mean, step)
            up, down = (
                _curve_pieces(
                    scenario,
                    problem,
                    replace(calibration, gamma=calibration.gamma + sign * shift),
                    at,
                    reference,
                )
                for sign in (1.0, -1.0)
            )
            change = (up[0] + down[0]) / middle_variance - 2.0
            moved.append(MovedLine(study, direction, step, change, np.stack([up[1], down[1]])))
    return Curvature(middle, tuple(moved))


def _curve_pieces(
    scenario: Scenario, problem: PooledProblem, calibration: CalibrationFit, at: FloatArray, reference: float
) -> tuple[FloatArray, FloatArray]:
    """Outcome variance (m,) and transfer (m, G) of the log odds ratios under given lines."""
    basis = basis_of(scenario, problem, calibration)
    fitted = limit_fit(problem, basis, calibration)
    contrasts = curve_contrasts(basis, fitted.exposure_positions, fitted.beta.size, at, reference)
    return np.einsum("pm,pq,qm->m", contrasts, fitted.outcome, contrasts), contrasts.T @ fitted.transfer


def curve_contrasts(
    basis: Basis, positions: NDArray[np.intp], n_terms: int, at: FloatArray, reference: float
) -> FloatArray:
    """Contrasts l with log OR = l'beta, shape (p, m)."""
    contrasts = np.zeros((n_terms, at.size))
    contrasts[positions] = basis.columns(at) - basis.columns(np.array([reference]))
    return contrasts
