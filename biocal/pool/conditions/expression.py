"""Conditions on rows, such as ``sex == "female" and bmi < 35``: read as a syntax tree, never run as code."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any, NoReturn

from biocal.errors import FormulaError
from biocal.pool.checks.columns import columns_there, did_you_mean
from biocal.pool.tables.spelling import one_spelling

#: Tests and selectors that a condition may call, each with one column.
MISSING_TESTS = {"missing": True, "isna": True, "isnull": True, "notna": False, "notnull": False}
OF_THE_CASE = "case"
_ARITHMETIC_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
_FUNCTIONS = (*MISSING_TESTS, OF_THE_CASE, "Q")
# A longer text is no condition; it also keeps the recursion over its tree shallow.
_LONGEST = 1000
_ADVICE = (
    "a condition may hold columns, numbers, quoted words, + - * / // %, < <= > >= == !=, in [...], and, or, not, "
    "missing(column) and case(column)"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that a condition uses.

    Attributes
    ----------
    name : str
    of_case : bool
        Written ``case(name)``: the value of the case of the row's matched set.
    """

    name: str
    of_case: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that was understood.

    Attributes
    ----------
    text : str
    tree : ast.expr
    references : tuple of Reference
        Columns used, in order of appearance.
    """

    text: str
    tree: ast.expr
    references: tuple[Reference, ...]


def read_condition(text: str, columns: tuple[str, ...]) -> Condition:
    """Understand a condition.

    Parameters
    ----------
    text : str
        Such as ``years_to_diagnosis >= 2 and sex == "female"``.  ``missing(x)`` asks whether a value is absent,
        ``case(x)`` stands for the value of the case of the matched set, ``Q("odd name")`` for a column whose
        name is no word.
    columns : tuple of str
        Columns there are.

    Raises
    ------
    FormulaError
        Anything else in it (attributes ``formula``, ``name``).
    """
    text = one_spelling(text)
    if not text.strip() or len(text) > _LONGEST:
        raise FormulaError(f"a condition has 1 to {_LONGEST} characters", formula=text, name="")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
        hint = "; equality is written ==" if "=" in text and "==" not in text else ""
        raise FormulaError(
            f"condition '{text}' cannot be understood{hint}; write it as 'sex == \"female\" and bmi < 35', "
            'and a column whose name is not a word as Q("name")',
            formula=text,
            name=text,
        ) from failure
    reader = ConditionReader(text, columns)
    reader.truth(tree)
    return Condition(text.strip(), tree, tuple(dict.fromkeys(reader.found)))


class ConditionReader:
    """Walks a syntax tree; what is not allowed by name is refused."""

    def __init__(self, text: str, columns: tuple[str, ...]) -> None:
        self.text = text
        self.columns = columns
        self.found: list[Reference] = []

    def truth(self, node: ast.expr) -> None:
        match node:
            case ast.BoolOp(values=parts):
                for part in parts:
                    self.truth(part)
            case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
                self.truth(operand)
            case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr(), right=right):
                self.truth(left)
                self.truth(right)
            case ast.Compare(left=left, ops=ops, comparators=others):
                self.value(left)
                for op, other in zip(ops, others, strict=True):
                    if isinstance(op, ast.In | ast.NotIn):
                        self.members(other)
                    elif isinstance(op, ast.Is | ast.IsNot):
                        self.refuse(node, "; use == or missing(column)")
                    else:
                        self.value(other)
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in MISSING_TESTS:
                self.column(argument)
            case ast.Name() | ast.Call(func=ast.Name(id="Q" | "case")):
                self.column(node)  # true-or-false columns; others are refused when their values are known
            case _:
                self.refuse(node)

    def value(self, node: ast.expr) -> None:
        match node:
            case ast.Constant(value=int() | float() | str()):
                pass
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                self.value(operand)
            case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _ARITHMETIC_OPERATORS):
                self.value(left)
                self.value(right)
            case ast.BinOp(op=ast.BitAnd() | ast.BitOr()):
                self.refuse(node, "; put comparisons joined by & and | in parentheses, or write and, or")
            case ast.Name() | ast.Call():
                self.column(node)
            case _:
                self.refuse(node)

    def members(self, node: ast.expr) -> None:
        match node:
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items) if items:
                for item in items:
                    if not isinstance(_constant(item), int | float | str):
                        self.refuse(item, "; a list holds numbers or quoted words")
            case _:
                self.refuse(node, '; write in ["a", "b"]')

    def column(self, node: ast.expr) -> None:
        reference = self.reference(node)
        name = reference.name
        if name not in self.columns:
            near = columns_there(name, self.columns)
            quoted = "" if did_you_mean(name, self.columns) else f' (a word is quoted: "{name}")'
            raise FormulaError(
                f"condition '{self.text}' names '{name}', which is not a column of the data{quoted}{near}",
                formula=self.text,
                name=name,
            )
        self.found.append(reference)

    def reference(self, node: ast.expr) -> Reference:
        match node:
            case ast.Name(id=name):
                return Reference(name)
            case ast.Call(func=ast.Name(id="Q"), args=[ast.Constant(value=str() as name)], keywords=[]):
                return Reference(name)
            case ast.Call(func=ast.Name(id="case"), args=[inner], keywords=[]):
                return Reference(self.reference(inner).name, of_case=True)
            case ast.Call(func=ast.Name(id=name)) if name not in _FUNCTIONS:
                raise FormulaError(
                    f"there is no function '{name}' for condition '{self.text}'{did_you_mean(name, _FUNCTIONS)}; "
                    f"{_ADVICE}",
                    formula=self.text,
                    name=name,
                )
            case _:
                self.refuse(node)

    def refuse(self, node: ast.expr, hint: str = "") -> NoReturn:
        shown = ast.unparse(node)
        raise FormulaError(
            f"'{shown}' is not allowed in condition '{self.text}'{hint}; {_ADVICE}",
            formula=self.text,
            name=shown,
        )


def _constant(node: ast.expr) -> Any:
    """A constant, with its sign; None for anything else."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case _:
            return None
