"""Covariate formulas into design columns, through patsy and only with what the grammar allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.errors import ColumnError, FormulaError
from biocal.pool.checks.columns import columns_there
from biocal.pool.checks.notices import counted
from biocal.pool.formulas.factors import Factor
from biocal.pool.formulas.formula_size import require_moderate, shortened
from biocal.pool.formulas.grammar import column_first, columns_of_factor
from biocal.pool.formulas.matrix import formula_matrix, require_few_levels
from biocal.pool.formulas.missing_indicator import MISSING_LEVEL, FilledColumns, fill_columns
from biocal.pool.pooled import PooledStudies
from biocal.pool.tables.cells import parse_number
from biocal.pool.tables.spelling import one_spelling

_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
# A text column with this share of numbers among its values is a numeric column with a slip in it.
_MOSTLY_NUMBERS = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class DesignColumns:
    """Columns of a covariate formula, without intercept.

    Attributes
    ----------
    names : tuple of str, length k
        As patsy names them.
    values : ndarray, shape (n, k)
        One row for every row of the pool, each column in one piece of memory; NaN rows where a variable is missing.
        Read-only where it is the memory of the pool's frame.
    missing : dict of str to ndarray of bool, shape (n,)
        For each column of the data that the formula uses, where it is missing.
    filled : dict of str to (ndarray of bool, shape (n,), str)
        Columns whose gaps were filled: where, and with what in words; they are not among `missing`.
    factors : tuple of Factor
        What is coded as categories, and how.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    missing: dict[str, NDArray[np.bool_]]
    filled: dict[str, tuple[NDArray[np.bool_], str]] = field(default_factory=dict)
    factors: tuple[Factor, ...] = ()

    def factors_of(self, formula: str) -> tuple[Factor, ...]:
        """The factors, as those of this formula of the model."""
        return tuple(replace(one, formula=formula) for one in self.factors)


def design_columns(pool: PooledStudies, formula: str | None, *, missing: str = "complete") -> DesignColumns:
    """Evaluate a covariate formula on the pool.

    Parameters
    ----------
    pool : PooledStudies
    formula : str or None
        A patsy formula in the columns of the data, such as ``"bmi + C(smoking) + rcs(age, 4)"``;
        blank or None for no covariates.  It is built with an intercept whose column is then
        removed.  Besides patsy's own, `rcs` gives restricted cubic splines: ``rcs(x, 4)`` with knots
        at Harrell's quantiles, ``rcs(x, knots=[...])`` with given ones.
    missing : {"complete", "indicator"}
        Whether rows with a missing variable have NaN, or gaps are filled and indicators added; see
        :mod:`biocal.pool.formulas.missing_indicator`.

    Returns
    -------
    DesignColumns
        Quantile knots, centres and levels are learned from all rows that have every variable, unless the
        pool has agreed ``levels`` for the formula.

    Raises
    ------
    FormulaError
        The formula cannot be understood, names an unknown column (with near names), holds more than
        columns, arithmetic and the allowed functions, or gives values that are not finite.
    """
    text = one_spelling((formula or "").strip())
    if not text:
        return _nothing(pool)
    description, used = _understood(text, tuple(map(str, pool.frame.columns)))
    if not used:
        return _no_columns(pool, description, text)
    gaps = {name: pool.frame[name].isna().to_numpy(dtype=np.bool_) for name in used}
    filled = FilledColumns({}, {}, {})
    if missing == "indicator":
        # a measurement, a set or a study that is missing is not filled
        fillable = {name: gap for name, gap in gaps.items() if gap.any() and name not in pool.roles.named}
        filled = fill_columns(pool, fillable, factor_codes(description), text)
        gaps = {name: gap for name, gap in gaps.items() if name not in fillable}
    complete = ~np.logical_or.reduce([*gaps.values(), np.zeros(pool.n_rows, dtype=np.bool_)])
    if not complete.any():
        raise FormulaError(
            f"no row has values for all of {', '.join(used)}", formula=text, name=",".join(used)
        )
    frame = {name: filled.columns.get(name, pool.frame[name]) for name in used}
    everywhere = bool(complete.all())
    data = {
        name: _values(
            column if everywhere else column[complete],
            name,
            pool,
            text,
            _always_categories(name, description),
        )
        for name, column in frame.items()
    }
    agreed = None if pool.levels is None else pool.levels.get(text, {})
    if agreed is not None:
        data = {name: _recoded(column, name, agreed, text) for name, column in data.items()}
    names, columns, coded = formula_matrix(description, data, int(complete.sum()), text, agreed)
    _require_finite(names, columns, complete, pool, text)
    values = columns
    if not everywhere:
        values = np.full((len(names), pool.n_rows), np.nan).T
        values[complete] = columns
    indicators = [name for name in filled.indicators if filled.indicators[name][complete].any()]
    marks = [np.where(complete, filled.indicators[name], np.nan) for name in indicators]
    return DesignColumns(
        (*names, *(f"{name}[{MISSING_LEVEL}]" for name in indicators)),
        np.vstack([values.T, *marks]).T if marks else values,
        gaps,
        {
            name: (pool.frame[name].isna().to_numpy(dtype=np.bool_), words)
            for name, words in filled.values.items()
        },
        tuple(
            Factor("", one[0], ", ".join(columns_of_factor(one[0], used, text)), *one[1:]) for one in coded
        ),
    )


