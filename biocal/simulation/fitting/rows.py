"""The rows that a batch of replicates leaves in replicates.parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.contrasts import normal_quantile
from biocal.simulation.design.scenario import Scenario
from biocal.simulation.drawing.estimand import true_log_or
from biocal.simulation.fitting.quantities import (
    CURVE,
    Quantities,
    coefficient_names,
    no_quantities,
    p_value_names,
    true_coefficients,
)

FloatArray = NDArray[np.float64]

#: Confidence level of the intervals.
LEVEL = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class MethodRows:
    """What one method found in B replicates.

    Attributes
    ----------
    log_or, std_error : ndarray, shape (B, m)
    errors : list of str
        "" for none.
    quantities : Quantities
    """

    log_or: FloatArray
    std_error: FloatArray
    errors: list[str]
    quantities: Quantities


def all_failed(scenario: Scenario, batch: int, failure: Exception) -> dict[str, MethodRows]:
    """Every method failed in every replicate, for one reason."""
    nothing = np.full((batch, len(scenario.estimand.at)), np.nan)
    errors = [f"{type(failure).__name__}: {failure}"] * batch
    rows = MethodRows(nothing, nothing, errors, no_quantities(scenario, batch))
    return {method: rows for method in scenario.methods}


def replicate_rows(
    scenario: Scenario, scenario_index: int, replicates: Sequence[int], found: Mapping[str, MethodRows]
) -> dict[str, NDArray[Any]]:
    """Columns of replicates.parquet; rows in the order replicate, method, and exposure, coefficient, test."""
    methods, at = list(scenario.methods), np.asarray(scenario.estimand.at, dtype=float)
    coefficients, tests = coefficient_names(scenario), p_value_names(scenario)
    names = np.array([*[CURVE] * at.size, *coefficients, *tests], dtype=object)
    n_further = len(coefficients) + len(tests)
    shape = (len(replicates), len(methods), names.size)
    estimate, error = (
        np.stack([values(found[method], len(coefficients)) for method in methods], axis=1)
        for values in (_estimates, _std_errors)
    )
    messages = np.array([found[method].errors for method in methods], dtype=object).T
    messages = messages.reshape(shape[0], shape[1], 1)
    half = normal_quantile(LEVEL) * error
    truth = np.concatenate([true_log_or(scenario), np.full(n_further, np.nan)])
    if coefficients:
        truth[at.size : at.size + len(coefficients)] = true_coefficients(scenario)
    columns: dict[str, NDArray[Any]] = {
        "scenario": np.full(shape, scenario_index, dtype=np.int32),
        "replicate": np.broadcast_to(np.asarray(replicates, dtype=np.int32)[:, None, None], shape),
        "method": np.broadcast_to(np.array(methods, dtype=object)[None, :, None], shape),
        "exposure": np.broadcast_to(np.concatenate([at, np.full(n_further, np.nan)]), shape),
        "estimate": estimate,
        "std_error": error,
        "conf_low": estimate - half,
        "conf_high": estimate + half,
        "truth": np.broadcast_to(truth, shape),
        "converged": np.broadcast_to(messages == "", shape),
        "error": np.broadcast_to(messages, shape),
    }
    if n_further:
        columns["quantity"] = np.broadcast_to(names, shape)
    return {name: np.ascontiguousarray(values).reshape(-1) for name, values in columns.items()}


def _estimates(rows: MethodRows, n_coefficients: int) -> FloatArray:
    """Log odds ratios, coefficients and p-values, (B, m + K + T)."""
    found = rows.quantities
    return np.concatenate([rows.log_or, found.beta[:, :n_coefficients], found.p_values], axis=1)


def _std_errors(rows: MethodRows, n_coefficients: int) -> FloatArray:
    """Their standard errors; a p-value has none."""
    found = rows.quantities
    variance = np.diagonal(found.vcov, axis1=1, axis2=2)[:, :n_coefficients]
    own = np.sqrt(np.maximum(variance, 0.0))
    return np.concatenate([rows.std_error, own, np.full_like(found.p_values, np.nan)], axis=1)
