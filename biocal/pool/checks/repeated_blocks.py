"""Studies that are there twice under two names, and studies whose sets are all there twice under other ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.pool.checks.columns import ColumnRoles
from biocal.pool.checks.notices import ProblemLog
from biocal.pool.tables.table import TableStack

# In a study of fewer sets, or of fewer distinct values, two may be equal by chance.  Our choice.
_FEW_SETS, _FEW_VALUES = 10, 20
_LOOKED_AT = 100_000


def tell_repeated_blocks(
    stack: TableStack,
    roles: ColumnRoles,
    study_names: Sequence[str],
    rows: tuple[NDArray[np.integer[Any]], NDArray[np.intp], NDArray[np.bool_]],
    assays: tuple[NDArray[np.float64], NDArray[np.float64]],
    log: ProblemLog,
) -> None:
    """Record studies of equal persons, told by case status and both measurements, whatever their ids.

    Parameters
    ----------
    rows : tuple of ndarray (n,)
        Study, set (-1: none) and case status.
    assays : pair of ndarray (n,)
        Local and reference values.
    """
    study, set_code, is_case = rows
    in_set = set_code >= 0
    if not in_set.any():
        return
    local, reference = assays
    head = np.where(np.isnan(local), reference, local)[:_LOOKED_AT]
    if np.unique(head[~np.isnan(head)]).size <= _FEW_VALUES:
        return
    mixed = _mixed(_mixed(local.view(np.uint64)) ^ reference.view(np.uint64)) ^ is_case.astype(np.uint64)
    half = [(_mixed(mixed) >> np.uint64(shift)) & np.uint64(2**26 - 1) for shift in (0, 26)]
    # sums of 26 bits are exact in doubles for sets and studies of up to 2^27 rows
    of_set = np.stack([np.bincount(set_code[in_set], weights=one[in_set]) for one in half])
    study_of = np.zeros(of_set.shape[1], dtype=np.intp)
    study_of[set_code[in_set]] = study[in_set]
    known: dict[tuple[float, ...], int] = {}
    for s, name in enumerate(study_names):
        own = of_set[:, study_of == s]
        if own.shape[1] < _FEW_SETS:
            continue
        whole = (float(own.shape[1]), *own.sum(axis=1).tolist())
        place = stack.place(int(np.flatnonzero(study == s)[0]))
        if whole in known:
            message = (
                f"study '{name}' has the same sets as study '{study_names[known[whole]]}': case status and "
                "measurements of all persons are equal; if the rows are there twice, leave one out: intervals are "
                "too short"
            )
            log.add("warning", "study-repeated", message, study=name, column=roles.study, **place)
            continue
        known[whole] = s
        times = np.unique(own, axis=1, return_counts=True)[1]
        if times.size >= _FEW_SETS and times.min() > 1:
            message = (
                f"every set of study '{name}' is there {times.min()} times or more, under other set ids: case "
                "status and measurements of all persons are equal; if the rows are there twice, leave them out: "
                "intervals are too short"
            )
            log.add("warning", "sets-repeated", message, study=name, column=roles.set, **place)


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bits spread over a word, so that sums of different values differ (the finaliser of splitmix64)."""
    mixed = bits * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
