"""The bootstrap: what a replicate is, that it depends on its number alone, and that nothing fails unseen."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pools import LOCAL_A, LOCAL_B, REFERENCE, StudyPlan, draw_pool

import biocal as bc
from biocal.errors import CalibrationDesignError, FitError, OptionError, SeparationError
from biocal.fitting.method_names import METHODS
from biocal.fitting.problem.prepare import ModelFormulas, prepare
from biocal.fitting.repeated import bootstrap as bootstrap_module
from biocal.fitting.repeated.bootstrap import BootstrapOptions
from biocal.fitting.repeated.resampling import design_resampling, draw_counts

#: Same sets in another order: two ascents to one maximum.
SAME_FIT = 1e-6
#: Same numbers in another arrangement.
SAME_NUMBERS = 1e-12
#: Monte Carlo standard errors allowed between a bootstrap SE and what it estimates.
MONTE_CARLO = 4.0
#: Beyond Monte Carlo error: bootstrap and sandwich agree to first order only (a few hundred sets).
SECOND_ORDER = 0.05

PLANS = (REFERENCE, LOCAL_A, LOCAL_B)
LARGE = (StudyPlan("R", 400), StudyPlan("A", 400, (1, 1), (1.0, 0.7), 0.5, 60))


def three_studies(seed: int = 11, **options) -> pd.DataFrame:
    return draw_pool(np.random.default_rng(seed), PLANS, covariate_log_odds=(0.3,), **options)


def pool_of(frame: pd.DataFrame) -> bc.PooledStudies:
    return bc.PooledStudies.from_frame(frame)


def redrawn_frame(frame: pd.DataFrame, seed: int, number: int) -> pd.DataFrame:
    """The data of a replicate written out as a table: each set as often as it is drawn, under new names."""
    problem = prepare(pool_of(frame), ModelFormulas(covariates="z1")).problem
    design = design_resampling(problem)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    counts = draw_counts(design, rng)
    # units are numbered as the pool's sets are: by study in the order of names, then by set number
    keys = frame[["study", "set"]].drop_duplicates().sort_values(["study", "set"]).reset_index(drop=True)
    assert len(keys) == counts.size
    drawn = keys.loc[np.repeat(np.arange(counts.size), counts)].reset_index(drop=True)
    drawn["copy"] = np.arange(len(drawn))
    rows = drawn.merge(frame, on=["study", "set"], how="left")
    return rows.assign(set=rows["copy"]).drop(columns="copy")


@pytest.mark.parametrize("method", METHODS)
def test_a_replicate_is_the_fit_of_the_table_with_each_set_as_often_as_it_is_drawn(method):
    frame = three_studies()
    options = {"method": method, "exposure": bc.rcs(3), "covariates": "z1", "reference": 5.0, "at": [4, 6, 7]}
    fit = bc.fit(pool_of(frame), bootstrap=3, seed=5, **options)
    for number in range(3):
        again = bc.fit(pool_of(redrawn_frame(frame, 5, number)), **options)
        np.testing.assert_allclose(fit.bootstrap.coefficients[number], again.estimates, rtol=SAME_FIT)
        curve = again.dose_response().log_or
        np.testing.assert_allclose(fit.bootstrap.curves[number, 0], curve, rtol=SAME_FIT)


def test_pairs_by_hand():
    frame = draw_pool(np.random.default_rng(4), (StudyPlan("R", 12),))
    pool = pool_of(frame)
    fit = bc.fit(pool, exposure=bc.linear(), bootstrap=4, seed=9)
    ordered = frame.sort_values(["set", "case"])
    difference = ordered["reference"].to_numpy().reshape(-1, 2) @ [-1, 1]  # case less control, by set number
    design = design_resampling(prepare(pool, ModelFormulas()).problem)
    for number, found in zip(fit.bootstrap.replicates, fit.bootstrap.coefficients, strict=True):
        counts = draw_counts(design, np.random.default_rng(np.random.SeedSequence(9, spawn_key=(number,))))
        # 1:1 sets: logistic regression of 1 on the differences; the weighted score vanishes at the estimate
        p_control = 1 / (1 + np.exp(difference * found[0]))
        score = counts * difference * p_control
        assert abs(score.sum()) < SAME_FIT * np.abs(score).sum()


def test_numbers_do_not_depend_on_the_number_of_jobs():
    pool = pool_of(three_studies())
    options = {"method": ["naive", "full"], "covariates": "z1", "bootstrap": 45, "seed": 3}
    one, two = (bc.fit(pool, jobs=jobs, **options) for jobs in (1, 2))
    for method in one:
        np.testing.assert_array_equal(one[method].bootstrap.coefficients, two[method].bootstrap.coefficients)
        np.testing.assert_array_equal(one[method].bootstrap.curves, two[method].bootstrap.curves)


def test_a_replicate_depends_on_seed_and_number_alone():
    pool = pool_of(three_studies())
    few, more, other = (
        bc.fit(pool, bootstrap=n, seed=seed).bootstrap.coefficients for n, seed in ((5, 1), (25, 1), (5, 2))
    )
    np.testing.assert_array_equal(few, more[:5])
    assert (few != other).all()


def test_a_seed_that_is_not_given_is_drawn_and_recorded():
    pool = pool_of(three_studies())
    first, second = (bc.fit(pool, bootstrap=3).bootstrap for _ in range(2))
    assert first.seed != second.seed
    again = bc.fit(pool, bootstrap=3, seed=first.seed).bootstrap
    np.testing.assert_array_equal(again.coefficients, first.coefficients)


def test_methods_share_the_resamples():
    pool = pool_of(draw_pool(np.random.default_rng(1), (StudyPlan("R", 40), StudyPlan("S", 30))))
    both = bc.fit(pool, method=["naive", "full"], exposure=bc.linear(), bootstrap=10, seed=1)
    np.testing.assert_array_equal(both["naive"].bootstrap.coefficients, both["full"].bootstrap.coefficients)
    alone = bc.fit(pool, method="full", exposure=bc.linear(), bootstrap=10, seed=1)
    np.testing.assert_array_equal(alone.bootstrap.coefficients, both["full"].bootstrap.coefficients)


@pytest.mark.parametrize("method", ["naive", "full", "induced"])
@pytest.mark.parametrize("strata", ["calibrators", "deciles"])
def test_standard_errors_agree_with_the_sandwich_on_many_sets(method, strata):
    n = 300
    pool = pool_of(draw_pool(np.random.default_rng(21), LARGE, log_odds=0.3))
    fit = bc.fit(pool, method=method, exposure=bc.linear(), bootstrap=n, seed=2, strata=strata)
    ratio = fit.bootstrap.std_errors / fit.std_errors
    # a standard deviation of n normal draws has relative standard error 1 / sqrt(2n)
    np.testing.assert_allclose(ratio, 1.0, atol=MONTE_CARLO / np.sqrt(2 * n) + SECOND_ORDER)


def test_the_calibration_is_estimated_again():
    # 8 calibrators: most of the variance is theirs, and the uncorrected standard error far too small
    plans = (StudyPlan("R", 400), StudyPlan("A", 400, (1, 1), (1.0, 0.7), 1.2, 8))
    pool = pool_of(draw_pool(np.random.default_rng(6), plans, log_odds=0.6))
    fit = bc.fit(pool, exposure=bc.linear(), bootstrap=300, seed=2)
    uncorrected = np.sqrt(fit.vcov_uncorrected[0, 0])
    assert fit.std_errors[0] > 1.3 * uncorrected
    assert fit.bootstrap.std_errors[0] > 1.3 * uncorrected


def test_all_reference_studies_are_the_ordinary_bootstrap_of_sets():
    pool = pool_of(draw_pool(np.random.default_rng(8), (StudyPlan("R", 300),), log_odds=0.3))
    n = 400
    fit = bc.fit(pool, exposure=bc.linear(), bootstrap=n, seed=1)
    frame = pool.frame.sort_values(["set", "case"])
    difference = frame["reference"].to_numpy().reshape(-1, 2) @ [-1, 1]
    rng = np.random.default_rng(0)
    brute = [logistic_on_differences(rng.choice(difference, difference.size)) for _ in range(n)]
    ratio = fit.bootstrap.std_errors[0] / np.std(brute, ddof=1)
    assert abs(ratio - 1) < MONTE_CARLO / np.sqrt(n)  # two independent standard deviations


def logistic_on_differences(difference: np.ndarray) -> float:
    """Newton's iteration for one coefficient on case-less-control differences."""
    beta = 0.0
    for _ in range(30):
        p = 1 / (1 + np.exp(difference * beta))
        beta += (difference * p).sum() / (difference**2 * p * (1 - p)).sum()
    return beta


