"""Two-stage pooling: each study on its own, then the studies together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pools import LOCAL_A, LOCAL_B, REFERENCE, StudyPlan, draw_pool

import biocal as bc
from biocal.errors import ConvergenceError, FitError
from biocal.fitting.methods import two_stage_pooling, two_stage_studies
from biocal.kernels.meta.numbers import combine_estimates
from biocal.kernels.meta.vectors import combine_vectors

SAME_ARITHMETIC = 1e-9  # relative; the same maximum found from sets laid out differently
REML_SEARCH = 1e-6  # relative; two searches for one restricted maximum
KNOTS = bc.rcs(knots=[3.0, 5.0, 7.0])
PLANS = (
    StudyPlan("R", 80),
    StudyPlan("A", 80, (1, 2), (1.0, 0.7), n_calibrators=40),
    StudyPlan("B", 70, (2, 2), (-0.8, 1.4), n_calibrators=40),
    StudyPlan("C", 90, (1, 1), (0.3, 0.9), n_calibrators=40),
)


def fit(frame, **options):
    return bc.fit(bc.PooledStudies.from_frame(frame), **{"method": "two-stage", "exposure": KNOTS} | options)


@pytest.fixture(scope="module")
def frame():
    return draw_pool(np.random.default_rng(11), PLANS, covariate_log_odds=(0.3,))


@pytest.fixture(scope="module")
def both(frame):
    return fit(frame, method=["full", "two-stage"], covariates="z1")


@pytest.fixture(scope="module")
def two_stage(both):
    return both["two-stage"]


def study_rows(found, name):
    """Estimates and covariance of one study."""
    s = found.studies.study_names.index(name)
    return found.studies.estimates[s], found.studies.covariances[s]


# first stage


@pytest.mark.parametrize("name", ["R", "A", "B", "C"])
def test_a_study_is_fitted_as_it_would_be_alone(frame, two_stage, name):
    alone = fit(frame[frame["study"] == name], method="full", covariates="z1")
    estimates, covariance = study_rows(two_stage, name)
    np.testing.assert_allclose(estimates, alone.estimates, rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(covariance, alone.vcov, rtol=SAME_ARITHMETIC)


def test_calibration_coefficients_by_study_are_the_study_s_own_even_with_few_pairs(frame):
    kept = frame[~((frame["study"] == "A") & (frame["case"] == 0) & frame["reference"].notna())]
    few = frame[(frame["study"] == "A") & (frame["case"] == 0) & frame["reference"].notna()].head(6)
    frame = pd.concat([kept, few])
    options = {"covariates": "z1", "calibration_coefficients": "by-study"}
    alone = fit(frame[frame["study"] == "A"], method="full", **options)
    own, shared = fit(frame, **options), fit(frame, covariates="z1")
    np.testing.assert_allclose(study_rows(own, "A")[1], alone.vcov, rtol=SAME_ARITHMETIC)
    assert own.studies.shared_calibration == ()
    # Six pairs are fewer than five for each of the line's two coefficients and the covariate's.
    assert shared.studies.shared_calibration == ("A",)
    assert abs(study_rows(shared, "A")[0][0] / alone.estimates[0] - 1) > 1e-6
    assert any("in A the coefficients of the calibration covariates" in note for note in shared.notes)


def test_without_calibration_covariates_every_line_is_the_study_s_own(frame):
    thin = frame.copy()
    calibrated = thin.index[(thin["study"] == "A") & (thin["case"] == 0) & thin["reference"].notna()]
    thin.loc[calibrated[5:], "reference"] = np.nan
    options = {"covariates": "z1", "calibration_covariates": "none"}
    alone = fit(thin[thin["study"] == "A"], method="full", **options)
    np.testing.assert_allclose(study_rows(fit(thin, **options), "A")[1], alone.vcov, rtol=SAME_ARITHMETIC)


def test_a_covariate_the_subset_cannot_tell_but_the_study_needs_takes_the_pooled_coefficient(frame):
    frame = frame.copy()
    subset = (frame["study"] == "A") & frame["reference"].notna()
    frame["rare"] = (np.random.default_rng(2).uniform(size=len(frame)) < 0.3).astype(float)
    frame.loc[subset, "rare"] = 0.0
    found = fit(frame, covariates="z1 + rare")
    assert found.studies.shared_calibration == ("A",)


# second stage


def test_the_pool_of_reference_studies_is_inverse_variance_of_separate_fits():
    plans = [StudyPlan(name, n) for name, n in zip("ABCDE", (60, 80, 70, 90, 100), strict=True)]
    frame = draw_pool(np.random.default_rng(3), plans)
    found = fit(frame)
    alone = [fit(frame[frame["study"] == name], method="full") for name in "ABCDE"]
    vectors, covariances = np.array([a.estimates for a in alone]), np.array([a.vcov for a in alone])
    by_hand = combine_vectors(vectors, covariances)
    np.testing.assert_allclose(found.estimates, by_hand.estimate, rtol=REML_SEARCH)
    np.testing.assert_allclose(found.vcov, by_hand.covariance, rtol=REML_SEARCH)
    precisions = np.linalg.inv(covariances)
    fixed = np.linalg.solve(precisions.sum(axis=0), np.einsum("sij,sj->i", precisions, vectors))
    np.testing.assert_allclose(found.studies.fixed.estimate, fixed, rtol=1e-8)
    np.testing.assert_allclose(found.studies.vcov_fixed, np.linalg.inv(precisions.sum(axis=0)), rtol=1e-8)
    centred = vectors - fixed
    q = np.einsum("si,sij,sj->", centred, precisions, centred)
    (test,) = [t for t in found.tests() if t.test == "heterogeneity"]
    assert (test.statistic, test.df) == (pytest.approx(q, rel=1e-8), 8)


def test_a_linear_exposure_is_pooled_as_one_number(frame):
    found = fit(frame, exposure=bc.linear(), covariates="z1")
    for k in (0, 1):
        variances = found.studies.covariances[:, k, k]
        by_hand = combine_estimates(found.studies.estimates[:, k], variances, method="reml")
        assert found.estimates[k] == pytest.approx(by_hand.estimate, rel=REML_SEARCH)
        assert found.std_errors[k] == pytest.approx(by_hand.std_error, rel=REML_SEARCH)


def test_studies_that_share_nothing_have_the_covariance_of_inverse_variance(two_stage):
    studies = two_stage.studies
    columns = studies.exposure_positions.ravel()
    block = two_stage.vcov[np.ix_(columns, columns)]
    np.testing.assert_allclose(block, studies.pooled.covariance, rtol=SAME_ARITHMETIC)
    (other,) = studies.other_terms
    assert two_stage.std_errors[other.position] == pytest.approx(other.random.std_error, rel=SAME_ARITHMETIC)


def test_shared_calibration_coefficients_are_carried_as_in_one_model_with_a_slope_for_each_study():
    plans = [StudyPlan("R", 60), *(StudyPlan(n, 60, (1, 1), (0.5, 0.8), 1.5, 12) for n in "ABC")]
    frame = draw_pool(np.random.default_rng(8), plans, covariate_log_odds=(0.6,), correlation=0.7)
    frame["cohort"] = frame["study"]
    options = {"exposure": bc.linear(), "matching": "z1"}
    studies = fit(frame, **options).studies
    assert studies.shared_calibration == ("A", "B", "C")
    # The joint model: slope of A, and what B, C and R have more; the calibration drops the study's indicators,
    # which its lines hold already.
    joint = fit(frame, method="full", modifier="cohort", **options)
    to_slopes = np.hstack([np.ones((4, 1)), np.eye(4)[:, 1:]])
    np.testing.assert_allclose(studies.estimates[:, 0], to_slopes @ joint.estimates, rtol=1e-8)
    weights = studies.fixed.weights @ to_slopes
    assert studies.vcov_fixed[0, 0] == pytest.approx(weights @ joint.vcov @ weights, rel=1e-8)
    assert abs(studies.vcov_fixed[0, 0] / studies.fixed.covariance[0, 0] - 1) > 1e-3


def test_large_homogeneous_studies_give_the_one_stage_estimate():
    plans = [StudyPlan("R", 800), StudyPlan("A", 800, (1, 1), (1.0, 0.7), 0.4, 200)]
    both = fit(draw_pool(np.random.default_rng(5), plans), method=["full", "two-stage"], exposure=bc.linear())
    one_stage, fixed = both["full"], both["two-stage"].studies.fixed
    # Same score equations to first order; they part by terms of the order of 1/n.
    assert abs(fixed.estimate[0] - one_stage.estimates[0]) < 0.05 * one_stage.std_errors[0]
    assert np.sqrt(fixed.covariance[0, 0]) == pytest.approx(one_stage.std_errors[0], rel=0.02)


def test_between_study_variance_is_recovered():
    rng = np.random.default_rng(17)
    tau, mean = 0.25, 0.4
    slopes = rng.normal(mean, tau, 40)
    frame = pd.concat(
        [draw_pool(rng, [StudyPlan(f"S{s}", 120)], log_odds=b, sd=1.0) for s, b in enumerate(slopes)]
    )
    studies = fit(frame, exposure=bc.linear()).studies
    contrast = studies.contrast(6, 5)
    # Four standard errors: a chance of about 1 in 15,000 for a right program.
    assert abs(contrast.pooled.tau_squared - tau**2) < 4 * contrast.pooled.tau_squared_std_error
    assert abs(contrast.pooled.estimate - mean) < 4 * contrast.pooled.std_error
    assert studies.heterogeneity.p_value < 1e-4
    assert studies.pooled.between_covariance[0, 0] == pytest.approx(
        contrast.pooled.tau_squared, rel=REML_SEARCH
    )


# invariance


def test_names_of_studies_and_sets_and_the_order_of_rows_do_not_matter(frame, two_stage):
    other = frame.sample(frac=1, random_state=4)
    other["study"] = other["study"].map({"R": "alpha", "A": "zeta", "B": "beta", "C": "gamma"})
    other["set"] = 1000 - other["set"]
    again = fit(other, covariates="z1")
    np.testing.assert_allclose(again.estimates, two_stage.estimates, rtol=REML_SEARCH)
    np.testing.assert_allclose(again.vcov, two_stage.vcov, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(
        study_rows(again, "zeta")[0], study_rows(two_stage, "A")[0], rtol=SAME_ARITHMETIC
    )


def test_the_unit_of_the_reference_laboratory_scales_the_coefficients(frame):
    found = fit(frame, exposure=bc.linear(), covariates="z1")
    other = frame.assign(reference=frame["reference"] * 10, local=frame["local"] * 3)
    again = fit(other, exposure=bc.linear(), covariates="z1")
    np.testing.assert_allclose(again.estimates * [10, 1], found.estimates, rtol=REML_SEARCH)


def test_every_study_twice_halves_the_fixed_effect_covariance(frame, two_stage):
    twice = pd.concat([frame, frame.assign(study=frame["study"] + " again")])
    again = fit(twice, covariates="z1").studies
    np.testing.assert_allclose(again.fixed.estimate, two_stage.studies.fixed.estimate, rtol=1e-8)
    np.testing.assert_allclose(2 * again.vcov_fixed, two_stage.studies.vcov_fixed, rtol=1e-8)


def test_shares_of_the_variance_name_the_local_studies(two_stage):
    shares = two_stage.dose_response().variance_shares()
    assert set(shares["study"]) == {"A", "B", "C"}
    assert ((shares["share"] > 0) & (shares["share"] < 1)).all()


# studies that cannot be fitted


def with_lost_study(frame, rows):
    return pd.concat([frame, rows.assign(study="Lost")], ignore_index=True)


@pytest.mark.parametrize("lost", ["too few", "constant", "separated"])
def test_a_study_that_cannot_be_fitted_is_named_and_the_pool_is_that_of_the_others(frame, two_stage, lost):
    rows = frame[frame["study"] == "R"].copy()
    if lost == "too few":
        rows, reason = rows[rows["set"] <= 5], "too few matched sets"
    elif lost == "constant":
        rows["reference"], reason = rows.groupby("set")["reference"].transform("mean"), "constant within"
    else:
        rows["reference"] = np.where(rows["case"] == 1, 6.0, 4.0) + 0.1 * np.random.default_rng(1).normal(
            size=len(rows)
        )
        reason = "separation"
    found = fit(with_lost_study(frame, rows), covariates="z1")
    assert list(found.studies.left_out) == ["Lost"]
    assert reason in found.studies.left_out["Lost"]
    assert any("left out: study Lost" in warning and reason in warning for warning in found.warnings)
    assert "left out: study Lost" in found.summary().replace("\n    ", " ")
    np.testing.assert_allclose(found.estimates, two_stage.estimates, rtol=REML_SEARCH)
    one_stage = fit(with_lost_study(frame, rows), covariates="z1", method="full")
    assert any("the heterogeneity test leaves out study Lost" in note for note in one_stage.notes)


def test_a_covariate_constant_in_a_study_is_pooled_over_the_others(frame):
    other = frame.copy()
    other.loc[other["study"] == "B", "z1"] = 1.5
    found = fit(other, covariates="z1", calibration_covariates="none")
    (term,) = found.studies.other_terms
    assert [found.studies.study_names[s] for s in term.studies] == ["A", "C", "R"]
    assert np.isnan(study_rows(found, "B")[0][-1])
    assert any("z1 is pooled over 3 of 4 studies" in note and note.endswith("in B") for note in found.notes)
    rows = [study_rows(found, name) for name in "ACR"]
    kept = combine_estimates([estimates[-1] for estimates, _ in rows], [v[-1, -1] for _, v in rows])
    assert found.estimates[-1] == pytest.approx(kept.estimate, rel=REML_SEARCH)


def test_covariates_collinear_in_one_study_alone_do_not_cost_the_study(frame):
    other = frame.copy()
    other["z2"] = np.random.default_rng(6).normal(size=len(other))
    other.loc[other["study"] == "B", "z2"] = 2 * other["z1"]
    found = fit(other, covariates="z1 + z2", calibration_covariates="none")
    assert found.studies.left_out == {}
    assert any("z2 is pooled over 3 of 4 studies" in note for note in found.notes)


def test_a_covariate_that_only_a_lost_study_could_estimate_is_left_out_and_told(frame):
    rows = frame[(frame["study"] == "R") & (frame["set"] <= 8)]
    other = with_lost_study(frame.assign(only=0.0), rows.assign(only=rows["z1"]))
    found = fit(other, covariates="z1 + only", calibration_covariates="none")
    assert found.terms == ("exposure", "exposure'", "z1")
    assert any("only is left out: no study can estimate it" in note for note in found.notes)


def test_a_study_where_the_modifier_does_not_vary_is_left_out_with_the_reason(frame):
    other = frame.copy()
    other["sex"] = np.where(other["set"] % 2 == 0, "f", "m")
    other.loc[other["study"] == "C", "sex"] = "m"
    found = fit(other, exposure=bc.linear(), modifier="sex", calibration_covariates="none")
    assert "same for everybody" in found.studies.left_out["C"]
    assert found.terms == ("exposure", "exposure:sex[T.m]")
    assert found.test_interaction().df == 1
    assert len(found.dose_responses()) == 2


def test_studies_left_out_for_one_reason_share_a_note(frame):
    other = frame.assign(sex=np.where(frame["set"] % 2 == 0, "f", "m"))
    other.loc[other["study"].isin(["B", "C"]), "sex"] = "m"
    found = fit(other, exposure=bc.linear(), modifier="sex", calibration_covariates="none")
    assert any(
        warning.startswith("left out: studies B, C: sex[T.m] is the same") for warning in found.warnings
    )


def test_a_between_study_covariance_that_is_not_found_says_what_to_do(frame, monkeypatch):
    def fails(*_, **__):
        raise ConvergenceError("the between-study covariance was not found")

    monkeypatch.setattr(two_stage_pooling, "combine_vectors", fails)
    with pytest.raises(ConvergenceError, match=r"4 studies with 2 exposure coefficients each.*fewer knots"):
        fit(frame, covariates="z1")


def test_one_study_cannot_be_pooled_and_the_message_says_what_to_do(frame):
    with pytest.raises(FitError, match=r"at least two.*use full"):
        fit(frame[frame["study"] == "A"], covariates="z1")


def test_when_fewer_than_two_studies_can_be_fitted_the_reasons_are_given(frame):
    small = frame[(frame["study"] == "A") | ((frame["study"] == "R") & (frame["set"] <= 4))]
    with pytest.raises(FitError, match=r"only one of the 2 studies.*R: too few matched sets") as caught:
        fit(small, covariates="z1")
    assert set(caught.value.left_out) == {"R"}
    one_stage = fit(small, covariates="z1", method="full")
    assert any("heterogeneity between studies could not be tested" in note for note in one_stage.notes)
    assert "heterogeneity" not in {test.test for test in one_stage.tests()}


def test_the_fewest_sets_are_counted_by_coefficient(frame, monkeypatch):
    monkeypatch.setattr(two_stage_studies, "SETS_PER_COEFFICIENT", 26)  # 78 sets for three coefficients
    assert set(fit(frame, covariates="z1").studies.left_out) == {"B"}
    assert fit(frame).studies.left_out == {}


# heterogeneity told by the one-stage methods


def test_one_stage_fits_show_the_test_of_two_stage(both):
    tests = {name: {t.test: t for t in found.tests()} for name, found in both.items()}
    assert tests["full"]["heterogeneity"] == tests["two-stage"]["heterogeneity"]


@pytest.mark.parametrize("method", ["naive", "internalized", "full", "induced"])
def test_a_large_q_points_to_two_stage(method):
    rng = np.random.default_rng(21)
    plans = (REFERENCE, LOCAL_A, LOCAL_B)
    alike = fit(draw_pool(rng, plans, log_odds=0.5), method=method, exposure=bc.linear())
    differing = pd.concat(
        [draw_pool(rng, [plan], log_odds=b) for plan, b in zip(plans, (0.0, 1.2, 0.6), strict=True)]
    )
    found = fit(differing, method=method, exposure=bc.linear())
    pointing = "see method two-stage"
    assert any(pointing in note for note in found.notes)
    assert "heterogeneity" in {t.test for t in alike.tests()}
    if method != "naive":  # its scales differ, so its studies do
        assert not any(pointing in note for note in alike.notes)


def test_a_pool_of_one_study_has_no_heterogeneity_test_and_no_note(frame):
    found = fit(frame[frame["study"] == "A"], method="full")
    assert "heterogeneity" not in {t.test for t in found.tests()}
    assert not any("heterogeneity" in note for note in found.notes)


def test_two_stage_has_no_likelihood_and_says_what_its_errors_are(two_stage):
    assert np.isnan(two_stage.loglik)
    assert np.isnan(two_stage.loglik_null)
    assert "random effects" in two_stage.variance
    assert "Log-likelihood" not in two_stage.summary()


def test_categories_are_pooled_and_a_study_without_one_is_named(frame):
    rows = frame[frame["study"] == "R"].copy()
    rows["reference"] = rows["reference"].clip(upper=6.4)
    found = fit(
        with_lost_study(frame, rows),
        exposure=bc.categories([4.0, 6.5], reference=0),
        calibration_covariates="none",
    )
    assert found.terms == ("exposure[4, 6.5)", "exposure[6.5, inf)")
    assert list(found.studies.left_out) == ["Lost"]


def test_the_summary_of_two_stage_shows_the_studies(two_stage):
    text = two_stage.summary()
    for part in ("By study: odds ratio", "pooled, REML, Hartung-Knapp", "heterogeneity: Q ="):
        assert part in text


def test_a_study_whose_sets_share_their_persons_has_no_variance_of_its_own(frame):
    # ids that restart in each set make one unit of a whole study: its sandwich would be all but zero
    restarted = frame.assign(person=frame.groupby(["study", "set"]).cumcount())
    with pytest.raises(
        FitError, match=r"none of the 4 studies.*too few independent units.*1 \(sets that share"
    ):
        fit(restarted, exposure=bc.linear(), calibration_covariates="none")
