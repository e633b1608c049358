"""Analyses restricted to the rows for which a condition holds."""

from __future__ import annotations

import numpy as np

from biocal.errors import MatchedSetError
from biocal.pool.checks.notices import counted
from biocal.pool.conditions.selection import RowSelection, select_rows
from biocal.pool.matched_sets import OutcomeRows
from biocal.pool.pool_rows import take_rows
from biocal.pool.pooled import PooledStudies


def selection_notes(chosen: OutcomeRows, selection: RowSelection | None) -> tuple[str, ...]:
    """What a reader must know of a selection: how it was read, and rows lost for want of a value."""
    if selection is None:
        return ()
    kept = ", the calibration keeps every calibration control"
    notes = [f"restricted to {selection.condition}; only the outcome model is{kept}", *selection.notes]
    unknown = {flow.study: flow.selection_unknown for flow in chosen.flow if flow.selection_unknown}
    if unknown:
        studies = ", ".join(f"{study} {n:,}" for study, n in unknown.items())
        notes.append(
            f"for {counted(sum(unknown.values()), 'row')} a value that {selection.condition} asks for is missing; they "
            f"count as not selected ({studies})"
        )
    return tuple(notes)


def restricted_pool(
    pool: PooledStudies, where: str | None, *, calibrate_within: bool
) -> tuple[PooledStudies, tuple[str, ...]]:
    """The pool cut down to `where` when the calibration is to be within it, else as it is; and what to tell."""
    if calibrate_within and where:
        return pool_within(pool, where)
    return pool, ()


def pool_within(pool: PooledStudies, where: str) -> tuple[PooledStudies, tuple[str, ...]]:
    """Cut the whole pool down to a selection, its calibration subset too.

    Parameters
    ----------
    pool : PooledStudies
    where : str
        Condition; see :func:`biocal.pool.conditions.selection.select_rows`.

    Returns
    -------
    PooledStudies
        As if only the rows selected had been read.
    notes : tuple of str

    Raises
    ------
    FormulaError
        The condition cannot be understood.
    MatchedSetError
        It holds for no row.
    """
    selection = select_rows(pool, where)
    rows = np.flatnonzero(selection.selected)
    if rows.size == 0:
        raise MatchedSetError(f"no row satisfies {where}", set_ids=(), flow=())
    lost = pool.n_rows - rows.size
    calibrators = int((pool.in_calibration & ~selection.selected).sum())
    unknown = int(selection.unknown.sum())
    told = f"restricted to {selection.condition}, the calibration too: {counted(lost, 'row')} left out beforehand"
    if calibrators:
        told += f", {counted(calibrators, 'calibration pair')} among them"
    if unknown:
        told += f"; for {counted(unknown, 'row')} a value that the condition asks for is missing"
    smaller = take_rows(pool, rows)
    notes = [told, *selection.notes]
    gone = [name for name in pool.study_names if name not in smaller.study_names]
    if gone:
        notes.append(f"no row of {', '.join(gone)} is selected")
    return smaller, tuple(notes)