def test_limits_are_quantiles_and_normal_quantiles_of_the_replicates():
    fit = bc.fit(pool_of(three_studies()), covariates="z1", bootstrap=50, seed=1, at=[4, 5], reference=5)
    found = fit.bootstrap
    tidy = found.tidy(level=0.9)
    assert list(tidy.columns) == [
        "method", "term", "exposure", "std_error", "percentile_low", "percentile_high", "normal_low",
        "normal_high", "n", "failed",
    ]  # fmt: skip
    assert tidy["term"].tolist() == [*fit.terms, "", ""]
    assert tidy["exposure"].isna().tolist() == [True] * 4 + [False] * 2
    draws = np.hstack([found.coefficients, found.curves[:, 0]])
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    np.testing.assert_allclose(tidy["percentile_low"], low, rtol=SAME_NUMBERS)
    np.testing.assert_allclose(tidy["percentile_high"], high, rtol=SAME_NUMBERS)
    estimate = np.append(fit.estimates, fit.dose_response().log_or)
    half = 1.6448536269514722 * draws.std(axis=0, ddof=1)
    np.testing.assert_allclose(tidy["normal_low"], estimate - half, rtol=SAME_NUMBERS)
    np.testing.assert_allclose(tidy["normal_high"], estimate + half, rtol=SAME_NUMBERS)
    at_reference = tidy.iloc[-1]
    assert at_reference["exposure"] == 5
    assert (at_reference[["std_error", "percentile_low", "normal_high"]] == 0).all()
    np.testing.assert_allclose(np.sqrt(np.diag(found.cov_params())), found.std_errors, rtol=SAME_NUMBERS)


