"""Levels of an effect modifier at which curves are shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.pooling.prepare import PreparedPool
from biocal.results.model import ModifierLevels
from biocal.study.covariates import variable_columns
from biocal.study.pooled import PooledStudies

FloatArray = NDArray[np.float64]

#: Quantiles of a numeric modifier at which curves are shown.
QUANTILES = (0.1, 0.5, 0.9)
#: A numeric modifier with at most this many values is shown at each of them.
FEW_VALUES = 3


def modifier_levels(pool: PooledStudies, name: str | None, prepared: PreparedPool) -> ModifierLevels | None:
    """Every level of a categorical modifier; few values, or quantiles in controls, of a numeric one."""
    if name is None or prepared.modifier_design is None:
        return None
    problem = prepared.problem
    terms = problem.modifier_names
    if is_number(terms):
        values = problem.modifier[0]
        points = np.unique(values)
        if points.size > FEW_VALUES:
            points = np.unique(np.quantile(values[problem.is_control], QUANTILES))
        return levels_at(name, terms, points)
    seen, first = np.unique(problem.modifier.T, axis=0, return_index=True)
    order = order_of_levels(seen)
    rows = prepared.outcome_rows.rows[first[order]]
    return ModifierLevels(
        name, terms, level_labels(pool, tuple(prepared.modifier_design.missing), rows), seen[order]
    )


def is_number(terms: tuple[str, ...]) -> bool:
    """Whether a modifier of these columns is a number, and not categories."""
    return len(terms) == 1 and "[" not in terms[0]


def levels_at(name: str, terms: tuple[str, ...], points: FloatArray) -> ModifierLevels:
    """A numeric modifier at some values."""
    return ModifierLevels(name, terms, tuple(f"{point:.5g}" for point in points), points[:, None])


def order_of_levels(values: FloatArray) -> NDArray[np.intp]:
    """Order of levels, (n_levels, km), the base level first."""
    return np.argsort(values @ (1 + np.arange(values.shape[1])), kind="stable")


def level_labels(pool: PooledStudies, variables: tuple[str, ...], rows: NDArray[np.intp]) -> tuple[str, ...]:
    """What some rows have in the columns of the data that a modifier is made of, in words."""
    raw = [variable_columns(pool, variable) for variable in variables]
    return tuple(", ".join(_text(column[row]) for column in raw) for row in rows)


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
