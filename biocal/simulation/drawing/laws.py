"""Laws of the exposure among controls: standardised shapes, matching factors, densities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from biocal.simulation.design.scenario import ExposureLaw, Matching, Scenario, StudyDesign

__all__ = [
    "LIMIT",
    "Lognormal",
    "NormalMixture",
    "exposure_density",
    "law_of_study",
    "matching_cells",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Laws are truncated at so many SD on both sides, so that exp(log risk) is bounded (METHODS section 10).
LIMIT = 6.0
# The month in which a seasonal exposure peaks: mid-August, as 25(OH)D does in the north.
_PEAK = 7.5 / 12
_SQRT_2PI = math.sqrt(2 * math.pi)


@dataclass(frozen=True, eq=False)
class NormalMixture:
    """Mixture of normals with mean 0 and variance 1, truncated at +-6; one component is the normal law.

    Attributes
    ----------
    weights, means, sds : ndarray, shape (K,)
    """

    weights: FloatArray
    means: FloatArray
    sds: FloatArray
    tiltable = True

    @staticmethod
    def standardised(
        weights: tuple[float, ...], means: tuple[float, ...], sds: tuple[float, ...]
    ) -> NormalMixture:
        """Shift and scale any mixture to mean 0 and variance 1."""
        w = np.array(weights, dtype=float)
        w /= w.sum()
        m, s = np.array(means, dtype=float), np.array(sds, dtype=float)
        centre = w @ m
        scale = math.sqrt(w @ (s**2 + (m - centre) ** 2))
        return NormalMixture(w, (m - centre) / scale, s / scale)

    def draw(self, rng: np.random.Generator, size: int) -> FloatArray:
        """Independent values, shape (size,)."""
        values = self._draw_untruncated(rng, size)
        outside = np.flatnonzero(np.abs(values) > LIMIT)
        while outside.size:
            values[outside] = self._draw_untruncated(rng, outside.size)
            outside = outside[np.abs(values[outside]) > LIMIT]
        return values

    def _draw_untruncated(self, rng: np.random.Generator, size: int) -> FloatArray:
        values = rng.standard_normal(size)
        if self.weights.size == 1:
            return values
        component = np.searchsorted(np.cumsum(self.weights)[:-1], rng.random(size), side="right")
        return self.means[component] + self.sds[component] * values

    def draw_tilted(
        self,
        rng: np.random.Generator,
        copies: int,
        linear: FloatArray,
        quadratic: FloatArray | np.float64,
    ) -> FloatArray:
        """Values from the law times exp(linear * z + quadratic * z**2 / 2), not truncated.

        Parameters
        ----------
        copies : int
            Values of each tilt.
        linear : ndarray, shape (k,)
        quadratic : ndarray, shape (k,), or float
            Tilts; quadratic * sds**2 must stay below 1.

        Returns
        -------
        ndarray, shape (copies, k)
        """
        values = rng.standard_normal((copies, np.size(linear)))
        if self.weights.size == 1:
            shrink = 1.0 / (1.0 - quadratic)
            values *= np.sqrt(shrink)
            values += linear * shrink
            return values
        variance = self.sds[:, None] ** 2
        shrink = 1.0 / (1.0 - np.broadcast_to(quadratic, linear.shape) * variance)
        centre = (self.means[:, None] + variance * linear) * shrink
        log_weight = np.log(self.weights)[:, None] + 0.5 * (
            centre**2 / (variance * shrink) - self.means[:, None] ** 2 / variance + np.log(shrink)
        )
        cumulative = np.cumsum(np.exp(log_weight - log_weight.max(axis=0)), axis=0)
        level = rng.random(values.shape) * cumulative[-1]
        component = (level > cumulative[:-1, None, :]).sum(axis=0)
        column = np.arange(linear.size)
        values *= np.sqrt(variance * shrink)[component, column]
        values += centre[component, column]
        return values

    def density(self, values: FloatArray) -> FloatArray:
        """Density at standardised values, zero outside +-6."""
        z = (values[..., None] - self.means) / self.sds
        density = (np.exp(-0.5 * z * z) / self.sds) @ self.weights / _SQRT_2PI
        return np.where(np.abs(values) <= LIMIT, density, 0.0)

    @property
    def outside(self) -> float:
        """Probability beyond +-6 before truncation."""
        beyond = [
            _normal_cdf((-LIMIT - m) / s) + 1.0 - _normal_cdf((LIMIT - m) / s)
            for m, s in zip(self.means, self.sds, strict=True)
        ]
        return float(self.weights @ np.array(beyond))


@dataclass(frozen=True)
class Lognormal:
    """Lognormal law truncated 6 SD above its mean, then moved and scaled to mean 0 and variance 1.

    Attributes
    ----------
    sigma : float
        SD of the logarithm.
    centre, scale : float
        Mean and SD of exp(sigma * N), truncated.
    """

    sigma: float
    centre: float
    scale: float
    tiltable = False

    @staticmethod
    def with_variation(coefficient_of_variation: float) -> Lognormal:
        """The law whose SD is so many times its mean (before truncation)."""
        sigma = math.sqrt(math.log1p(coefficient_of_variation**2))
        centre, scale = math.exp(sigma**2 / 2), math.exp(sigma**2 / 2) * coefficient_of_variation
        # The cut is 6 SD of the truncated law above its mean: a fixed point, reached in a few steps.
        for _ in range(200):
            cut = math.log(centre + LIMIT * scale) / sigma
            inside = _normal_cdf(cut)
            centre_new = math.exp(sigma**2 / 2) * _normal_cdf(cut - sigma) / inside
            square = math.exp(2 * sigma**2) * _normal_cdf(cut - 2 * sigma) / inside
            scale_new = math.sqrt(square - centre_new**2)
            change = abs(centre_new - centre) + abs(scale_new - scale)
            centre, scale = centre_new, scale_new
            if change < 1e-14 * scale:
                break
        return Lognormal(sigma, centre, scale)

    def draw(self, rng: np.random.Generator, size: int) -> FloatArray:
        """Independent values, shape (size,)."""
        values = self._draw_untruncated(rng, size)
        outside = np.flatnonzero(values > LIMIT)
        while outside.size:
            values[outside] = self._draw_untruncated(rng, outside.size)
            outside = outside[values[outside] > LIMIT]
        return values

    def _draw_untruncated(self, rng: np.random.Generator, size: int) -> FloatArray:
        return np.asarray((np.exp(self.sigma * rng.standard_normal(size)) - self.centre) / self.scale)

    def density(self, values: FloatArray) -> FloatArray:
        """Density at standardised values."""
        raw = self.centre + self.scale * values
        inside = (raw > 0) & (values <= LIMIT)
        safe = np.where(inside, raw, 1.0)
        cut = math.log(self.centre + LIMIT * self.scale) / self.sigma
        density = np.exp(-0.5 * (np.log(safe) / self.sigma) ** 2) / (_SQRT_2PI * self.sigma * safe)
        return np.where(inside, density * self.scale / _normal_cdf(cut), 0.0)


StandardLaw = NormalMixture | Lognormal


def _normal_cdf(value: float) -> float:
    return 0.5 * math.erfc(-value / math.sqrt(2.0))


@lru_cache(maxsize=256)
def standard_law(exposure: ExposureLaw, coefficient_of_variation: float) -> StandardLaw:
    """The exposure's law, moved and scaled to mean 0 and variance 1."""
    if exposure.law == "lognormal":
        return Lognormal.with_variation(coefficient_of_variation)
    if exposure.law == "mixture":
        return NormalMixture.standardised(exposure.weights, exposure.means, exposure.sds)
    return NormalMixture(np.ones(1), np.zeros(1), np.ones(1))


