"""Power of the Wald tests, and the sets that a wanted power takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.planning.variance import VariancePieces

FloatArray = NDArray[np.float64]
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
