"""What a condition is at every row of a table.

Logic has three values, as in SQL and R: a comparison with a missing value is neither true nor false.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.errors import FormulaError
from biocal.pool.checks.columns import did_you_mean
from biocal.pool.conditions.expression import MISSING_TESTS, Condition, ConditionReader, Reference

IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_SIGNS: dict[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


@dataclass(frozen=True, slots=True)
class Words:
    """A column of words: codes (n,) into `levels`, -1 where missing."""

    codes: IntArray
    levels: tuple[str, ...]


#: A column: numbers (NaN where missing), dates (NaT where missing) or words.
ColumnValues = NDArray[Any] | Words


@dataclass(frozen=True, slots=True)
class Truth:
    """A condition at every row.

    Attributes
    ----------
    holds : ndarray of bool, shape (n,)
    unknown : ndarray of bool, shape (n,)
        Neither true nor false, for want of a value.
    """

    holds: BoolArray
    unknown: BoolArray

    @property
    def fails(self) -> BoolArray:
        """Known to be false, shape (n,)."""
        return np.asarray(~self.holds & ~self.unknown)


def evaluate_condition(condition: Condition, values: Mapping[Reference, ColumnValues], n_rows: int) -> Truth:
    """Evaluate at rows whose columns are given.

    Raises
    ------
    FormulaError
        A comparison that has no meaning for the column: words with ``<``, a word that it does not hold.
    """
    with np.errstate(all="ignore"):
        return _Evaluator(condition, values, n_rows).truth(condition.tree)


def column_values(column: pd.Series[Any]) -> ColumnValues:
    """A column of the data as conditions see it."""
    dtype = column.dtype
    if pd.api.types.is_datetime64_any_dtype(dtype):
        plain = column.dt.tz_localize(None) if getattr(dtype, "tz", None) is not None else column
        dates: NDArray[Any] = plain.to_numpy(dtype="datetime64[ns]")
        return dates
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    words = pd.Categorical(column.astype(object).where(column.notna(), None))
    return Words(np.asarray(words.codes, dtype=np.intp), tuple(str(word) for word in words.categories))


def take_values(values: ColumnValues, rows: IntArray) -> ColumnValues:
    """The column at some rows; missing where the row is -1."""
    absent = rows < 0
    if isinstance(values, Words):
        return Words(np.where(absent, -1, values.codes[rows]), values.levels)
    taken = np.array(values[rows])
    taken[absent] = np.datetime64("NaT") if taken.dtype.kind == "M" else np.nan
    return taken


def is_missing(values: ColumnValues) -> BoolArray:
    """Where a column has no value, shape (n,)."""
    if isinstance(values, Words):
        return np.asarray(values.codes < 0)
    return np.asarray(np.isnat(values) if values.dtype.kind == "M" else np.isnan(values))


class _Evaluator:
    """Evaluates a tree that the reader has passed."""

    def __init__(self, condition: Condition, values: Mapping[Reference, ColumnValues], n_rows: int) -> None:
        self.text = condition.text
        self.values = values
        self.n_rows = n_rows
        self.reader = ConditionReader(condition.text, ())

    def truth(self, node: ast.expr) -> Truth:
        match node:
            case ast.BoolOp(op=op, values=parts):
                return self._joined([self.truth(part) for part in parts], isinstance(op, ast.And))
            case ast.BinOp(left=left, op=op, right=right):
                return self._joined([self.truth(left), self.truth(right)], isinstance(op, ast.BitAnd))
            case ast.UnaryOp(operand=operand):
                inner = self.truth(operand)
                return Truth(inner.fails, inner.unknown)
            case ast.Compare(left=left, ops=ops, comparators=others):
                pairs = zip([left, *others[:-1]], ops, others, strict=True)
                return self._joined([self._compared(*pair) for pair in pairs], True)
            case ast.Call(func=ast.Name(id=name), args=[argument]) if name in MISSING_TESTS:
                absent = is_missing(self._column(argument))
                return self._known(absent if MISSING_TESTS[name] else ~absent)
            case _:
                return self._flag(node)

    def _known(self, holds: BoolArray) -> Truth:
        return Truth(holds, np.zeros(self.n_rows, dtype=np.bool_))

    def _joined(self, parts: list[Truth], every: bool) -> Truth:
        """Kleene's and, or its or."""
        holds = (
            np.logical_and.reduce([p.holds for p in parts])
            if every
            else np.logical_or.reduce([p.holds for p in parts])
        )
        fails = (
            np.logical_or.reduce([p.fails for p in parts])
            if every
            else np.logical_and.reduce([p.fails for p in parts])
        )
        return Truth(np.asarray(holds), np.asarray(~holds & ~fails))

    def _flag(self, node: ast.expr) -> Truth:
        """A column of true and false that stands alone."""
        values = self._column(node)
        if not isinstance(values, Words) or not set(values.levels) <= {"True", "False"}:
            name = ast.unparse(node)
            raise FormulaError(
                f"'{name}' stands alone in condition '{self.text}', but is no column of true and false; compare "
                f"it, as in {name} == 1",
                formula=self.text,
                name=name,
            )
        absent = values.codes < 0
        yes = values.levels.index("True") if "True" in values.levels else -2
        return Truth(np.asarray(values.codes == yes), np.asarray(absent))

    def _column(self, node: ast.expr) -> ColumnValues:
        return self.values[self.reader.reference(node)]

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Truth:
        if isinstance(op, ast.In | ast.NotIn):
            items = right.elts  # type: ignore[attr-defined]
            equal = [self._equal(left, item) for item in items]
            found = self._joined(equal, False)
            return found if isinstance(op, ast.In) else Truth(found.fails, found.unknown)
        if isinstance(op, ast.Eq | ast.NotEq):
            found = self._equal(left, right)
            return found if isinstance(op, ast.Eq) else Truth(found.fails, found.unknown)
        return self._ordered(left, op, right)

    def _equal(self, left: ast.expr, right: ast.expr) -> Truth:
        one, other = self._side(left), self._side(right)
        if isinstance(other, Words) and not isinstance(one, Words):
            one, other, left, right = other, one, right, left
        if isinstance(one, Words):
            if isinstance(other, Words):
                return self._same_words(one, other)
            return self._is_word(one, other, left)
        one, other = self._as_dates(one, other, left, right)
        return self._numbers(one, operator.eq, other)

    def _same_words(self, one: Words, other: Words) -> Truth:
        place = {word: k for k, word in enumerate(other.levels)}
        match = np.array([*(place.get(word, -2) for word in one.levels), -3], dtype=np.intp)
        unknown = (one.codes < 0) | (other.codes < 0)
        return Truth(np.asarray((match[one.codes] == other.codes) & ~unknown), np.asarray(unknown))

    def _is_word(self, column: Words, other: Any, node: ast.expr) -> Truth:
        """Whether a column of words is one word; a word that it never is, is taken for a slip."""
        if isinstance(other, np.ndarray) and other.ndim:
            self._cannot(node, "holds words and cannot be compared with numbers")
        word = other if isinstance(other, str) else _number_word(other)
        if word not in column.levels:
            near = did_you_mean(word, column.levels)
            shown = "; ".join(column.levels[:8]) + ("; ..." if len(column.levels) > 8 else "")
            self._cannot(node, f"is never '{word}'{near or f'; its values are {shown}'}")
        return Truth(np.asarray(column.codes == column.levels.index(word)), np.asarray(column.codes < 0))

    def _ordered(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Truth:
        one, other = self._side(left), self._side(right)
        for side, node in ((one, left), (other, right)):
            if isinstance(side, Words):
                self._cannot(node, f"holds words, which have no order: {_SIGNS[type(op)]} needs numbers")
        one, other = self._as_dates(one, other, left, right)
        return self._numbers(one, _ORDER[type(op)], other)

    def _as_dates(self, one: Any, other: Any, left: ast.expr, right: ast.expr) -> tuple[Any, Any]:
        """Quoted words beside dates are dates; beside numbers they are slips."""
        sides = [one, other]
        for k, (side, node) in enumerate(((one, left), (other, right))):
            if not isinstance(side, str):
                continue
            opposite = (other, one)[k]
            if not (isinstance(opposite, np.ndarray) and opposite.dtype.kind == "M"):
                self._cannot((right, left)[k], f"holds numbers, not words such as '{side}'")
            try:
                sides[k] = np.datetime64(pd.Timestamp(side), "ns")
            except ValueError:
                self._cannot(node, "is no date; write one as '2001-05-31'")
        kinds = {np.asarray(side).dtype.kind == "M" for side in sides}
        if len(kinds) > 1:
            self._cannot(left, "is compared with another kind of value: dates are written as '2001-05-31'")
        return sides[0], sides[1]

    def _numbers(self, one: Any, compare: Callable[[Any, Any], Any], other: Any) -> Truth:
        one, other = (np.broadcast_to(np.asarray(side), (self.n_rows,)) for side in (one, other))
        unknown = np.zeros(self.n_rows, dtype=np.bool_)
        for side in (one, other):
            unknown |= np.isnat(side) if side.dtype.kind == "M" else np.isnan(side)
        return Truth(np.asarray(compare(one, other) & ~unknown), unknown)

    def _side(self, node: ast.expr) -> Any:
        """Numbers, dates, words, or one quoted word."""
        match node:
            case ast.Constant(value=str() as word):
                return word
            case ast.Constant(value=value):
                return np.float64(value)  # type: ignore[arg-type]
            case ast.UnaryOp(op=op, operand=operand):
                inner = self._number(operand)
                return -inner if isinstance(op, ast.USub) else inner
            case ast.BinOp(left=left, op=op, right=right):
                return _ARITHMETIC[type(op)](self._number(left), self._number(right))
            case _:
                return self._column(node)

    def _number(self, node: ast.expr) -> Any:
        side = self._side(node)
        if isinstance(side, Words | str) or np.asarray(side).dtype.kind == "M":
            self._cannot(node, "is no number, so that nothing can be reckoned with it")
        return side

    def _cannot(self, node: ast.expr, why: str) -> NoReturn:
        shown = ast.unparse(node)
        raise FormulaError(f"in condition '{self.text}', {shown} {why}", formula=self.text, name=shown)


def _number_word(value: Any) -> str:
    number = float(value)
    return str(int(number)) if number.is_integer() else repr(number)
