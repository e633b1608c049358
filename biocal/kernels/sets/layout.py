"""How matched sets are laid out in memory, so that one array operation serves thousands of sets.

Sets of one shape form blocks in which row r of every set lies side by side: an array of persons
with shape (..., n) becomes, for each block, an array with shape (..., rows, sets).  Within a set
the rarer role comes first: cases, or, when more than half are cases, controls (the likelihood of
"these are the controls" is the same number with the signs of the linear predictor turned).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.sets.draw_paths import LANES

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: A block holds about this many numbers of one column set; 400-800 kB stay in a core's cache.
_BLOCK_NUMBERS = 65_536
#: The same with several persons in the rarer role, where each person is a step of its own: longer rows, fewer steps.
_RECURSION_NUMBERS = 131_072
#: Cells (rows times persons in the rarer role, times sets) of a block's tables: 32 MB each.
_TABLE_CELLS = 2**22
#: Shapes with fewer sets than this are padded to a common size, to save calls.
_RARE = 512


@dataclass(frozen=True, slots=True)
class SetBlock:
    """Sets with the same number of persons in the rarer role, and the same (padded) size.

    Attributes
    ----------
    rows : ndarray of int, shape (n_rows, n_sets)
        Row numbers of persons, the rarer role first; padding repeats the set's first row.
    sets : ndarray of int, shape (n_sets,)
        Set codes.
    n_first : int
        Persons in the rarer role.
    sign : ndarray, shape (n_sets,)
        1 where the rarer role is the case, -1 where it is the control.
    real : ndarray of bool, shape (n_rows, n_sets), or None
        False for padding; None when nothing is padded.
    first_row : int or None
        Where `rows` counts on from its first element without a gap, that element; values are then taken as views.
    """

    rows: IntArray
    sets: IntArray
    n_first: int
    sign: FloatArray
    real: BoolArray | None
    first_row: int | None = None

    @property
    def n_rows(self) -> int:
        """Rows of a set, padding included."""
        return int(self.rows.shape[0])

    @property
    def n_sets(self) -> int:
        """Sets in the block."""
        return int(self.rows.shape[1])

    @property
    def sizes(self) -> IntArray:
        """Persons of each set, padding not counted: shape (n_sets,)."""
        if self.real is None:
            return np.full(self.n_sets, self.n_rows, dtype=np.intp)
        return np.asarray(self.real.sum(axis=0, dtype=np.intp))

    @property
    def active(self) -> IntArray | None:
        """How many sets have a k-th person, (n_rows,); None without padding (sets are in falling size)."""
        return None if self.real is None else self.real.sum(axis=1, dtype=np.intp)

    def take(self, values: FloatArray) -> FloatArray:
        """Persons' values (..., n_persons) in this block's shape (..., n_rows, n_sets)."""
        return np.take(values, self.rows, axis=-1)


@dataclass(frozen=True, slots=True)
class SetLayout:
    """All informative sets of a problem in blocks; see the module.

    Attributes
    ----------
    blocks : tuple of SetBlock
        Blocks of cache-friendly size.
    n_persons, n_sets : int
        Persons given, and set codes 0..n_sets-1 (sets without a case or without a control included).
    n_informative : int
        Sets with at least one case and one control.
    """

    blocks: tuple[SetBlock, ...]
    n_persons: int
    n_sets: int
    n_informative: int

    def in_order(self) -> tuple[IntArray, SetLayout]:
        """An order of the persons, shape (n_persons,), and the layout of persons brought into that order.

        Blocks without padding follow one another there as they lie in memory, so that nothing is gathered any
        more.  It pays where many arrays share a layout.  Persons in no block come last.
        """
        order = self.persons()
        if order.size < self.n_persons:
            order = np.concatenate([order, np.setdiff1d(np.arange(self.n_persons), order)])
        place = np.empty(self.n_persons, dtype=np.intp)
        place[order] = np.arange(self.n_persons)
        blocks = []
        for block in self.blocks:
            rows = place[block.rows]
            blocks.append(
                replace(block, rows=rows, first_row=int(rows[0, 0]) if block.real is None else None)
            )
        return order, replace(self, blocks=tuple(blocks))

    def persons(self) -> IntArray:
        """Row numbers of the persons in the blocks, in the blocks' order, padding left out."""
        rows = [block.rows.ravel() if block.real is None else block.rows[block.real] for block in self.blocks]
        return np.concatenate(rows) if rows else np.empty(0, dtype=np.intp)


