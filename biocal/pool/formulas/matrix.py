"""The matrix of a covariate formula: plain columns as they are, anything else through patsy, so many rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from patsy import stateful_transform

from biocal.errors import BiocalError, FormulaError
from biocal.kernels.splines import default_probabilities, quantile_knots, require_knots, spline_columns
from biocal.pool.formulas.factors import CodedFactor, coded_factors
from biocal.pool.formulas.formula_size import MOST_LEVELS, shortened
from biocal.pool.formulas.grammar import with_columns_renamed
from biocal.pool.tables.cells import number_text

# Rows that patsy evaluates at once: its matrix and the columns it is made of are then small beside the pool.
_ROWS_AT_ONCE = 200_000


def require_few_levels(n_levels: int, what: str) -> None:
    """Refuse ids, and measurements taken for words: a column a person."""
    if n_levels > MOST_LEVELS:
        raise FormulaError(
            f"{what} has {n_levels:,} levels, more than the {MOST_LEVELS:,} allowed; does it hold ids, or numbers "
            "that were taken for words?",
            name=what,
        )


def formula_matrix(
    description: Any,
    data: Mapping[str, Any],
    n_rows: int,
    formula: str,
    agreed: Mapping[str, tuple[Any, ...]] | None,
) -> tuple[tuple[str, ...], NDArray[np.float64], list[CodedFactor]]:
    """Evaluate a formula without its intercept.

    Parameters
    ----------
    description : patsy.ModelDesc
    data : mapping of str to ndarray or Series, shape (n_rows,)
        Columns without missing values: floats, booleans, or Series of words.
    n_rows : int
    formula : str
        For messages.
    agreed : mapping of str to tuple, or None
        Levels of columns, where they are not to be learned from the rows.

    Returns
    -------
    names : tuple of str, length k
    columns : ndarray, shape (n_rows, k)
        Each column in one piece of memory; read-only where it is that of the pool.
    factors : list of CodedFactor

    Raises
    ------
    FormulaError
        It cannot be evaluated.
    """
    from patsy import PatsyError

    plain = _plain_columns(description, data)
    if plain is not None:
        return tuple(plain), _below_one_another([data[name] for name in plain]).T, []
    try:
        with np.errstate(all="ignore"):
            return _through_patsy(description, data, n_rows, agreed)
    except MemoryError as failure:
        message = f"the columns of formula '{shortened(formula)}' do not fit into memory; are the levels ids?"
        raise FormulaError(message, formula=formula, name=formula) from failure
    except (PatsyError, BiocalError, ValueError, TypeError, ArithmeticError, LookupError) as failure:
        cause: BaseException = failure
        while cause.__cause__ is not None and not isinstance(cause, BiocalError):
            cause = cause.__cause__
        reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        raise FormulaError(
            f"formula '{formula}' cannot be evaluated: {reason}", formula=formula, name=formula
        ) from failure


def _plain_columns(description: Any, data: Mapping[str, Any]) -> list[str] | None:
    """Columns of a formula that is a sum of columns of numbers, in order; None for any other."""
    names = []
    for term in description.rhs_termlist:
        if not term.factors:
            continue
        name = term.factors[0].name()
        column = data.get(name)
        if len(term.factors) > 1 or not isinstance(column, np.ndarray) or column.dtype != np.float64:
            return None
        names.append(name)
    return names


def _below_one_another(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Columns as rows of one array: a view that cannot be written to where they lie so in memory, else a copy."""
    first = columns[0]
    places = [column.__array_interface__["data"][0] for column in columns]
    if (
        isinstance(first.base, np.ndarray)
        and all(column.base is first.base and column.flags.c_contiguous for column in columns)
        and all(after - before == first.nbytes for before, after in pairwise(places))
    ):
        shape, strides = (len(columns), first.size), (first.nbytes, first.itemsize)
        return np.lib.stride_tricks.as_strided(first, shape, strides, writeable=False)
    return np.stack(columns)


