"""Which terms hold the effect modifier's own effect, so that its levels can be compared."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.fitting.problem.prepare import PreparedPool
from biocal.pool.formulas.covariates import variable_columns
from biocal.pool.pooled import PooledStudies
from biocal.results.model import ModifierLevels


def own_effects(prepared: PreparedPool) -> tuple[tuple[str, ...], str]:
    """Terms of the modifier's columns in the outcome model, and why its levels cannot be compared.

    Returns
    -------
    terms : tuple of str, length km
        One a column of the modifier; empty when there is an obstacle, or no modifier.
    obstacle : str
        "" when the levels can be compared.
    """
    problem, design = prepared.problem, prepared.modifier_design
    if design is None:
        return (), ""
    equals = [
        [
            name
            for name, covariate in zip(problem.covariate_names, problem.covariates, strict=True)
            if np.array_equal(covariate, column)
        ]
        for column in problem.modifier
    ]
    return own_effects_of(
        problem.modifier_names, problem.modifier_main, equals, problem.covariate_names, tuple(design.missing)
    )


def own_effects_of(
    names: Sequence[str],
    main: Sequence[int],
    equals: Sequence[Sequence[str]],
    covariate_names: Sequence[str],
    variables: Sequence[str],
) -> tuple[tuple[str, ...], str]:
    """The same from names.

    Parameters
    ----------
    names : sequence of str, length km
        Columns of the modifier.
    main : sequence of int
        Those that are main effects of their own.
    equals : sequence of sequences of str, length km
        Covariates of the outcome model that equal each.
    covariate_names, variables : sequence of str
        Covariates of the outcome model, and columns of the data that the modifier is made of.
    """
    found = []
    for k, name in enumerate(names):
        if k in main:
            found.append(name)
        elif equals[k]:
            found.append(equals[k][0])
        else:
            return (), (
                f"no joint curve: {name} is the same for all persons of every matched set "
                "(matched on), so that its own odds ratio cannot be estimated and its levels cannot be compared; the "
                "curve within each level can"
            )
    others = [
        name
        for name in covariate_names
        if name not in found and any(re.search(rf"\b{re.escape(v)}\b", name) for v in variables)
    ]
    if others:
        return (), (
            f"no joint curve: the modifier's variable also enters the covariates as {', '.join(others)}, so that the "
            "step from one level to another is not one number; leave that term out, or show the curve of each level"
        )
    return tuple(found), ""


def require_joint_level(
    wanted: str | None, levels: ModifierLevels | None, obstacle: str, modifier: str | None
) -> None:
    """OptionError, with the reason, unless joint curves against this level can be had."""
    if wanted is None:
        return
    if levels is None:
        raise OptionError(
            "a joint curve needs an effect modifier: name its column (modifier, --modifier)",
            modifier=modifier,
        )
    if obstacle:
        raise OptionError(obstacle, modifier=modifier)
    if wanted not in levels.labels:
        raise OptionError(
            f"joint curve: {wanted!r} is not a level of {levels.name}; levels: {', '.join(levels.labels)}",
            allowed=levels.labels,
        )


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
