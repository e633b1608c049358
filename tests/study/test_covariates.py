"""Covariate formulas: as patsy builds them, with splines, and with nothing that is not allowed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import patsy
import pytest

from biocal.errors import ColumnError, FormulaError
from biocal.kernels.splines import spline_columns
from biocal.pool.formulas.covariates import design_columns, variable_columns
from biocal.pool.pooled import PooledStudies

SAME_ARITHMETIC = 1e-12  # the same products and sums, in another order


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n = 80
    return pd.DataFrame(
        {
            "study": np.repeat(["A", "B"], n // 2),
            "set": np.tile(np.arange(n // 4).repeat(2), 2),
            "case": np.tile([1, 0], n // 2),
            "reference": rng.normal(50, 10, n),
            "bmi": rng.normal(26, 4, n),
            "age": rng.integers(40, 70, n),
            "month": rng.integers(1, 5, n),
            "smoking": rng.choice(["never", "former", "current"], n),
            "vitamin D (μg)": rng.normal(5, 1, n),
        }
    )


@pytest.fixture
def pool(frame) -> PooledStudies:
    return PooledStudies.from_frame(frame)


@pytest.mark.parametrize(
    "formula",
    [
        "bmi",
        "bmi + C(smoking)",
        "smoking",
        "C(month)",
        "bmi*C(smoking) + C(smoking, Treatment('never'))",
        "C(month, Sum)",
        "C(month, levels=[4, 3, 2, 1])",
        "I(bmi**2) + age:smoking",
        "center(bmi) + standardize(age) + bs(bmi, df=5) + cr(age, df=3)",
        "Q('vitamin D (μg)')",
        "(bmi + age)**2",
        "I((bmi > 25) & (smoking == 'never')) + bmi/age",
        "I(age - 60) + I(bmi/age**-1)",
        "C(smoking):bmi + 1",
        "~ bmi",
    ],
)
def test_columns_and_names_are_those_of_patsy_without_the_intercept(pool, frame, formula):
    design = design_columns(pool, formula)
    expected = patsy.dmatrix(formula, frame.assign(age=frame["age"].astype(float)))
    kept = [i for i, name in enumerate(expected.design_info.column_names) if name != "Intercept"]
    assert list(design.names) == [expected.design_info.column_names[i] for i in kept]
    np.testing.assert_allclose(design.values, np.asarray(expected)[:, kept], rtol=SAME_ARITHMETIC)


def test_logarithms_are_there_without_numpy(pool, frame):
    design = design_columns(
        pool, "log(bmi) + log2(bmi) + log10(bmi) + sqrt(age) + exp(I(bmi/100)) + abs(I(-bmi))"
    )
    bmi = frame["bmi"].to_numpy()
    columns = [np.log(bmi), np.log2(bmi), np.log10(bmi), np.sqrt(frame["age"]), np.exp(bmi / 100), bmi]
    np.testing.assert_allclose(design.values, np.column_stack(columns), rtol=SAME_ARITHMETIC)


@pytest.mark.parametrize("formula", [None, "", "  ", "1", "~ 1"])
def test_no_formula_gives_no_columns(pool, formula):
    design = design_columns(pool, formula)
    assert (design.names, design.values.shape, design.missing) == ((), (80, 0), {})


def test_missing_values_are_told_by_variable_and_leave_nan_rows(frame):
    bmi, smoking = frame["bmi"].copy(), frame["smoking"].astype(object)
    bmi[3], smoking[[3, 7]] = np.nan, ["", None]
    pool = PooledStudies.from_frame(frame.assign(bmi=bmi, smoking=smoking))
    design = design_columns(pool, "C(smoking)*bmi + log(bmi)")
    assert {name: np.flatnonzero(mask).tolist() for name, mask in design.missing.items()} == {
        "smoking": [3, 7],
        "bmi": [3],
    }
    assert np.flatnonzero(np.isnan(design.values).any(axis=1)).tolist() == [3, 7]
    assert np.flatnonzero(np.isnan(design.values).all(axis=1)).tolist() == [3, 7]


def test_names_of_whole_number_levels_do_not_depend_on_missing_cells(frame):
    month = frame["month"].astype(float)
    month[5] = np.nan
    names = design_columns(PooledStudies.from_frame(frame.assign(month=month)), "C(month)").names
    assert names == ("C(month)[T.2]", "C(month)[T.3]", "C(month)[T.4]")


def test_levels_that_occur_only_in_incomplete_rows_give_no_column(frame):
    smoking, bmi = frame["smoking"].astype(object), frame["bmi"].copy()
    smoking[0], bmi[0] = "pipe", np.nan
    design = design_columns(PooledStudies.from_frame(frame.assign(smoking=smoking, bmi=bmi)), "bmi + smoking")
    assert design.names == ("smoking[T.former]", "smoking[T.never]", "bmi")


def test_an_ordered_categorical_of_the_caller_keeps_its_baseline(frame):
    typed = pd.Categorical(frame["smoking"], categories=["never", "former", "current"])
    design = design_columns(PooledStudies.from_frame(frame.assign(smoking=typed)), "smoking")
    assert design.names == ("smoking[T.former]", "smoking[T.current]")


def test_splines_with_given_knots_are_the_kernel_s_columns(pool, frame):
    design = design_columns(pool, "age + rcs(bmi, knots=[20, 25, 30, 33.5])")
    assert design.names[1:] == tuple(f"rcs(bmi, knots=[20, 25, 30, 33.5])[{j}]" for j in range(3))
    np.testing.assert_array_equal(design.values[:, 1:], spline_columns(frame["bmi"], [20, 25, 30, 33.5]).T)


def test_splines_with_a_number_of_knots_use_harrell_s_quantiles_of_complete_rows(frame):
    bmi = frame["bmi"].copy()
    bmi[:4] = np.nan
    design = design_columns(PooledStudies.from_frame(frame.assign(bmi=bmi)), "rcs(bmi, 4)")
    knots = np.quantile(bmi.dropna(), [0.05, 0.35, 0.65, 0.95])
    np.testing.assert_allclose(design.values[4:], spline_columns(bmi[4:], knots).T, rtol=SAME_ARITHMETIC)
    assert len(design.names) == 3


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('true')",
        "__import__('os')",
        "lambda x: x",
        "bmi.__class__",
        "np.log(bmi)",
        "[b for b in bmi]",
        "I([b for b in bmi])",
        "I((lambda: bmi)())",
        "eval('bmi')",
        "I(bmi[0])",
        "I(f'{bmi}')",
        "I(bmi if bmi else age)",
        "I({1: bmi})",
        "I((x := bmi))",
        "I(bmi, *[1])",
        "I(bmi, **{'a': 1})",
        "I('a' * 10**9)",
        "I(bmi ** 9 ** 9)",
        "I(9 ** bmi)",
        "I(bmi ** 1000000)",
        "Q(bmi)",
        "Q('bmi' + '')",
        "C(smoking, __import__('os'))",
        "C(smoking, Treatment(bmi.x))",
        "rcs(bmi, knots=[open('x')])",
        "C()",
        "I(bmi < age < 60)",
        "I(bmi and age)",
        "open",
        "exit()",
        "__builtins__",
    ],
)
def test_what_the_grammar_does_not_allow_is_refused_before_evaluation(pool, formula):
    with pytest.raises(FormulaError) as refused:
        design_columns(pool, formula)
    assert refused.value.formula == formula


@pytest.mark.parametrize(
    "formula", ["bmi +", "bmi + + ", "(bmi", "bmi age", "C(smoking", "bmi ~ age", "$", "bmi ** x"]
)
def test_what_cannot_be_parsed_is_refused(pool, formula):
    with pytest.raises(FormulaError, match="formula"):
        design_columns(pool, formula)


@pytest.mark.parametrize("formula", ["0 + bmi", "bmi - 1", "-1 + smoking"])
def test_removing_the_intercept_is_refused_in_words(pool, formula):
    with pytest.raises(FormulaError, match="removes the intercept"):
        design_columns(pool, formula)


def test_unknown_columns_are_told_with_near_names(pool):
    with pytest.raises(
        FormulaError,
        match=r"'BMI', which is not a column of the data; the columns are .*; did you mean 'bmi'",
    ) as refused:
        design_columns(pool, "age + log(BMI)")
    assert refused.value.name == "BMI"
    with pytest.raises(FormulaError, match=r"did you mean 'vitamin D \(μg\)'"):
        design_columns(pool, "Q('vitamin D')")


def test_unknown_functions_are_told_with_near_names(pool):
    with pytest.raises(FormulaError, match=r"no function 'lg'.*did you mean 'log'"):
        design_columns(pool, "lg(bmi)")


def test_terms_that_are_not_finite_are_told_with_their_row(frame):
    pool = PooledStudies.from_frame(frame.assign(bmi=frame["bmi"].where(frame.index != 6, 0.0)))
    with pytest.raises(FormulaError, match=r"'log\(bmi\)'.* in 1 row \(first row 7\)") as refused:
        design_columns(pool, "age + log(bmi)")
    assert refused.value.rows.tolist() == [6]


def test_a_number_column_with_a_slip_is_not_taken_for_categories(frame):
    bmi = frame["bmi"].round(1).astype(object)
    bmi[6] = "27,3"
    pool = PooledStudies.from_frame(frame.assign(bmi=bmi))
    with pytest.raises(FormulaError, match=r"holds numbers except for 1 cell \(first row 7: '27,3'\)"):
        design_columns(pool, "C(bmi)")


def test_decimal_commas_are_not_taken_for_categories(frame):
    commas = frame["bmi"].map(lambda value: f"{value:.1f}".replace(".", ","))
    commas[[2, 9]] = ["27", "24"]  # whole numbers have none
    pool = PooledStudies.from_frame(frame.assign(bmi=commas))
    words = rf"'bmi' .* has a decimal comma in 78 cells \(first row 1: '{commas[0]}'\) .*write {frame['bmi'][0]:.1f}"
    for formula in ("age + bmi", "bmi:age", "C(bmi) + bmi"):
        with pytest.raises(FormulaError, match=words):
            design_columns(pool, formula)
    pairs = np.where(np.arange(80) % 4, "1,2", "3,4")
    names = design_columns(PooledStudies.from_frame(frame.assign(grade=pairs)), "C(grade)").names
    assert names == ("C(grade)[T.3,4]",)


def test_codes_that_mix_words_and_some_numbers_are_categories(frame):
    stage = np.where(np.arange(80) % 4, "x", "1")
    names = design_columns(PooledStudies.from_frame(frame.assign(stage=stage)), "stage").names
    assert names == ("stage[T.x]",)


def test_knots_that_cannot_be_are_told_with_the_formula(pool):
    with pytest.raises(FormulaError, match=r"rcs\(bmi, knots=\[30, 20, 25\]\).*increasing"):
        design_columns(pool, "rcs(bmi, knots=[30, 20, 25])")
    with pytest.raises(FormulaError, match="numeric"):
        design_columns(pool, "rcs(smoking, 3)")


def test_a_variable_missing_everywhere_is_told(frame):
    pool = PooledStudies.from_frame(frame.assign(bmi=np.nan))
    with pytest.raises(FormulaError, match="no row has values for all of bmi, age"):
        design_columns(pool, "bmi + age")


def test_dates_are_no_covariates(frame):
    pool = PooledStudies.from_frame(frame.assign(day=pd.Timestamp("2001-01-01")))
    with pytest.raises(FormulaError, match="datetime"):
        design_columns(pool, "day")


def test_true_and_false_are_named_as_patsy_does(frame):
    pool = PooledStudies.from_frame(frame.assign(old=frame["age"] > 55))
    assert design_columns(pool, "old").names == ("old[T.True]",)


def test_constants_alone_are_refused(pool):
    with pytest.raises(FormulaError, match="uses no column"):
        design_columns(pool, "I(3)")


def test_design_does_not_depend_on_row_order(frame, pool):
    order = np.random.default_rng(5).permutation(len(frame))
    formula = "rcs(bmi, 3) + C(smoking)*age"
    shuffled = design_columns(PooledStudies.from_frame(frame.iloc[order]), formula)
    np.testing.assert_allclose(
        shuffled.values, design_columns(pool, formula).values[order], rtol=SAME_ARITHMETIC
    )


def test_raw_columns_come_as_numbers_or_words(frame):
    smoking = frame["smoking"].astype(object)
    smoking[2] = "NA"
    pool = PooledStudies.from_frame(frame.assign(smoking=smoking))
    np.testing.assert_array_equal(variable_columns(pool, "bmi"), frame["bmi"])
    words = variable_columns(pool, "smoking")
    assert words.dtype == object
    assert words[2] is None
    assert words[0] == frame["smoking"][0]
    with pytest.raises(ColumnError, match="did you mean 'smoking'") as refused:
        variable_columns(pool, "Smoking")
    assert refused.value.column == "Smoking"


@pytest.mark.parametrize(
    "spline", ["bs(bmi, knots={})", "rcs(bmi, knots={})", "rcs(bmi, {})", "cr(bmi, knots=({}))"]
)
def test_as_many_knots_are_refused_as_degrees_of_freedom(pool, spline):
    formula = spline.format([20 + place / 10 for place in range(101)])
    with pytest.raises(FormulaError, match="asks for more columns of a spline than the 100 allowed"):
        design_columns(pool, formula)