def _through_patsy(
    description: Any, data: Mapping[str, Any], n_rows: int, agreed: Mapping[str, tuple[Any, ...]] | None
) -> tuple[tuple[str, ...], NDArray[np.float64], list[CodedFactor]]:
    """Learn the coding from all rows, or take the one agreed; then evaluate so many rows at a time."""
    from patsy import build_design_matrices

    places = _places(data)
    info, action = _learned(description, data if agreed is None else _example(data, agreed))
    data = {places[name]: column for name, column in data.items()}
    kept = [i for i, name in enumerate(info.column_names) if name != "Intercept"]
    columns = np.empty((len(kept), n_rows))
    for start in range(0, n_rows, _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, n_rows))
        part = build_design_matrices([info], _rows(data, rows), NA_action=action)[0]
        columns[:, rows] = np.asarray(part)[:, kept].T  # one row for all where the terms are constants
    return tuple(info.column_names[i] for i in kept), columns.T, coded_factors(info)


def _learned(description: Any, data: Mapping[str, Any]) -> tuple[Any, Any]:
    """Patsy's design of a formula, learned from data, and its rule for missing values."""
    from patsy import EvalEnvironment, NAAction, incr_dbuilder

    # missing rows are gone; what is left is checked by the caller
    action = NAAction(on_NA="raise", NA_types=[])
    places = _places(data)
    rows = _rows({places[name]: column for name, column in data.items()}, None)
    info = incr_dbuilder(
        _with_columns_renamed(description, places),
        lambda: iter([rows]),
        eval_env=EvalEnvironment([_functions()]),
        NA_action=action,
    )
    return info, action


def _places(data: Mapping[str, Any]) -> dict[str, str]:
    """What columns are called within patsy: a column may have the name of a function."""
    return {name: f"column_{place}" for place, name in enumerate(data)}


def agreed_factors(
    description: Any, truths: Mapping[str, bool], agreed: Mapping[str, tuple[Any, ...]]
) -> list[CodedFactor]:
    """Factors of a formula by the levels agreed for them, without data.

    Parameters
    ----------
    description : patsy.ModelDesc
    truths : mapping of str to bool
        For each column of the formula whether it holds truth values.
    agreed : mapping of str to tuple
        Levels of columns taken as categories.
    """
    data: dict[str, Any] = {
        name: np.ones(1, dtype=np.bool_ if truth else np.float64) for name, truth in truths.items()
    }
    with np.errstate(all="ignore"):
        return coded_factors(_learned(description, _example(data, agreed))[0])


def _with_columns_renamed(description: Any, places: Mapping[str, str]) -> Any:
    """The same terms, by the same names, of columns that are called otherwise: a column may be called log."""
    from patsy import EvalFactor, ModelDesc, Term

    class Factor(EvalFactor):  # type: ignore[misc]
        """A factor that is shown as the formula has it."""

        def __init__(self, one: Any) -> None:
            super().__init__(with_columns_renamed(one.name(), places), origin=one.origin)
            self.shown = one.name() if one.name() != "Intercept" else 'Q("Intercept")'

        def name(self) -> str:
            return str(self.shown)

    made: dict[str, Any] = {}
    terms = []
    for term in description.rhs_termlist:
        factors = [made.setdefault(one.name(), Factor(one)) for one in term.factors]
        terms.append(Term(factors))
    return ModelDesc([], terms)


def _rows(data: Mapping[str, Any], rows: slice | None) -> dict[str, pd.Series[Any]]:
    """Some rows of the columns, or all, numbered from 0: patsy wants one index for all."""
    taken: dict[str, pd.Series[Any]] = {}
    for name, column in data.items():
        chosen = pd.Series(column if rows is None else column[rows], copy=False)
        taken[name] = chosen if rows is None else chosen.reset_index(drop=True)
    return taken


