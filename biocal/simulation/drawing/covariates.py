"""Covariates that are correlated with the exposure, given its anchor (see `measurement.Laboratories`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import SimulationError
from biocal.simulation.design.scenario import Covariate, Scenario
from biocal.simulation.drawing.laboratories import Laboratories
from biocal.simulation.drawing.laws import exposure_density, mean_and_sd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

# A logistic curve this steep is a step: the largest correlation a binary covariate can have.
_STEEPEST = 60.0


@dataclass(frozen=True, eq=False)
class CovariateLaws:
    """Laws of K covariates given the standardised anchor z in each of S studies.

    Attributes
    ----------
    covariates : tuple of Covariate, length K
    intercept, slope : ndarray, shape (K, S)
        Of the mean of a normal covariate (intercept 0), or of the logit of a binary one's probability.
    anchor_mean, anchor_sd : ndarray, shape (S,)
        To standardise the anchor.
    """

    covariates: tuple[Covariate, ...]
    intercept: FloatArray
    slope: FloatArray
    anchor_mean: FloatArray
    anchor_sd: FloatArray

    def draw(
        self, rng: np.random.Generator, study: IntArray, anchor: FloatArray, is_case: BoolArray | None
    ) -> FloatArray:
        """Covariates given the anchor, in cases under their tilted law, shape (K, n)."""
        values = np.empty((len(self.covariates), anchor.size))
        if not self.covariates:
            return values
        z = (anchor - self.anchor_mean[study]) / self.anchor_sd[study]
        for k, covariate in enumerate(self.covariates):
            centre = self.intercept[k][study] + self.slope[k][study] * z
            if covariate.type == "binary":
                if is_case is not None:
                    centre += covariate.log_or * is_case
                values[k] = rng.random(anchor.size) * (1.0 + np.exp(-centre)) < 1.0
                continue
            variance = 1.0 - self.slope[k] ** 2
            if is_case is not None:
                centre += covariate.log_or * variance[study] * is_case
            values[k] = centre + np.sqrt(variance)[study] * rng.standard_normal(anchor.size)
        return values

    def binary_log_risk(self, study: IntArray, anchor: FloatArray) -> FloatArray | None:
        """log E exp(log_or * Z) given the anchor, summed over binary covariates; None without any."""
        total: FloatArray | None = None
        for k, covariate in enumerate(self.covariates):
            if covariate.type != "binary" or covariate.log_or == 0:
                continue
            z = (anchor - self.anchor_mean[study]) / self.anchor_sd[study]
            probability = 1.0 / (1.0 + np.exp(-(self.intercept[k][study] + self.slope[k][study] * z)))
            risk = np.log1p(probability * np.expm1(covariate.log_or))
            total = risk if total is None else total + risk
        return total

    @property
    def highest_binary_log_risk(self) -> float:
        """Upper bound of `binary_log_risk`."""
        return float(sum(max(0.0, each.log_or) for each in self.covariates if each.type == "binary"))

    def log_risk(self, values: FloatArray) -> FloatArray:
        """Sum of log_or times covariate, shape (n,)."""
        coefficients = np.array([each.log_or for each in self.covariates])
        return np.asarray(coefficients @ values)


def covariate_laws(scenario: Scenario, labs: Laboratories) -> CovariateLaws:
    """Work out the laws that give each covariate its correlation with the exposure."""
    n_studies = len(scenario.studies)
    intercept = np.zeros((len(scenario.covariates), n_studies))
    slope = np.zeros((len(scenario.covariates), n_studies))
    moments = np.array([mean_and_sd(scenario.exposure, study) for study in scenario.studies])
    for k, covariate in enumerate(scenario.covariates):
        solved: dict[tuple[float, ...], tuple[float, float]] = {}
        for s in range(n_studies):
            # corr(Z, X) = corr(Z, A) corr(A, X), and the latter is the root of the anchor's share.
            wanted = covariate.correlation / float(np.sqrt(labs.anchor_share[s]))
            if covariate.type == "normal":
                slope[k, s] = wanted
                continue
            key = (wanted, *moments[s])
            if key not in solved:
                solved[key] = binary_law(scenario, s, covariate.prevalence, wanted)
            intercept[k, s], slope[k, s] = solved[key]
    return CovariateLaws(
        covariates=scenario.covariates,
        intercept=intercept,
        slope=slope,
        anchor_mean=moments[:, 0],
        anchor_sd=moments[:, 1] * np.sqrt(labs.anchor_share),
    )


def binary_problem(scenario: Scenario, index: int, covariate: Covariate, labs: Laboratories) -> str | None:
    """Say why a binary covariate cannot have its correlation in a study, or None when it can."""
    if covariate.type != "binary":
        return None
    root = float(np.sqrt(labs.anchor_share[index]))
    try:
        binary_law(scenario, index, covariate.prevalence, covariate.correlation / root)
    except SimulationError as problem:
        largest = problem.largest * root  # type: ignore[attr-defined]
        return (
            f"cannot exceed {largest:.3g} in study {scenario.studies[index].name!r} for a binary covariate of "
            f"prevalence {covariate.prevalence:g}, not {covariate.correlation:g}"
        )
    return None


def binary_law(scenario: Scenario, index: int, prevalence: float, correlation: float) -> tuple[float, float]:
    """Solve for the logistic curve in z that has this prevalence and correlation with z.

    Raises
    ------
    SimulationError
        No curve has: a binary covariate cannot be as strongly correlated (attribute ``largest``).
    """
    mean, sd = mean_and_sd(scenario.exposure, scenario.studies[index])
    z = np.linspace(-7.0, 7.0, 2801)
    weight = exposure_density(scenario, scenario.studies[index], mean + sd * z)
    weight /= weight.sum()
    spread = float(np.sqrt(prevalence * (1.0 - prevalence)))

    def curve(steepness: float) -> tuple[float, float]:
        low, high = -abs(steepness) * 8 - 40.0, abs(steepness) * 8 + 40.0
        for _ in range(60):
            middle = (low + high) / 2
            share = float(weight @ (1.0 / (1.0 + np.exp(-(middle + steepness * z)))))
            low, high = (middle, high) if share < prevalence else (low, middle)
        probability = 1.0 / (1.0 + np.exp(-(middle + steepness * z)))
        return middle, float(weight @ (z * probability)) / spread

    low, high = -_STEEPEST, _STEEPEST
    with np.errstate(over="ignore"):
        for end in (low, high):
            largest = curve(end)[1]
            if (end < 0 and correlation < largest) or (end > 0 and correlation > largest):
                raise SimulationError(
                    f"a binary covariate of prevalence {prevalence:g} is never correlated by {correlation:g}",
                    largest=abs(largest),
                )
        for _ in range(50):
            steepness = (low + high) / 2
            reached = curve(steepness)[1]
            low, high = (steepness, high) if reached < correlation else (low, steepness)
        intercept, _ = curve(steepness)
    return intercept, steepness
