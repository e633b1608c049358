"""Values below the detection limit in a fit: what is told of them, and the rules side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from biocal.errors import BiocalError, OptionError
from biocal.pool.checks.limits import RULES, with_below_limit
from biocal.pool.pooled import PooledStudies
from biocal.results.fit.asked.below_limit import BelowLimitSensitivity
from biocal.results.fit.comparison import Comparison

#: Arguments of a fit that have no part in the comparison of rules.
_NOT_COMPARED = (
    "bootstrap",
    "seed",
    "jobs",
    "strata",
    "progress",
    "aic",
    "joint",
    "per",
    "per_sd",
    "by",
    "subsite",
    "leave_one_out",
)


def require_below_limit(pool: PooledStudies) -> str:
    """Return the rule of the pool.

    Raises
    ------
    OptionError
        No value is below its limit.
    """
    if pool.below_limit is None:
        raise OptionError(
            "no value is known to be below a detection limit, so there is nothing to compare: cells such as <5.0 or "
            "LOD, or a flag column, tell which are",
            option="sensitivity",
        )
    return pool.below_limit.rule


def sensitivity_to_below_limit(
    pool: PooledStudies | Sequence[PooledStudies],
    main: Any,
    *,
    small_sample: bool = False,
    **arguments: Any,
) -> BelowLimitSensitivity:
    """Fit the same analysis under every rule for values below the detection limit.

    Parameters
    ----------
    pool : PooledStudies or sequence of PooledStudies
        With several, the imputations of :func:`biocal.fit_imputations`, combined anew under every rule.
    main : Fit or Comparison
        The analysis; its reference and exposures are kept, so that curves compare.  Quantile knots are each
        rule's own, as they would be had it been chosen: the lowest may lie among the values taken by a rule.
    small_sample : bool, default False
        Of :func:`biocal.fit_imputations`.
    **arguments
        Those with which `main` was fitted by :func:`biocal.fit`; the bootstrap's are left out.

    Returns
    -------
    BelowLimitSensitivity

    Raises
    ------
    OptionError
        No value is below its limit.
    FitError
        No rule lets the analysis be fitted.

    Examples
    --------
    >>> import pandas as pd
    >>> import biocal as bc
    >>> values = ["<20", 25, "<20", 41, 30, 52, 28, 60, 44, 35, "<20", 70, 22, 30, 66, 58, 27, 48, 33, 39, 24, 55]
    >>> people = pd.DataFrame({
    ...     "study": "A", "set": [row // 2 for row in range(22)], "case": [1, 0] * 11, "reference": values})
    >>> pool = bc.PooledStudies.from_frame(people, below_limit="lod/2")
    >>> main = bc.fit(pool, exposure=bc.linear(), reference=60)
    >>> found = bc.sensitivity_to_below_limit(pool, main, exposure=bc.linear(), reference=60)
    >>> list(found.comparisons)
    ['lod', 'lod/2', 'lod/sqrt2', 'censored']
    """
    from biocal.fitting.api import fit
    from biocal.fitting.repeated.imputations import fit_imputations

    pools = (pool,) if isinstance(pool, PooledStudies) else tuple(pool)
    held_rule = require_below_limit(pools[0])
    comparison = main if isinstance(main, Comparison) else Comparison({main.method: main}, {})
    first = next(iter(comparison.values()))
    wanted = {key: value for key, value in arguments.items() if key not in _NOT_COMPARED}
    wanted |= {"method": list(comparison), "keep_going": True}
    if first.basis.kind != "categories":
        wanted |= {"reference": first.info.scale.reference, "at": first.info.scale.grid.tolist()}
    found: dict[str, Comparison] = {}
    failures: dict[str, str] = {}
    problem: BiocalError | None = None
    for rule in RULES:
        try:
            ruled = [with_below_limit(one, rule) for one in pools]
            if len(ruled) == 1:
                result = fit(ruled[0], **wanted)
            else:
                result = fit_imputations(ruled, small_sample=small_sample, **wanted)
        except BiocalError as error:
            failures[rule], problem = str(error), error
            continue
        found[rule] = result
        failures |= {f"{rule}, {method}": str(reason) for method, reason in result.failures.items()}
    if not found:
        assert problem is not None
        raise problem
    return BelowLimitSensitivity(found, failures, held_rule)
