"""Checks of the fields of a message: each returns the value in its type or raises MessageError with its place."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MessageError

FloatArray = NDArray[np.float64]
T = TypeVar("T")

#: Longest text of a message, a formula (our choice).
MOST_LETTERS = 2_000
#: Most entries of a list or table of records (our choice).
MOST_ENTRIES = 2_000
#: Largest number (our choice): squares of larger ones come near the end of what can be calculated with, and no
#: unit of an exposure needs them.
LARGEST = 1e100
#: Rounding in a symmetric matrix without negative directions, its diagonal 1.
_ROUNDING = 1e-7
#: Marks that a terminal obeys, half characters, and those that turn the direction of writing.
_NO_LETTERS = ("Cc", "Cs", "Zl", "Zp")
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def record(value: Any, where: str, keys: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """An object with exactly these keys."""
    if not isinstance(value, dict):
        raise MessageError(f"{where}: expected an object, found {_kind(value)}")
    absent = [key for key in keys if key not in value]
    strange = [key for key in value if key not in keys and key not in optional]
    if absent or strange:
        words = [f"without {', '.join(absent)}"] if absent else []
        words += [f"with the unknown {', '.join(strange)[:80]}"] if strange else []
        raise MessageError(f"{where}: an object {' and '.join(words)}")
    return value


def table(value: Any, where: str, read: Callable[[Any, str], T]) -> dict[str, T]:
    """An object whose keys are free and whose values are all of one kind."""
    if not isinstance(value, dict):
        raise MessageError(f"{where}: expected an object, found {_kind(value)}")
    if len(value) > MOST_ENTRIES:
        raise MessageError(f"{where}: {len(value):,} entries, more than any message has")
    return {text(key, where, least=0): read(one, f"{where}.{key[:40]}") for key, one in value.items()}


def listed(value: Any, where: str, read: Callable[[Any, str], T], *, length: int | None = None) -> list[T]:
    """A list whose entries are all of one kind."""
    if not isinstance(value, list):
        raise MessageError(f"{where}: expected a list, found {_kind(value)}")
    if length is not None and len(value) != length:
        raise MessageError(f"{where}: expected {length} entries, found {len(value):,}")
    if len(value) > MOST_ENTRIES:
        raise MessageError(f"{where}: {len(value):,} entries, more than any message has")
    return [read(one, f"{where}[{k}]") for k, one in enumerate(value)]


def text(value: Any, where: str, *, least: int = 0) -> str:
    """A text without control characters."""
    if not isinstance(value, str):
        raise MessageError(f"{where}: expected a text, found {_kind(value)}")
    if not least <= len(value) <= MOST_LETTERS:
        raise MessageError(f"{where}: a text of {len(value):,} letters")
    if any(unicodedata.category(letter) in _NO_LETTERS or letter in _TURNING for letter in value):
        raise MessageError(f"{where}: a text with control characters")
    return value


def one_of(value: Any, where: str, allowed: Sequence[str]) -> str:
    """One of a few texts."""
    if value not in allowed:
        raise MessageError(f"{where}: expected one of {', '.join(allowed)}, found {_kind(value)}")
    return str(value)


def truth(value: Any, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise MessageError(f"{where}: expected true or false, found {_kind(value)}")
    return value


def whole(value: Any, where: str, *, least: int = 0, most: int = 1_000_000_000) -> int:
    """A whole number within bounds."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise MessageError(f"{where}: expected a whole number, found {_kind(value)}")
    if not least <= value <= most:
        raise MessageError(f"{where}: a number that is not between {least:,} and {most:,}")
    return value


def real(value: Any, where: str) -> float:
    """A finite number, not beyond `LARGEST`."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise MessageError(f"{where}: expected a number, found {_kind(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise MessageError(f"{where}: not a finite number")
    if abs(number) > LARGEST:
        raise MessageError(f"{where}: {number:.4g} is beyond what can be calculated with ({LARGEST:g})")
    return number


def not_negative(value: Any, where: str) -> float:
    """A finite number, 0 or more."""
    number = real(value, where)
    if number < 0:
        raise MessageError(f"{where}: {number:.4g} is below 0")
    return number


def vector(value: Any, where: str, length: int) -> FloatArray:
    """Finite numbers, shape (length,)."""
    return np.array(listed(value, where, real, length=length), dtype=float)


def matrix(value: Any, where: str, rows: int, columns: int) -> FloatArray:
    """Finite numbers, shape (rows, columns)."""
    found = listed(value, where, lambda row, place: vector(row, place, columns), length=rows)
    return np.array(found, dtype=float).reshape(rows, columns)


def gram(value: Any, where: str, size: int) -> FloatArray:
    """A symmetric matrix without negative directions, as sums of outer products are: shape (size, size)."""
    found = symmetric(value, where, size)
    require_sums_of_squares(found, where)
    return found


def symmetric(value: Any, where: str, size: int) -> FloatArray:
    """A symmetric matrix, shape (size, size)."""
    found = matrix(value, where, size, size)
    largest = float(np.abs(found).max(initial=0.0))
    if not np.allclose(found, found.T, rtol=1e-9, atol=1e-9 * largest):
        raise MessageError(f"{where}: not symmetric")
    return np.asarray((found + found.T) / 2)


def require_sums_of_squares(found: FloatArray, where: str) -> None:
    """Refuse a symmetric matrix that no sum of outer products can be."""
    squares = np.diagonal(found)
    if (squares < 0).any():
        raise MessageError(f"{where}: a sum of squares below 0")
    size = np.sqrt(squares)
    there = size > 0
    if found[~there].any():
        raise MessageError(f"{where}: products of a column whose sum of squares is 0")
    scaled = found[np.ix_(there, there)] / size[there] / size[there, None]
    if scaled.size and not np.linalg.eigvalsh(scaled)[0] >= -_ROUNDING * size.size:
        raise MessageError(
            f"{where}: these squares and products are of no columns: some combination is below 0"
        )


def named(found: Mapping[str, Any], where: str, names: Sequence[str]) -> None:
    """Refuse a table that does not have exactly these entries."""
    record(dict(found), where, list(names))


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
