"""What a replicate tells beside its curve: coefficients with intervals, and p-values of tests.

In replicates.parquet they are rows of their own, named in the column `quantity`; rows of the curve are `log_or`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.contrasts import wald_test
from biocal.simulation.design.scenario import Scenario

__all__ = [
    "CURVE",
    "TESTS",
    "Quantities",
    "coefficient_names",
    "fill_wald_tests",
    "no_quantities",
    "p_value_names",
    "true_coefficients",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Tests whose p-values may be kept; see :meth:`biocal.results.fit.fit.Fit.tests`.
TESTS = ("overall", "nonlinearity", "interaction", "heterogeneity")
#: `quantity` of the rows of a curve.
CURVE = "log_or"
COEFFICIENT, P_VALUE = "coefficient:", "p:"


@dataclass(frozen=True, slots=True, eq=False)
class Quantities:
    """Of one method in B replicates, blank (nan) where it failed.

    Attributes
    ----------
    beta : ndarray, shape (B, k)
        Coefficients of the exposure columns, then of their products with a modifier.
    vcov : ndarray, shape (B, k, k)
    p_values : ndarray, shape (B, number of tests)
        In the order of the scenario's tests.
    """

    beta: FloatArray
    vcov: FloatArray
    p_values: FloatArray


def n_exposure_columns(scenario: Scenario) -> int:
    """Exposure columns of the outcome model, products left out."""
    fit = scenario.fit
    if fit.exposure == "linear":
        return 1
    return (fit.knots if isinstance(fit.knots, int) else len(fit.knots)) - 1


def no_quantities(scenario: Scenario, batch: int) -> Quantities:
    """All blank, to be filled."""
    k = n_exposure_columns(scenario) * (1 if scenario.fit.modifier is None else 2)
    return Quantities(
        np.full((batch, k), np.nan),
        np.full((batch, k, k), np.nan),
        np.full((batch, len(scenario.estimand.tests)), np.nan),
    )


def fill_wald_tests(found: Quantities, scenario: Scenario) -> None:
    """Put the p-values of the Wald tests of the coefficients in; those of others stay as they are."""
    n_main, n_all = n_exposure_columns(scenario), found.beta.shape[1]
    main = np.arange(n_main)
    positions = {
        "overall": np.arange(n_all),
        "nonlinearity": np.concatenate([main[1:] + start for start in range(0, n_all, n_main)]),
        "interaction": np.arange(n_main, n_all),
    }
    sound = np.isfinite(found.beta).all(axis=1) & np.isfinite(found.vcov).all(axis=(1, 2))
    for column, test in enumerate(scenario.estimand.tests):
        if test not in positions:
            continue
        for row in np.flatnonzero(sound):
            try:
                found.p_values[row, column] = wald_test(
                    test, found.beta[row], found.vcov[row], positions[test]
                ).p_value
            except np.linalg.LinAlgError:  # a singular covariance: the test failed, and stays blank
                continue


def coefficient_names(scenario: Scenario) -> tuple[str, ...]:
    """`quantity` of the coefficients that are kept: coefficient:1, coefficient:2, ..."""
    if not scenario.estimand.coefficients:
        return ()
    return tuple(f"{COEFFICIENT}{k}" for k in range(1, n_exposure_columns(scenario) + 1))


def p_value_names(scenario: Scenario) -> tuple[str, ...]:
    """`quantity` of the p-values that are kept: p:overall, ..."""
    return tuple(f"{P_VALUE}{test}" for test in scenario.estimand.tests)


def true_coefficients(scenario: Scenario) -> FloatArray | None:
    """True coefficients of the fitted exposure columns, shape (K,); None where the truth is not of their form."""
    truth, fit = scenario.truth, scenario.fit
    true = np.zeros(n_exposure_columns(scenario))
    if truth.type == "expression":
        return None
    if truth.type == "linear" or not any(truth.beta[1:]):  # a straight line is one whatever the knots
        true[0] = truth.beta[0]
        return true
    if fit.exposure == "rcs" and fit.knots == truth.knots:
        return np.array(truth.beta, dtype=float)
    return None
