"""Which columns a formula takes as categories, and which levels they have: what studies coded apart must agree on."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from biocal.errors import FormulaError
from biocal.pool.formulas.factors import Factor
from biocal.pool.formulas.formula_size import require_moderate, shortened
from biocal.pool.formulas.grammar import column_first, columns_of_factor
from biocal.pool.formulas.matrix import agreed_factors
from biocal.pool.pooled import PooledStudies
from biocal.pool.tables.spelling import one_spelling

#: Transformations that learn from the rows they see, and so differ between studies coded apart.
_LEARNING = ("center", "standardize", "scale", "bs", "cr", "cc")


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """How a column of a formula is coded.

    Attributes
    ----------
    name : str
    kind : {"number", "words", "truth"}
    levels : tuple
        Levels in order, where it is taken as categories; numbers are floats.
    persons : tuple of int
        Rows at each level, of those that have every column of the formula.
    order : tuple of str
        The declared order of words, with levels that no such row has.
    """

    name: str
    kind: str
    levels: tuple[Any, ...] = ()
    persons: tuple[int, ...] = ()
    order: tuple[str, ...] = ()


class _NamedKind(Protocol):
    """A column of a formula, and whether it holds numbers, words or truth values."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...


def factors_of_agreed(
    texts: Mapping[str, str],
    columns: Mapping[str, Sequence[_NamedKind]],
    levels: Mapping[str, Mapping[str, tuple[Any, ...]]],
) -> tuple[Factor, ...]:
    """How formulas code their factors where the levels are agreed, without data.

    Parameters
    ----------
    texts : mapping of str to str
        The formulas, by part of the model.
    columns : mapping of str to sequence
        Columns of each, with ``name`` and ``kind`` as :class:`ColumnKind` has them.
    levels : mapping of str to mapping
        By part of the model and column.
    """
    from patsy import ModelDesc

    found: list[Factor] = []
    for part, text in texts.items():
        truths = {one.name: one.kind == "truth" for one in columns.get(part, ())}
        if any(truths.values()) or levels.get(part):
            coded = agreed_factors(
                ModelDesc.from_formula(column_first(text, truths)), truths, levels.get(part, {})
            )
            found += [
                Factor(part, one[0], ", ".join(columns_of_factor(one[0], truths, text)), *one[1:])
                for one in coded
            ]
    return tuple(found)


def factor_codes(formula: str) -> tuple[str, ...]:
    """Factors of a formula, such as ``bmi`` and ``C(sex)``.

    Raises
    ------
    FormulaError
        The formula cannot be understood.
    """
    from patsy import ModelDesc, PatsyError

    try:
        require_moderate(formula)
        description = ModelDesc.from_formula(formula)
    except FormulaError:
        raise
    except (PatsyError, SyntaxError, ValueError, RecursionError) as failure:
        reason = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
        raise FormulaError(
            f"formula '{formula}' cannot be understood: {reason}", formula=formula, name=formula
        ) from failure
    return tuple(dict.fromkeys(f.name() for term in description.rhs_termlist for f in term.factors))


def require_fixed_coding(formula: str) -> None:
    """Refuse what is not allowed in a formula, and what learns from the rows: each study would code it differently.

    Raises
    ------
    FormulaError
        With what to write instead.
    """
    for code in factor_codes(formula):
        try:
            tree = ast.parse(code.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
            raise FormulaError(
                f"'{shortened(code)}' in formula '{shortened(formula)}' cannot be understood; a column whose "
                'name is not a word is written Q("name")',
                formula=formula,
                name=code,
            ) from failure
        columns_of_factor(code, _possible_columns(tree), formula)
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            name = node.func.id
            if name in _LEARNING:
                raise FormulaError(
                    f"'{name}' in formula '{formula}' learns from the rows it sees and would differ from site to "
                    "site; write the constants yourself, as in I((bmi - 25) / 5), or rcs(bmi, knots=[20, 25, 30])",
                    formula=formula,
                    name=name,
                )
            if name == "rcs" and not _knots_are_given(node):
                raise FormulaError(
                    f"'rcs' in formula '{formula}' would place its knots by the rows of each site; give them, as in "
                    "rcs(bmi, knots=[20, 25, 30])",
                    formula=formula,
                    name=name,
                )


def _possible_columns(tree: ast.AST) -> set[str]:
    """Whatever may be a column, for a formula that is read where the data are not."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _knots_are_given(call: ast.Call) -> bool:
    given = [*call.args[1:], *(word.value for word in call.keywords if word.arg == "knots")]
    return any(isinstance(value, ast.List | ast.Tuple) for value in given)


def column_kinds(pool: PooledStudies, formula: str | None) -> tuple[ColumnKind, ...]:
    """Kinds, and levels where they matter, of the columns of a formula.

    Parameters
    ----------
    pool : PooledStudies
    formula : str or None

    Returns
    -------
    tuple of ColumnKind
        Words, truth values, and numbers inside ``C()`` with the levels that occur in rows with all columns.

    Raises
    ------
    FormulaError
        The formula cannot be understood or names unknown columns.
    """
    text = one_spelling((formula or "").strip())
    if not text:
        return ()
    columns = tuple(map(str, pool.frame.columns))
    as_category: dict[str, bool] = {}
    for code in factor_codes(column_first(text, columns)):
        coded = code.strip() not in columns and any(
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "C"
            for node in ast.walk(ast.parse(code.strip(), mode="eval"))
        )
        for name in columns_of_factor(code, columns, text):
            as_category[name] = as_category.get(name, False) or coded
    complete = np.ones(pool.n_rows, dtype=np.bool_)
    for name in as_category:
        complete &= ~pool.frame[name].isna().to_numpy(dtype=np.bool_)
    return tuple(_kind(pool.frame[name][complete], name, coded) for name, coded in as_category.items())


def _kind(column: pd.Series[Any], name: str, coded: bool) -> ColumnKind:
    if pd.api.types.is_bool_dtype(column.dtype):
        return ColumnKind(name, "truth")
    if pd.api.types.is_numeric_dtype(column.dtype):
        if not coded:
            return ColumnKind(name, "number")
        values, persons = np.unique(column.to_numpy(dtype=np.float64), return_counts=True)
        return ColumnKind(name, "number", tuple(values.tolist()), tuple(persons.tolist()))
    if not isinstance(column.dtype, pd.CategoricalDtype):
        raise FormulaError(f"column '{name}' has type {column.dtype}, neither numbers nor words", name=name)
    kept = column.cat.remove_unused_categories()
    counts = np.bincount(kept.cat.codes.to_numpy(), minlength=len(kept.cat.categories))
    words = tuple(str(word) for word in kept.cat.categories)
    order = tuple(map(str, column.cat.categories)) if column.cat.ordered else ()
    return ColumnKind(name, "words", words, tuple(int(n) for n in counts), order)
