"""Predicted standard errors of log odds ratios for numbers of calibrators and sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.contrasts import normal_quantile
from biocal.simulation.planning.curvature import Curvature
from biocal.simulation.planning.variance import VariancePieces

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What one design is expected to give.

    Attributes
    ----------
    label : str
        "as planned", "equal" or "best".
    spread : str
    calibrators : ndarray, shape (L,)
    std_error, floor : ndarray, shape (m,)
        Of the log odds ratios; the floor is that with infinitely many calibrators.
    shares : ndarray, shape (L, m)
        Share of the variance that each study's calibration adds.
    gain : ndarray, shape (m,)
        By how much 10 re-assays more, divided alike among the local studies, would narrow the interval, as a share
        of its width.
    """

    label: str
    spread: str
    calibrators: FloatArray
    std_error: FloatArray
    floor: FloatArray
    shares: FloatArray
    gain: FloatArray

    @property
    def above_floor(self) -> FloatArray:
        """By how much the interval is wider than with infinitely many calibrators, as a share, shape (m,)."""
        return np.asarray(self.std_error / self.floor - 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """Variances of the log odds ratios as functions of a design.

    Attributes
    ----------
    pieces : VariancePieces
    contrasts : ndarray, shape (p, m)
    curvature : Curvature or None
        Second-order terms; None from a pilot.
    level : float
    """

    pieces: VariancePieces
    contrasts: FloatArray
    curvature: Curvature | None
    level: float

    def parts(self, calibrators: FloatArray, spread: str) -> tuple[FloatArray, FloatArray]:
        """Variance of the log ORs: outcome part (m,), and each study's calibration (L, m)."""
        c = self.contrasts
        outcome = np.einsum("pm,pq,qm->m", c, self.pieces.outcome, c)
        calibration = np.einsum("pm,spq,qm->sm", c, self.pieces.calibration_parts(calibrators, spread), c)
        if self.curvature is not None:
            more_outcome, more_calibration = self.curvature.ratios(self.pieces, calibrators, spread)
            outcome, calibration = outcome * more_outcome, calibration * more_calibration
        return outcome, calibration

    def std_error(self, calibrators: FloatArray, spread: str, sets: float = 1.0) -> FloatArray:
        """Standard errors, shape (m,), with `sets` times the sets."""
        outcome, calibration = self.parts(calibrators, spread)
        return np.asarray(np.sqrt(outcome / sets + calibration.sum(axis=0)))

    @property
    def floor(self) -> FloatArray:
        """Standard errors with infinitely many calibrators, shape (m,)."""
        c = self.contrasts
        return np.asarray(np.sqrt(np.einsum("pm,pq,qm->m", c, self.pieces.outcome, c)))

    def width(self, std_error: FloatArray) -> FloatArray:
        """Width of the interval of the log odds ratio."""
        return np.asarray(2.0 * normal_quantile(self.level) * std_error)

    def predict(self, label: str, calibrators: FloatArray, spread: str) -> Prediction:
        """Everything about one design."""
        outcome, calibration = self.parts(calibrators, spread)
        variance = outcome + calibration.sum(axis=0)
        error = np.sqrt(variance)
        more = self.std_error(calibrators + 10.0 / calibrators.size, spread)
        return Prediction(
            label, spread, calibrators, error, self.floor, calibration / variance, 1.0 - more / error
        )

    def equal(self, number: float) -> FloatArray:
        """So many calibrators in every study, or all its controls where these are fewer, shape (L,)."""
        return np.asarray(np.minimum(float(number), np.asarray(self.pieces.most, dtype=float)))

    def enough(self, spread: str, share: float, least: int) -> list[int | None]:
        """Fewest calibrators a study, alike in all, whose interval is within `share` of the floor, by exposure.

        Not below `least`; None where even all controls are not enough.
        """
        most = max(self.pieces.most)
        limit = (1.0 + share) * self.floor
        found: list[int | None] = []
        for m in range(limit.size):
            if self.std_error(self.equal(most), spread)[m] > limit[m]:
                found.append(None)
                continue
            low, high = max(4, least), max(4, least, most)
            while low < high:
                middle = (low + high) // 2
                if self.std_error(self.equal(middle), spread)[m] <= limit[m]:
                    high = middle
                else:
                    low = middle + 1
            found.append(low)
        return found

    def sets_for_width(self, calibrators: FloatArray, spread: str, width: float) -> list[int | None]:
        """Sets of all studies together for intervals of this width, by exposure; None where none suffice."""
        outcome, calibration = self.parts(calibrators, spread)
        room = (width / self.width(np.ones(1))[0]) ** 2 - calibration.sum(axis=0)
        return [
            int(np.ceil(self.pieces.n_sets * part / left)) if left > 0 else None
            for part, left in zip(outcome, room, strict=True)
        ]


def best_division(predictor: Predictor, budget: int, spread: str, least: int) -> FloatArray:
    """Calibrators of each study that make the intervals narrowest, on average over the exposures.

    A study's calibration adds c_s / n_s to a variance, so that sum c_s / n_s is least, for a given sum of n_s, with n_s
    proportional to the root of c_s (Neyman).  c_s is averaged over the exposures, each relative to its variance.

    Parameters
    ----------
    predictor : Predictor
    budget : int
        Re-assays of all studies.
    spread : str
    least : int
        Fewest a study; fewer where the budget does not suffice for that.

    Returns
    -------
    ndarray, shape (L,)
        Whole numbers that sum to the budget, or to all controls when these are fewer.
    """
    most = np.asarray(predictor.pieces.most, dtype=float)
    budget = int(min(budget, most.sum()))
    alike = np.minimum(np.maximum(budget / most.size, 4.0), most)
    outcome, calibration = predictor.parts(alike, spread)
    variance = outcome + calibration.sum(axis=0)
    cost = (calibration * alike[:, None] / variance).mean(axis=1)
    lowest = np.minimum(np.minimum(least, budget // most.size), most)
    wanted = np.sqrt(np.maximum(cost, 0.0))
    return _whole(_within(wanted, budget, lowest, most), budget, most)


def equal_division(most: tuple[int, ...], budget: int) -> FloatArray:
    """The budget divided alike, no study beyond its controls, shape (L,)."""
    limits = np.asarray(most, dtype=float)
    total = int(min(budget, limits.sum()))
    return _whole(_within(np.ones(limits.size), total, np.zeros(limits.size), limits), total, limits)


def _within(wanted: FloatArray, budget: int, lowest: FloatArray, most: FloatArray) -> FloatArray:
    """Numbers proportional to `wanted` between bounds, with a given sum: the factor by bisection."""
    wanted = np.maximum(wanted, 1e-12 * max(float(wanted.max()), 1e-300))
    low, high = 0.0, float((most / wanted).max())
    for _ in range(200):
        middle = (low + high) / 2
        if np.clip(middle * wanted, lowest, most).sum() < budget:
            low = middle
        else:
            high = middle
    return np.clip(high * wanted, lowest, most)


def _whole(numbers: FloatArray, total: int, most: FloatArray) -> FloatArray:
    """Whole numbers with this sum: the largest remainders are rounded up."""
    down = np.floor(numbers + 1e-9)
    missing = total - int(down.sum())
    order = [s for s in np.argsort(-(numbers - down), kind="stable") if down[s] < most[s]]
    down[order[: max(missing, 0)]] += 1
    return np.asarray(down)


IntArray = NDArray[np.intp]

#: More sets than so many times the planned ones are not sought.
_MOST_TIMES = 1e4


@dataclass(frozen=True, slots=True)
class TestPower:
    """Power of one test.

    Attributes
    ----------
    test : str
        overall or nonlinearity.
    df : int
    noncentrality : float
        beta' V^-1 beta over the tested coefficients, beta what full calibration estimates in the limit.
    power : float
    sets_needed : int or None
        Sets of all studies together for the wanted power; None where no number suffices.
    """

    test: str
    df: int
    noncentrality: float
    power: float
    sets_needed: int | None


def powers_of_tests(
    pieces: VariancePieces, calibrators: FloatArray, spread: str, *, alpha: float, wanted: float
) -> list[TestPower]:
    """Power of the test of any association and, for a spline, of that of nonlinearity.

    Parameters
    ----------
    pieces : VariancePieces
    calibrators : ndarray, shape (L,)
    spread : str
    alpha : float
        Size of the tests.
    wanted : float
        Power for which the sets are sought.
    """
    positions = pieces.exposure_positions
    tested = {"overall": positions}
    if positions.size > 1:
        tested["nonlinearity"] = positions[1:]
    calibration = pieces.calibration_parts(calibrators, spread).sum(axis=0)
    found = []
    for name, own in tested.items():
        beta = pieces.beta[own]
        fixed = calibration[own[:, None], own]
        rest = pieces.outcome[own[:, None], own]

        noncentrality = _noncentrality(beta, fixed, rest)
        now = noncentrality(1.0)
        needed = _times_needed(noncentrality, own.size, alpha, wanted)
        found.append(
            TestPower(
                name,
                int(own.size),
                now,
                wald_power(now, int(own.size), alpha),
                None if needed is None else int(np.ceil(needed * pieces.n_sets)),
            )
        )
    return found


def _noncentrality(beta: FloatArray, fixed: FloatArray, rest: FloatArray) -> Callable[[float], float]:
    """As a function of how many times the sets: calibration's part does not shrink with them."""

    def of(sets: float) -> float:
        return float(beta @ np.linalg.solve(fixed + rest / sets, beta))

    return of


def wald_power(noncentrality: float, df: int, alpha: float) -> float:
    """Probability that a chi-square with this noncentrality exceeds the central one's upper `alpha` point."""
    from scipy.special import chdtri, chndtr

    return float(1.0 - chndtr(chdtri(df, alpha), df, noncentrality))


def _times_needed(
    noncentrality: Callable[[float], float], df: int, alpha: float, wanted: float
) -> float | None:
    """How many times the sets give the wanted power; None when calibration's part alone forbids it."""

    def power(sets: float) -> float:
        return wald_power(noncentrality(sets), df, alpha)

    low, high = 1e-4, _MOST_TIMES
    if power(high) < wanted:
        return None
    for _ in range(100):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if power(middle) < wanted else (low, middle)
    return high