def test_quantile_knots_are_redrawn_and_given_ones_kept():
    pool = pool_of(three_studies())
    redrawn = bc.fit(pool, exposure=bc.rcs(3), bootstrap=5, seed=1)
    kept = bc.fit(pool, exposure=bc.rcs(list(redrawn.basis.knots)), bootstrap=5, seed=1)
    np.testing.assert_allclose(redrawn.estimates, kept.estimates, rtol=SAME_FIT)
    assert redrawn.bootstrap.knots_redrawn
    assert not kept.bootstrap.knots_redrawn
    assert (redrawn.bootstrap.coefficients != kept.bootstrap.coefficients).any()
    assert any("compare those of the curve" in note for note in redrawn.info.notes)
    assert not any("those of the curve" in note for note in kept.info.notes)


def test_given_knots_outside_a_resample_are_no_failure():
    frame = three_studies()
    values = bc.fit(pool_of(frame)).info.scale.control_exposure
    # the outer knots are at the extremes of the data, which two resamples in three leave out
    knots = [float(values.min()), 5.0, float(values.max())]
    found = bc.fit(pool_of(frame), exposure=bc.rcs(knots), bootstrap=10, seed=1).bootstrap
    assert (found.n, found.n_failed) == (10, 0)


def test_a_curve_for_each_level_of_the_modifier():
    frame = three_studies().assign(sex=lambda d: np.where(np.arange(len(d)) % 2, "f", "m"))
    fit = bc.fit(pool_of(frame), exposure=bc.linear(), modifier="sex", bootstrap=5, seed=1, at=[4, 6])
    tidy = fit.bootstrap.tidy()
    assert tidy["modifier"].tolist() == [""] * len(fit.terms) + ["sex = f"] * 2 + ["sex = m"] * 2
    by_level = [curve.log_or for curve in fit.dose_responses()]
    np.testing.assert_allclose(fit.bootstrap.curve, by_level, rtol=SAME_NUMBERS)
    slope = fit.bootstrap.coefficients @ [1, *[0] * (len(fit.terms) - 2), 1]  # exposure and its product
    span = 6 - fit.info.scale.reference
    np.testing.assert_allclose(fit.bootstrap.curves[:, 1, 1], slope * span, rtol=SAME_FIT)


