"""Cells of a column as numbers, as ids, or as words.

A column comes either as text (from a delimited file, a pyarrow array of strings) or typed (from
Stata, SAS, Parquet or a data frame, a pandas Series).  The healthy path works on whole columns;
single cells are looked at only where something is wrong.

Missing cells are blank, ``NA``, ``N/A``, ``#N/A``, ``NaN``, ``<NA>``, ``null`` (in any letter case)
or a single dot, with or without spaces around; pandas' and Stata's own missing values too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.pool.tables.spelling import one_spelling

# A pyarrow Array or ChunkedArray of strings, or a pandas Series of any other type.
RawColumn: TypeAlias = Any
#: Codes of words or ids; a table of more than 2^31 rows is not one file.
Codes: TypeAlias = NDArray[np.int32]

MISSING_WORDS = frozenset({"", ".", "na", "n/a", "#n/a", "nan", "<na>", "null"})
# The same for pyarrow, which compares letter by letter; other spellings take the slower way.
MISSING_SPELLINGS = sorted(
    {s for word in MISSING_WORDS for s in (word, word.upper(), word.capitalize())} | {"NaN"}
)

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)
_WHOLE_WITH_ZEROS = re.compile(r"([+-]?\d+)\.0*", re.ASCII)
# As spreadsheets, R and Python write large numbers: digits beyond those shown are lost, or may be.
_SCIENTIFIC = re.compile(r"[+-]?\d+(\.\d*)?[eE]\+\d+", re.ASCII)
# Cells that are tried before the rest: Arrow takes long to refuse very many words that are no numbers.
_HEAD = 100


@dataclass(frozen=True, slots=True)
class WordCells:
    """A column as codes into its distinct words.

    Attributes
    ----------
    codes : ndarray, shape (n,)
        Index into ``words``; -1 where the cell is missing.
    words : list of str
        Distinct trimmed words, in order of first appearance.
    respelt : tuple of str
        Words as they stand in the column, of those that `one_spelling` writes otherwise.
    """

    codes: Codes
    words: list[str]
    respelt: tuple[str, ...] = ()

    def cells(self, rows: NDArray[np.intp]) -> list[str]:
        """Return the words of some rows."""
        return ["" if code < 0 else self.words[code] for code in self.codes[rows]]


@dataclass(frozen=True, slots=True)
class NumberCells:
    """A column as numbers.

    Attributes
    ----------
    values : ndarray, shape (n,)
        NaN where the cell is missing or not a finite number.
    bad_rows : ndarray, shape (n_bad,)
        Rows with something that is not a finite number.
    bad_words : list of str
        What those rows hold.
    n_decimal_commas : int
        Cells such as ``12,5`` that were read as 12.5.
    """

    values: NDArray[np.float64]
    bad_rows: NDArray[np.intp]
    bad_words: list[str]
    n_decimal_commas: int = 0


def whole_limit(dtype: Any) -> float:
    """The whole number from which on a floating-point type holds several as one: 2^53 of doubles, 2^24 of floats."""
    return float(2.0 ** (np.finfo(dtype).nmant + 1))


def number_text(value: float | np.floating[Any]) -> str:
    """Return a number as an id would be typed: 1.0 gives "1".

    A whole number that its type cannot tell from its neighbours is written in scientific notation.
    """
    number = float(value)
    if number != math.floor(number):
        return repr(number)
    if abs(number) < whole_limit(value.dtype if isinstance(value, np.floating) else np.float64):
        return str(int(number))
    return np.format_float_scientific(value, trim="-")


def lost_digits(words: list[str]) -> list[bool]:
    """Whether each id is a number in scientific notation, in which other ids may have become the same."""
    return ["+" in word and _SCIENTIFIC.fullmatch(word) is not None for word in words]


def id_text(word: str) -> str:
    """Return the one spelling of an id: trimmed, and 1.0 as 1."""
    word = one_spelling(word.strip())
    if "." not in word:
        return word
    whole = _WHOLE_WITH_ZEROS.fullmatch(word)
    return whole.group(1) if whole else word


def word_text(word: str) -> str:
    """Return the one spelling of a word: trimmed."""
    return one_spelling(word.strip())


def as_words(column: RawColumn, spelling: Callable[[str], str] = word_text) -> WordCells:
    """Return the distinct words of a column; typed numbers as `number_text` writes them.

    ``spelling`` gives the one form of a word; words of one form are one.
    """
    if isinstance(column, pd.Series) and isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()  # levels that no row has, as after selecting rows
        words = [_cell_text(value) for value in column.cat.categories]
        return _merge_words(column.cat.codes.to_numpy(), words, spelling)
    if isinstance(column, pd.Series) and not _holds_text(column):
        codes, distinct = pd.factorize(column)
        values: Any = (
            np.asarray(distinct) if column.dtype.kind == "f" else distinct
        )  # single precision stays so
        return _merge_words(codes, [_cell_text(value) for value in values], spelling)
    encoded = _text_array(column).dictionary_encode()
    if hasattr(encoded, "chunks"):
        encoded = encoded.unify_dictionaries().combine_chunks()
        if hasattr(encoded, "chunks"):  # older pyarrow leaves an empty or single chunk wrapped
            encoded = encoded.chunk(0) if encoded.num_chunks else _text_array([]).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    words = encoded.dictionary.to_numpy(zero_copy_only=False).tolist()
    return _merge_words(codes, words, spelling)


def as_ids(column: RawColumn) -> WordCells:
    """Return a column as ids: 1, "1", 1.0 and "1.0 " are one."""
    whole = _whole_numbers(column)
    return as_words(column, id_text) if whole is None else whole


def _whole_numbers(column: RawColumn) -> WordCells | None:
    """Ids that are all whole numbers typed plainly, without a Python step per id; None when they are not."""
    missing: NDArray[np.bool_] | None
    if isinstance(column, pd.Series):
        if column.dtype.kind not in "iuf":
            return None
        missing = column.isna().to_numpy(dtype=np.bool_)
        numbers: NDArray[Any] = column[~missing].to_numpy()
        if column.dtype.kind == "f":
            if not ((numbers == np.floor(numbers)) & (np.abs(numbers) < whole_limit(numbers.dtype))).all():
                return None
            numbers = numbers.astype(np.int64)
    else:
        cast = _whole_text(column)
        if cast is None:
            return None
        numbers, missing = cast
        numbers = numbers if missing is None else numbers[~missing]
    codes, distinct = pd.factorize(numbers)
    if missing is None or not missing.any():
        return WordCells(codes.astype(np.int32), [str(number) for number in distinct.tolist()])
    all_codes = np.full(missing.size, -1, dtype=np.int32)
    all_codes[~missing] = codes
    return WordCells(all_codes, [str(number) for number in distinct.tolist()])


def _whole_text(column: RawColumn) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None] | None:
    """Plain whole numbers of a column of text, and where it is missing; None when something else is there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = np.empty(len(column), dtype=np.int64)
    missing = np.zeros(len(column), dtype=np.bool_) if column.null_count else None
    for rows, chunk in _chunks(column):
        try:
            pc.cast(chunk[:_HEAD], pa.int64())
            cast = pc.cast(chunk, pa.int64())
        except pa.ArrowInvalid:
            return None
        if not pc.all(pc.equal(pc.cast(cast, chunk.type), chunk)).as_py():
            return None  # 007 and 7 are two ids
        numbers[rows] = pc.fill_null(cast, 0)
        if missing is not None:
            missing[rows] = pc.is_null(cast)
    return numbers, missing


