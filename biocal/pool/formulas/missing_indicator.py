"""The missing-indicator method: missing covariates are filled, and a column of their own says where.

In matched sets it keeps the set of a person whose covariate is missing.  The exposure's coefficient is then biased
when the covariate confounds it, for the filled persons are not adjusted (Greenland and Finkle, Am J Epidemiol
1995;142:1255-1264; Huberman and Langholz, Am J Epidemiol 1999;150:1340-1345, for matched sets).
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.errors import FormulaError
from biocal.pool.pooled import PooledStudies

BoolArray = NDArray[np.bool_]

#: How missing covariates are treated.
MISSING_RULES = ("complete", "indicator")
#: Name of the level that stands for a missing value.
MISSING_LEVEL = "missing"


@dataclass(frozen=True, slots=True, eq=False)
class FilledColumns:
    """Columns of a formula with every gap filled.

    Attributes
    ----------
    columns : mapping of str to Series
        Those that had gaps; factors have a level more.
    indicators : mapping of str to ndarray of bool, shape (n,)
        Numeric ones: where the value was missing.
    values : mapping of str to str
        What they were filled with, in words.
    """

    columns: Mapping[str, pd.Series[Any]]
    indicators: Mapping[str, BoolArray]
    values: Mapping[str, str]


def fill_columns(
    pool: PooledStudies, missing: Mapping[str, BoolArray], codes: Sequence[str], formula: str
) -> FilledColumns:
    """Fill the gaps of a formula's columns.

    Parameters
    ----------
    pool : PooledStudies
    missing : mapping of str to ndarray of bool, shape (n,)
        Columns with gaps.
    codes : sequence of str
        Factors of the formula, such as ``bmi`` and ``C(smoking)``.
    formula : str
        For messages.

    Returns
    -------
    FilledColumns
        A number is filled with the mean of the values there are; the choice does not matter to a term that is
        linear in it, whose indicator takes up the difference.  A column of words, or one within ``C()``, gets
        the level "missing", the last one, so that the base level stays.

    Raises
    ------
    FormulaError
        A column without any value.
    """
    columns: dict[str, pd.Series[Any]] = {}
    indicators: dict[str, BoolArray] = {}
    values: dict[str, str] = {}
    factors = columns_as_factors(codes, missing)
    for name, gaps in missing.items():
        if gaps.all():
            raise FormulaError(
                f"column '{name}' of formula '{formula}' has no value at all", formula=formula, name=name
            )
        column = pool.frame[name]
        numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
        if numeric and name not in factors:
            numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
            mean = float(numbers[~gaps].mean())
            columns[name] = pd.Series(np.where(gaps, mean, numbers))
            indicators[name] = gaps
            values[name] = f"the mean, {mean:.4g}, with an indicator column"
        else:
            columns[name] = _with_level(column, gaps)
            values[name] = f"a level of its own, '{MISSING_LEVEL}'"
    return FilledColumns(columns, indicators, values)


def columns_as_factors(codes: Sequence[str], names: Collection[str]) -> set[str]:
    """Columns that a formula takes as factors: those that stand directly within ``C()``."""
    found: set[str] = set()
    for code in codes:
        for node in ast.walk(ast.parse(code.strip(), mode="eval")):
            match node:
                case ast.Call(func=ast.Name(id="C"), args=[ast.Name(id=name), *_]):
                    found.add(name)
                case ast.Call(
                    func=ast.Name(id="C"),
                    args=[ast.Call(func=ast.Name(id="Q"), args=[ast.Constant(value=str() as name)]), *_],
                ):
                    found.add(name)
                case _:
                    pass
    return found & set(names)


def _with_level(column: pd.Series[Any], gaps: BoolArray) -> pd.Series[Any]:
    """The column as a factor whose last level stands for a missing value."""
    plain = column.astype(object).to_numpy()
    present = pd.Series(plain[~gaps])
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        numbers = present.to_numpy(dtype=np.float64)
        whole = bool(np.array_equal(numbers, np.floor(numbers)))
        present = pd.Series([int(x) if whole else float(x) for x in numbers], dtype=object)
        levels: list[Any] = sorted(set(present))
    elif isinstance(column.dtype, pd.CategoricalDtype):
        levels = [level for level in column.cat.categories if level in set(present)]
    else:
        levels = sorted(set(present))
    if MISSING_LEVEL in levels:
        levels.remove(MISSING_LEVEL)
    codes = np.full(plain.size, len(levels), dtype=np.intp)
    place = {level: k for k, level in enumerate(levels)} | {MISSING_LEVEL: len(levels)}
    codes[~gaps] = [place[value] for value in present]
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index([*levels, MISSING_LEVEL], dtype=object)))
