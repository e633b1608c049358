"""Columns of persons copied into the blocks of a layout, as the likelihood kernels take them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.sets.draw_paths import aligned, filled_up, whole_lanes
from biocal.kernels.sets.layout import Columns, PersonColumns, SetBlock, SetLayout

FloatArray = NDArray[np.float64]


def copy_blocks(layout: SetLayout, columns: Columns) -> list[tuple[int, FloatArray]]:
    """Columns of each block as differences (n_first 1) or centred; and their number of problems.

    Centred ones have sets of zeros at the end, up to whole lanes.  All are parts of one array, which the system
    then hands out in large pages.

    Parameters
    ----------
    layout : SetLayout
    columns : ndarray, shape (B, p, n_persons), or PersonColumns
        Those of one problem (B = 1) may be made block by block.

    Returns
    -------
    list of (int, ndarray)
        Columns (B, p, n_rows - 1, n_sets) or (B, p, n_rows, whole lanes of sets), C-contiguous.
    """
    lead = columns.shape[:-1] if isinstance(columns, np.ndarray) else (1, columns.shape[0])
    shapes = [
        (*lead, block.n_rows - 1, block.n_sets)
        if block.n_first == 1
        else (*lead, block.n_rows, filled_up(block.n_sets, block.n_rows, block.n_first))
        for block in layout.blocks
    ]
    room = aligned(sum(whole_lanes(math.prod(shape)) for shape in shapes))
    copied, filled = [], 0
    for block, shape in zip(layout.blocks, shapes, strict=True):
        size = math.prod(shape)
        part = room[filled : filled + size].reshape(shape)
        filled += whole_lanes(size)
        if block.n_first > 1:
            _take_centred(block, columns, part)
        elif isinstance(columns, np.ndarray):
            _take_differences(block, columns, part)
        else:
            _make_differences(block, columns, part)
        copied.append((lead[0], part))
    return copied


def _take_differences(block: SetBlock, columns: FloatArray, part: FloatArray) -> None:
    """Others less the single person of the rarer role, turned with the block; padding 0."""
    if block.first_row is not None:
        persons = columns[..., block.first_row : block.first_row + block.rows.size]
        persons = persons.reshape(*columns.shape[:-1], block.n_rows, block.n_sets)
        np.subtract(persons[..., 1:, :], persons[..., :1, :], out=part)
        _turn(block, part)
        return
    # The row numbers are known to be in range; "clip" writes into `out` without a copy between.
    np.take(columns, block.rows[1:], axis=-1, out=part, mode="clip")
    part -= np.take(columns, block.rows[0], axis=-1)[..., None, :]
    _turn(block, part)
    if block.real is not None:
        part *= block.real[1:]


def _make_differences(block: SetBlock, columns: PersonColumns, part: FloatArray) -> None:
    """The same of columns that are made for the block."""
    made = np.empty((part.shape[1], *block.rows.shape))
    columns.take(block.rows, made)
    np.subtract(made[:, 1:], made[:, :1], out=part[0])
    _turn(block, part)
    if block.real is not None:
        part *= block.real[1:]


def _turn(block: SetBlock, part: FloatArray) -> None:
    """Change the sign of sets in which the rarer role is the control."""
    if (block.sign < 0).any():
        part *= block.sign


def _take_centred(block: SetBlock, columns: Columns, part: FloatArray) -> None:
    """Columns less their mean within the set, turned with the block; padding 0."""
    n_sets, lanes = block.n_sets, part.shape[-1]
    rows = np.zeros((block.n_rows, lanes), dtype=np.intp)
    rows[:, :n_sets] = block.rows
    real = np.zeros(rows.shape)
    real[:, :n_sets] = 1.0 if block.real is None else block.real
    if isinstance(columns, np.ndarray):
        np.take(columns, rows, axis=-1, out=part, mode="clip")
    else:
        columns.take(rows, part[0])
    part *= real
    size = np.ones(lanes)
    size[:n_sets] = block.sizes
    part -= part.sum(axis=-2, keepdims=True) / size
    real[:, :n_sets] *= block.sign
    part *= real
