"""What a site refuses to send: sums over few persons, or sums in which few weigh much.

The rules are those of statistical disclosure control: a least number of persons in every count, cell and sum; no
more coefficients than a third of the persons can carry; no point of evaluation that leaves the weight on few sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from biocal.errors import DisclosureError
from biocal.pool.formulas.levels import ColumnKind

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Persons (pairs, sets) in every sum unless a site asks for more; agencies use 3 to 10.
DEFAULT_MINIMUM = 5
#: A site may not ask for less: with two, each learns the other.
LEAST_MINIMUM = 3
#: Persons (sets) for each coefficient; fewer, and sums begin to determine the values they are made of.
PER_COLUMN = 3
#: Share of the sets that must carry weight at a point of evaluation.  At a maximum it is .8 and more; at points
#: chosen to single out sets it falls to one in the number of sets.
WEIGHT_SHARE = 0.2


def require_persons(count: int, minimum: int, what: str) -> None:
    """Refuse a sum over fewer than `minimum`."""
    if count < minimum:
        raise DisclosureError(
            f"{what}: {count}, fewer than the {minimum} that every sum of this site must hold"
        )


def require_levels(kinds: Sequence[ColumnKind], minimum: int) -> None:
    """Refuse to name levels that few persons have."""
    for one in kinds:
        rare = [level for level, n in zip(one.levels, one.persons, strict=True) if n < minimum]
        if rare:
            shown = ", ".join(f"{level:g}" if isinstance(level, float) else level for level in rare[:5])
            raise DisclosureError(
                f"column '{one.name}': fewer than {minimum} persons here have {shown}; merge such levels, at all "
                "sites alike, or take the column as a number"
            )


def require_cells(columns: FloatArray, names: Sequence[str], minimum: int, where: str) -> None:
    """Refuse sums of products of columns when single cells could be read off them.

    Parameters
    ----------
    columns : ndarray, shape (k, n)
        Covariate columns of the persons summed over.
    names : sequence of str, length k
    minimum : int
    where : str
        Who is summed over, for the message.

    Notes
    -----
    A column that is 0 for most sums over the others: they must be none, or `minimum` or more.  A column of two
    values needs as many at each, and two such columns in each of their four cells.
    """
    n = columns.shape[1]
    two_valued = []
    for column, name in zip(columns, names, strict=True):
        values, counts = np.unique(column, return_counts=True)
        others = int((column != 0).sum())
        if 0 < others < minimum:
            raise DisclosureError(
                f"{where}: '{name}' is other than 0 for {others}, fewer than {minimum} persons; merge levels or "
                "leave it out of the calibration"
            )
        if values.size == 2:
            if counts.min() < minimum:
                raise DisclosureError(
                    f"{where}: '{name}' is {values[counts.argmin()]:g} for {counts.min()}, fewer than {minimum} "
                    "persons; merge levels or leave it out of the calibration"
                )
            two_valued.append((column == values[1], name))
    for k, (one, name) in enumerate(two_valued):
        for other, second in two_valued[:k]:
            both = int((one & other).sum())
            cells = (both, int(one.sum()) - both, int(other.sum()) - both, n - int((one | other).sum()))
            small = [cell for cell in cells if 0 < cell < minimum]
            if small:
                raise DisclosureError(
                    f"{where}: a cell of '{second}' by '{name}' holds {small[0]}, fewer than {minimum} persons; "
                    "merge levels or leave one of them out of the calibration"
                )


def require_columns_carried(n_columns: int, n: int, what: str) -> None:
    """Refuse more coefficients than a third of the persons (sets)."""
    if n < PER_COLUMN * n_columns:
        raise DisclosureError(
            f"{what}: {n} for {n_columns} columns; sums over fewer than {PER_COLUMN} for each column begin to "
            "determine the values they are made of. Ask for fewer columns"
        )


def require_varying_sets(varies: BoolArray, names: Sequence[str], minimum: int) -> None:
    """Refuse scores and information to which few sets contribute.

    Parameters
    ----------
    varies : ndarray of bool, shape (p, n_sets)
        Where each column varies within the set.
    names : sequence of str, length p
    minimum : int
    """
    counts = varies.astype(np.int64) @ varies.T.astype(np.int64)
    alone = [(k, k) for k in range(len(names))]
    for one, other in [*alone, *combinations(range(len(names)), 2)]:
        few = int(counts[one, other])
        if 0 < few < minimum:
            what = (
                f"'{names[one]}' varies" if one == other else f"'{names[one]}' and '{names[other]}' both vary"
            )
            raise DisclosureError(
                f"{what} within {few} matched sets here, fewer than {minimum}; merge levels or categories, use "
                "fewer knots, or leave a term out"
            )


def require_spread_weight(weights: FloatArray, minimum: int, task: str) -> None:
    """Refuse a point of evaluation at which few sets carry the information.

    Parameters
    ----------
    weights : ndarray, shape (n_sets,)
        Each set's information there, over its information with all coefficients 0, columns on one scale.
    minimum : int
    task : str
    """
    total = float(weights.sum())
    effective = total * total / float((weights * weights).sum()) if total > 0 else 0.0
    needed = max(float(minimum), WEIGHT_SHARE * weights.size)
    if not effective >= needed:
        raise DisclosureError(
            f"{task}: at the coefficients asked for, {effective:.1f} of {weights.size} sets would carry the sums, "
            f"and {needed:.0f} must. Such points arise when the odds ratio of a term has no finite estimate "
            "(separation), or are chosen to single out persons; nothing is sent"
        )
