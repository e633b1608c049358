"""Which terms hold the effect modifier's own effect, so that its levels can be compared."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from biocal.errors import OptionError
from biocal.pooling.prepare import PreparedPool
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
