"""The order of a factor's levels: the one that the files declare, else numbers by size and then words."""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from biocal.pool.tables.cells import as_words, id_text, parse_number

LevelKey: TypeAlias = tuple[bool, float, tuple[tuple[bool, int, str], ...], str]

_RUNS = re.compile(r"(\d+)", re.ASCII)


def level_key(level: Any) -> LevelKey:
    """Return a sort key of levels whose order nobody declared: numbers by size, then words, 2-9 before 10-19."""
    word = str(level)
    value = parse_number(word)
    if not np.isnan(value):
        return False, value, (), word
    runs = tuple(
        (False, len(run.lstrip("0")), run.lstrip("0")) if run[0] in "0123456789" else (True, 0, run)
        for run in _RUNS.split(word)
        if run
    )
    return True, 0.0, runs, word


def declared_order(column: Any) -> tuple[str, ...]:
    """The levels of a categorical column in the order that its maker gave them, also those that no row has.

    Levels in alphabetical order, as pandas and R have them unless told, say nothing about their order, unless the
    column says that they are ordered; they give (), as columns of another type do.
    """
    if not isinstance(column, pd.Series) or not isinstance(column.dtype, pd.CategoricalDtype):
        return ()
    levels = as_words(pd.Series(column.cat.categories.astype(object)), id_text).words
    return tuple(levels) if column.cat.ordered or not is_usual(levels) else ()


def is_usual(levels: Sequence[Any]) -> bool:
    """Whether levels stand in the order that they have when nobody gives one."""
    found = list(levels)
    return found == sorted(found, key=level_key) or (
        all(isinstance(level, str) for level in found)
        and found in (sorted(found), sorted(found, key=str.casefold))
    )


def merged_order(orders: Collection[Sequence[Any]]) -> tuple[Any, ...] | None:
    """One order that keeps each of some orders; None when there is none.

    Levels that no order sets apart stand as their longest orders come, and then as :func:`level_key` has them:
    whichever file comes first does not matter.
    """
    after: dict[Any, set[Any]] = {level: set() for order in orders for level in order}
    longest = dict.fromkeys(after, 0)
    for order in orders:
        for level, following in pairwise(order):
            after[level].add(following)
        for level in order:
            longest[level] = max(longest[level], len(order))
    waits = dict.fromkeys(after, 0)
    for followers in after.values():
        for level in followers:
            waits[level] += 1
    ready = [(-longest[level], level_key(level), level) for level, n in waits.items() if n == 0]
    heapq.heapify(ready)
    merged = []
    while ready:
        level = heapq.heappop(ready)[2]
        merged.append(level)
        for following in after[level]:
            waits[following] -= 1
            if waits[following] == 0:
                heapq.heappush(ready, (-longest[following], level_key(following), following))
    return tuple(merged) if len(merged) == len(after) else None


def united_levels(
    found: Collection[Sequence[Any]], declared: Collection[Sequence[Any]] = ()
) -> tuple[Any, ...] | None:
    """The levels of all parts together, in order; None when parts declare orders that contradict each other.

    Parameters
    ----------
    found : collection of sequences
        The levels of each part.  Those in an unusual order are declared.
    declared : collection of sequences
        Declared orders, also of levels that no part has.
    """
    orders = [order for order in declared if order] + [one for one in found if not is_usual(one)]
    order = merged_order(orders)
    levels = set().union(*found)
    if order is None:
        return None
    return (
        *(level for level in order if level in levels),
        *sorted(levels.difference(order), key=level_key),
    )
