"""Every block of the bread, the scores and the covariance against estimating equations written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pooled_fits import fit_frame
from pools import StudyPlan, draw_pool
from stacked_by_hand import StackedByHand

from biocal.model.exposure import LinearBasis, SplineBasis

# Extrapolated central differences of psi, step 1e-4; the spline's third derivative jumps at knots, which a
# person within a step of one feels by 1e-4 * 1e-4 of a curvature of order one.
DIFFERENCES = 1e-6
SOLVED = 1e-7  # psi at the estimate, relative to the size of its terms

KNOTS = (3.0, 5.0, 7.0)
PLANS = (
    StudyPlan("R", 12, (1, 2)),
    StudyPlan("A", 10, (1, 2), (1.0, 0.7), n_calibrators=9),
    StudyPlan("B", 8, (2, 2), (-0.8, 1.4), n_calibrators=12),
)


def small_pool(seed=1):
    """Three studies with two covariates, a calibrator without a set, and a set-constant column."""
    rng = np.random.default_rng(seed)
    frame = draw_pool(rng, PLANS, covariate_log_odds=(0.3, -0.2))
    frame["level"] = (frame["set"] % 3 == 0).astype(float)
    alone = frame.index[(frame["study"] == "A") & frame["reference"].notna()][:2]
    frame.loc[alone, "set"] = np.nan
    return frame


CASES = {
    "published rule": (
        {"covariates": "z1 + z2", "calibration_covariates": "none"},
        {"covariates": ("z1", "z2")},
    ),
    "common coefficients": (
        {"covariates": "z1 + z2"},
        {"covariates": ("z1", "z2"), "calibration": ("z1", "z2")},
    ),
    "matching factors": (
        {"covariates": "z1", "matching": "z2"},
        {"covariates": ("z1",), "calibration": ("z1", "z2")},
    ),
    "coefficients by study": (
        {"covariates": "z1", "by_study": True},
        {"covariates": ("z1",), "calibration": ("z1",), "by_study": True},
    ),
    "modifier that varies within sets": (
        {"covariates": "z1", "modifier": "z2"},
        {
            "covariates": ("z1",),
            "calibration": ("z1", "z2", "local:z2"),
            "modifier": "z2",
            "main": True,
        },
    ),
    "modifier among the covariates": (
        {"covariates": "z1 + z2", "modifier": "z2"},
        {"covariates": ("z1", "z2"), "calibration": ("z1", "z2", "local:z2"), "modifier": "z2"},
    ),
    "modifier constant within sets": (
        {"covariates": "z1", "modifier": "level", "calibration_covariates": "none"},
        {"covariates": ("z1",), "calibration": ("level", "local:level"), "modifier": "level"},
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["internalized", "full"])
@pytest.mark.parametrize("knots", [(), KNOTS], ids=["linear", "spline"])
def test_estimates_solve_the_equations_and_every_block_of_the_bread_is_their_derivative(case, method, knots):
    formulas, by_hand = CASES[case]
    frame = small_pool()
    basis = SplineBasis(knots) if knots else LinearBasis()
    fit = fit_frame(frame, method, basis, **formulas)
    equations = StackedByHand(frame, method, knots, **by_hand)
    gamma = fit.calibration.gamma
    g = gamma.size
    assert g == equations.n_gamma
    theta = np.concatenate([gamma, fit.beta])

    psi = equations.psi(theta)
    size = np.abs(psi).sum(axis=0)
    assert (np.abs(psi.sum(axis=0)) <= SOLVED * size).all()

    bread = equations.bread(theta)
    scale = np.sqrt(np.abs(np.diagonal(bread)))
    close = DIFFERENCES * np.outer(scale, scale)
    assert (np.abs(bread[:g, g:]) <= close[:g, g:]).all()  # calibration does not depend on beta
    calibration_bread = np.linalg.inv(fit.stacked.inverse_calibration_bread)
    assert (np.abs(bread[:g, :g] - calibration_bread) <= close[:g, :g]).all()
    assert (np.abs(bread[g:, g:] - fit.outcome.information) <= close[g:, g:]).all()
    assert (np.abs(bread[g:, :g] - fit.stacked.cross) <= close[g:, :g]).all()
    assert np.abs(fit.stacked.cross).max() > 0.1  # there is something to compare

    np.testing.assert_allclose(fit.vcov, equations.covariance(theta), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("method", ["naive", "internalized", "full"])
def test_a_calibrator_outside_every_set_is_a_unit_of_its_own(method):
    frame = small_pool(2)
    fit = fit_frame(frame, method, LinearBasis(), covariates="z1", calibration_covariates="none")
    equations = StackedByHand(frame, method, covariates=("z1",))
    gamma = np.zeros(0) if method == "naive" else fit.calibration.gamma
    theta = np.concatenate([gamma, fit.beta])
    np.testing.assert_allclose(fit.vcov, equations.covariance(theta), rtol=1e-5)
    alone = frame["set"].isna().sum()
    assert alone == 2
    assert fit.prepared.problem.n_units == fit.prepared.problem.n_sets + alone


def test_naive_has_the_plain_sandwich_and_no_share_of_calibration():
    frame = small_pool(3)
    fit = fit_frame(frame, "naive", SplineBasis(KNOTS), covariates="z1")
    equations = StackedByHand(frame, "naive", KNOTS, covariates=("z1",))
    np.testing.assert_allclose(fit.vcov, equations.covariance(fit.beta), rtol=1e-5)
    np.testing.assert_array_equal(fit.parts, 0.0)


@pytest.mark.parametrize("method", ["internalized", "full"])
def test_a_studys_share_is_the_variance_from_its_calibration_scores_alone(method):
    frame = small_pool(4)
    fit = fit_frame(frame, method, SplineBasis(KNOTS), covariates="z1 + z2")
    equations = StackedByHand(frame, method, KNOTS, covariates=("z1", "z2"), calibration=("z1", "z2"))
    g = equations.n_gamma
    theta = np.concatenate([fit.calibration.gamma, fit.beta])
    bread = np.linalg.inv(equations.bread(theta))
    psi = equations.psi(theta)
    for s, name in enumerate(equations.local_studies):
        mine = np.array([unit[0] == name or (unit[0] == "alone" and name == "A") for unit in equations.units])
        alone = np.where(mine[:, None], psi, 0.0)
        alone[:, g:] = 0.0
        expected = (bread @ alone.T @ alone @ bread.T)[g:, g:]
        np.testing.assert_allclose(fit.parts[s], expected, rtol=1e-5, atol=1e-10)
