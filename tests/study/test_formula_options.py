"""Options of the functions in formulas: those that a function has, of their kind, and no others."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from biocal.errors import FormulaError
from biocal.pool.formulas.covariates import design_columns
from biocal.pool.formulas.grammar import FUNCTIONS
from biocal.pool.formulas.levels import require_fixed_coding
from biocal.pool.pooled import PooledStudies

MANY = ", ".join(map(str, range(1, 601)))


@pytest.fixture(scope="module")
def pool() -> PooledStudies:
    rng = np.random.default_rng(5)
    n = 60
    return PooledStudies.from_frame(
        pd.DataFrame(
            {
                "study": "S",
                "set": np.arange(n) // 2,
                "case": np.arange(n) % 2,
                "reference": rng.normal(50, 10, n),
                "x": rng.normal(26, 4, n),
                "g": rng.integers(1, 4, n),
                "sex": rng.choice(["f", "m"], n),
            }
        )
    )


@pytest.mark.parametrize(
    "formula",
    [
        "log(x, where=False)",
        "log(x, 1)",
        "sqrt(x, x)",
        "abs(x, out=None)",
        "exp(x, dtype='float16')",
        "log(x, casting='unsafe')",
        "standardize(x, ddof=1)",
        "I(x, 1)",
        "Q('x', 1)",
        "C(sex, 'Treatment')",
        "C(sex, True)",
        "C(sex, 5)",
        "C(sex, [1, 2])",
        "C(sex, levels=3)",
        "C(sex, level=['f', 'm'])",
        "C(sex, Treatment(base='f'))",
        "C(sex, Treatment(reference=99))",
        "C(sex, Treatment('nosuch'))",
        "C(sex, Helmert(1))",
        "bs(x, df=2.5)",
        "bs(x, df='3')",
        "bs(x, df=3, **{})",
        f"bs(x, knots=[{MANY}])",
        f"cr(x, knots=[{MANY}])",
        f"cc(x, knots=({MANY}))",
        f"rcs(x, knots=[{MANY}])",
        "rcs(x, knots=['a', 'b', 'c'])",
        "rcs(x, True)",
    ],
)
def test_what_a_function_does_not_take_is_refused_by_name(pool, formula):
    with pytest.raises(FormulaError):
        design_columns(pool, formula)


def test_the_message_names_the_argument_and_the_options_there_are(pool):
    with pytest.raises(FormulaError, match=r"'where=False' is not allowed within log\(\).*no options"):
        design_columns(pool, "log(x, where=False)")
    with pytest.raises(FormulaError, match=r"is not a coding, as in C\(sex, Sum\)"):
        design_columns(pool, "C(sex, 'Treatment')")
    with pytest.raises(FormulaError, match="not allowed within log"):
        require_fixed_coding("log(x, dtype='float16')")


@pytest.mark.parametrize(
    "formula",
    [
        "C(g, Treatment(2))",
        "C(g, Treatment(reference=2), levels=[3, 2, 1])",
        "C(g, levels=(1, 2, 3))",
        "C(sex, Sum(omit='f'))",
        "C(g, Poly(scores=[1, 2, 4]))",
        "C(g, Poly([1, 2, 4]))",
        "bs(x, 5, degree=2, include_intercept=True)",
        "bs(x, knots=[24, 26], lower_bound=-50, upper_bound=90)",
        "cr(x, df=3, constraints='center')",
        "rcs(x, 4)",
        "rcs(x, [20, 25, 30])",
    ],
)
def test_the_options_of_codings_and_splines_are_taken(pool, formula):
    assert np.isfinite(design_columns(pool, formula).values).all()


def test_odd_arguments_give_a_matrix_or_a_refusal_and_never_another_error(pool):
    odd = (
        "0",
        "-1",
        "99",
        "1e400",
        "None",
        "True",
        "'f'",
        "[]",
        "[1]",
        "['f']",
        "Sum",
        "Treatment(7)",
        "x",
        "{}",
    )
    keywords = (
        "",
        "df=",
        "knots=",
        "degree=",
        "levels=",
        "contrast=",
        "lower_bound=",
        "where=",
        "constraints=",
    )
    rng = np.random.default_rng(3)
    calls = list(itertools.product(sorted(FUNCTIONS), ("x", "g", "sex"), keywords, odd))
    for i in rng.choice(len(calls), 500, replace=False):
        function, column, keyword, argument = calls[i]
        try:
            design = design_columns(pool, f"{function}({column}, {keyword}{argument})")
        except FormulaError:
            continue
        assert np.isfinite(design.values).all()
