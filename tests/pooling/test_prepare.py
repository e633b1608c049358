"""From a pool and formulas to arrays: who enters, which columns, and what is told."""

from __future__ import annotations

import numpy as np
import pytest
from pooled_fits import fit_frame
from pools import LOCAL_A, LOCAL_B, REFERENCE, draw_pool

from biocal.errors import FormulaError, OptionError
from biocal.fitting.methods.estimate import calibrate_problem
from biocal.fitting.problem.model_columns import lay_out_columns
from biocal.fitting.problem.prepare import ModelFormulas, prepare
from biocal.model.exposure import LinearBasis, SplineBasis
from biocal.pool.pooled import PooledStudies


@pytest.fixture
def frame():
    pool = draw_pool(np.random.default_rng(3), [REFERENCE, LOCAL_A, LOCAL_B], covariate_log_odds=(0.3, 0.1))
    pool["site"] = np.where(pool["z2"] > 0.5, "high", np.where(pool["z2"] < -0.5, "low", "middle"))
    pool["level"] = 1.0 * (pool["set"] % 2)
    return pool


def prepared(frame, **formulas):
    return prepare(PooledStudies.from_frame(frame), ModelFormulas(**formulas))


def test_persons_stand_by_set_with_the_values_of_their_rows(frame):
    result = prepared(frame, covariates="z1")
    problem, rows = result.problem, result.outcome_rows.rows
    assert problem.n_sets == 160
    assert (np.diff(problem.set_code) >= 0).all()
    np.testing.assert_array_equal(problem.covariates[0], frame["z1"].to_numpy()[rows])
    np.testing.assert_array_equal(problem.local_assay, frame["local"].to_numpy()[rows])
    np.testing.assert_array_equal(problem.is_case, frame["case"].to_numpy()[rows] == 1)
    names = np.asarray(problem.study_names)[problem.study]
    np.testing.assert_array_equal(names, frame["study"].to_numpy()[rows])
    assert problem.local_names == ("A", "B")
    local = np.where(names == "R", -1, np.where(names == "A", 0, 1))
    np.testing.assert_array_equal(problem.calibration_rows.study, local)


def test_a_covariate_constant_within_every_set_is_omitted_and_still_calibrates(frame):
    result = prepared(frame, covariates="z1 + level")
    assert result.omitted == ("level",)
    assert result.problem.covariate_names == ("z1",)
    assert result.calibration_names == ("z1", "level")


def test_calibration_covariates_are_none_the_outcomes_or_a_formula(frame):
    assert prepared(frame, covariates="z1", calibration_covariates="none").calibration_names == ()
    assert prepared(frame, covariates="z1", matching="z2").calibration_names == ("z1", "z2")
    assert prepared(frame, covariates="z1", matching="z1 + z2").calibration_names == ("z1", "z2")
    assert prepared(frame, covariates="z1", calibration_covariates="z2").calibration_names == ("z2",)
    assert prepared(frame).calibration_names == ()


def test_a_missing_covariate_takes_a_row_from_the_outcome_not_from_a_calibration_that_does_not_need_it(frame):
    calibrators = frame.index[(frame["study"] == "A") & frame["reference"].notna()]
    frame.loc[calibrators[:3], "z1"] = np.nan
    published = prepared(frame, covariates="z1", calibration_covariates="none")
    assert published.problem.calibrators.response.size == 40
    default = prepared(frame, covariates="z1")
    assert default.problem.calibrators.response.size == 37
    for result in (published, default):
        assert not np.isin(calibrators[:3], result.outcome_rows.rows).any()


def test_a_matching_factor_missing_in_a_reference_study_costs_nothing(frame):
    some = frame.index[frame["study"] == "R"][:5]
    frame.loc[some, "z2"] = np.nan
    assert prepared(frame, matching="z2").outcome_rows.rows.size == len(frame)
    frame.loc[frame.index[frame["study"] == "A"][:2], "z2"] = np.nan
    assert prepared(frame, matching="z2").outcome_rows.rows.size < len(frame)


@pytest.mark.parametrize("method", ["naive", "internalized", "full"])
def test_rows_left_out_are_as_if_they_had_never_been_there(frame, method):
    gone = frame.index[frame["study"] == "B"][::7]
    holes = frame.copy()
    holes.loc[gone, "z1"] = np.nan
    basis = SplineBasis((3.0, 5.0, 7.0))
    one = fit_frame(holes, method, basis, covariates="z1")
    two = fit_frame(frame.drop(index=gone).reset_index(drop=True), method, basis, covariates="z1")
    np.testing.assert_allclose(one.beta, two.beta, rtol=1e-9)
    np.testing.assert_allclose(one.vcov, two.vcov, rtol=1e-8)


