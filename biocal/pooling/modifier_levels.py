"""Levels of an effect modifier at which curves are shown."""

from __future__ import annotations

import numpy as np

from biocal.pooling.prepare import PreparedPool
from biocal.results.model import ModifierLevels
from biocal.study.covariates import variable_columns
from biocal.study.pooled import PooledStudies

#: Quantiles of a numeric modifier at which curves are shown.
_QUANTILES = (0.1, 0.5, 0.9)
#: A numeric modifier with at most this many values is shown at each of them.
_FEW_VALUES = 3


def modifier_levels(pool: PooledStudies, name: str | None, prepared: PreparedPool) -> ModifierLevels | None:
    """Every level of a categorical modifier; few values, or quantiles in controls, of a numeric one."""
    if name is None or prepared.modifier_design is None:
        return None
    problem = prepared.problem
    terms = problem.modifier_names
    if len(terms) == 1 and "[" not in terms[0]:
        values = problem.modifier[0]
        points = np.unique(values)
        if points.size > _FEW_VALUES:
            points = np.unique(np.quantile(values[problem.is_control], _QUANTILES))
        return ModifierLevels(name, terms, tuple(f"{point:.5g}" for point in points), points[:, None])
    seen, first = np.unique(problem.modifier.T, axis=0, return_index=True)
    order = np.argsort(seen @ (1 + np.arange(seen.shape[1])), kind="stable")  # the base level first
    rows = prepared.outcome_rows.rows[first[order]]
    raw = [variable_columns(pool, variable) for variable in prepared.modifier_design.missing]
    labels = tuple(", ".join(_text(column[row]) for column in raw) for row in rows)
    return ModifierLevels(name, terms, labels, seen[order])


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