def _chunks(column: RawColumn) -> Iterator[tuple[slice, Any]]:
    """Pieces of an array of Arrow's with their places, so that what is made of them is small."""
    start = 0
    for chunk in getattr(column, "chunks", [column]):
        yield slice(start, start + len(chunk)), chunk
        start += len(chunk)


def as_numbers(column: RawColumn, *, decimal_comma: bool = False) -> NumberCells:
    """Return a column as finite numbers, and where it is something else.

    Parameters
    ----------
    column : pyarrow array of strings, or Series, length n
    decimal_comma : bool
        Whether ``12,5`` may be read as 12.5: where the file's delimiter is not the comma and the
        column has no decimal points.
    """
    if isinstance(column, pd.Series):
        if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
            values = _floats(column)
            infinite = np.flatnonzero(np.isinf(values))
            words = [str(x) for x in values[infinite]]
            values[infinite] = np.nan
            return NumberCells(values, infinite, words)
        if not _holds_text(column) and not isinstance(column.dtype, pd.CategoricalDtype):
            return _numbers_of_words(as_words(column), decimal_comma=False)
    else:
        values_or_none = _cast(column)
        if values_or_none is not None:
            return NumberCells(values_or_none, np.empty(0, dtype=np.intp), [])
    return _numbers_of_words(as_words(column), decimal_comma=decimal_comma)


def _floats(column: pd.Series[Any]) -> NDArray[np.float64]:
    """A typed column as an array of its own, NaN where missing.

    R's NA is a signalling NaN, of which every later operation would warn; multiplied once it is an ordinary one.
    """
    if isinstance(column.dtype, np.dtype):
        values = np.array(column.to_numpy(), dtype=np.float64)
    else:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    with np.errstate(invalid="ignore"):
        values *= 1.0
    return values


