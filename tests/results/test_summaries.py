"""Summaries: what a reader must find in them, on a page."""

from __future__ import annotations

import numpy as np
import pytest
from cli_pool import small_pool

import biocal as bc
from biocal.results.text import WIDTH


def fit(frame=None, **options):
    pool = bc.PooledStudies.from_frame(small_pool() if frame is None else frame)
    words = {"exposure_name": "25(OH)D", "unit": "nmol/L", "outcome_name": "cancer"}
    chosen = {"exposure": bc.rcs(3), "covariates": "bmi", "matching": "sex", "reference": 56.25}
    return bc.fit(pool, **(words | chosen | options))


@pytest.fixture(scope="module")
def full():
    return fit(method="full")


@pytest.fixture(scope="module")
def several():
    return fit(method=["naive", "internalized", "full", "induced", "two-stage"])


def test_a_summary_names_method_counts_model_and_units(full):
    text = full.summary()
    for fact in (
        "biocal: full calibration",
        "Studies     3 (1 reference, 2 local)",
        "Sets        180 (180 of 1:1; cases:controls)",
        "Persons     180 cases, 180 controls",
        "Calibrated  50 persons measured in both laboratories",
        "Left out    nothing",
        "Outcome     cancer",
        "Exposure    25(OH)D (nmol/L)",
        "Reference   56.25 nmol/L (as asked)",
        "Covariates  bmi",
        "Calibration on the local value and bmi, sex; coefficients common to the studies",
        "Standard errors: stacked sandwich",
        "Odds ratio against 56.25 nmol/L (95 % CI)",
        "1 (reference)",
        "Log-likelihood",
    ):
        assert fact in text, fact
    assert "3 knots at" in text
    assert "taken as fixed" in text


def test_coefficients_and_tests_of_the_summary_are_those_of_the_fit(full):
    lines = full.summary().splitlines()
    (row,) = (line.split() for line in lines if line.startswith("  exposure' "))
    k = full.terms.index("exposure'")
    assert float(row[1]) == pytest.approx(full.estimates[k], rel=5e-4), "four digits are shown"
    assert float(row[2]) == pytest.approx(full.std_errors[k], rel=5e-3), "three digits are shown"
    (overall,) = (line.split() for line in lines if line.startswith("  overall"))
    assert float(overall[1]) == pytest.approx(full.test_overall().statistic, rel=5e-4)


def test_methods_stand_side_by_side_and_the_page_is_not_exceeded(several):
    text = several.summary()
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    header = next(line for line in text.splitlines() if line.split()[:2] == ["25(OH)D", "naive"])
    assert header.split() == ["25(OH)D", "naive", "internalized", "full", "induced"]
    assert "  25(OH)D            two-stage" in text


def test_the_share_due_to_calibration_is_told_for_every_calibrated_method(several):
    lines = several.summary().splitlines()
    start = lines.index("Share of the variance of the log OR that is due to the calibrations")
    assert lines[start + 1].split() == ["25(OH)D", "internalized", "full", "induced", "two-stage"]
    curve = several["full"].dose_response()
    first = float(lines[start + 3].split()[3])
    assert first == pytest.approx(100 * curve.shares[0].sum(), abs=0.051), "one decimal is shown"


def test_a_warning_of_a_method_names_it_once(several):
    text = several.summary()
    assert "naive: naive" not in text
    assert "- naive takes local values as if all laboratories agreed" in text
    assert "- internalized puts the reference value of" in text


def test_losses_are_counted_by_reason_variable_and_study():
    frame = small_pool()
    frame.loc[[0, 5], "bmi"] = np.nan
    frame.loc[8, "local"] = np.nan
    frame.loc[20, "set"] = np.nan
    text = " ".join(fit(frame, method="full").summary().split())
    assert "1 row without a set (calibration only)" in text
    assert "1 row of local studies without a local value" in text
    assert "2 rows with a missing covariate (bmi 2)" in text
    assert "sets left without a case" in text
    assert "1 set left without a control" in text
    assert "North 120 1 1 2 4 56 56 56" in text, (
        "rows, no set, no local, missing, sets dropped, used, cases, controls"
    )


def test_covariates_constant_within_sets_are_named():
    assert "Omitted     sex[T.m] (constant within every matched set)" in fit(covariates="bmi + sex").summary()


def test_it_is_said_how_the_calibration_came_to_have_no_covariates():
    assert "alone (the published rule)" in fit(calibration_covariates="none").summary()
    text = fit(covariates=None, matching=None).summary()
    assert "there are no covariates, and no matching factors were given" in text


def test_a_pool_of_reference_studies_has_nothing_due_to_calibration():
    frame = small_pool()
    text = fit(frame[frame["study"] == "West"], method=["naive", "full"], matching=None).summary()
    assert "none needed: every study was measured at the reference laboratory" in text
    assert "due to the calibrations" not in text
    assert "Calibrated" not in text


def test_categories_have_a_row_each_and_the_reference_is_marked():
    text = fit(exposure=bc.categories([45, 60, 75], reference="[45, 60)"), reference=None).summary()
    assert "Odds ratio against [45, 60) nmol/L" in text
    (row,) = (line for line in text.splitlines() if line.startswith("  [45, 60)  ") and "(reference)" in line)
    assert row.split()[-2:] == ["1", "(reference)"]


def test_a_modifier_gives_a_block_a_level():
    text = fit(modifier="sex", matching=None).summary()
    assert "Modifier    sex" in text
    for level in ("sex = f", "sex = m"):
        assert f"Odds ratio against 56.25 nmol/L (95 % CI), {level}" in text


def test_a_method_that_failed_is_told_with_its_reason():
    both = fit(method=["naive", "full"])
    failed = type(both)({"naive": both["naive"]}, {"full": "separation: no finite estimate"})
    text = failed.summary()
    assert text.startswith("biocal: comparison of naive, full\n")
    assert "full calibration\n  FAILED: separation: no finite estimate" in text


def test_bootstrap_intervals_stand_beside_the_sandwich():
    text = fit(method="naive", exposure=bc.linear(), bootstrap=3, seed=1).summary()
    assert "Bootstrap: 3 replicates (seed 1)" in text
    assert "SE sandwich  SE bootstrap" in text


def test_a_fit_without_standard_errors_shows_blanks_and_no_shares():
    text = fit(method="induced", residual_law="smearing").summary()
    assert "nan" not in text.lower().replace("nanmol", "")
    assert "1 (reference)" in text
    assert "due to the calibrations" not in text
