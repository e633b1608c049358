"""Exact quantiles by rounds of counting, without the values ever being in one place.

Doubles are turned into whole numbers of 64 bits that are ordered as they are.  Each round counts, for every
quantile still looked for, the next 16 bits of the values that share the bits found so far; after four rounds
the order statistics are known to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
KeyArray = NDArray[np.uint64]
CountArray = NDArray[np.int64]

#: Counts of the next digit, by the bits found so far: digits that occur, and how often.
DigitCounts = Mapping[int, tuple[NDArray[np.uint16], CountArray]]

_BITS, _ROUNDS = 16, 4
_SIGN = np.uint64(1) << np.uint64(63)


def ordered_keys(values: FloatArray) -> KeyArray:
    """Whole numbers in the order of the values; -0.0 counts as 0.0."""
    bits = (np.asarray(values, dtype=np.float64) + 0.0).view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def value_of_key(key: int) -> float:
    """The value of which :func:`ordered_keys` made a key."""
    sign = int(_SIGN)
    bits = key ^ sign if key & sign else key ^ (2 * sign - 1)
    return float(np.array([bits], dtype=np.uint64).view(np.float64)[0])


def count_digits(keys: KeyArray, prefixes: Sequence[int], shift: int) -> DigitCounts:
    """Count the next digits of the keys with given leading bits.

    Parameters
    ----------
    keys : ndarray of uint64, increasing
    prefixes : sequence of int
        Leading bits, all that stand above `shift` + 16.
    shift : int
        Bits below the digit counted: 48, 32, 16, 0.
    """
    found = {}
    for prefix in prefixes:
        low = prefix << (shift + _BITS)
        last = low + (1 << (shift + _BITS)) - 1
        start = np.searchsorted(keys, np.uint64(low))
        end = np.searchsorted(keys, np.uint64(last), side="right")
        if end > start:
            digits = ((keys[start:end] >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.uint16)
            values, counts = np.unique(digits, return_counts=True)
            found[prefix] = (values, counts.astype(np.int64))
    return found


def order_statistics(
    ranks: Sequence[int], count: Callable[[tuple[int, ...], int], Sequence[DigitCounts]]
) -> dict[int, float]:
    """Values at ranks (from 0) among all that the parts hold.

    Parameters
    ----------
    ranks : sequence of int
    count : callable
        From leading bits and shift to the parts' counts.
    """
    # rank -> (bits found so far, rank among the values that share them)
    open_ranks = {rank: (0, rank) for rank in ranks}
    for turn in range(_ROUNDS):
        shift = 64 - _BITS * (turn + 1)
        prefixes = tuple(sorted({prefix for prefix, _ in open_ranks.values()}))
        merged = _merged(count(prefixes, shift), prefixes)
        for rank, (prefix, within) in open_ranks.items():
            digits, up_to = merged[prefix]
            place = int(np.searchsorted(up_to, within, side="right"))
            before = int(up_to[place - 1]) if place else 0
            open_ranks[rank] = ((prefix << _BITS) | int(digits[place]), within - before)
    return {rank: value_of_key(key) for rank, (key, _) in open_ranks.items()}


def _merged(
    parts: Sequence[DigitCounts], prefixes: Sequence[int]
) -> dict[int, tuple[NDArray[np.uint16], CountArray]]:
    """Digits that occur under each prefix, and the number of values up to each."""
    merged = {}
    for prefix in prefixes:
        found = [part[prefix] for part in parts if prefix in part]
        digits, place = np.unique(np.concatenate([one for one, _ in found]), return_inverse=True)
        total = np.zeros(digits.size, dtype=np.int64)
        np.add.at(total, place, np.concatenate([counts for _, counts in found]))
        merged[prefix] = (digits, np.cumsum(total))
    return merged


def exact_quantiles(
    n: int, probabilities: Sequence[float], count: Callable[[tuple[int, ...], int], Sequence[DigitCounts]]
) -> FloatArray:
    """Quantiles of type 7, as ``np.quantile`` would give them of all values together.

    Parameters
    ----------
    n : int
        Number of values.
    probabilities : sequence of float
    count : callable
        As in :func:`order_statistics`.
    """
    places = [(n - 1) * probability for probability in probabilities]
    lower = [int(np.floor(place)) for place in places]
    upper = [min(one + 1, n - 1) for one in lower]
    values = order_statistics(sorted({*lower, *upper}), count)
    return np.array(
        [
            np.quantile([values[low], values[high]], place - low)
            for low, high, place in zip(lower, upper, places, strict=True)
        ]
    )
