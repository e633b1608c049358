"""How the exposure of cases is proposed: the controls' law under a quadratic tilt that meets the log risk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from biocal.errors import SimulationError
from biocal.simulation.design.scenario import ExposureLaw, Matching, Scenario
from biocal.simulation.design.truth import Truth
from biocal.simulation.drawing.laboratories import Laboratories
from biocal.simulation.drawing.laws import (
    LIMIT,
    NormalMixture,
    density_of,
    matching_cells,
    mean_and_sd,
    standard_law,
)

FloatArray = NDArray[np.float64]

_COARSE, _FINE = 801, 20001
# Added to the bound found on the fine grid, against what lies between its points; costs 1 % of the proposals.
BOUND_MARGIN = 0.01
# Between neighbours of the fine grid; an odds ratio of 20,000 between exposures that no assay tells apart.
_STEEPEST = 10.0
# Of the largest component's precision; at 1 the tilted law would have no variance left to be finite.
LARGEST_CURVATURE = 0.9


@dataclass(frozen=True, eq=False)
class Tilt:
    """Proposals for case exposures of one study: the controls' law times exp(linear d + quadratic d^2 / 2).

    Here d = exposure - mean.  A proposal is accepted with probability
    exp(log risk - linear d - quadratic d^2 / 2 - highest), which is exact rejection for any tilt.

    Attributes
    ----------
    tiltable : bool
        The law can be tilted in closed form; else both terms are zero and confounders are accepted for too.
    linear, quadratic : float
    highest, lowest : float
        Largest and smallest value of log risk - tilt over all possible exposures.
    reach : float
        How far from its mean the exposure may lie.
    largest_quadratic : float
        Beyond this the tilted law does not exist.
    exposure_slope, anchor_slope : float
        Log risk per unit of the exposure, or of the anchor, that normal confounders add.
    acceptance : float
        Expected share of proposals accepted.
    """

    tiltable: bool
    linear: float
    quadratic: float
    highest: float
    lowest: float
    reach: float
    largest_quadratic: float
    exposure_slope: float
    anchor_slope: float
    acceptance: float


def covariate_slope(scenario: Scenario, index: int, labs: Laboratories) -> tuple[float, float]:
    """Log risk per unit that normal confounders add: per unit of the anchor, and of the exposure.

    A covariate that is normal given the anchor with mean ``k (A - mean)`` has
    log E exp(b Z) = b k (A - mean) + constant; given the exposure and the matching cell, A's mean has
    slope (anchor share - matching share) / (1 - matching share) in it.
    """
    _, sd = mean_and_sd(scenario.exposure, scenario.studies[index])
    share = labs.anchor_share[index]
    normal = [each for each in scenario.covariates if each.type == "normal"]
    per_anchor = float(sum(each.log_or * each.correlation for each in normal) / (sd * share))
    matched = scenario.matching.share
    return per_anchor, per_anchor * float((share - matched) / (1 - matched))


def support_of_study(scenario: Scenario, index: int) -> float:
    """How far from its mean a study's exposure may lie."""
    _, sd = mean_and_sd(scenario.exposure, scenario.studies[index])
    shift, _ = matching_cells(scenario.matching)
    return float(sd * (np.abs(shift).max() + LIMIT * (1.0 - scenario.matching.share) ** 0.5))


def tilt_of_study(scenario: Scenario, index: int, labs: Laboratories) -> Tilt:
    """Choose the tilt of one study; the same numbers are not worked out twice.

    Raises
    ------
    SimulationError
        The log risk is not finite somewhere within 6 SD.
    """
    mean, sd = mean_and_sd(scenario.exposure, scenario.studies[index])
    anchor_slope, exposure_slope = covariate_slope(scenario, index, labs)
    return _choose_tilt(
        _Target(scenario.exposure, scenario.truth, scenario.matching, mean, sd),
        support_of_study(scenario, index),
        (anchor_slope, exposure_slope),
        labs.exposure_first,
    )


@dataclass(frozen=True, slots=True)
class _Target:
    """What the tilt of a study depends on, besides the confounders."""

    exposure: ExposureLaw
    truth: Truth
    matching: Matching
    mean: float
    sd: float