def _nothing(pool: PooledStudies) -> DesignColumns:
    return DesignColumns((), np.empty((pool.n_rows, 0)), {})


def _no_columns(pool: PooledStudies, description: Any, formula: str) -> DesignColumns:
    """A formula without columns: "1" means no covariates, other constants are refused."""
    if len(description.rhs_termlist) > 1:
        raise FormulaError(f"formula '{formula}' uses no column of the data", formula=formula, name=formula)
    return _nothing(pool)


def variable_columns(pool: PooledStudies, name: str) -> NDArray[Any]:
    """Return a column of the data as it is, for an effect modifier.

    Returns
    -------
    ndarray, shape (n,)
        float64 with NaN where missing for numbers, else objects (str) with None where missing.

    Raises
    ------
    ColumnError
        No such column (attribute ``column``).
    """
    name = one_spelling(name)
    if name not in pool.frame.columns:
        there = columns_there(name, pool.frame.columns)
        raise ColumnError(f"there is no column '{name}' in the data{there}", column=name)
    column = pool.frame[name]
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    objects = np.array([None if pd.isna(value) else str(value) for value in column], dtype=object)
    return objects


def _understood(formula: str, columns: tuple[str, ...]) -> tuple[Any, list[str]]:
    """Patsy's description of the formula, nothing evaluated, and the columns it uses."""
    from patsy import INTERCEPT, ModelDesc, PatsyError

    try:
        require_moderate(column_first(formula, columns))
        description = ModelDesc.from_formula(column_first(formula, columns))
    except FormulaError:
        raise
    except (PatsyError, SyntaxError, ValueError, RecursionError, AssertionError, LookupError) as failure:
        # the last two are how patsy stumbles over a comma outside brackets, or an open triple quote
        reason = str(failure).splitlines()[0] if str(failure) else "a comma or a quote is out of place"
        raise FormulaError(
            f"formula '{shortened(formula)}' cannot be understood: {reason}", formula=formula, name=formula
        ) from failure
    if description.lhs_termlist:
        raise FormulaError(
            f"formula '{formula}' has an outcome before '~'; give covariates only, as in 'bmi + C(smoking)'",
            formula=formula,
            name="~",
        )
    if INTERCEPT not in description.rhs_termlist:
        raise FormulaError(
            f"formula '{formula}' removes the intercept; leave '0' and '-1' out, it is removed afterwards",
            formula=formula,
            name="-1",
        )
    used = [name for code in factor_codes(description) for name in columns_of_factor(code, columns, formula)]
    return description, list(dict.fromkeys(used))


def factor_codes(description: Any) -> list[str]:
    """Factors of a formula as they are written, each once."""
    return list(dict.fromkeys(f.name() for term in description.rhs_termlist for f in term.factors))


def _always_categories(name: str, description: Any) -> bool:
    """Whether every factor with a column says that it is categories: C(name)."""
    words = re.compile(rf"\b{re.escape(name)}\b")
    return all(
        code.replace(" ", "").startswith("C(") for code in factor_codes(description) if words.search(code)
    )


def _values(column: pd.Series[Any], name: str, pool: PooledStudies, formula: str, coded: bool) -> Any:
    """A column without missing values as patsy takes it: floats, booleans or words (`coded`: on purpose)."""
    dtype = column.dtype
    if pd.api.types.is_bool_dtype(dtype):
        return column.to_numpy(dtype=np.bool_)
    if pd.api.types.is_numeric_dtype(dtype):
        return column.to_numpy(dtype=np.float64)
    if isinstance(dtype, pd.CategoricalDtype):
        # Levels that occur only where another variable is missing would give columns of zeros.
        kept = column.cat.remove_unused_categories()
        require_few_levels(len(kept.cat.categories), f"column '{name}' of formula '{shortened(formula)}'")
        _require_words(kept, name, pool, formula, coded)
        if not coded:
            _require_no_decimal_commas(kept, name, pool, formula)
        return kept.reset_index(drop=True)
    raise FormulaError(
        f"column '{name}' of formula '{formula}' has type {dtype}, which is neither numbers nor words",
        formula=formula,
        name=name,
    )


