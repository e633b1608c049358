"""Columns with names that mean something else in a formula; the right numbers are R's (survival::clogit, exact)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.errors import DataProblemsError, FormulaError, OptionError, SingularInformationError
from biocal.pool.formulas.covariates import design_columns
from biocal.pool.formulas.levels import column_kinds

CASES = Path(__file__).parents[1] / "data" / "cases" / "names"
R_DIGITS = 2e-8  # R's numbers are given with eight decimals


def fitted(name: str, **options):
    return bc.fit(bc.read_studies([CASES / name]), method="full", exposure=bc.linear(), **options)


def small_pool(**columns) -> bc.PooledStudies:
    rng = np.random.default_rng(8)
    n = 120
    frame = {
        "study": "S",
        "set": np.arange(n) // 2,
        "case": np.arange(n) % 2,
        "reference": rng.normal(50, 10, n),
    }
    return bc.PooledStudies.from_frame(pd.DataFrame(frame | {k: v(rng, n) for k, v in columns.items()}))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        (
            "c07_names.csv",
            {"modifier": "smoking status"},
            [-0.02037835, -2.93046355, 0.18417534, 0.04323461, -0.00558541],
        ),
        ("c07_names.csv", {"covariates": "class"}, [None, 0.25057521]),
        ("c07_names.csv", {"covariates": 'Q("class")'}, [None, 0.25057521]),
        ("c09_log.csv", {"covariates": "log + log(bmi)"}, [None, -0.17547611, 1.45667601]),
        ("c09_log.csv", {"covariates": 'Q("log") + log(bmi)'}, [None, -0.17547611, 1.45667601]),
        (
            "c09b_Intercept.csv",
            {"covariates": "Intercept + smoking"},
            [None, 0.04877807, 0.24260246, -0.21442637],
        ),
        ("c10_rownames.txt", {"covariates": "bmi"}, [-0.00569162, 0.05336725]),
    ],
)
def test_estimates_are_those_of_r_whatever_a_column_is_called(name, options, expected):
    fit = fitted(name, **options)
    assert len(set(fit.terms)) == len(fit.terms) == len(expected)
    for estimate, right in zip(fit.estimates, expected, strict=True):
        assert right is None or estimate == pytest.approx(right, abs=R_DIGITS)


def test_row_names_of_r_are_told():
    pool = bc.read_studies([CASES / "c10_rownames.txt"])
    assert "row's name" in " ".join(problem.message for problem in pool.problems)


def test_a_header_that_lacks_a_name_is_not_taken_for_row_names_where_the_first_cells_repeat(tmp_path):
    path = tmp_path / "pool.csv"
    path.write_text("set,case,reference\nA,1,1,50\nA,1,0,51\nA,2,1,40\nA,2,0,45\n")
    with pytest.raises(DataProblemsError, match="4 cells where the header has 3"):
        bc.read_studies([path])


@pytest.mark.parametrize(
    "options",
    [
        {"covariates": "exposure + x"},
        {"covariates": "x", "modifier": "exposure"},
        {"covariates": "exposure*x"},
    ],
)
def test_a_covariate_with_the_name_of_the_exposure_of_interest_is_refused(options):
    with pytest.raises(FormulaError, match=r"'exposure' .* rename the column"):
        fitted("c06_exposure_column.csv", **options)


@pytest.mark.parametrize(
    "name",
    ["smoking status", "2nd", "a.b", "bmi>25", "x-y", 'say "x"', "back\\slash", "class", "C", "bs", "np"],
)
def test_a_name_is_a_column_first_and_a_formula_second(name):
    pool = small_pool(
        **{name: lambda rng, n: rng.choice(["f", "m"], n), "bmi": lambda rng, n: rng.normal(26, 4, n)}
    )
    design = design_columns(pool, name)
    np.testing.assert_array_equal(design.values[:, 0], pool.frame[name] == "m")
    assert column_kinds(pool, name)[0].levels == ("f", "m")


def test_columns_named_as_functions_hide_none_of_them():
    def number(rng, n):
        return rng.normal(26, 2, n)

    pool = small_pool(C=number, bs=number, Treatment=number, I=number, Q=number, abs=number)
    design = design_columns(pool, "C(study) + bs(bs, df=4) + Treatment + I(I**2) + abs(abs) + Q")
    np.testing.assert_allclose(design.values[:, -3], pool.frame["I"] ** 2)
    np.testing.assert_allclose(design.values[:, -1], pool.frame["Q"])


@pytest.mark.parametrize(
    ("formula", "advised"),
    [
        ("cr(bmi, df=3)", "cr(bmi, df=3, constraints='center')"),
        ("cc(bmi, df=3)", "cc(bmi, df=3, constraints='center')"),
        ("bs(bmi, df=5, include_intercept=True)", "bs(bmi, df=5, include_intercept=False)"),
    ],
)
def test_the_advice_on_collinear_columns_of_a_spline_can_be_followed(formula, advised):
    with pytest.raises(SingularInformationError) as refused:
        fitted("c09_log.csv", covariates=formula)
    assert str(refused.value).endswith(f"write {advised}")
    assert np.isfinite(fitted("c09_log.csv", covariates=advised).std_errors).all()


def test_nested_codings_are_to_be_left_out_whole():
    pool = small_pool(g=lambda rng, n: np.resize([1, 2, 3], n), h=lambda rng, n: np.resize([1, 2, 2], n))
    with pytest.raises(SingularInformationError, match=r"leave out the whole of C\(g\) or of C\(h\)"):
        bc.fit(pool, method="full", exposure=bc.linear(), covariates="C(g) + C(h)")


def test_what_the_file_has_is_listed_before_what_is_near(tmp_path):
    path = tmp_path / "pool.csv"
    path.write_text("study,stratum,caseload,outcome,reference\nA,1,3,1,50\nA,1,4,0,51\n")
    with pytest.raises(DataProblemsError, match=r"the columns are stratum, caseload, outcome"):
        bc.read_studies([path])


def test_a_header_of_twenty_thousand_names_is_read(tmp_path):
    names = [f"gene_number_{i}" for i in range(19_000)]
    rows = ["study,set,case,reference," + ",".join(names)]
    rows += [f"A,{i // 2},{i % 2},{50 + i}," + ",".join("1" * len(names)) for i in range(4)]
    path = tmp_path / "wide.csv"
    path.write_text("\n".join(rows))
    assert len(rows[0]) > 131_072
    assert bc.read_studies([path]).n_rows == 4


def test_conf_int_takes_alpha_as_statsmodels_does():
    fit = fitted("c06_exposure_column.csv", covariates="x")
    low = fit.estimates - 1.959963984540054 * fit.std_errors  # the normal 97.5 % quantile
    np.testing.assert_allclose(fit.conf_int(0.05)["conf_low"], low, rtol=1e-12)  # the same product
    pd.testing.assert_frame_equal(fit.conf_int(alpha=0.2), fit.conf_int(level=0.8))
    for wrong in ({"alpha": 0.05, "level": 0.95}, {"alpha": 1.5}, {"alpha": 0}):
        with pytest.raises(OptionError):
            fit.conf_int(**wrong)
