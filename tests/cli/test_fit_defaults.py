"""What ``biocal fit`` does when nothing is said, and that each word of the curve and the calibration is obeyed."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cli_pool import small_pool
from scipy import stats

from biocal.cli.main import main

pytestmark = pytest.mark.usefixtures("no_figures")

#: The same sums in another order.
SAME_ARITHMETIC = 1e-9


@pytest.fixture
def fitted(folder):
    """Fit pool.csv with some words, and return the record."""

    def run(*words: object) -> dict[str, Any]:
        with contextlib.chdir(folder):
            assert main(["fit", "pool.csv", "--out", "o", "--force", "--quiet", *map(str, words)]) == 0
        return json.loads((folder / "o" / "fit.json").read_text(encoding="utf-8"))

    return run


@pytest.fixture
def table(folder):
    """Read a table of the fit."""
    return lambda name: pd.read_csv(folder / "o" / f"{name}.csv")


def exposures(pool: pd.DataFrame) -> pd.DataFrame:
    """The pool with each method's exposure, by least squares in each study's pairs."""
    pool = pool.assign(full=pool["reference"], naive=pool["local"].fillna(pool["reference"]))
    for study in ("North", "South"):
        mine = pool["study"] == study
        pairs = pool[mine & pool["reference"].notna()]
        slope, intercept = np.polyfit(pairs["local"], pairs["reference"], 1)
        pool.loc[mine, "full"] = intercept + slope * pool.loc[mine, "local"]
    return pool


def test_the_default_is_naive_and_full_with_four_knots_of_the_controls_calibrated_exposure(fitted, table):
    record = fitted()
    assert list(record["methods"]) == ["naive", "full"]
    pool = exposures(small_pool())
    controls = pool.loc[pool["case"] == 0, "full"]
    expected = np.quantile(controls, [0.05, 0.35, 0.65, 0.95])
    for method in ("naive", "full"):  # the same for every method
        np.testing.assert_allclose(record["methods"][method]["knots"], expected, rtol=SAME_ARITHMETIC)
    assert record["methods"]["full"]["terms"] == ["exposure", "exposure'", "exposure''"]
    np.testing.assert_allclose(record["model"]["exposure_reference"], controls.median(), rtol=SAME_ARITHMETIC)
    low, high = np.quantile(controls, [0.01, 0.99])
    grid = np.sort([*np.linspace(low, high, 101), controls.median()])
    curve = table("dose_response")
    for method in ("naive", "full"):
        mine = curve[curve["method"] == method]
        np.testing.assert_allclose(mine["exposure"], grid, rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(curve["reference_exposure"], controls.median(), rtol=SAME_ARITHMETIC)
    half = stats.norm.ppf(0.975) * curve["std_error"]
    np.testing.assert_allclose(curve["or_low"], np.exp(curve["log_or"] - half), rtol=SAME_ARITHMETIC)


def test_the_published_rule_takes_knots_of_each_methods_exposure_in_cases_and_controls(fitted):
    record = fitted("--knot-rule", "published", "--knots", 3)
    pool = exposures(small_pool())
    for method in ("naive", "full"):
        expected = np.quantile(pool[method], [0.1, 0.5, 0.9])
        np.testing.assert_allclose(record["methods"][method]["knots"], expected, rtol=SAME_ARITHMETIC)


@pytest.mark.parametrize(
    ("words", "terms", "knots"),
    [
        (("--exposure", "linear"), ["exposure"], None),
        (("--knots", 3), ["exposure", "exposure'"], "thirds"),
        (("--knot-values", "30,50,70"), ["exposure", "exposure'"], [30, 50, 70]),
        (("--knot-probs", ".1,.5,.9"), ["exposure", "exposure'"], "thirds"),
        (
            ("--exposure", "categories", "--cuts", "50,75"),
            ["exposure[50, 75)", "exposure[75, inf)"],
            None,
        ),
        (
            ("--exposure", "categories", "--cuts", "50,75", "--reference-category", "[50, 75)"),
            ["exposure(-inf, 50)", "exposure[75, inf)"],
            None,
        ),
    ],
)
def test_the_exposure_is_the_one_asked_for(fitted, words, terms, knots):
    full = fitted("--method", "full", *words)["methods"]["full"]
    assert full["terms"] == terms
    if knots == "thirds":
        pool = exposures(small_pool())
        knots = np.quantile(pool.loc[pool["case"] == 0, "full"], [0.1, 0.5, 0.9])
    if knots is None:
        assert full["knots"] is None
    else:
        np.testing.assert_allclose(full["knots"], knots, rtol=SAME_ARITHMETIC)


def test_the_curve_is_at_the_exposures_and_against_the_reference_asked_for(fitted, table):
    fitted("--exposure", "linear", "--ref", 50, "--at", "75,25,37.5", "--level", 0.8)
    curve = table("dose_response").query("method == 'full'")
    assert curve["exposure"].tolist() == [75, 25, 37.5]
    assert set(curve["reference_exposure"]) == {50}
    line = table("coefficients").set_index("method").loc["full"]
    np.testing.assert_allclose(curve["log_or"], line["estimate"] * (curve["exposure"] - 50), rtol=1e-9)
    half = stats.norm.ppf(0.9)
    np.testing.assert_allclose(
        [line["conf_high"], *curve["or_high"]],
        [
            line["estimate"] + half * line["std_error"],
            *np.exp(curve["log_or"] + half * curve["std_error"]),
        ],
        rtol=SAME_ARITHMETIC,
    )


def least_squares(pool: pd.DataFrame, covariates: list[str]) -> dict[str, float]:
    """One regression of all pairs: a line a study, and covariates with common coefficients."""
    pairs = pool[pool["reference"].notna() & pool["local"].notna()]
    columns = {f"{study} {part}": 1.0 * (pairs["study"] == study) * value
               for study in ("North", "South") for part, value in (("a", 1.0), ("b", pairs["local"]))}  # fmt: skip
    columns |= {name: pairs[name] for name in covariates}
    found = np.linalg.lstsq(np.array([*columns.values()], dtype=float).T, pairs["reference"], rcond=None)[0]
    return dict(zip(columns, found.tolist(), strict=True))


def test_by_default_the_calibration_has_the_outcomes_covariates_and_the_matching_factors(fitted, table):
    fitted("--exposure", "linear", "--covariates", "bmi", "--matching", "sex")
    expected = least_squares(small_pool().assign(m=lambda frame: 1.0 * (frame["sex"] == "m")), ["bmi", "m"])
    covariates = table("calibration_covariates")
    assert covariates["term"].tolist() == ["bmi", "sex[T.m]"]
    assert covariates["study"].isna().all(), "blank when common to the studies"
    np.testing.assert_allclose(covariates["estimate"], [expected["bmi"], expected["m"]], rtol=1e-8)
    lines = table("calibration").set_index("study")
    for study in ("North", "South"):  # the intercept is that of all covariates at 0
        np.testing.assert_allclose(lines.loc[study, "intercept"], expected[f"{study} a"], rtol=1e-8)
        np.testing.assert_allclose(lines.loc[study, "slope"], expected[f"{study} b"], rtol=1e-8)


def test_without_calibration_covariates_each_study_has_its_own_line_the_published_rule(fitted, folder, table):
    fitted(
        "--exposure", "linear", "--covariates", "bmi", "--matching", "sex", "--calibration-covariates", "none"
    )
    expected = least_squares(small_pool(), [])
    lines = table("calibration").set_index("study")
    for study in ("North", "South"):
        np.testing.assert_allclose(lines.loc[study, "intercept"], expected[f"{study} a"], rtol=1e-8)
        np.testing.assert_allclose(lines.loc[study, "slope"], expected[f"{study} b"], rtol=1e-8)
    assert not (folder / "o" / "calibration_covariates.csv").exists()


def test_calibration_covariates_are_a_formula_of_ones_own_and_coefficients_by_study_when_asked(fitted, table):
    fitted("--exposure", "linear", "--matching", "sex", "--calibration-covariates", "bmi",
           "--calibration-coefficients", "by-study")  # fmt: skip
    found = table("calibration_covariates")
    assert found[["study", "term"]].to_numpy().tolist() == [["North", "bmi"], ["South", "bmi"]]


def test_the_calibration_table_is_that_of_the_pairs_and_of_the_studys_local_values(fitted, table):
    fitted("--exposure", "linear")
    pool, lines = small_pool(), table("calibration").set_index("study")
    for study in ("North", "South"):
        mine = pool[pool["study"] == study]
        pairs = mine[mine["reference"].notna()]
        fit = stats.linregress(pairs["local"], pairs["reference"])
        residual = pairs["reference"] - fit.intercept - fit.slope * pairs["local"]
        outside = (mine["local"] < pairs["local"].min()) | (mine["local"] > pairs["local"].max())
        expected = {
            "n": len(mine),
            "n_calibration": len(pairs),
            "se_intercept": fit.intercept_stderr,
            "se_slope": fit.stderr,
            "residual_sd": np.sqrt((residual**2).sum() / (len(pairs) - 2)),
            "r_squared": fit.rvalue**2,
            "local_min": mine["local"].min(),
            "local_max": mine["local"].max(),
            "calibration_min": pairs["local"].min(),
            "calibration_max": pairs["local"].max(),
            "outside": outside.mean(),
        }
        np.testing.assert_allclose(
            lines.loc[study, [*expected]].astype(float), [*expected.values()], rtol=1e-8
        )
    assert lines["kind"].to_dict() == {"North": "local", "South": "local", "West": "reference"}
