"""The memory of a large matched set, told before it is asked for."""

from __future__ import annotations

from biocal.errors import MatchedSetError
from biocal.kernels.sets.layout import SetLayout
from biocal.kernels.sets.memory import available_memory
from biocal.pool.matched_sets import OutcomeRows
from biocal.pool.pooled import PooledStudies

_GIB = 2.0**30
#: Bytes from which on it is told (ours): less than any computer of today has.
_TOLD = 2 * _GIB
#: Tables of the recursion that are held at once, one number for each person and each person of the rarer role.
_TABLES = 5


def notes_of_large_sets(
    pool: PooledStudies, chosen: OutcomeRows, layout: SetLayout, n_columns: int
) -> tuple[str, ...]:
    """What is told of the set whose exact likelihood takes most memory; nothing for sets of common sizes.

    Parameters
    ----------
    pool : PooledStudies
    chosen : OutcomeRows
        Rows of the outcome model.
    layout : SetLayout
        Of their sets.
    n_columns : int
        Columns of the model, about: the standard errors take a table for each.

    Raises
    ------
    MatchedSetError
        It needs more memory than this computer has free.
    """
    several = [block for block in layout.blocks if block.n_first > 1]
    if not several:
        return ()
    block = max(several, key=lambda one: one.rows.size * one.n_first)
    needed = 8.0 * (_TABLES + n_columns) * block.rows.size * block.n_first
    if needed < _TOLD:
        return ()
    row = int(chosen.rows[block.rows[0, 0]])
    size, first = int(block.sizes[0]), block.n_first
    cases, controls = (first, size - first) if block.sign[0] > 0 else (size - first, first)
    words = (
        f"study '{pool.study_names[pool.study[row]]}': set '{pool.set_labels[pool.set_code[row]]}' has "
        f"{cases:,} cases and {controls:,} controls: its exact conditional likelihood takes about "
        f"{needed / _GIB:,.1f} GiB of memory"
    )
    advice = "divide it by the matching factors into smaller sets, as a frequency-matched study's strata are"
    available = available_memory()
    if needed > available:
        message = f"{words}, more than the {available / _GIB:,.1f} GiB that are free here; {advice}"
        raise MatchedSetError(message, needed=needed, available=available)
    return (f"{words}; if that is too much, {advice}",)