def test_categories_have_a_row_each():
    exposure = bc.categories([4.5, 6], reference="[4.5, 6)")
    fit = bc.fit(pool_of(three_studies()), exposure=exposure, bootstrap=5, seed=1)
    tidy = fit.bootstrap.tidy()
    assert tidy["exposure"].tolist() == ["", "", "(-inf, 4.5)", "[4.5, 6)", "[6, inf)"]
    np.testing.assert_array_equal(fit.bootstrap.curves[:, 0, [0, 2]], fit.bootstrap.coefficients)
    assert (fit.bootstrap.curves[:, 0, 1] == 0).all()


def test_smearing_gets_its_standard_errors_from_the_bootstrap():
    fit = bc.fit(pool_of(three_studies()), method="induced", residual_law="smearing", bootstrap=5, seed=1)
    assert np.isnan(fit.std_errors).all()
    assert (fit.bootstrap.std_errors > 0).all()


def fail_every_third(monkeypatch, error: Exception, only: str = "full") -> None:
    """Let the method fail in the replicates 0, 3, 6, ... (calls are counted, one job)."""
    calls = itertools.count()
    fit = bootstrap_module.estimate_coefficients

    def sometimes(problem, method, *rest):
        if method == only and next(calls) % 3 == 0:
            raise error
        return fit(problem, method, *rest)

    monkeypatch.setattr(bootstrap_module, "estimate_coefficients", sometimes)


def test_failures_are_counted_with_their_reason_and_told_loudly(monkeypatch):
    fail_every_third(monkeypatch, SeparationError("separation: along z1", terms=("z1",)))
    both = bc.fit(pool_of(three_studies()), method=["naive", "full"], bootstrap=9, seed=1)
    found = both["full"].bootstrap
    assert (found.n, found.n_failed) == (6, 3)
    assert [f.replicate for f in found.failures] == [0, 3, 6]
    assert found.replicates.tolist() == [1, 2, 4, 5, 7, 8]
    assert {f.error for f in found.failures} == {"SeparationError"}
    assert (found.tidy()["failed"] == 3).all()
    assert (found.tidy()["n"] == 6).all()
    assert both["naive"].bootstrap.n == 9
    (note,) = [note for note in both["full"].notes if "failed" in note]
    assert note.startswith(
        "3 of 9 bootstrap replicates failed (3 SeparationError, as in: separation: along z1): MORE"
    )
    assert "9 replicates, 3 failed" in both.summary()


def test_few_failures_are_told_without_alarm(monkeypatch):
    fail_every_third(monkeypatch, FitError("no"))
    found = bc.fit(pool_of(three_studies()), bootstrap=9, seed=1).bootstrap
    rare = replace(
        found, failures=found.failures[:1], coefficients=np.zeros((99, found.coefficients.shape[1]))
    )
    (note,) = rare.notes()
    assert (
        note == "1 of 100 bootstrap replicates failed (1 FitError, as in: no); the intervals leave them out"
    )


def test_without_a_replicate_there_are_no_intervals(monkeypatch):
    def never(*_):
        raise FitError("no")

    monkeypatch.setattr(bootstrap_module, "estimate_coefficients", never)
    fit = bc.fit(pool_of(three_studies()), bootstrap=4, seed=1)
    assert (fit.bootstrap.n, fit.bootstrap.n_failed) == (0, 4)
    limits = fit.bootstrap.tidy()[
        ["std_error", "percentile_low", "percentile_high", "normal_low", "normal_high"]
    ]
    assert limits.isna().all(axis=None)
    assert "4 of 4" in fit.summary()


def test_a_fault_of_the_program_is_not_a_failed_replicate(monkeypatch):
    fail_every_third(monkeypatch, ZeroDivisionError("a fault"))
    with pytest.raises(ZeroDivisionError):
        bc.fit(pool_of(three_studies()), bootstrap=3, seed=1)


