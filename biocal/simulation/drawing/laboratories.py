"""The measurement model: what the local and the reference laboratory read, given the exposure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.simulation.design.scenario import Measurement, Scenario
from biocal.simulation.drawing.laws import exposure_density, mean_and_sd

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Laboratories:
    """Each study's measurement, in terms of the true exposure T.

    The *anchor* A is what covariates are drawn given: the calibrated value intercept + slope * local
    under Berkson error in local studies, the exposure itself otherwise.

    Attributes
    ----------
    intercept, slope : ndarray, shape (S,)
        NaN in reference studies.
    r_squared : ndarray, shape (S,)
        Of the local value and the true exposure (larger than of the reference reading when that has
        its own error); 1 in reference studies.
    anchor_share : ndarray, shape (S,)
        Var(A) / Var(T).
    error_scale : ndarray, shape (S,)
        Root of the mean square of the error's relative SD (`relative_error_sd`), for error laws whose SD
        varies; 1 for others.
    exposure_first : bool
        T can be drawn first and A given T: always so unless Berkson error meets another than the normal
        law, or a binary confounder.
    """

    intercept: FloatArray
    slope: FloatArray
    r_squared: FloatArray
    anchor_share: FloatArray
    error_scale: FloatArray
    exposure_first: bool


def true_r_squared(scenario: Scenario, index: int) -> float:
    """R^2 of a study's local value and the *true* exposure.

    The line of the file is that of the reference *reading*; error in it lowers R^2 by the reading's
    reliability, sd^2 / (sd^2 + reference_error_sd^2), and leaves intercept and slope alone.
    """
    study = scenario.studies[index]
    if study.is_reference or study.r_squared is None:
        return 1.0
    _, sd = mean_and_sd(scenario.exposure, study)
    return study.r_squared * (1.0 + (scenario.measurement.reference_error_sd / sd) ** 2)


def laboratories(scenario: Scenario) -> Laboratories:
    """Work out each study's measurement."""
    studies = scenario.studies
    r_squared = np.array([true_r_squared(scenario, index) for index in range(len(studies))])
    berkson = scenario.measurement.model == "berkson"
    binary = any(each.type == "binary" and each.log_or != 0 for each in scenario.covariates)
    gaussian = scenario.exposure.law == "normal" and scenario.measurement.error == "normal" and not binary
    return Laboratories(
        intercept=np.array([math.nan if each.intercept is None else each.intercept for each in studies]),
        slope=np.array([math.nan if each.slope is None else each.slope for each in studies]),
        r_squared=r_squared,
        anchor_share=r_squared if berkson else np.ones(len(studies)),
        error_scale=np.array([_error_scale(scenario, index) for index in range(len(studies))]),
        exposure_first=not berkson or gaussian,
    )


def relative_error_sd(
    measurement: Measurement, value: FloatArray, mean: FloatArray | float, sd: FloatArray | float
) -> FloatArray | float:
    """How the error's SD varies with the value it depends on, up to a factor.

    Parameters
    ----------
    measurement : Measurement
    value : ndarray
        True exposure (classical) or calibrated value (Berkson), in the unit of the exposure.
    mean, sd : float or ndarray
        Of the exposure.
    """
    if measurement.error == "proportional":
        return np.abs(value)
    if measurement.error == "heteroscedastic":
        return np.asarray(np.exp(measurement.sd_trend * (value - mean) / sd))
    return 1.0


def _error_scale(scenario: Scenario, index: int) -> float:
    """Root mean square of the relative error SD over the controls of a study."""
    study, measurement = scenario.studies[index], scenario.measurement
    if study.is_reference or measurement.error not in ("proportional", "heteroscedastic"):
        return 1.0
    mean, sd = mean_and_sd(scenario.exposure, study)
    value = mean + sd * np.linspace(-8.0, 8.0, 16001)
    weight = exposure_density(scenario, study, value)
    if measurement.model == "berkson":
        # Same shape, but the calibrated value has only R^2 of the variance.
        value = mean + (value - mean) * math.sqrt(true_r_squared(scenario, index))
    relative = relative_error_sd(measurement, value, mean, sd)
    return math.sqrt(float(np.average(np.broadcast_to(np.square(relative), value.shape), weights=weight)))


def standard_errors(measurement: Measurement, rng: np.random.Generator, size: int) -> FloatArray:
    """Errors with mean 0 and variance 1, shape (size,)."""
    if measurement.error == "t":
        df = measurement.df
        return rng.standard_t(df, size) * math.sqrt((df - 2) / df)
    if measurement.error == "skewed":
        if measurement.skewness == 0:
            return rng.standard_normal(size)
        shape = 4.0 / measurement.skewness**2
        errors = (rng.standard_gamma(shape, size) - shape) / math.sqrt(shape)
        return np.asarray(errors * math.copysign(1.0, measurement.skewness))
    return rng.standard_normal(size)
