"""How matched sets are laid out in memory, so that one array operation serves thousands of sets.

Sets of one shape form blocks in which row r of every set lies side by side: an array of persons
with shape (..., n) becomes, for each block, an array with shape (..., rows, sets).  Within a set
the rarer role comes first: cases, or, when more than half are cases, controls (the likelihood of
"these are the controls" is the same number with the signs of the linear predictor turned).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: A block holds about this many numbers of one column set; 400-800 kB stay in a core's cache.
_BLOCK_NUMBERS = 65_536
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
    """

    rows: IntArray
    sets: IntArray
    n_first: int
    sign: FloatArray
    real: BoolArray | None

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
    key = 2 * set_code
    key += ~is_case
    sizes = np.bincount(set_code)
    n_cases = np.bincount(set_code[is_case], minlength=sizes.size)
    in_order = bool((key[1:] >= key[:-1]).all())
    order = None if in_order else np.argsort(key, kind="stable")
    starts = np.cumsum(sizes) - sizes
    informative = np.flatnonzero((n_cases > 0) & (n_cases < sizes))
    blocks: list[SetBlock] = []
    size, cases = sizes[informative], n_cases[informative]
    swapped = 2 * cases > size
    first = np.where(swapped, size - cases, cases)
    for n_first, members in _shape_groups(first, size):
        for part in _parts(members, int(size[members[0]]) * n_columns):
            sets = informative[part]
            rows, real = _rows(starts[sets], size[part], np.where(swapped[part], cases[part], 0))
            if order is not None:
                rows = order[rows]
            blocks.append(SetBlock(rows, sets, n_first, np.where(swapped[part], -1.0, 1.0), real))
    return SetLayout(tuple(blocks), set_code.size, sizes.size, informative.size)


def _shape_groups(first: IntArray, size: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Yield the rarer role's count and the positions of sets that go together, in falling size.

    Common shapes go alone.  Rare ones go with all others of the same count, padded: the sweeps skip the
    idle rows, and one large call is cheaper than many small ones.
    """
    if first.size == 0:
        return
    radix = int(size.max()) + 1
    code = first * radix + size
    if (code == code[0]).all():
        yield int(first[0]), np.arange(first.size)
        return
    code = np.where(np.bincount(code)[code] < _RARE, first * radix, code)
    for value in np.flatnonzero(np.bincount(code)):
        members = np.flatnonzero(code == value)
        yield int(value) // radix, members[np.argsort(-size[members], kind="stable")]


def _parts(members: IntArray, numbers_per_set: int) -> list[IntArray]:
    """Split positions into pieces of about `_BLOCK_NUMBERS` numbers."""
    per_part = max(16, _BLOCK_NUMBERS // max(1, numbers_per_set))
    n_parts = max(1, -(-members.size // per_part))
    return np.array_split(members, n_parts)


def _rows(starts: IntArray, sizes: IntArray, turn: IntArray) -> tuple[IntArray, BoolArray | None]:
    """Positions (n_rows, n_sets), each set's persons turned round by `turn` places; and which are real."""
    n_rows = int(sizes[0])
    place = np.arange(n_rows)[:, None]
    real: BoolArray | None = None
    if sizes[-1] != n_rows:
        real = place < sizes
        place = np.where(real, place, 0)
    if turn.any():
        place = (place + turn) % sizes
    return starts + place, real