def lay_out_sets(set_code: IntArray, is_case: BoolArray, *, n_columns: int = 4) -> SetLayout:
    """Group persons by matched set, and sets by shape.

    Parameters
    ----------
    set_code : ndarray of int, shape (n,)
        Codes 0, 1, ...; any order.
    is_case : ndarray of bool, shape (n,)
        Case status.
    n_columns : int, default 4
        Columns that will be carried, times problems in the batch: sets the number of sets a block.

    Returns
    -------
    SetLayout
        Sets without a case or without a control are in no block: they carry no information.
    """
    set_code = np.asarray(set_code, dtype=np.intp)
    is_case = np.asarray(is_case, dtype=bool)
    if set_code.size == 0:
        return SetLayout((), 0, 0, 0)
    equal = _equal_sets(set_code, is_case)
    if equal is not None:
        return SetLayout(_equal_blocks(*equal, n_columns), set_code.size, *(equal[0].shape[:1] * 2))
    sizes = np.bincount(set_code)
    n_sets = sizes.size
    by_role, case_starts, control_starts, n_cases = _by_role(set_code, is_case, sizes)
    informative = np.flatnonzero((n_cases > 0) & (n_cases < sizes))
    if informative.size < sizes.size:
        sizes, n_cases = sizes[informative], n_cases[informative]
        case_starts, control_starts = case_starts[informative], control_starts[informative]
    swapped = 2 * n_cases > sizes
    rarer_starts, other_starts, n_rarer = case_starts, control_starts, n_cases
    if swapped.any():
        rarer_starts = np.where(swapped, control_starts, case_starts)
        other_starts = np.where(swapped, case_starts, control_starts)
        n_rarer = np.where(swapped, sizes - n_cases, n_cases)
    blocks: list[SetBlock] = []
    for n_first, members in _shape_groups(n_rarer, sizes):
        for part in _parts(members, int(sizes[members[0]]), n_columns, n_first):
            rows, real = _rows(rarer_starts[part], other_starts[part], sizes[part], n_first)
            sign = np.where(swapped[part], -1.0, 1.0)
            blocks.append(SetBlock(np.take(by_role, rows), informative[part], n_first, sign, real))
    return SetLayout(tuple(blocks), set_code.size, n_sets, informative.size)


def _equal_sets(set_code: IntArray, is_case: BoolArray) -> tuple[IntArray, IntArray] | None:
    """Row numbers of cases (n_sets, m) and controls (n_sets, k) where sets of one shape follow one another; else None.

    So most matched data are, and nothing has to be counted or looked up.
    """
    size = int((set_code != set_code[0]).argmax()) or set_code.size
    n_sets, left_over = divmod(set_code.size, size)
    codes = np.arange(n_sets)[:, None]
    if left_over or (set_code.reshape(n_sets, size) != codes).any():
        return None
    cases = np.flatnonzero(is_case)
    m, left_over = divmod(cases.size, n_sets)
    if left_over or not 0 < m < size or (set_code[cases].reshape(n_sets, m) != codes).any():
        return None
    return cases.reshape(n_sets, m), np.flatnonzero(~is_case).reshape(n_sets, size - m)


def _equal_blocks(cases: IntArray, controls: IntArray, n_columns: int) -> tuple[SetBlock, ...]:
    """Blocks of such sets."""
    (n_sets, m), k = cases.shape, controls.shape[1]
    sign, rarer, other = (-1.0, controls, cases) if m > k else (1.0, cases, controls)
    sets = np.arange(n_sets)
    return tuple(
        SetBlock(
            np.concatenate([rarer[part].T, other[part].T]),
            sets[part],
            min(m, k),
            np.full(sets[part].size, sign),
            None,
        )
        for part in _parts(sets, m + k, n_columns, min(m, k))
    )


