"""The true dose-response curve of a simulation scenario."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from biocal.errors import FormulaError
from biocal.kernels.splines import spline_columns
from biocal.pool.checks.columns import did_you_mean

__all__ = [
    "FUNCTIONS",
    "evaluate_formula",
    "require_formula",
]


FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Truth:
    """The true dose-response curve.

    Attributes
    ----------
    type : {"rcs", "linear", "expression"}
    beta : tuple of float
        Log odds ratios per unit of each column of a spline; one for a line.
    knots : tuple of float
        Of a spline, on the reference scale.
    formula : str
        Log risk as an expression in ``x``, such as ``-0.01*x + 0.3*(x < 30)``.
    heterogeneity : float
        SD between studies of what `heterogeneity_of` names; drawn anew in every replicate.
    heterogeneity_of : {"multiplier", "slope"}
        A study's curve is (1 + d) times the true one, or the true one plus d times the exposure.
    """

    type: str
    beta: tuple[float, ...] = ()
    knots: tuple[float, ...] = ()
    formula: str = ""
    heterogeneity: float = 0.0
    heterogeneity_of: str = "multiplier"

    def __post_init__(self) -> None:
        # Lists of a Python caller become tuples, so that the record can be hashed.
        object.__setattr__(self, "beta", tuple(self.beta))
        object.__setattr__(self, "knots", tuple(self.knots))

    def log_risk(self, exposure: FloatArray) -> FloatArray:
        """Log risk up to a constant, of the average study.

        Parameters
        ----------
        exposure : ndarray, shape (n,)
            In the unit of the exposure.

        Returns
        -------
        ndarray, shape (n,)
        """
        values = np.asarray(exposure, dtype=float)
        if self.type == "linear":
            return self.beta[0] * values
        if self.type == "rcs":
            risk: FloatArray = np.asarray(self.beta) @ spline_columns(values, self.knots)
            return risk

        return evaluate_formula(self.formula, values)


#: Functions a formula may call, and how many arguments each takes.
FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "exp": (np.exp, 1),
    "log": (np.log, 1),
    "sqrt": (np.sqrt, 1),
    "abs": (np.abs, 1),
    "minimum": (np.minimum, 2),
    "maximum": (np.maximum, 2),
}
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
# A formula longer than this is not one; it also keeps the recursion over its tree shallow.
_LONGEST = 1000

Evaluate = Callable[[FloatArray], Any]


def evaluate_formula(formula: str, x: FloatArray) -> FloatArray:
    """Evaluate a formula at exposures.

    Parameters
    ----------
    formula : str
        Made of ``x``, numbers, ``+ - * / **``, comparisons (1 where they hold, else 0) and `FUNCTIONS`.
    x : ndarray
        Exposures, any shape.

    Returns
    -------
    ndarray
        Same shape; not finite where the formula is not defined.

    Raises
    ------
    FormulaError
        Anything else in the formula (attributes ``formula``, ``name``).
    """
    values = np.asarray(x, dtype=float)
    with np.errstate(all="ignore"):
        result = _compiled(formula)(values)
    return np.array(np.broadcast_to(np.asarray(result, dtype=float), values.shape))


def require_formula(formula: str) -> None:
    """Raise `FormulaError` unless the formula can be evaluated."""
    _compiled(formula)


@lru_cache(maxsize=64)
def _compiled(formula: str) -> Evaluate:
    if len(formula) > _LONGEST:
        raise FormulaError(f"the formula has more than {_LONGEST} characters", formula=formula, name="")
    try:
        tree = ast.parse(formula.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
        raise FormulaError(
            f"{formula!r} cannot be understood; write an expression in x such as '-0.01*x + 0.3*(x < 30)'",
            formula=formula,
            name=formula,
        ) from failure
    return _Compiler(formula).compile(tree.body)


class _Compiler:
    """Turns a syntax tree into nested functions; what is not allowed by name is refused."""

    def __init__(self, formula: str) -> None:
        self.formula = formula

    def compile(self, node: ast.expr) -> Evaluate:
        match node:
            case ast.Name(id="x"):
                return lambda x: x
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                number = np.float64(value)  # of NumPy, so that 9**9**9 is infinite at once, not computed
                return lambda x: number
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return self._pair(_OPERATORS[type(op)], left, right)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.compile(operand)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self.compile(operand)
                return lambda x: -inner(x)
            case ast.Compare(left=left, ops=ops, comparators=others) if all(
                type(o) in _COMPARISONS for o in ops
            ):
                return self._comparison(left, ops, others)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments)
            case _:
                self._refuse(node)

    def _pair(self, combine: Callable[[Any, Any], Any], left: ast.expr, right: ast.expr) -> Evaluate:
        first, second = self.compile(left), self.compile(right)
        return lambda x: combine(first(x), second(x))

    def _comparison(self, left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr]) -> Evaluate:
        """Also chains such as ``20 < x < 30``; numbers 0 and 1, so that they add and multiply as such."""
        sides = [self.compile(side) for side in (left, *others)]
        compare = [_COMPARISONS[type(op)] for op in ops]

        def evaluate(x: FloatArray) -> FloatArray:
            values = [side(x) for side in sides]
            holds = [one(values[i], values[i + 1]) for i, one in enumerate(compare)]
            return np.asarray(np.logical_and.reduce(np.broadcast_arrays(*holds)), dtype=float)

        return evaluate

    def _call(self, name: str, arguments: list[ast.expr]) -> Evaluate:
        if name not in FUNCTIONS:
            raise FormulaError(
                f"there is no function {name!r} for the formula{did_you_mean(name, FUNCTIONS)}"
                f" (allowed: {', '.join(FUNCTIONS)})",
                formula=self.formula,
                name=name,
            )
        function, wanted = FUNCTIONS[name]
        if len(arguments) != wanted:
            raise FormulaError(
                f"{name}() takes {wanted} argument{'s' * (wanted > 1)}, found {len(arguments)}",
                formula=self.formula,
                name=name,
            )
        compiled = [self.compile(argument) for argument in arguments]
        return lambda x: function(*(one(x) for one in compiled))

    def _refuse(self, node: ast.expr) -> NoReturn:
        shown = ast.unparse(node)
        raise FormulaError(
            f"{shown!r} is not allowed; a formula may hold x, numbers, + - * / **, comparisons and "
            f"{', '.join(FUNCTIONS)}",
            formula=self.formula,
            name=shown,
        )