def _example(data: Mapping[str, Any], agreed: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """Made-up rows that hold every level agreed, for data that need not have them all."""
    length = max((len(levels) for levels in agreed.values()), default=1)
    length = max(length, 2)  # a column of truth values has both
    example: dict[str, Any] = {}
    for name in data:
        levels = agreed.get(name)
        if levels is None:
            truth = getattr(data[name], "dtype", None) == np.bool_
            example[name] = np.arange(length) % 2 == 0 if truth else np.ones(length)
            continue
        cycled = [levels[i % len(levels)] for i in range(length)]
        words = isinstance(levels[0], str)
        example[name] = pd.Categorical(cycled, categories=list(levels)) if words else np.array(cycled)
    return example


def _functions() -> dict[str, Callable[..., Any]]:
    from patsy import stateful_transform

    return {
        "C": stateful_transform(_Category),
        "rcs": rcs,
        "log": np.log,
        "log2": np.log2,
        "log10": np.log10,
        "log1p": np.log1p,
        "exp": np.exp,
        "sqrt": np.sqrt,
        "abs": np.abs,
    }


class _Category:
    """patsy's C(), with whole numbers named 1, 2, ... whether or not the column has missing cells.

    The levels of numbers are learned from all rows, and each row is then told by its place among them: patsy
    alone would go from cell to cell.
    """

    def __init__(self) -> None:
        self._parts: list[NDArray[np.float64]] = []
        self._levels: NDArray[np.float64] = np.empty(0)

    def memorize_chunk(self, data: Any, contrast: Any = None, levels: Any = None) -> None:
        """Collect the distinct numbers of a column of floats."""
        if _floats(data):
            self._parts.append(pd.unique(np.asarray(data, dtype=np.float64)))
            require_few_levels(self._parts[-1].size, "C()")

    def memorize_finish(self) -> None:
        """Order the levels."""
        if self._parts:
            self._levels = np.unique(np.concatenate(self._parts))
            require_few_levels(self._levels.size, "C()")

    def transform(self, data: Any, contrast: Any = None, levels: Any = None) -> Any:
        """Return the data as patsy's C() does."""
        from patsy import builtins

        if not _floats(data):
            return builtins.C(data, _reference_as_word(contrast, data), levels)
        values = np.asarray(data, dtype=np.float64)
        whole = np.isfinite(self._levels).all() and np.array_equal(self._levels, np.floor(self._levels))
        place = np.searchsorted(self._levels, values)
        known = self._levels[np.minimum(place, self._levels.size - 1)] == values
        if levels is not None or not known.all():
            # as patsy has it: the levels in the order given, or its own words about a strange one
            return builtins.C(pd.Series(values.astype(np.int64) if whole else values), contrast, levels)
        # An Index, because patsy names levels by repr and iterating it gives plain Python numbers.
        names = pd.Index(self._levels.astype(np.int64) if whole else self._levels)
        return builtins.C(pd.Series(pd.Categorical.from_codes(place, names)), contrast, levels)


def _reference_as_word(contrast: Any, data: Any) -> Any:
    """Treatment(3) of a factor with a level "3" is against that level; patsy would take the level at place 3."""
    from patsy import Treatment

    reference = getattr(contrast, "reference", None)
    is_number = isinstance(reference, int | float) and not isinstance(reference, bool)
    if isinstance(contrast, Treatment) and is_number and isinstance(data.dtype, pd.CategoricalDtype):
        word = number_text(float(reference))  # type: ignore[arg-type]
        return Treatment(word) if word in data.cat.categories else contrast
    return contrast


def _floats(data: Any) -> bool:
    return isinstance(data, pd.Series | np.ndarray) and pd.api.types.is_float_dtype(data.dtype)


class RestrictedCubicSpline:
    """Restricted cubic spline columns of a covariate (see `biocal.kernels.splines`).

    Called in formulas as ``rcs(x, 4)`` (number of knots, at Harrell's quantiles) or
    ``rcs(x, knots=[20, 25, 30])`` (their places, in the unit of x).
    """

    def __init__(self) -> None:
        self._parts: list[NDArray[np.float64]] = []
        self._knots: NDArray[np.float64] | None = None

    def memorize_chunk(self, x: Any, knots: int | Sequence[float] = 4) -> None:
        """Collect values (patsy passes the data in chunks)."""
        self._parts.append(_numeric(x))
        if not isinstance(knots, int):
            self._knots = require_knots([float(knot) for knot in knots])
        self._n_knots = knots

    def memorize_finish(self) -> None:
        """Place the knots."""
        if self._knots is None:
            assert isinstance(self._n_knots, int)
            self._knots = quantile_knots(np.concatenate(self._parts), default_probabilities(self._n_knots))
        self._parts = []

    def transform(self, x: Any, knots: int | Sequence[float] = 4) -> NDArray[np.float64]:
        """Return the columns, shape (n, K - 1)."""
        assert self._knots is not None
        return np.ascontiguousarray(spline_columns(_numeric(x), self._knots).T)


def _numeric(x: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as failure:
        raise FormulaError("rcs() needs a numeric column", name="rcs") from failure


rcs = stateful_transform(RestrictedCubicSpline)
