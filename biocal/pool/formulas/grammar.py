"""What a covariate formula may contain: checked on the syntax tree before anything is evaluated."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping

from biocal.errors import FormulaError
from biocal.pool.checks.columns import columns_there, did_you_mean
from biocal.pool.formulas.formula_size import MOST_DEGREES, shortened

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
_NUMBER, _WHOLE, _LIST = "a number", "a whole number", "a list, as in [1, 2, 3]"
_FLAG, _KNOTS = "True or False", "a list of numbers, as in [20, 25, 30]"
_LEVEL = 'a level, as in "never" or 1'
_CODING = "a coding, as in C(sex, Sum) or C(sex, Treatment(1))"
_NATURAL = {"df": _WHOLE, "knots": _KNOTS, "lower_bound": _NUMBER, "upper_bound": _NUMBER}
# What a function takes after its variable, in order, and of which kind; all others take their variable alone.
_OPTIONS: dict[str, dict[str, str]] = {
    "C": {"contrast": _CODING, "levels": _LIST},
    "rcs": {"knots": f"{_WHOLE}, or {_KNOTS}"},
    "bs": {
        "df": _WHOLE,
        "knots": _KNOTS,
        "degree": _WHOLE,
        "include_intercept": _FLAG,
        "lower_bound": _NUMBER,
        "upper_bound": _NUMBER,
    },
    "cr": {**_NATURAL, "constraints": '"center"'},
    "cc": {**_NATURAL, "constraints": '"center"'},
    "Treatment": {"reference": _LEVEL},
    "Sum": {"omit": _LEVEL},
    "Poly": {"scores": _KNOTS},
}
# Powers beyond this are a slip; it also keeps constants such as 9**9**9 from running for ever.
_LARGEST_POWER = 10


def column_first(formula: str, columns: Collection[str]) -> str:
    """Quote a formula that is the name of a column, such as ``smoking status``, where it would be taken apart."""
    name = formula.strip()
    if name not in columns or name.isidentifier():
        return formula
    quoted = repr(name) if '"' in name or "\\" in name else f'"{name}"'
    return f"Q({quoted})"


def with_columns_renamed(code: str, columns: Mapping[str, str]) -> str:
    """Write other names for the columns of a factor: no name of a column then hides a function."""
    if code.strip() in columns:
        return columns[code.strip()]
    return ast.unparse(_Renamer(columns).visit(ast.parse(code.strip(), mode="eval")))


class _Renamer(ast.NodeTransformer):
    """Gives columns, bare or in Q(), other names; functions and codings keep theirs."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.columns = columns

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.columns.get(node.id, node.id), node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        assert isinstance(node.func, ast.Name)  # as the grammar has it
        if node.func.id == "Q":
            assert isinstance(node.args[0], ast.Constant)
            return ast.Name(self.columns[str(node.args[0].value)], ast.Load())
        if node.func.id not in CODINGS or node.func.id == "C":
            node.args[0] = self.visit(node.args[0])
        return node


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
    if code.strip() in columns:
        return [code.strip()]
    try:
        tree = ast.parse(code.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
        raise FormulaError(
            f"'{shortened(code)}' in formula '{shortened(formula)}' cannot be understood; a column whose name is not a "
            'word is written Q("name")',
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
        given = node.args
        if name not in CODINGS or name == "C":
            if not given:
                self._refuse(node)
            self.read(given[0])
            given = given[1:]
        options = _OPTIONS.get(name, {})
        if len(given) > len(options):
            self._refuse_option(name, given[len(options)])
        named = [(keyword.arg or "**", keyword.value) for keyword in node.keywords]
        for option, value in (*zip(options, given, strict=False), *named):
            self._option(name, option, value)

    def _option(self, function: str, option: str, node: ast.expr) -> None:
        """Check an argument after the variable: its name, its kind and how much it asks for."""
        wanted = _OPTIONS.get(function, {}).get(option)
        if wanted is None:
            self._refuse_option(function, node, option)
            return
        if wanted == _CODING and isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in CODINGS[1:]:
                self._call(node.func.id, node)
                return
        if not _is_of_kind(node, wanted):
            shown = shortened(f"{option}={ast.unparse(node)}", 60)
            raise FormulaError(
                f"'{shown}' of {function}() in formula '{shortened(self.formula)}' is not {wanted}",
                formula=self.formula,
                name=shown,
            )
        if function in SPLINES:
            self._columns_of_spline(node)

    def _refuse_option(self, function: str, node: ast.expr, option: str = "") -> None:
        shown = shortened(f"{option}={ast.unparse(node)}" if option else ast.unparse(node), 60)
        takes = ", ".join(_OPTIONS.get(function, {}))
        if takes:
            advice = f"its options are {takes}"
        else:
            advice = (
                "it has no options"
                if function in CODINGS
                else "it takes one column or expression and no options"
            )
        raise FormulaError(
            f"'{shown}' is not allowed within {function}() in formula '{shortened(self.formula)}'; {advice}",
            formula=self.formula,
            name=shown,
        )

    def _columns_of_spline(self, node: ast.expr) -> None:
        """Refuse degrees of freedom, a degree or knots of a spline that ask for too many columns."""
        match node:
            case ast.Constant(value=int() as asked):
                pass
            case ast.List(elts=knots) | ast.Tuple(elts=knots):
                asked = len(knots)
            case _:
                return
        if asked > MOST_DEGREES:
            shown = shortened(ast.unparse(node), 60)
            raise FormulaError(
                f"{shown} in formula '{shortened(self.formula)}' asks for more columns of a spline "
                f"than the {MOST_DEGREES} allowed",
                formula=self.formula,
                name=shown,
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
            suggestion = columns_there(name, self.columns)
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


def _is_of_kind(node: ast.expr, wanted: str) -> bool:
    """Whether an argument is what an option takes."""
    if wanted == _CODING:
        return (isinstance(node, ast.Name) and node.id in CODINGS[1:]) or _constant(node) is None
    if wanted.endswith(_KNOTS) and isinstance(node, ast.List | ast.Tuple):
        return bool(node.elts) and all(_is_of_kind(item, _NUMBER) for item in node.elts)
    if wanted == _LIST:
        return (
            isinstance(node, ast.List | ast.Tuple)
            and bool(node.elts)
            and all(_is_of_kind(item, _LEVEL) or _is_of_kind(item, _FLAG) for item in node.elts)
        )
    value = _constant(node)
    if wanted == '"center"':
        return value == "center"
    if wanted == _FLAG:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return wanted == _LEVEL
    if wanted == _NUMBER:
        return isinstance(value, int | float)
    if wanted == _LEVEL:
        return isinstance(value, int | float | str)
    return wanted.startswith(_WHOLE) and isinstance(value, int)


def _constant(node: ast.expr) -> object:
    """A constant with its sign; the node itself for anything else."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case _:
            return node