def mean_and_sd(exposure: ExposureLaw, study: StudyDesign) -> tuple[float, float]:
    """Mean and SD of a study's exposure: its own where given."""
    mean = exposure.mean if study.mean is None else study.mean
    return mean, exposure.sd if study.sd is None else study.sd


def law_of_study(exposure: ExposureLaw, study: StudyDesign) -> StandardLaw:
    """A study's law within the cells of the matching factors, standardised."""
    mean, sd = mean_and_sd(exposure, study)
    return standard_law(exposure, sd / mean if exposure.law == "lognormal" else 1.0)


def matching_cells(matching: Matching) -> tuple[FloatArray, FloatArray]:
    """What the exposure and the matching factors' columns are in each combination of month and stratum.

    Returns
    -------
    shift : ndarray, shape (n_cells,)
        Mean of the standardised exposure; over equally frequent cells its mean is 0 and its variance
        ``matching.share``.
    columns : ndarray, shape (kv, n_cells)
        Sine and cosine of the month, and the standardised number of the stratum.
    """
    cell = np.arange(matching.n_cells)
    shift = np.zeros(matching.n_cells)
    columns: list[FloatArray] = []
    if matching.season_share is not None:
        angle = 2 * np.pi * (cell % 12 + 0.5) / 12
        shift += math.sqrt(2 * matching.season_share) * np.cos(angle - 2 * np.pi * _PEAK)
        columns += [np.sin(angle), np.cos(angle)]
    if matching.strata is not None:
        number = cell // (matching.n_cells // matching.strata)
        sd = math.sqrt((matching.strata**2 - 1) / 12)
        score = np.asarray((number - (matching.strata - 1) / 2) / sd, dtype=np.float64)
        shift += math.sqrt(matching.strata_share) * score
        columns.append(score)
    return shift, np.array(columns).reshape(len(columns), matching.n_cells)


def exposure_density(scenario: Scenario, study: StudyDesign, at: FloatArray) -> FloatArray:
    """Density of a study's exposure among controls, averaged over the matching factors.

    Parameters
    ----------
    scenario : Scenario
    study : StudyDesign
    at : ndarray, shape (m,)
        Exposures.

    Returns
    -------
    ndarray, shape (m,)
        Per unit of the exposure.  Under a Berkson model with another than the normal law or error this
        is the law that was asked for, which the sum of calibrated value and error only approximates.
    """
    mean, sd = mean_and_sd(scenario.exposure, study)
    return density_of(scenario.exposure, scenario.matching, mean, sd, at)


def density_of(
    exposure: ExposureLaw, matching: Matching, mean: float, sd: float, at: FloatArray
) -> FloatArray:
    """Density of an exposure with this mean and SD, averaged over the matching factors, shape (m,)."""
    law = standard_law(exposure, sd / mean if exposure.law == "lognormal" else 1.0)
    shift, _ = matching_cells(matching)
    within = sd * math.sqrt(1.0 - matching.share)
    density = np.zeros(np.shape(at))
    for centre in mean + sd * shift:
        density += law.density((at - centre) / within) / within
    return density / shift.size
