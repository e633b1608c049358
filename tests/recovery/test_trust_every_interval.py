"""What docs/statistical-trust.md says of every kind of interval beyond the grid, asserted from the stored tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from stored_trust import CLEAR, TRUST, trust

from biocal.simulation.design.design import read_design

further = trust.further
STUDIES = ("linear", *further.SCRIPTED, "bootstrap")


def coverage(study: str, **wanted: object) -> tuple[float, float]:
    """Mean coverage of some rows, with its Monte Carlo error."""
    return further.mean_coverage(further.rows_of(study, **wanted))


def pooled(method: str, kind: str, studies: str, truth: str) -> list[tuple[float, float]]:
    """Of a linear exposure and of a spline."""
    forms = ("linear", "spline")
    return [further.mean_coverage(further.two_stage(method, kind, studies, truth, form)) for form in forms]


@pytest.mark.parametrize("study", STUDIES)
def test_a_stored_study_is_the_one_of_its_design(study: str) -> None:
    design = read_design(TRUST / study / "design.toml")
    table = trust.read(study, "performance", words=("exposure",))
    assert set(table["n"] + table["failed"]) == {design.replicates}
    assert table["scenario"].nunique() == len(design.scenarios)
    assert table["failed"].sum() == 0


def test_no_more_intervals_stray_than_chance_allows_where_theory_says_that_they_cover() -> None:
    every = further.further_judged()
    low, high = trust.family_bounds(every)
    assert len(every) > 200
    assert ((every["coverage"] >= low) & (every["coverage"] <= high)).all()
    assert abs(every["coverage"].mean() - 0.95) < 0.005


@pytest.mark.parametrize(
    "kind", [k for k in further.kinds() if k.promised], ids=lambda k: f"{k.group}: {k.name}"
)
def test_a_kind_that_theory_promises_covers(kind: object) -> None:
    mean, error = further.mean_coverage(kind.rows)  # type: ignore[attr-defined]
    assert abs(mean - 0.95) < CLEAR * error
    assert error < 0.02  # or the studies would say little


@pytest.mark.parametrize("studies", ["3", "8"])
def test_one_curve_for_studies_that_differ_has_intervals_that_are_too_short(studies: str) -> None:
    for method in ("one-stage", "fixed vector"):
        for mean, error in pooled(method, "normal", studies, "apart"):
            assert mean < 0.95 - 2 * error
        assert pooled(method, "normal", studies, "apart")[0][0] < 0.85
        for mean, error in pooled(method, "normal", studies, "alike"):
            assert abs(mean - 0.95) < CLEAR * error


def test_normal_random_effects_are_too_short_with_few_studies_that_differ_and_too_wide_where_they_agree() -> (
    None
):
    for method in ("reml", "dersimonian-laird", "reml vector"):
        for studies in ("3", "8"):
            mean, error = pooled(method, "normal", studies, "apart")[0]
            assert mean < 0.95 - (CLEAR if studies == "3" else 2.5) * error
        few, many = (pooled(method, "normal", studies, "apart")[0][0] for studies in ("3", "8"))
        assert few < many
        alike = [pooled(method, "normal", studies, "alike") for studies in ("3", "8")]
        assert np.mean([mean for both in alike for mean, _ in both]) > 0.955


def test_hartung_knapp_covers_in_every_column() -> None:
    for method in ("reml", "dersimonian-laird"):
        for studies in ("3", "8"):
            for truth in ("alike", "apart"):
                for mean, error in pooled(method, "hartung-knapp", studies, truth):
                    assert abs(mean - 0.95) < 2.5 * error
    for mean, _ in pooled("reml", "hartung-knapp-at-least-normal", "3", "apart"):
        assert mean > 0.99


def test_prediction_intervals_are_too_short_with_eight_studies_and_say_nothing_with_three() -> None:
    for mean, error in pooled("reml", "prediction", "8", "apart"):
        assert 0.8 < mean < 0.95 - CLEAR * error
    for mean, _ in pooled("reml", "prediction", "3", "apart"):
        assert mean > 0.99


def test_full_calibration_cut_into_categories_is_biased_and_induced_is_not() -> None:
    full = further.rows_of("categories", method="full", truth_label="steps", studies_r_squared=0.65)
    for _, rows in full.groupby("scenario"):
        assert (rows["bias"].abs() / rows["mcse_bias"]).max() > 2 * CLEAR
    steps = further.rows_of("categories", method="full", truth_label="steps", studies_calibrators=29.0)
    apart = steps["relative_error_model_se"].mean() / steps["mcse_relative_error_model_se"].mean()
    assert abs(apart) < 2
    for method in ("reference", "induced"):
        rows = further.rows_of("categories", method=method, truth_label=["null", "steps"])
        assert (
            rows["bias"].abs() < CLEAR * rows["mcse_bias"] + 0.01
        ).all()  # small samples bias a log OR a little


def test_a_season_neither_biases_nor_misleads_where_nothing_is_associated() -> None:
    rows = further.rows_of("season", truth_label="null")
    assert (rows["bias"].abs() < CLEAR * rows["mcse_bias"]).all()


def test_a_common_season_of_the_calibration_flattens_a_curve_where_laboratories_seasons_differ() -> None:
    own, common = (
        further.rows_of(study, method="induced", truth_label="bent", exposure="25").reset_index(drop=True)
        for study in ("season", "season_common")
    )
    assert (common["bias"] < -CLEAR * common["mcse_bias"]).all()
    assert (own["bias"].abs() < CLEAR * own["mcse_bias"]).all()
    assert (
        common["bias"] < own["bias"] - 0.01
    ).all()  # on the same draws, so that the difference is nearly free of chance


def test_missing_indicators_do_not_adjust_and_the_other_ways_do() -> None:
    rows = further.rows_of("imputation", exposure=["90", "bmi"])
    indicator = rows["method"] == "missing indicator"
    assert (rows[indicator & (rows["exposure"] == "90")]["bias"].abs() > 0.05).all()
    assert (rows[~indicator]["bias"].abs() < CLEAR * rows[~indicator]["mcse_bias"]).all()


def test_intervals_of_calibration_lines_are_too_short_with_fifteen_calibrators_and_hold_with_more() -> None:
    few, some, many = (coverage("calibration", studies_calibrators=float(n)) for n in (15, 29, 250))
    assert few[0] < 0.95 - 2 * few[1]
    assert few[0] < some[0]
    assert abs(some[0] - 0.95) < 2 * some[1]
    assert abs(many[0] - 0.95) < 2 * many[1]


def test_further_tests_reject_a_true_hypothesis_as_often_as_they_say() -> None:
    told = further.rejections()
    assert len(told) >= 16
    assert ((told["value"] - told["alpha"]).abs() < CLEAR * told["error"]).all()


def test_the_bootstrap_rests_on_more_than_three_hundred_replicates() -> None:
    assert trust.read("bootstrap", "performance")["n"].min() >= 300


def test_students_t_mends_no_more_than_the_leverage_correction_and_widens_what_is_wide_enough() -> None:
    for method in ("full", "induced"):
        t, _ = trust.few_coverage("few", "coverage_t", method, 15)
        corrected, error = trust.few_coverage("few_hc3", "performance", method, 15)
        assert abs(t - corrected) < error
        plain, error = trust.few_coverage("few", "performance", method, 29)
        t, _ = trust.few_coverage("few", "coverage_t", method, 29)
        assert abs(plain - 0.95) < 2 * error
        assert t > plain
    every = trust.all_judged()
    few = every[every["studies.calibrators"] == 29]
    assert few["coverage"].mean() > 0.95


def test_columns_of_a_scripts_tables_are_those_of_the_performance_measures() -> None:
    for study in further.SCRIPTED:
        table = pd.read_csv(TRUST / study / "performance.csv")
        assert {"scenario", "method", "interval", "exposure", "coverage", "mcse_coverage"} <= set(
            table.columns
        )
