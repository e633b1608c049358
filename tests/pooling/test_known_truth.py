"""Limits in which the answer is known: all studies measured at the reference laboratory, and data of known truth."""

from __future__ import annotations

import numpy as np
import pytest
from matched_rows import draw_matched_rows
from outcome_fits import fit_conditional_logistic
from pooled_fits import METHODS, fit_frame
from pools import StudyPlan, draw_pool

from biocal.kernels.sets.layout import lay_out_sets
from biocal.model.exposure import LinearBasis, SplineBasis

# Standard errors by which one draw may miss the truth; the seed is fixed, a wrong method misses by far more.
HOW_MANY_ERRORS = 3.0
TWO_OPTIMISERS = 1e-6


def all_reference(seed=1):
    plans = [StudyPlan("A", 80), StudyPlan("B", 60, (1, 3)), StudyPlan("C", 30, (2, 2))]
    return draw_pool(np.random.default_rng(seed), plans, covariate_log_odds=(0.4,))


@pytest.mark.parametrize("with_local_column", [True, False])
@pytest.mark.parametrize("basis", [LinearBasis(), SplineBasis((3.0, 5.0, 7.0))], ids=["linear", "spline"])
def test_with_reference_studies_only_all_methods_are_the_plain_conditional_logit(basis, with_local_column):
    frame = all_reference()
    if not with_local_column:
        frame = frame.drop(columns="local")
    fits = [fit_frame(frame, method, basis, covariates="z1") for method in METHODS]
    code = frame.groupby(["study", "set"]).ngroup().to_numpy()
    case = frame["case"].to_numpy() == 1
    columns = np.vstack([basis.columns(frame["reference"].to_numpy()), frame["z1"]])
    plain = fit_conditional_logistic(lay_out_sets(code, case), columns, fits[0].terms)
    scores = plain.set_scores.T
    inverse = np.linalg.inv(plain.information)
    for fit in fits:
        np.testing.assert_allclose(fit.beta, plain.beta, rtol=1e-9)
        np.testing.assert_allclose(fit.outcome.loglik, plain.loglik, rtol=1e-12)
        np.testing.assert_allclose(fit.uncorrected, inverse, rtol=1e-7)
        np.testing.assert_allclose(fit.vcov, inverse @ scores.T @ scores @ inverse, rtol=1e-7)
        assert fit.parts.shape == (0, plain.beta.size, plain.beta.size)


def test_with_reference_studies_only_statsmodels_agrees():
    from statsmodels.discrete.conditional_models import ConditionalLogit

    frame = all_reference(2)
    code = frame.groupby(["study", "set"]).ngroup()
    frame = frame.iloc[np.argsort(code.to_numpy(), kind="stable")]
    groups = frame.groupby(["study", "set"]).ngroup().to_numpy()
    other = ConditionalLogit(
        frame["case"].to_numpy(dtype=float), frame[["reference", "z1"]].to_numpy(), groups=groups
    ).fit(method="newton", disp=False, maxiter=100)
    fit = fit_frame(frame, "full", LinearBasis(), covariates="z1")
    np.testing.assert_allclose(fit.beta, other.params, rtol=TWO_OPTIMISERS)
    np.testing.assert_allclose(np.sqrt(np.diagonal(fit.uncorrected)), other.bse, rtol=1e-5)


def test_an_exact_local_assay_makes_internalized_and_full_the_fit_on_the_truth():
    # No measurement error: W is a line of X, and calibration finds the line exactly.
    plans = [StudyPlan("R", 80), StudyPlan("A", 120, (1, 2), (4.0, 0.5), noise=0.0)]
    rng = np.random.default_rng(6)
    frame = draw_pool(rng, plans, log_odds=0.4)
    truth = frame.copy()
    local = truth["study"] == "A"
    truth.loc[local, "reference"] = 4.0 + 0.5 * truth.loc[local, "local"]
    basis = SplineBasis((3.0, 5.0, 7.0))
    on_truth = fit_frame(truth.assign(local=np.nan), "full", basis)
    for method in ("internalized", "full"):
        fit = fit_frame(frame, method, basis)
        np.testing.assert_allclose(fit.beta, on_truth.beta, rtol=1e-7)
        np.testing.assert_allclose(fit.vcov, on_truth.vcov, rtol=1e-6)  # nothing left to be uncertain about


