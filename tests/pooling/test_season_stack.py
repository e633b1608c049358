"""Season standardisation: every block of the bread and the whole sandwich against a stack written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pools import StudyPlan, draw_pool
from season_by_hand import SeasonByHand

from biocal.fitting.methods.estimate import calibrate_problem
from biocal.fitting.methods.induced import fit_induced
from biocal.fitting.methods.plug_in import fit_plug_in, plug_in_exposure
from biocal.fitting.methods.season import season_covariance
from biocal.fitting.problem.prepare import ModelFormulas, prepare
from biocal.fitting.problem.season_request import SeasonRequest
from biocal.kernels.sandwich import calibration_influence, stacked_covariance
from biocal.kernels.splines import mid_month_day
from biocal.model.exposure import CategoryBasis, LinearBasis, SplineBasis
from biocal.pool.pooled import PooledStudies

# Extrapolated central differences of psi, step 1e-4 (see test_stacked_bread.py).
DIFFERENCES = 1e-6
SOLVED = 1e-7  # psi at the estimate, relative to the size of its terms
COVARIANCE = 1e-5  # two inverses of a bread by differences

KNOTS = (3.0, 5.0, 7.0)
PLANS = (
    StudyPlan("R", 12, (1, 2)),
    StudyPlan("A", 12, (1, 2), (1.0, 0.7), n_calibrators=12),
    StudyPlan("B", 9, (2, 2), (-0.8, 1.4), n_calibrators=14),
)
JULY = 7.0


def seasonal_pool(seed=1):
    """Three studies with a swing of their own each, two calibrators outside the sets, months at random."""
    rng = np.random.default_rng(seed)
    frame = draw_pool(rng, PLANS, covariate_log_odds=(0.3,))
    month = rng.integers(1, 13, len(frame))
    swing = frame["study"].map({"R": 1.0, "A": 0.6, "B": -0.8}) * np.cos(2 * np.pi * (month - 8) / 12)
    frame["reference"] += swing
    frame["local"] += swing / frame["study"].map({"R": 1.0, "A": 0.7, "B": 1.4})
    frame["month"] = month
    alone = frame.index[(frame["study"] == "A") & frame["reference"].notna()][:2]
    frame.loc[alone, "set"] = np.nan
    return frame


def fitted(
    frame, method, basis, *, reference=None, harmonics=1, calibration_covariates="z1", controls="other-sets"
):
    """Problem, calibration, season, outcome and stack of one method."""
    day = None if reference is None else float(mid_month_day(reference))
    formulas = ModelFormulas(
        covariates="z1",
        calibration_covariates=calibration_covariates,
        season=SeasonRequest("month", day, harmonics, controls),
    )
    problem = prepare(PooledStudies.from_frame(frame), formulas).problem
    calibration = calibrate_problem(problem)
    exposure = plug_in_exposure(problem, "full" if method == "induced" else method, calibration)
    if method == "induced":
        _, outcome, stacked = fit_induced(problem, basis, calibration)
    else:
        _, outcome, stacked = fit_plug_in(problem, exposure, basis, calibration)
    return problem, calibration, exposure.season, outcome, stacked


def theta_of(method, calibration, season, outcome):
    parts = [] if method == "naive" else [calibration.gamma]
    parts += [calibration.variance] if method == "induced" else []
    return np.concatenate([*parts, season.coefficients.ravel(), outcome.beta])


CASES = [
    ("naive", "spline", JULY, 1, "other-sets"),
    ("naive", "linear", JULY, 1, "all"),
    ("internalized", "spline", None, 1, "other-sets"),
    ("internalized", "linear", JULY, 1, "other-sets"),
    ("full", "linear", None, 1, "other-sets"),
    ("full", "spline", JULY, 1, "other-sets"),
    ("full", "spline", None, 2, "other-sets"),
    ("full", "spline", JULY, 1, "all"),
    ("induced", "linear", JULY, 1, "other-sets"),
    ("induced", "spline", None, 1, "other-sets"),
    ("induced", "spline", None, 2, "all"),
    ("induced", "categories", JULY, 1, "other-sets"),
]
BASES = {"linear": LinearBasis(), "spline": SplineBasis(KNOTS), "categories": CategoryBasis((4.0, 6.0), 1)}


@pytest.mark.parametrize(("method", "kind", "reference", "harmonics", "controls"), CASES)
def test_stack_with_a_season_is_that_of_the_equations_written_out(
    method, kind, reference, harmonics, controls
):
    frame, basis = seasonal_pool(), BASES[kind]
    problem, calibration, season, outcome, stacked = fitted(
        frame, method, basis, reference=reference, harmonics=harmonics, controls=controls
    )
    n = calibration.layout.n_groups
    freedom = calibration.freedom / np.bincount(problem.calibrators.rows.group, minlength=n)
    equations = SeasonByHand(
        frame,
        method,
        KNOTS if kind == "spline" else (),
        covariates=("z1",),
        calibration=("z1",),
        reference_month=reference,
        harmonics=harmonics,
        with_own_set=controls == "all",
        basis=basis if method == "induced" else None,
        freedom=tuple(freedom),
    )
    theta = theta_of(method, calibration, season, outcome)
    bread, psi, covariance = equations.blocks(theta)
    first = equations.n_first
    assert stacked.cross.shape == (outcome.beta.size, first)
    assert (np.abs(psi.sum(axis=0)) <= SOLVED * np.abs(psi).sum(axis=0)).all()

    scale = np.sqrt(np.abs(np.diagonal(bread)))
    close = DIFFERENCES * np.outer(scale, scale)
    assert (np.abs(bread[:first, first:]) <= close[:first, first:]).all()  # the first step is without beta
    first_bread = np.linalg.inv(stacked.inverse_calibration_bread)
    assert (np.abs(bread[:first, :first] - first_bread) <= 10 * close[:first, :first]).all()
    assert (np.abs(bread[first:, :first] - stacked.cross) <= close[first:, :first]).all()
    assert (np.abs(bread[first:, first:] - outcome.information) <= close[first:, first:]).all()
    assert np.abs(stacked.cross[:, -equations.n_season :]).max() > 0.1  # there is something to compare

    vcov = stacked_covariance(stacked, len(problem.local_names)).vcov
    np.testing.assert_allclose(vcov, covariance[first:, first:], rtol=COVARIANCE, atol=1e-9)


@pytest.mark.parametrize("method", ["naive", "full"])
def test_standard_errors_of_the_harmonics_are_those_of_the_stack(method):
    frame = seasonal_pool(2)
    problem, calibration, season, outcome, _ = fitted(frame, method, LinearBasis())
    equations = SeasonByHand(frame, method, covariates=("z1",), calibration=("z1",))
    _, _, covariance = equations.blocks(theta_of(method, calibration, season, outcome))
    found = season_covariance(problem, season, None if method == "naive" else calibration)
    first = equations.n_gamma
    for s in range(3):
        part = slice(first + 3 * s, first + 3 * (s + 1))
        np.testing.assert_allclose(found[s], covariance[part, part], rtol=COVARIANCE, atol=1e-9)


def test_a_calibrations_share_holds_its_way_through_the_season_and_no_seasons_error():
    frame = seasonal_pool(3)
    problem, calibration, season, outcome, stacked = fitted(frame, "full", SplineBasis(KNOTS))
    equations = SeasonByHand(frame, "full", KNOTS, covariates=("z1",), calibration=("z1",))
    theta = theta_of("full", calibration, season, outcome)
    bread, psi, _ = equations.blocks(theta)
    inverse, g = np.linalg.inv(bread), equations.n_gamma
    found = stacked_covariance(stacked, len(problem.local_names))
    for s, name in enumerate(equations.local_studies):
        mine = np.array([unit[0] == name or (unit[0] == "alone" and name == "A") for unit in equations.units])
        alone = np.where(mine[:, None], psi, 0.0)
        alone[:, g:] = 0.0
        expected = (inverse @ alone.T @ alone @ inverse.T)[equations.n_first :, equations.n_first :]
        np.testing.assert_allclose(found.calibration_parts[s], expected, rtol=COVARIANCE, atol=1e-10)
    through_pairs = calibration_influence(stacked)
    np.testing.assert_allclose(
        through_pairs.T @ through_pairs, found.calibration_parts.sum(axis=0), rtol=1e-9, atol=1e-14
    )