@pytest.mark.parametrize(("exposure", "naive_fails"), [(bc.linear(), 0), (bc.rcs(3), 3)])
def test_a_failed_calibration_fails_the_methods_that_need_it(monkeypatch, exposure, naive_fails):
    calibrate, calls = bootstrap_module.calibrate_problem, itertools.count()

    def sometimes(problem):
        if next(calls) % 2 == 0:
            raise CalibrationDesignError("study A: all 3 calibrated persons have the same local value")
        return calibrate(problem)

    monkeypatch.setattr(bootstrap_module, "calibrate_problem", sometimes)
    both = bc.fit(pool_of(three_studies()), method=["naive", "full"], exposure=exposure, bootstrap=6, seed=1)
    assert both["full"].bootstrap.n_failed == 3
    assert both["naive"].bootstrap.n_failed == naive_fails  # its quantile knots are full calibration's
    assert {f.error for f in both["full"].bootstrap.failures} == {"CalibrationDesignError"}


def test_a_calibration_of_three_pairs_fails_in_some_resamples_and_says_so():
    plans = (StudyPlan("R", 60), StudyPlan("A", 60, (1, 1), (1.0, 0.7), 0.5, 3))
    pool = pool_of(draw_pool(np.random.default_rng(2), plans))
    fit = bc.fit(pool, exposure=bc.linear(), bootstrap=60, seed=1)
    # all three draws the same calibrator: probability 1/9
    assert 0 < fit.bootstrap.n_failed < 20
    assert any("same local value" in note for note in fit.notes)


def test_a_level_lost_by_the_calibration_is_told():
    frame = three_studies()
    rare = np.flatnonzero((frame["study"] == "A") & frame["reference"].notna())[:1]
    frame["kit"] = "old"
    frame.loc[rare, "kit"] = "new"
    frame.loc[np.flatnonzero((frame["study"] == "A") & frame["reference"].isna())[:9], "kit"] = "new"
    fit = bc.fit(pool_of(frame), exposure=bc.linear(), matching="kit", bootstrap=30, seed=1)
    # the one calibrator of that level is left out of a resample with probability (1 - 1/10)^10 = .35
    assert 2 <= fit.bootstrap.n_omitted <= 20
    assert any("lacked a level of a calibration covariate" in note for note in fit.notes)


def test_naive_alone_needs_no_calibration():
    plans = (StudyPlan("R", 60), StudyPlan("A", 60, (1, 1), (1.0, 0.7), 0.5, 2))
    pool = pool_of(draw_pool(np.random.default_rng(2), plans))
    fit = bc.fit(pool, method="naive", bootstrap=5, seed=1)
    assert fit.bootstrap.n == 5


def test_two_stage_says_that_studies_are_not_redrawn():
    fit = bc.fit(pool_of(three_studies()), method="two-stage", exposure=bc.linear(), bootstrap=3, seed=1)
    assert any("leave out the variation between studies" in note for note in fit.notes)


def test_progress_is_told_to_the_end():
    told = []
    bc.fit(
        pool_of(three_studies()),
        exposure=bc.linear(),
        bootstrap=45,
        seed=1,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(20, 45), (40, 45), (45, 45)]


def test_few_replicates_for_percentile_limits_are_told():
    def told(n: int) -> bool:
        fit = bc.fit(pool_of(three_studies()), exposure=bc.linear(), bootstrap=n, seed=1, method="naive")
        return any("few for percentile limits" in note for note in fit.info.notes)

    assert told(20)
    assert not told(200)  # 5 replicates beyond either limit at 95 %


def test_the_summary_shows_the_bootstrap_beside_the_sandwich():
    fit = bc.fit(pool_of(three_studies()), bootstrap=20, seed=17)
    text = fit.summary()
    assert "20 replicates (seed 17); matched sets redrawn within study, those holding calibrators" in text
    assert "SE sandwich" in text
    assert "(reference)" in text
    assert "bootstrap of full" in fit.bootstrap.summary()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicates": 1}, "2 or more"),
        ({"replicates": 10.5}, "2 or more"),
        ({"replicates": True}, "2 or more"),
        ({"replicates": 10, "seed": -1}, "whole number from 0"),
        ({"replicates": 10, "jobs": 0}, "number of processes"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        BootstrapOptions(**options)