def _by_role(
    set_code: IntArray, is_case: BoolArray, sizes: IntArray
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Row numbers of all cases by set, then of all controls by set; where those of each set start; cases a set."""
    order: IntArray | None = None
    if not (set_code[1:] >= set_code[:-1]).all():
        order = np.argsort(set_code, kind="stable")
        is_case = is_case[order]
        set_code = set_code[order]
    cases, controls = np.flatnonzero(is_case), np.flatnonzero(~is_case)
    n_cases = np.bincount(set_code[cases], minlength=sizes.size)
    by_role = np.concatenate([cases, controls])
    if order is not None:
        by_role = order[by_role]
    case_starts = np.cumsum(n_cases) - n_cases
    controls_before = np.cumsum(sizes) - sizes - case_starts
    return by_role, case_starts, cases.size + controls_before, n_cases


def _shape_groups(first: IntArray, size: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Yield the rarer role's count and the positions of sets that go together, in falling size.

    Common shapes go alone.  Rare ones go with all others of the same count, padded: the sweeps skip the
    idle rows, and one large call is cheaper than many small ones.
    """
    if first.size == 0:
        return
    radix = int(size.max()) + 1
    if (first == first[0]).all() and (size == size[0]).all():
        yield int(first[0]), np.arange(first.size)
        return
    code = first * radix + size
    code = np.where(np.bincount(code)[code] < _RARE, first * radix, code)
    for value in np.flatnonzero(np.bincount(code)):
        members = np.flatnonzero(code == value)
        yield int(value) // radix, members[np.argsort(-size[members], kind="stable")]


def _parts(members: IntArray, size: int, n_columns: int, n_first: int) -> list[IntArray | slice]:
    """Split positions into pieces of about `_BLOCK_NUMBERS` numbers, in whole lanes but for the last.

    Pieces of neighbours are slices, which copy nothing.  Sets whose tables are large go one by one.
    """
    numbers = _BLOCK_NUMBERS if n_first == 1 else _RECURSION_NUMBERS
    per_part = max(16, numbers // max(1, size * n_columns))
    n_parts = max(1, -(-members.size // per_part))
    even = -(-members.size // (n_parts * LANES)) * LANES
    if n_first > 1 and even * size * n_first > _TABLE_CELLS:
        even = max(1, _TABLE_CELLS // (size * n_first * LANES) * LANES)
    start = int(members[0])
    if (members == np.arange(start, start + members.size)).all():
        stop = start + members.size
        return [slice(first, min(first + even, stop)) for first in range(start, stop, even)]
    return [members[first : first + even] for first in range(0, members.size, even)]


def _rows(
    rarer: IntArray, other: IntArray, sizes: IntArray, n_first: int
) -> tuple[IntArray, BoolArray | None]:
    """Positions (n_rows, n_sets) of persons from where the roles of each set start; and which are real."""
    n_rows = int(sizes[0])
    place = np.arange(n_rows)[:, None]
    rows = np.empty((n_rows, sizes.size), dtype=np.intp)
    np.add(rarer, place[:n_first], out=rows[:n_first])
    np.add(other, place[: n_rows - n_first], out=rows[n_first:])
    if sizes[-1] == n_rows:
        return rows, None
    real = place < sizes
    return np.where(real, rows, rarer), real


class PersonColumns(Protocol):
    """p columns of n persons, taken block by block of sets."""

    @property
    def shape(self) -> tuple[int, int]:
        """(p, n)."""
        ...

    def take(self, rows: IntArray, out: FloatArray) -> None:
        """Put the columns of some persons, rows (...) with repeats allowed, into out (p, ...)."""
        ...

    def largest(self) -> FloatArray:
        """Largest absolute value of each column, shape (p,)."""
        ...


Columns = FloatArray | PersonColumns


def largest_values(columns: Columns) -> FloatArray:
    """Largest absolute value of each column, shape (p,), from columns (p, n); 0 of nobody."""
    if not isinstance(columns, np.ndarray):
        return columns.largest()
    return np.asarray(np.maximum(columns.max(axis=-1, initial=0.0), -columns.min(axis=-1, initial=0.0)))
