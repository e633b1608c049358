"""What a covariate formula may contain: checked on the syntax tree before anything is evaluated."""

from __future__ import annotations

import ast
from collections.abc import Collection

from biocal.errors import FormulaError
from biocal.study.columns import did_you_mean
from biocal.study.formula_size import MOST_DEGREES, shortened

# Functions of one column (or an expression in columns) that a formula may call.
TRANSFORMATIONS = (
    "I",
    "log",
    "log2",
    "log10",
    "log1p",
    "exp",
    "sqrt",
    "abs",
    "center",
    "standardize",
    "scale",
)
SPLINES = ("rcs", "bs", "cr", "cc")
CODINGS = ("C", "Treatment", "Sum", "Poly", "Diff", "Helmert")
FUNCTIONS = frozenset((*TRANSFORMATIONS, *SPLINES, *CODINGS, "Q"))
_ALLOWED = ", ".join(sorted(FUNCTIONS))
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.BitAnd, ast.BitOr)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
# Places, after the variable, where a spline takes degrees of freedom and where bs() takes its degree.
_DEGREES_BY_PLACE = (0, 2)
# Powers beyond this are a slip; it also keeps constants such as 9**9**9 from running for ever.
_LARGEST_POWER = 10


def columns_of_factor(code: str, columns: Collection[str], formula: str) -> list[str]:
    """Return the columns that one factor of a formula uses, in order of appearance.

    Parameters
    ----------
    code : str
        One factor, such as ``log(bmi)`` or ``C(month)``.
    columns : collection of str
        Columns there are.
    formula : str
        The whole formula, for messages.

    Raises
    ------
    FormulaError
        Anything but columns, constants, arithmetic, comparisons and the functions of `FUNCTIONS`
        (attributes ``formula``, ``name``).
    """
    try:
        tree = ast.parse(code.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
        raise FormulaError(
            f"'{shortened(code)}' in formula '{shortened(formula)}' cannot be understood",
            formula=formula,
            name=code,
        ) from failure
    reader = _FactorReader(columns, formula)
    try:
        reader.read(tree.body)
    except RecursionError as failure:
        raise FormulaError(
            f"formula '{shortened(formula)}' has too much within one term", formula=formula, name=code
        ) from failure
    return list(dict.fromkeys(reader.used))


class _FactorReader:
    """Walks the syntax tree of one factor; what is not allowed by name is refused."""

    def __init__(self, columns: Collection[str], formula: str) -> None:
        self.columns = columns
        self.formula = formula
        self.used: list[str] = []

    def read(self, node: ast.expr) -> None:
        """Check a node in which columns may occur."""
        match node:
            case ast.Name(id=name):
                self._column(name)
            case ast.Constant(value=bool() | int() | float()):
                pass
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                # a power of plain numbers alone, again and again, would be computed digit by digit
                if not isinstance(left, ast.Constant) and not any(
                    isinstance(part, ast.Name | ast.Call) for part in ast.walk(left)
                ):
                    self._refuse(node)
                self.read(left)
                self._power(right)
            case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _OPERATORS):
                self.read(left)
                self.read(right)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Invert(), operand=operand):
                self.read(operand)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if isinstance(op, _COMPARISONS):
                self._read_or_word(left)
                self._read_or_word(right)
            case ast.Call(func=ast.Name(id=name)):
                self._call(name, node)
            case _:
                self._refuse(node)

    def _call(self, name: str, node: ast.Call) -> None:
        if name not in FUNCTIONS:
            message = (
                f"there is no function '{name}' for formula '{self.formula}'"
                f"{did_you_mean(name, FUNCTIONS) or ';'} allowed are {_ALLOWED}"
            )
            raise FormulaError(message, formula=self.formula, name=name)
        if name == "Q":
            match node.args, node.keywords:
                case [ast.Constant(value=str() as column)], []:
                    self._column(column)
                case _:
                    self._refuse(node)
            return
        if name in CODINGS and name != "C":
            first_option = 0
        else:
            first_option = 1
            if not node.args:
                self._refuse(node)
            self.read(node.args[0])
        for place, argument in enumerate(node.args[first_option:]):
            self._option(argument)
            if name in SPLINES and (place in _DEGREES_BY_PLACE or isinstance(argument, ast.List | ast.Tuple)):
                self._degrees(argument)
        for keyword in node.keywords:
            if keyword.arg is None:
                self._refuse(node)
            self._option(keyword.value)
            if keyword.arg in ("df", "degree", "knots"):
                self._degrees(keyword.value)

    def _option(self, node: ast.expr) -> None:
        """Check an argument that sets an option: constants, lists of them, codings."""
        match node:
            case ast.Constant(value=None | bool() | int() | float() | str()):
                pass
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
                pass
            case ast.List(elts=items) | ast.Tuple(elts=items):
                for item in items:
                    self._option(item)
            case ast.Name(id=name) if name in CODINGS and name != "C":
                pass
            case ast.Call(func=ast.Name(id=name)) if name in CODINGS and name != "C":
                self._call(name, node)
            case _:
                self._refuse(node)

    def _degrees(self, node: ast.expr) -> None:
        """Check degrees of freedom, the degree or the knots of a spline: a column each."""
        match node:
            case ast.Constant(value=int() | float() as degrees):
                self._require_few(degrees, node)
            case ast.List(elts=knots) | ast.Tuple(elts=knots):
                self._require_few(len(knots), node)
            case _:
                pass

    def _require_few(self, columns: float, node: ast.expr) -> None:
        """Refuse more columns than a spline may have, whether asked for by degrees of freedom or by knots."""
        if columns > MOST_DEGREES:
            name = shortened(ast.unparse(node), 40)
            raise FormulaError(
                f"{name} in formula '{shortened(self.formula)}' asks for more columns of a spline than the "
                f"{MOST_DEGREES} allowed",
                formula=self.formula,
                name=name,
            )

    def _power(self, node: ast.expr) -> None:
        match node:
            case ast.Constant(value=int() | float() as power) if power <= _LARGEST_POWER:
                pass
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as power)) if (
                power <= _LARGEST_POWER
            ):
                pass
            case _:
                self._refuse(node)

    def _read_or_word(self, node: ast.expr) -> None:
        """Check one side of a comparison, which may be a quoted word."""
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            self.read(node)

    def _column(self, name: str) -> None:
        if name not in self.columns:
            odd = "" if name.isidentifier() else ' (quote odd names as Q("name"))'
            suggestion = did_you_mean(name, self.columns)
            if not suggestion:
                suggestion = f"; the columns are {', '.join(list(self.columns)[:20])}"
            raise FormulaError(
                f"formula '{self.formula}' names '{name}', "
                f"which is not a column of the data{odd}{suggestion}",
                formula=self.formula,
                name=name,
            )
        self.used.append(name)

    def _refuse(self, node: ast.expr) -> None:
        shown = shortened(ast.unparse(node), 60)
        advice = "columns, numbers, arithmetic, comparisons and the functions " + _ALLOWED
        if isinstance(node, ast.Attribute):
            advice += '; write log(x), not np.log(x); quote a column with a dot as Q("name")'
        if isinstance(node, ast.Tuple):
            advice = "terms joined by +, as in 'bmi + C(sex)'; no commas"
        raise FormulaError(
            f"'{shown}' is not allowed in formula '{shortened(self.formula)}'; a formula may hold {advice}",
            formula=self.formula,
            name=shown,
        )
