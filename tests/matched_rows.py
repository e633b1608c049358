"""Rows of matched sets of any shapes, in random order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MatchedRows:
    """set_code (n,), is_case (n,), columns (p, n)."""

    set_code: np.ndarray
    is_case: np.ndarray
    columns: np.ndarray


def draw_matched_rows(
    rng: np.random.Generator, shapes: Sequence[tuple[int, int]], n_columns: int = 3
) -> MatchedRows:
    """One set for each (cases, controls) of `shapes`; columns normal, rows shuffled over the sets."""
    code = np.concatenate([np.full(m + c, j) for j, (m, c) in enumerate(shapes)])
    case = np.concatenate([np.arange(m + c) < m for m, c in shapes])
    order = rng.permutation(code.size)
    return MatchedRows(code[order], case[order], rng.normal(size=(n_columns, code.size)))
