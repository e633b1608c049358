"""Season standardisation through `fit`: what must not matter does not, what it changes, what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pools import LOCAL_A, LOCAL_B, REFERENCE, draw_pool

import biocal as bc
from biocal.errors import ColumnError, OptionError, SeasonDesignError
from biocal.kernels.contrasts import normal_quantile

SAME_MAXIMUM = 1e-7  # coefficients, relative: exposures that differ by rounding end at the same point
METHODS = ["naive", "internalized", "full", "induced", "two-stage"]
KNOTS = [3.0, 5.0, 7.0]
OWN_SET = 0.15  # the season of the other sets' controls against the study's, some forty controls each
AMPLITUDE = {"R": 1.2, "A": 0.8, "B": -0.9}
PEAK = 8.0


def season_of(frame):
    """What is added to the annual level of each person."""
    return frame["study"].map(AMPLITUDE) * np.cos(2 * np.pi * (frame["month"] - PEAK) / 12)


def with_season(frame, seed=5):
    """The pool with a month of draw and its season in both measurements."""
    rng = np.random.default_rng(seed)
    frame = frame.assign(month=rng.integers(1, 13, len(frame)))
    season = season_of(frame)
    slopes = frame["study"].map({"R": 1.0, "A": 0.7, "B": 1.4})
    return frame.assign(reference=frame["reference"] + season, local=frame["local"] + season / slopes)


@pytest.fixture(scope="module")
def plain():
    return draw_pool(np.random.default_rng(8), [REFERENCE, LOCAL_A, LOCAL_B], covariate_log_odds=(0.3,))


@pytest.fixture(scope="module")
def frame(plain):
    return with_season(plain)


def fit(frame, **options):
    options = {"method": METHODS, "exposure": bc.linear(), "covariates": "z1", "season": "month"} | options
    return bc.fit(bc.PooledStudies.from_frame(frame), **options)


def assert_same_exposure(one, two, scale=1.0):
    np.testing.assert_allclose(two.estimates, one.estimates * scale, rtol=SAME_MAXIMUM, atol=1e-9)
    np.testing.assert_allclose(two.vcov, one.vcov * scale**2, rtol=1e-5, atol=1e-9)


def test_a_linear_odds_ratio_does_not_depend_on_the_reference_date(frame):
    annual, july = fit(frame), fit(frame, season_reference="2026-07-01")
    for method in METHODS:
        assert_same_exposure(annual[method], july[method])


def test_odds_ratios_of_a_spline_and_of_categories_do(frame):
    for exposure in (bc.rcs(KNOTS), bc.categories(cuts=[4.0, 6.0], reference=1)):
        annual, july = (
            fit(frame, method="full", exposure=exposure, season_reference=when) for when in ("annual", 182)
        )
        assert np.abs(annual.estimates - july.estimates).max() > 1e-3


def test_months_and_reference_date_turned_together_give_the_same_fit(frame):
    later = frame.assign(month=(frame["month"] + 2) % 12 + 1)  # three months on
    for exposure in (bc.rcs(KNOTS), bc.categories(cuts=[4.0, 6.0], reference=1)):
        one = fit(frame, exposure=exposure, season_reference=100.0)
        two = fit(later, exposure=exposure, season_reference=100.0 + 365.25 / 4)
        for method in METHODS:
            assert_same_exposure(one[method], two[method])


def test_calendar_years_and_kinds_of_column_do_not_matter(frame):
    dates = pd.to_datetime({"year": 2000 + frame.index % 7, "month": frame["month"], "day": 15})
    one = fit(frame.assign(drawn=dates), season="drawn", method="full")
    two = fit(frame.assign(drawn=dates.dt.strftime("%d.%m.%Y")), season="drawn", method="full")
    assert_same_exposure(one, two)
    # middles of months and their 15th days differ by a day or two
    by_month = fit(frame, method="full")
    np.testing.assert_allclose(one.estimates, by_month.estimates, rtol=0.01)


def test_a_season_added_to_every_measurement_of_a_reference_study_is_taken_off_again(plain):
    """The exact case: the harmonic that was added leaves nothing behind, coefficients and covariance alike."""
    plain = plain[plain["study"] == "R"].reset_index(drop=True)
    plain = plain.assign(month=np.random.default_rng(1).integers(1, 13, len(plain)))
    season = 3.0 * np.cos(2 * np.pi * (plain["month"] - 2.0) / 12)
    one = fit(plain, method="full", exposure=bc.rcs(KNOTS))
    two = fit(plain.assign(reference=plain["reference"] + season), method="full", exposure=bc.rcs(KNOTS))
    assert_same_exposure(one, two)


@pytest.mark.parametrize("harmonics", [1, 2])
def test_added_to_all_local_values_in_their_own_unit_it_is_taken_off_too(plain, harmonics):
    """W and X of a local study both gain their season: lines, residuals, and standardised means stay."""
    plain = plain.assign(month=np.random.default_rng(2).integers(1, 13, len(plain)))
    options = {"exposure": bc.rcs(KNOTS), "season_harmonics": harmonics}
    # harmonics of each study's own among the calibration covariates, so that they absorb it exactly
    options |= {"calibration_coefficients": "by-study", "method": ["full", "induced"]}
    one = fit(plain, **options)
    two = fit(plain.assign(reference=plain["reference"] + season_of(plain)), **options)
    for method in ("full", "induced"):
        assert_same_exposure(one[method], two[method])


def test_without_any_season_it_changes_no_more_than_its_own_error(plain):
    frame = plain.assign(month=np.random.default_rng(3).integers(1, 13, len(plain)))
    without = fit(frame, season=None, matching="C(month)")
    found = fit(frame, matching="C(month)")
    for method in METHODS:
        shift = found[method].estimates[0] - without[method].estimates[0]
        assert 0 < abs(shift) < without[method].std_errors[0] / 2, method
    info = found["full"].info.season
    for study in info.studies:
        z = study.coefficients / study.std_errors
        assert np.abs(z).max() < normal_quantile(0.9999), study.study


def test_fitted_swings_are_those_planted(frame):
    seasons = fit(frame, method="full").info.season
    for study in seasons.studies:
        angle = 2 * np.pi * (PEAK - 0.5) / 12
        planted = AMPLITUDE[study.study] * np.array([np.cos(angle), np.sin(angle)])
        assert np.abs((study.coefficients - planted) / study.std_errors).max() < 4
        assert study.n_controls == study.month_count.sum()


def test_internalized_takes_off_the_season_of_full_calibration(frame):
    from biocal.fitting.methods.estimate import calibrate_problem
    from biocal.fitting.methods.plug_in import plug_in_exposure
    from biocal.fitting.problem.prepare import ModelFormulas, prepare
    from biocal.fitting.problem.season_request import SeasonRequest

    formulas = ModelFormulas(covariates="z1", season=SeasonRequest("month"))
    problem = prepare(bc.PooledStudies.from_frame(frame), formulas).problem
    calibration = calibrate_problem(problem)
    full, internalized, naive = (
        plug_in_exposure(problem, method, calibration) for method in ("full", "internalized", "naive")
    )
    np.testing.assert_array_equal(internalized.season.shift, full.season.shift)
    measured = problem.in_calibration & ~problem.is_reference
    np.testing.assert_allclose(
        internalized.value[measured], problem.reference_assay[measured] - full.season.shift[measured]
    )
    assert np.abs(naive.season.shift - full.season.shift)[~problem.is_reference].max() > 0.05
    np.testing.assert_array_equal(
        naive.season.shift[problem.is_reference], full.season.shift[problem.is_reference]
    )


def test_two_stage_is_each_study_with_its_own_season(frame):
    options = {"exposure": bc.linear(), "reference": 5.0, "calibration_coefficients": "by-study"}
    together = fit(frame, method="two-stage", **options)
    for s, name in enumerate(["A", "B", "R"]):
        alone = fit(frame[frame["study"] == name], method="full", **options)
        np.testing.assert_allclose(together.studies.estimates[s], alone.estimates, rtol=SAME_MAXIMUM)
        np.testing.assert_allclose(together.studies.covariances[s], alone.vcov, rtol=1e-6)


def test_the_bootstrap_fits_the_season_anew(frame):
    options = {"method": ["naive", "full"], "exposure": bc.rcs(3), "bootstrap": 60, "seed": 4}
    found = fit(frame, **options)
    for method in ("naive", "full"):
        record = found[method].bootstrap
        assert not record.failures
        # about the sandwich's size: 60 replicates tell a standard error to a tenth, small samples inflate it
        ratio = record.coefficients[:, -1].std(ddof=1) / found[method].std_errors[-1]
        assert 0.7 < ratio < 1.6
    # in a resample the season is that of the resample
    from biocal.fitting.methods.estimate import calibrate_problem
    from biocal.fitting.methods.plug_in import plug_in_exposure
    from biocal.fitting.problem.prepare import ModelFormulas, prepare
    from biocal.fitting.problem.season_request import SeasonRequest
    from biocal.fitting.repeated.resampling import design_resampling, redraw

    problem = prepare(
        bc.PooledStudies.from_frame(frame), ModelFormulas(covariates="z1", season=SeasonRequest("month"))
    ).problem
    again = redraw(design_resampling(problem), np.random.default_rng(1))
    seasons = [plug_in_exposure(p, "full", calibrate_problem(p)).season for p in (problem, again)]
    assert np.abs(seasons[0].coefficients - seasons[1].coefficients).min() > 1e-6


def test_the_calibration_includes_the_season_unless_a_formula_does(frame):
    assert fit(frame, method="full").info.calibration_names == ("z1", "season cos", "season sin")
    by_month = fit(frame, method="full", matching="C(month)").info.calibration_names
    assert "season cos" not in by_month
    assert len(by_month) == 12
    for wanted, told in (("none", True), ("z1", True), ("z1 + C(month)", False)):
        notes = fit(frame, method="full", calibration_covariates=wanted).info.notes
        assert any("leaves the season out" in note for note in notes) == told


def test_a_missing_month_leaves_the_outcome_model_and_is_counted(frame):
    holed = frame.assign(month=frame["month"].astype(float))
    case = holed.index[(holed["study"] == "R") & (holed["case"] == 1)][0]
    holed.loc[case, "month"] = np.nan
    found = fit(holed, method="full")
    flow = {one.study: one for one in found.sample.flow}["R"]
    assert flow.missing_by_variable == {"month": 1}
    assert found.sample.n_sets == fit(frame, method="full").sample.n_sets - 1
    assert "month 1" in found.summary()


def test_a_study_drawn_in_one_month_is_refused_by_name_and_left_out_of_two_stage(frame):
    stuck = frame.assign(month=np.where(frame["study"] == "B", 3, frame["month"]))
    with pytest.raises(
        SeasonDesignError, match=r"study B: 80 controls drawn at 1 time of the year"
    ) as caught:
        fit(stuck, method="full")
    assert caught.value.studies == ("B",)
    assert "leave such a study out" in str(caught.value)


def test_two_harmonics_need_five_months_and_one_is_offered(frame):
    few = frame.assign(month=np.where(frame["study"] == "A", frame["month"] % 4 + 1, frame["month"]))
    fit(few, method="full")
    with pytest.raises(SeasonDesignError, match=r"study A.*one harmonic instead of two"):
        fit(few, method="full", season_harmonics=2)


def test_studies_with_part_of_the_year_or_few_controls_are_told(frame):
    summer = frame.assign(month=np.where(frame["study"] == "A", 4 + frame["month"] % 5, frame["month"]))
    notes = fit(summer, method="full").info.notes
    assert any("no control drawn" in note and "A (7 months)" in note for note in notes)
    assert any("fewer than 50 controls" in note for note in fit(
        pd.concat([frame[frame["study"] != "R"], frame[(frame["study"] == "R") & (frame["set"] <= 20)]]),
        method="full", season_harmonics=2,
    ).info.notes)  # fmt: skip


def test_the_reference_date_and_what_hangs_on_it_are_named(frame):
    found = fit(frame, method="full", season_reference="2026-07-01", exposure=bc.categories(cuts=[4.0, 6.0]))
    text = found.summary()
    assert "standardised to 1 July: one harmonic by study" in text
    assert "column 'month', read as months" in " ".join(text.split())
    assert any("odds ratios depend on that reference" in note for note in found.info.notes)
    straight = fit(frame, method="full", season_reference="2026-07-01")
    assert not any("reference" in note and "1 July" in note for note in straight.info.notes)
    assert "season's uncertainty is carried" in straight.variance


def test_season_takes_the_exposure_before_knots_reference_and_axes(frame):
    annual = fit(frame, method="full", exposure=bc.rcs(3))
    later = fit(frame.assign(month=frame["month"]), method="full", exposure=bc.rcs(3), season_reference=230)
    seasons = {s.study: s for s in annual.info.season.studies}
    controls = frame[(frame["case"] == 0)]
    assert later.info.scale.control_exposure.size == len(controls)
    from biocal.kernels.splines import harmonic_columns

    wave = harmonic_columns(np.array([230.0]))[:, 0]
    shifts = {name: float(s.coefficients @ wave) for name, s in seasons.items()}
    moved = np.sort(later.info.scale.control_exposure - annual.info.scale.control_exposure)
    expected = np.sort([shifts[name] for name in controls["study"]])
    assert np.abs(moved - expected).max() < OWN_SET
    assert annual.basis.knots != later.basis.knots
    assert annual.info.scale.reference != later.info.scale.reference


def test_options_that_cannot_be(frame):
    with pytest.raises(OptionError, match="1 or 2"):
        fit(frame, season_harmonics=3)
    with pytest.raises(OptionError, match="need a season column"):
        fit(frame, season=None, season_reference="2026-07-01")
    with pytest.raises(OptionError, match="annual, a date"):
        fit(frame, season_reference="midsummer")
    with pytest.raises(ColumnError, match="no column 'mnth'"):
        fit(frame, season="mnth")
    positive = frame.assign(reference=frame["reference"] + 8, local=frame["local"] + 8)
    with pytest.raises(OptionError, match="between logarithms"):
        fit(positive, method="induced", calibration_form="log-log", exposure=bc.rcs(3))


@pytest.mark.parametrize("options", [{"calibration_form": "log-log"}, {"calibration_estimator": "huber"}])
def test_other_calibrations_carry_the_season_too(frame, options):
    """The sandwich against the bootstrap: 100 replicates tell a standard error to 7 %."""
    positive = frame.assign(reference=frame["reference"] + 8, local=frame["local"] + 8)
    found = fit(positive, method="full", bootstrap=100, seed=2, **options)
    ratio = found.bootstrap.coefficients[:, 0].std(ddof=1) / found.std_errors[0]
    assert 0.75 < ratio < 1.35


def own_season(frame):
    """The problem of a frame, and its season under full calibration."""
    from biocal.fitting.methods.estimate import calibrate_problem
    from biocal.fitting.methods.plug_in import plug_in_exposure
    from biocal.fitting.problem.prepare import ModelFormulas, prepare
    from biocal.fitting.problem.season_request import SeasonRequest

    formulas = ModelFormulas(covariates="z1", season=SeasonRequest("month"))
    problem = prepare(bc.PooledStudies.from_frame(frame), formulas).problem
    return problem, plug_in_exposure(problem, "full", calibrate_problem(problem))


def test_everybody_is_standardised_by_the_season_of_the_other_sets_controls(frame):
    problem, exposure = own_season(frame)
    day = exposure.value + exposure.season.shift
    waves = np.vstack([np.ones(day.size), problem.season.harmonics])
    for chosen in range(0, problem.n_sets, 7):
        mine = problem.set_code == chosen
        others = problem.is_control & ~mine & (problem.study == problem.study[mine][0])
        fitted = np.linalg.lstsq(waves[:, others].T, day[others], rcond=None)[0]
        np.testing.assert_allclose(exposure.season.shift[mine], fitted[1:] @ waves[1:, mine], atol=1e-10)
        np.testing.assert_allclose(exposure.season.of_sets.coefficients[chosen], fitted, atol=1e-10)
    assert not exposure.season.of_sets.keeps_part.any()


def test_a_set_on_which_its_studys_season_rests_keeps_its_part_and_is_told(frame):
    """All of study A is drawn in three months, and one of them is known from the controls of one set alone."""
    study = frame["study"] == "A"
    sets = frame["set"].rank(method="dense")
    alone = study & (frame["set"] == frame.loc[study, "set"].min())
    month = np.where(study, np.where(sets % 2 == 0, 1, 5), frame["month"])
    frame = frame.assign(month=np.where(alone, 9, month))
    problem, exposure = own_season(frame)
    kept = np.flatnonzero(exposure.season.of_sets.keeps_part)
    assert kept.size == 1
    code = exposure.season.code[problem.set_code == kept[0]][0]
    np.testing.assert_array_equal(
        exposure.season.of_sets.coefficients[kept[0]], exposure.season.coefficients[code]
    )
    found = fit(frame, method="full")
    assert any("A (1 set)" in note for note in found.info.notes)
    assert np.isfinite(found.vcov).all()