TRUE_LOG_ODDS = 0.5


def unequal_scales(seed, covariate_log_odds=()):
    """A reference study, and one whose local values spread 2.5 times as far as the reference values."""
    plans = [
        StudyPlan("A", 1500),
        StudyPlan("B", 1500, (1, 1), (1.0, 0.4), noise=0.5, n_calibrators=300),
    ]
    return draw_pool(
        np.random.default_rng(seed), plans, log_odds=TRUE_LOG_ODDS, covariate_log_odds=covariate_log_odds
    )


def distance(fit, term=0, truth=TRUE_LOG_ODDS):
    """Standard errors between an estimate and the truth."""
    return (fit.beta[term] - truth) / np.sqrt(fit.vcov[term, term])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_of_two_studies_on_unequal_scales_naive_is_wrong_and_full_is_right(seed):
    frame = unequal_scales(seed)
    naive, full = (fit_frame(frame, method, LinearBasis()) for method in ("naive", "full"))
    assert abs(distance(full)) < HOW_MANY_ERRORS
    assert abs(distance(naive)) > 5
    assert abs(naive.beta[0] - TRUE_LOG_ODDS) > 0.1


@pytest.mark.parametrize("seed", [1, 2])
def test_of_two_studies_on_unequal_scales_the_spline_of_full_is_the_true_line(seed):
    frame = unequal_scales(seed)
    basis = SplineBasis((3.0, 5.0, 7.5))
    fit = fit_frame(frame, "full", basis)
    contrast = basis.columns(np.array([2.5, 4.0, 8.0])) - basis.columns(np.array([5.5]))
    log_or = fit.beta @ contrast
    error = np.sqrt(np.einsum("ki,kl,li->i", contrast, fit.vcov, contrast))
    assert (np.abs(log_or - TRUE_LOG_ODDS * np.array([-3.0, -1.5, 2.5])) < HOW_MANY_ERRORS * error).all()
    assert abs(fit.beta[1]) < HOW_MANY_ERRORS * np.sqrt(fit.vcov[1, 1])


def test_calibration_on_the_covariates_too_is_right_where_the_local_value_alone_is_not():
    # corr(X, Z) = .5 and noisy local values: without Z the calibration passes part of X's effect to Z.
    plans = [StudyPlan("B", 4000, (1, 1), (-2.0, 2.5), noise=1.2, n_calibrators=1500)]
    frame = draw_pool(np.random.default_rng(4), plans, log_odds=0.5, covariate_log_odds=(0.3,))
    with_z = fit_frame(frame, "full", LinearBasis(), covariates="z1")
    without = fit_frame(frame, "full", LinearBasis(), covariates="z1", calibration_covariates="none")
    assert abs(distance(with_z)) < HOW_MANY_ERRORS
    assert abs(distance(with_z, 1, 0.3)) < HOW_MANY_ERRORS
    assert distance(without, 1, 0.3) > 5


def test_internalized_is_the_further_off_the_larger_the_calibration_subset():
    off = []
    for n in (60, 1200):
        plans = [StudyPlan("B", 3000, (1, 1), (-2.0, 2.5), noise=1.0, n_calibrators=n)]
        frame = draw_pool(np.random.default_rng(8), plans)
        full, internalized = (fit_frame(frame, m, LinearBasis()) for m in ("full", "internalized"))
        assert abs(distance(full)) < HOW_MANY_ERRORS
        off.append(internalized.beta[0] - full.beta[0])
    assert abs(off[1]) > 5 * abs(off[0])


def test_random_effects_of_sets_do_not_matter_to_a_conditional_fit():
    # A column that only shifts whole sets changes nothing: the collapse that matching is for.
    rows = draw_matched_rows(np.random.default_rng(2), [(1, 2)] * 40, n_columns=1)
    layout = lay_out_sets(rows.set_code, rows.is_case)
    one = fit_conditional_logistic(layout, rows.columns, ["x"])
    two = fit_conditional_logistic(layout, rows.columns + 100.0 * rows.set_code, ["x"])
    np.testing.assert_allclose(two.beta, one.beta, rtol=1e-8)