def _numbers_of_words(cells: WordCells, *, decimal_comma: bool) -> NumberCells:
    """Parse each distinct word; codes (n,)."""
    with_comma = [bool(_DECIMAL_COMMA.fullmatch(word)) for word in cells.words]
    with_point = any("." in word and _NUMBER.fullmatch(word) for word in cells.words)
    use_comma = decimal_comma and any(with_comma) and not with_point
    parsed = np.empty(len(cells.words) + 1)
    parsed[-1] = np.nan  # code -1, a missing cell
    for i, word in enumerate(cells.words):
        text = word.replace(",", ".") if use_comma and with_comma[i] else word
        parsed[i] = parse_number(text)
    bad_word = ~np.isfinite(parsed)
    bad_word[-1] = False
    bad_rows = np.flatnonzero(bad_word[cells.codes])
    parsed[bad_word] = np.nan
    n_commas = int(np.array([*with_comma, False])[cells.codes].sum()) if use_comma else 0
    return NumberCells(parsed[cells.codes], bad_rows, cells.cells(bad_rows), n_commas)


def zeros_and_ones(column: RawColumn) -> NDArray[np.bool_] | None:
    """Where a column is 1, shape (n,), when each cell is plainly 1 or 0; None when one needs a closer look."""
    import pyarrow.compute as pc

    if isinstance(column, pd.Series):
        if not isinstance(column.dtype, np.dtype) or column.dtype.kind not in "iuf":
            return None
        values = column.to_numpy()
        ones: NDArray[np.bool_] = values == 1
        return ones if (ones | (values == 0)).all() else None
    ones = np.empty(len(column), dtype=np.bool_)
    for rows, chunk in _chunks(column):
        is_one = pc.equal(chunk, "1")
        if chunk.null_count or not pc.all(pc.or_(is_one, pc.equal(chunk, "0"))).as_py():
            return None
        ones[rows] = is_one
    return ones


def no_numbers(n_rows: int) -> NDArray[np.float64]:
    """Return NaN seen n_rows times, in the room of one."""
    return np.broadcast_to(np.float64(np.nan), (n_rows,))


def parse_number(word: str) -> float:
    """Return a word as a number, NaN when it is not one; "1e400" gives infinity."""
    if not _NUMBER.fullmatch(word):
        return math.nan
    return float(word)


def _cast(column: RawColumn) -> NDArray[np.float64] | None:
    """Text to numbers in one go, shape (n,); None when a cell needs a closer look."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = np.empty(len(column))
    for rows, chunk in _chunks(column):
        try:
            pc.cast(chunk[:_HEAD], pa.float64())
            values[rows] = pc.cast(chunk, pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            return None
        if np.isinf(values[rows]).any() or np.isnan(values[rows]).sum() > chunk.null_count:
            return None
    return values


def _holds_text(series: pd.Series[Any]) -> bool:
    return bool(pd.api.types.is_object_dtype(series.dtype) or isinstance(series.dtype, pd.StringDtype))


def _text_array(column: RawColumn) -> Any:
    """Text cells as a pyarrow array of strings."""
    import pyarrow as pa

    if not isinstance(column, pd.Series):
        return pa.array(column, type=pa.string()) if isinstance(column, list) else column
    try:
        return pa.array(np.asarray(column, dtype=object), type=pa.string(), from_pandas=True)
    except (pa.ArrowTypeError, pa.ArrowInvalid):  # mixed cells, such as 1 and "1"
        return pa.array([_cell_text(value) for value in column], type=pa.string())


def _cell_text(value: Any) -> str:
    """One typed cell as text; blank when missing."""
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else str(float(value)) if math.isinf(value) else number_text(value)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return str(value)


def _merge_words(
    codes: NDArray[np.integer[Any]], words: list[str], spelling: Callable[[str], str]
) -> WordCells:
    """Spell words alike, join those that become equal, and give missing ones the code -1."""
    place: dict[str, int] = {}
    respelt = []
    new_code = np.full(len(words) + 1, -1, dtype=np.int32)
    for i, word in enumerate(words):
        spelt = spelling(word)
        if spelt.casefold() not in MISSING_WORDS:
            new_code[i] = place.setdefault(spelt, len(place))
            if not word.isascii() or not word.isprintable():
                respelt += [word] if one_spelling(word) != word else []
    return WordCells(new_code[codes], list(place), tuple(respelt))
