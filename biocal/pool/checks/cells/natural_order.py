"""Natural order of ids: study 2 before study 10, numbers before words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

NaturalKey: TypeAlias = tuple[tuple[tuple[int, int, str], ...], str]

_RUNS = re.compile(r"(\d+)", re.ASCII)
# Longest id that is surely within 64-bit integers.
_SAFE_DIGITS = 18


def natural_key(label: str) -> NaturalKey:
    """Return a sort key that compares runs of digits as numbers; ties are broken by the text."""
    parts = [part for part in _RUNS.split(label) if part]
    numbered = tuple(
        _number_key(part) if part[0] in "0123456789" else (1, 0, part.casefold()) for part in parts
    )
    return numbered, label


def _number_key(digits: str) -> tuple[int, int, str]:
    """A number by its length and then its digits: as numbers compare, however many digits there are.

    Python itself turns no more than 4,300 digits into a number.
    """
    plain = digits.lstrip("0")
    return 0, len(plain), plain


def natural_ranks(labels: Sequence[str]) -> NDArray[np.intp]:
    """Return the place of each label in natural order, shape (n_labels,); labels must differ."""
    order: NDArray[np.intp]
    if labels and all(label.isdecimal() and len(label) <= _SAFE_DIGITS for label in labels):
        # Whole numbers, the usual case with very many sets: sorted without a Python key each.
        numbers = np.fromiter(map(int, labels), dtype=np.int64, count=len(labels))
        order = np.argsort(numbers)
        if (np.diff(numbers[order]) == 0).any():  # the text breaks ties such as 7 and 007
            order = np.lexsort((np.array(labels, dtype=str), numbers))
    else:
        order = np.array(sorted(range(len(labels)), key=lambda i: natural_key(labels[i])), dtype=np.intp)
    ranks = np.empty(len(labels), dtype=np.intp)
    ranks[order] = np.arange(len(labels))
    return ranks
