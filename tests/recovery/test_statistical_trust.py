"""What docs/statistical-trust.md says, asserted from the stored tables; and, slow, a part of them drawn anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stored_trust import CLEAR, TRUST, trust

import biocal as bc
from biocal.simulation.design.design import read_design
from biocal.simulation.fitting.replicate import run_batch

PAGE = Path(__file__).parents[2] / "docs" / "statistical-trust.md"
#: A fault of this size, common to all intervals of a method, would matter and be seen.
COMMON = 0.01


def test_the_page_is_that_of_the_stored_numbers() -> None:
    assert trust.page() == PAGE.read_text(encoding="utf-8")
    assert "{" not in PAGE.read_text(encoding="utf-8").replace("```{figure}", "")


@pytest.mark.parametrize("study", trust.STUDIES)
def test_a_stored_study_is_the_one_of_its_design(study: str) -> None:
    design = read_design(TRUST / study / "design.toml")
    table = trust.read(study, "performance")
    assert set(table["n"] + table["failed"]) == {design.replicates}
    assert table["scenario"].nunique() == len(design.scenarios)
    assert list(table["method"].drop_duplicates()) == list(design.methods)
    assert table["failed"].sum() == 0


def test_no_more_intervals_stray_than_chance_allows_where_theory_says_that_they_cover() -> None:
    every = trust.all_judged()
    low, high = trust.family_bounds(every)
    assert len(every) > 500
    assert ((every["coverage"] >= low) & (every["coverage"] <= high)).all()


@pytest.mark.parametrize("method", ["naive", "full", "induced"])
def test_intervals_have_no_common_fault(method: str) -> None:
    every = trust.all_judged()
    for _, part in every[every["method"] == method].groupby("truth.label"):
        assert abs(part["coverage"].mean() - 0.95) < COMMON
    few = every[(every["method"] == method) & (every["studies.calibrators"] == 29)]
    assert abs(few["coverage"].mean() - 0.95) < COMMON


def test_standard_errors_are_honest_even_where_there_is_bias() -> None:
    bent = trust.read("bent", "performance")
    assert (bent["bias_eliminated_coverage"] - 0.95).abs().max() < 4 * np.sqrt(0.95 * 0.05 / bent["n"].min())
    ratio = bent["relative_error_model_se"] / bent["mcse_relative_error_model_se"]
    assert ratio.abs().max() < 4
    full = bent[(bent["method"] == "full") & (bent["exposure"] == 90) & (bent["studies.r_squared"] == 0.65)]
    assert (full["bias"] < -CLEAR * full["mcse_bias"]).all()
    induced = bent[bent["method"] == "induced"]
    assert (induced["bias"].abs() < CLEAR * induced["mcse_bias"]).all()


def test_internalized_is_dishonest_even_without_association() -> None:
    tests = trust.read("grid", "tests")
    rows = tests[
        (tests["method"] == "internalized")
        & (tests["truth.label"] == "null")
        & (tests["studies.r_squared"] == 0.65)
        & (tests["studies.calibrators"] == 250)
        & (tests["alpha"] == 0.05)
    ]
    assert (rows["rejected"] > 0.05 + CLEAR * rows["mcse_rejected"]).all()
    bent = trust.read("bent", "performance")
    worst = bent[bent["method"] == "internalized"]["coverage"].min()
    assert worst < 0.2


def test_naive_fails_on_a_line_where_scales_differ_and_not_where_they_agree() -> None:
    grid = trust.read("grid", "performance")
    naive = grid[(grid["method"] == "naive") & (grid["truth.label"] == "line")]
    assert (naive["bias"].abs() > CLEAR * naive["mcse_bias"]).mean() > 0.25
    assert naive["coverage"].mean() < 0.95 - COMMON / 2
    agree = trust.agreeing()
    agree = agree[agree["method"] == "naive"]
    assert (agree["bias"].abs() < CLEAR * agree["mcse_bias"]).all()


@pytest.mark.parametrize("test", ["overall", "nonlinearity"])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_tests_reject_a_true_hypothesis_as_often_as_they_say(test: str, alpha: float) -> None:
    told = trust.rates(
        trust.promised(trust.type_one()), ["test", "truth.label", "method", "studies.calibrators"]
    )
    told = told.reset_index()
    told = told[(told["test"] == test) & (told["alpha"] == alpha)]
    assert len(told) >= 9
    bound = CLEAR * np.sqrt(alpha * (1 - alpha) / told["n"])
    assert ((told["value"] - alpha).abs() < bound).all()


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_test_of_interaction_holds_its_level(alpha: float) -> None:
    told = trust.other_tests()
    told = told[(told["test"] == "interaction") & (told["alpha"] == alpha)]
    assert len(told) >= 4
    assert ((told["rejected"] - alpha).abs() < CLEAR * np.sqrt(alpha * (1 - alpha) / told["n"])).all()


def test_the_test_of_heterogeneity_is_conservative_and_no_more() -> None:
    told = trust.rates(trust.other_tests(), ["test"])["value"]
    assert 0.015 < told["heterogeneity", 0.05] < 0.05
    assert told["heterogeneity", 0.01] < 0.01


def test_fifteen_calibrators_undercover_and_each_remedy_helps() -> None:
    for method in ("full", "induced"):
        plain, error = trust.few_coverage("few", "performance", method, 15)
        assert plain < 0.95 - 2 * error
        for study, table in (("few", "coverage_t"), ("few_hc3", "performance"), ("few_hc3", "coverage_t")):
            mended, error = trust.few_coverage(study, table, method, 15)
            assert mended > plain
            assert mended > 0.95 - 2 * error
        enough, error = trust.few_coverage("few", "performance", method, 29)
        assert abs(enough - 0.95) < 2 * error


def test_quantile_knots_cover_and_reject_as_given_ones_do() -> None:
    for label, methods in (("null", trust.VALID["null"]), ("line", trust.VALID["line"])):
        for knots in ("3 knots", "5 knots"):
            for method in methods:
                given, learned = (
                    trust.knots_part(study, label, knots, method)
                    for study in ("knots_fixed", "knots_quantile")
                )
                for part in (given, learned):
                    error = np.sqrt(0.95 * 0.05 / part["n"].sum() * len(part) / 2)
                    assert abs(part["coverage"].mean() - 0.95) < CLEAR * error
                    assert (part["bias"].abs() < CLEAR * part["mcse_bias"]).all()
                # on the same draws, so that a difference is nearly free of chance
                assert abs(given["coverage"].mean() - learned["coverage"].mean()) < COMMON
                apart = given["relative_error_model_se"].mean() - learned["relative_error_model_se"].mean()
                assert abs(apart) < 3  # percent
    for knots in ("3 knots", "5 knots"):
        given, learned = (
            trust.knots_part(study, "bent", knots, "full").set_index(["scenario", "exposure"])
            for study in ("knots_fixed", "knots_quantile")
        )
        assert ((given["bias"] - learned["bias"]).abs() < 2 * given["mcse_bias"]).all()
    told = trust.rates(trust.knots_tests(), ["fit.knots", "rule", "method", "test"]).reset_index()
    told = told[told["alpha"] == 0.05]
    assert ((told["value"] - 0.05).abs() < CLEAR * np.sqrt(0.05 * 0.95 / told["n"])).all()


def test_percentile_intervals_cover() -> None:
    table = trust.read("bootstrap", "performance")
    assert ((table["coverage"] - 0.95).abs() < CLEAR * np.sqrt(0.95 * 0.05 / table["n"])).all()


#: Corners of the grid drawn anew: as many replicates see a coverage of .91 or a test at .10.
AGAIN, BATCH = 400, 50


@pytest.mark.slow
@pytest.mark.parametrize("sets", ["1:1", "1:3", "2:4"])
@pytest.mark.parametrize("label", ["null", "line"])
def test_corners_of_the_grid_drawn_anew_cover_and_hold_their_level(sets: str, label: str) -> None:
    design = read_design(TRUST / "grid" / "design.toml")
    wanted = {"studies.calibrators": 29, "studies": sets, "truth": label, "studies.r_squared": 0.65}
    index = design.levels.index(wanted)
    parts = [
        pd.DataFrame(run_batch(design.scenarios[index], design.seed + 1, index, range(first, first + BATCH)))
        for first in range(0, AGAIN, BATCH)
    ]
    rows = pd.concat(parts, ignore_index=True)
    rows = rows[rows["method"].isin(trust.VALID[label])]
    curve = bc.performance(rows[rows["quantity"] == "log_or"]).tidy()
    coefficients = rows[rows["quantity"].str.startswith("coefficient")]
    told = pd.concat([curve, bc.performance(coefficients, by=["method", "quantity"]).tidy()])
    # six intervals and at most three methods, strongly correlated
    assert ((told["coverage"] - 0.95).abs() < CLEAR * np.sqrt(0.95 * 0.05 / AGAIN)).all()
    assert (told["bias"].abs() < CLEAR * told["mcse_bias"]).all()
    for test in ("overall", "nonlinearity") if label == "null" else ("nonlinearity",):
        p_values = rows[rows["quantity"] == f"p:{test}"]
        share = (p_values["estimate"] <= 0.05).groupby(p_values["method"]).mean()
        assert ((share - 0.05).abs() < CLEAR * np.sqrt(0.05 * 0.95 / AGAIN)).all()