@lru_cache(maxsize=256)
def _choose_tilt(target: _Target, reach: float, slopes: tuple[float, float], exposure_first: bool) -> Tilt:
    """Choose the tilt with the largest share of accepted proposals among a grid of slopes and curvatures."""
    coarse, fine = np.linspace(-reach, reach, _COARSE), np.linspace(-reach, reach, _FINE)
    risk, fine_risk = (target.truth.log_risk(target.mean + d) for d in (coarse, fine))
    if not (np.isfinite(fine_risk).all() and np.isfinite(risk).all()):
        undefined = target.mean + fine[~np.isfinite(fine_risk)]
        where = f"{undefined.min():.4g} to {undefined.max():.4g}" if undefined.size else "some"
        raise SimulationError(
            f"the log risk is not a finite number at exposures {where}, within 6 SD of the mean; guard it "
            "with maximum(x, ...) or minimum(x, ...)"
        )
    steepest = float(np.abs(np.diff(fine_risk)).max())
    if steepest > _STEEPEST:
        raise SimulationError(
            f"the log risk is too steep: it changes by {steepest:.3g} within {fine[1] - fine[0]:.3g} units of "
            "exposure, somewhere within 6 SD of the mean"
        )
    anchor_slope, slope = slopes
    law = standard_law(
        target.exposure, target.sd / target.mean if target.exposure.law == "lognormal" else 1.0
    )
    density = density_of(target.exposure, target.matching, target.mean, target.sd, target.mean + coarse)
    log_target = _log_sum(np.log(density + 1e-300) + slope * coarse + risk) + np.log(coarse[1] - coarse[0])
    tiltable = exposure_first and isinstance(law, NormalMixture)
    linear = quadratic = 0.0
    widest = target.sd
    if isinstance(law, NormalMixture) and tiltable:
        components = _Components.of(law, target.matching, target.sd)
        widest = float(components.sds.max())
        multiplier = _largest_multiplier(target.truth)
        linear, quadratic = _best_tilt(coarse, risk, slope, components, multiplier)
        log_proposals = components.log_mass(np.array([linear + slope]), quadratic)[0]
    else:
        log_proposals = abs(slope) * reach
    excess = fine_risk - linear * fine - 0.5 * quadratic * fine**2
    highest, lowest = float(excess.max()) + BOUND_MARGIN, float(excess.min()) - BOUND_MARGIN
    return Tilt(
        tiltable=tiltable,
        linear=linear,
        quadratic=quadratic,
        highest=highest,
        lowest=lowest,
        reach=reach,
        largest_quadratic=LARGEST_CURVATURE / widest**2,
        exposure_slope=slope,
        anchor_slope=anchor_slope,
        acceptance=float(np.exp(log_target - log_proposals - highest)),
    )


def _largest_multiplier(truth: Truth) -> float:
    """A study's curve may be so many times the average one: three SD of the heterogeneity."""
    return 1.0 + (3.0 * truth.heterogeneity if truth.heterogeneity_of == "multiplier" else 0.0)


def _log_sum(exponents: FloatArray) -> FloatArray:
    """Logarithm of the sum of exponentials over the last axis."""
    top = exponents.max(axis=-1)
    return np.asarray(top + np.log(np.exp(exponents - top[..., None]).sum(axis=-1)))


@dataclass(frozen=True, eq=False)
class _Components:
    """The controls' law of d = exposure - mean as a mixture of normals: law by matching cell.

    Attributes
    ----------
    log_weights, means, sds : ndarray, shape (n, 1)
    """

    log_weights: FloatArray
    means: FloatArray
    sds: FloatArray

    @classmethod
    def of(cls, law: NormalMixture, matching: Matching, sd: float) -> _Components:
        """Components of a law in all matching cells."""
        shift, _ = matching_cells(matching)
        within = sd * (1.0 - matching.share) ** 0.5
        means = (sd * shift[:, None] + within * law.means).reshape(-1, 1)
        sds = np.tile(within * law.sds, shift.size)[:, None]
        log_weights = np.log(np.tile(law.weights, shift.size) / shift.size)[:, None]
        return cls(log_weights, means, sds)

    def log_mass(self, linear: FloatArray, quadratic: float) -> FloatArray:
        """log E exp(linear d + quadratic d^2 / 2), not truncated, shape of `linear`."""
        variance = self.sds**2
        rest = 1.0 - quadratic * variance
        exponent = (self.means + variance * linear) ** 2 / (variance * rest) - self.means**2 / variance
        return _log_sum((self.log_weights + 0.5 * (exponent - np.log(rest))).T)


def _best_tilt(
    d: FloatArray, risk: FloatArray, slope: float, components: _Components, multiplier: float
) -> tuple[float, float]:
    """Slope and curvature that maximise the share of accepted proposals, on a grid."""
    widest = float(components.sds.max())
    slopes = np.gradient(risk, d)[np.abs(d) <= 3 * widest]
    candidates = np.append(np.linspace(slopes.min(), slopes.max(), 40), 0.0)
    best = (-np.inf, 0.0, 0.0)
    for relative in (-3.0, -1.5, -0.7, -0.3, 0.0, 0.15, 0.3, 0.45, 0.6, 0.75):
        curvature = relative / (widest**2 * multiplier)
        bound = (risk - candidates[:, None] * d - 0.5 * curvature * d**2).max(axis=1)
        merit = -bound - components.log_mass(candidates + slope, curvature)
        chosen = int(merit.argmax())
        if merit[chosen] > best[0]:
            best = (float(merit[chosen]), float(candidates[chosen]), curvature)
    return best[1], best[2]