@pytest.mark.parametrize("method", ["naive", "internalized", "full"])
def test_a_local_row_without_local_value_leaves_every_method_even_with_a_reference_value(frame, method):
    calibrator = frame.index[(frame["study"] == "A") & frame["reference"].notna()][:4]
    frame.loc[calibrator, "local"] = np.nan
    one = fit_frame(frame, method, LinearBasis())
    two = fit_frame(frame.drop(index=calibrator).reset_index(drop=True), method, LinearBasis())
    np.testing.assert_allclose(one.beta, two.beta, rtol=1e-9)
    assert one.prepared.problem.calibrators.response.size == 36


def test_terms_stand_in_the_published_order(frame):
    result = prepared(frame, covariates="z1", modifier="z2")
    model = lay_out_columns(SplineBasis((3.0, 4.0, 5.0, 7.0)), result.problem)
    assert model.terms == (
        *("exposure", "exposure'", "exposure''"),
        *("z1", "z2"),
        *("exposure:z2", "exposure':z2", "exposure'':z2"),
    )
    categorical = prepared(frame, covariates="z1", modifier="C(site)").problem
    assert lay_out_columns(LinearBasis(), categorical).terms == (
        *("exposure", "z1", "C(site)[T.low]", "C(site)[T.middle]"),
        *("exposure:C(site)[T.low]", "exposure:C(site)[T.middle]"),
    )


def test_columns_and_slopes_stand_where_the_terms_say(frame):
    problem = prepared(frame, covariates="z1", modifier="C(site)").problem
    basis = SplineBasis((3.0, 5.0, 7.0))
    model = lay_out_columns(basis, problem)
    exposure = np.random.default_rng(1).normal(5, 1.5, problem.is_case.size)
    columns = dict(zip(model.terms, model.build(basis.columns(exposure), problem), strict=True))
    slopes = dict(zip(model.terms, model.slopes(basis.slopes(exposure), problem), strict=True))
    step = 1e-6
    up = dict(zip(model.terms, model.build(basis.columns(exposure + step), problem), strict=True))
    for term in model.terms:
        np.testing.assert_allclose((up[term] - columns[term]) / step, slopes[term], atol=1e-4)
    np.testing.assert_array_equal(
        columns["exposure':C(site)[T.low]"], columns["exposure'"] * columns["C(site)[T.low]"]
    )


def test_the_modifier_and_its_product_with_the_local_value_join_the_calibration(frame):
    result = prepared(frame, covariates="z1", modifier="level")
    assert result.calibration_names == ("z1", "level", "local:level")
    assert result.problem.modifier_main == ()  # constant within sets: its products stay
    assert lay_out_columns(LinearBasis(), result.problem).terms == ("exposure", "z1", "exposure:level")


def test_a_modifier_that_is_the_same_for_everybody_is_refused(frame):
    with pytest.raises(OptionError, match="same value for everybody"):
        prepared(frame.assign(level=1.0), modifier="level")


def test_an_unknown_column_is_an_error_of_the_formula(frame):
    with pytest.raises(FormulaError, match="z3"):
        prepared(frame, covariates="z3")


def test_two_levels_with_calibrators_enough_have_a_residual_variance_each(frame):
    frame["binary"] = (frame["z2"] > 0).astype(float)
    fit = calibrate_problem(prepared(frame, modifier="binary").problem)
    assert fit.variance.size == 2 + sum(
        ((part["binary"] == 1).sum() >= 10) and ((part["binary"] == 0).sum() >= 10)
        for _, part in frame[frame["reference"].notna() & (frame["study"] != "R")].groupby("study")
    )


def test_reference_studies_only_have_no_calibration(frame):
    result = prepared(frame[frame["study"] == "R"].reset_index(drop=True))
    assert result.problem.local_names == ()
    assert calibrate_problem(result.problem) is None


def test_a_modifier_that_the_covariates_hold_under_another_name_enters_once(frame):
    twice = prepared(frame, covariates="z1 + C(site)", modifier="site")
    assert twice.problem.modifier_names == ("site[T.low]", "site[T.middle]")
    assert twice.problem.modifier_main == ()
    assert twice.calibration_names[:3] == ("C(site)[T.low]", "C(site)[T.middle]", "z1")
    assert twice.calibration_names[3:] == ("local:site[T.low]", "local:site[T.middle]")
    once = prepared(frame, covariates="z1", modifier="site")
    assert once.problem.modifier_main == (0, 1)
