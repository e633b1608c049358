"""Sums over blocks of sets against the same sums of arrays that hold everybody."""

from __future__ import annotations

import numpy as np
import pytest
from outcome_fits import fit_conditional_logistic
from pools import StudyPlan, draw_pool

from biocal.fitting.methods.estimate import calibrate_problem
from biocal.fitting.methods.plug_in import exposure_derivative, fit_plug_in, plug_in_exposure
from biocal.fitting.problem import model_columns
from biocal.fitting.problem.model_columns import lay_out_columns
from biocal.fitting.problem.prepare import ModelFormulas, prepare
from biocal.kernels.sandwich import StackedScores, stacked_covariance
from biocal.kernels.sets import layout as set_layout
from biocal.model.calibration import rows as rows_module
from biocal.model.exposure import LinearBasis, SplineBasis
from biocal.pool.pooled import PooledStudies

# The same sums, taken in another order, of scores that cancel to about 1e-4 of their parts.
SAME_SUMS = 1e-9

PLANS = (
    StudyPlan("R", 40, (1, 2)),
    StudyPlan("A", 30, (1, 3), (1.0, 0.7), n_calibrators=15),
    StudyPlan("B", 25, (2, 3), (-0.8, 1.4), n_calibrators=12),
)


@pytest.fixture(params=[1, 101, 10**9], ids=["smallest", "odd", "all"])
def pool(request, monkeypatch):
    """A pool cut into the smallest chunks, odd ones, and one of everybody."""
    for module, name in (
        (set_layout, "_BLOCK_NUMBERS"),
        (set_layout, "_RECURSION_NUMBERS"),
        (rows_module, "_CHUNK"),
        (model_columns, "_CHUNK"),
    ):
        monkeypatch.setattr(module, name, request.param)
    frame = draw_pool(np.random.default_rng(12), PLANS, covariate_log_odds=(0.3, -0.2))
    frame["sex"] = np.where(np.arange(len(frame)) % 3 == 0, "f", "m")
    return PooledStudies.from_frame(frame.sort_values(["study", "set"], kind="stable", ignore_index=True))


def held_whole(problem, exposure, basis, calibration):
    """The stack from residuals and slopes of all persons."""
    model = lay_out_columns(basis, problem)
    columns = model.build(basis.columns(exposure.value), problem)
    outcome = fit_conditional_logistic(problem.layout, columns, model.terms)
    derivative = exposure_derivative(model, outcome, basis, exposure.value, problem)
    everybody = problem.calibration_rows.take(slice(None))
    cross = -calibration.fold(np.where(exposure.calibrated, derivative, 0.0), everybody)
    scores = np.zeros((problem.n_units, model.n_terms))
    np.add.at(scores, problem.set_unit, outcome.set_scores.T)
    pairs, of_mean = problem.calibrators, calibration.mean_scores()
    return outcome, StackedScores(
        scores,
        outcome.information,
        cross,
        of_mean.scores,
        pairs.unit,
        pairs.rows.study,
        of_mean.inverse_bread,
    )


@pytest.mark.parametrize("method", ["full", "internalized"])
@pytest.mark.parametrize(
    ("basis", "formulas"),
    [
        (LinearBasis(), {"covariates": "z1 + z2"}),
        (SplineBasis((3.0, 5.0, 7.0)), {"covariates": "z1", "matching": "z2", "modifier": "C(sex)"}),
    ],
    ids=["linear", "spline by sex"],
)
def test_the_stack_is_that_of_arrays_of_everybody(pool, method, basis, formulas):
    problem = prepare(pool, ModelFormulas(**formulas)).problem
    calibration = calibrate_problem(problem)
    exposure = plug_in_exposure(problem, method, calibration)
    outcome, expected = held_whole(problem, exposure, basis, calibration)
    model, found, stacked = fit_plug_in(problem, exposure, basis, calibration)
    assert len(model.terms) == outcome.beta.size
    np.testing.assert_allclose(found.beta, outcome.beta, rtol=SAME_SUMS)
    np.testing.assert_allclose(found.loglik, outcome.loglik, rtol=SAME_SUMS)
    np.testing.assert_allclose(found.loglik_null, outcome.loglik_null, rtol=SAME_SUMS)
    for name in StackedScores.__slots__:
        got, whole = getattr(stacked, name), getattr(expected, name)
        np.testing.assert_allclose(
            got, whole, rtol=SAME_SUMS, atol=SAME_SUMS * np.abs(whole).max(), err_msg=name
        )
    np.testing.assert_allclose(
        stacked_covariance(stacked, 2).vcov, stacked_covariance(expected, 2).vcov, rtol=SAME_SUMS
    )


def test_rows_in_the_order_of_the_sets_are_not_copied(pool):
    """One copy of the covariates serves outcome model and calibration; measurements are the pool's own."""
    problem = prepare(pool, ModelFormulas(covariates="z1 + z2")).problem
    rows = problem.calibration_rows
    for column, covariate in zip(rows.parts[1:], problem.covariates, strict=True):
        assert np.shares_memory(column, covariate)
    assert np.shares_memory(rows.parts[0], problem.local_assay)
    assert (np.diff(pool.set_code) >= 0).all()
    assert np.shares_memory(problem.local_assay, pool.local_assay)