def _require_words(column: pd.Series[Any], name: str, pool: PooledStudies, formula: str, coded: bool) -> None:
    """Refuse a numeric column that became text because of a few cells."""
    if pd.api.types.is_numeric_dtype(pool.frame[name].dtype) or column.cat.ordered:
        return  # its gaps were filled with a level of their own, or its levels were declared
    words = [str(word) for word in column.cat.categories]
    is_number = np.array([not np.isnan(parse_number(word)) for word in words])
    codes = column.cat.codes.to_numpy()
    if is_number.all() or is_number[codes].mean() < _MOSTLY_NUMBERS or name in pool.roles.named:
        return
    fractions = np.array([parse_number(word) % 1 > 0 for word in words])
    if coded and fractions[codes].mean() < _MOSTLY_NUMBERS:
        return  # whole numbers within C() are levels; numbers with decimals are measurements
    odd = np.flatnonzero(~is_number[codes])
    place = pool.place(int(column.index[odd[0]]))
    where = f"{place['file']}:{place['line']}" if place["file"] else f"row {place['line']}"
    raise FormulaError(
        f"column '{name}' of formula '{formula}' holds numbers except for "
        f"{counted(odd.size, 'cell')} (first {where}: '{words[codes[odd[0]]]}'); mend them or leave them "
        f"blank, or write C({name}) if the values are categories",
        formula=formula,
        name=name,
    )


def _require_no_decimal_commas(column: pd.Series[Any], name: str, pool: PooledStudies, formula: str) -> None:
    """Refuse '12,5' and its like taken for categories, as they would be where commas separate columns."""
    words = [str(word) for word in column.cat.categories]
    codes = column.cat.codes.to_numpy()
    with_comma = np.array([_DECIMAL_COMMA.fullmatch(word) is not None for word in words], dtype=np.bool_)[
        codes
    ]
    plain = np.array([not np.isnan(parse_number(word)) for word in words], dtype=np.bool_)[codes]
    if not with_comma.any() or (with_comma | plain).mean() < _MOSTLY_NUMBERS:
        return
    first = int(np.flatnonzero(with_comma)[0])
    place = pool.place(int(column.index[first]))
    where = f"{place['file']}:{place['line']}" if place["file"] else f"row {place['line']}"
    word = words[codes[first]]
    raise FormulaError(
        f"column '{name}' of formula '{shortened(formula)}' has a decimal comma in "
        f"{counted(int(with_comma.sum()), 'cell')} (first {where}: '{word}') and would be taken for categories; write "
        f"{word.replace(',', '.')}, or separate the columns of the file by semicolons; if they are categories, write "
        f"C({name})",
        formula=formula,
        name=name,
    )


def _recoded(column: Any, name: str, agreed: Mapping[str, tuple[Any, ...]], formula: str) -> Any:
    """A column of words with the levels agreed for it."""
    if not isinstance(column, pd.Series):
        return column
    found = [str(word) for word in column.cat.categories]
    strange = [word for word in found if word not in agreed.get(name, ())]
    if strange:
        raise FormulaError(
            f"column '{name}' of formula '{formula}' has levels that are not among those agreed: "
            f"{', '.join(strange[:5])}",
            formula=formula,
            name=name,
        )
    return column.cat.set_categories(list(agreed[name]))


def _require_finite(
    names: tuple[str, ...],
    columns: NDArray[np.float64],
    complete: NDArray[np.bool_],
    pool: PooledStudies,
    formula: str,
) -> None:
    """Refuse terms that are not finite, such as the logarithm of 0."""
    for j, name in enumerate(names):
        bad = np.flatnonzero(~np.isfinite(columns[:, j]))
        if bad.size:
            rows = np.flatnonzero(complete)
            place = pool.place(int(rows[bad[0]]))
            where = f"{place['file']}:{place['line']}" if place["file"] else f"row {place['line']}"
            raise FormulaError(
                f"term '{name}' of formula '{formula}' is not a finite number in {counted(bad.size, 'row')} "
                f"(first {where}); is it the logarithm of 0?",
                formula=formula,
                name=name,
                rows=rows[bad],
            )
