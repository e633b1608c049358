"""The stacked sandwich with every form and estimator of the calibration, against one written out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from calibrations_by_hand import estimating_functions

import biocal as bc
from biocal.errors import CalibrationDesignError, OptionError
from biocal.fitting.methods.induced import fit_induced
from biocal.fitting.methods.plug_in import fit_plug_in, plug_in_exposure
from biocal.fitting.problem.prepare import ModelFormulas, prepare
from biocal.kernels.sandwich import stacked_covariance
from biocal.model.calibration.forms import CalibrationModel
from biocal.model.exposure import SplineBasis
from biocal.pool.pooled import PooledStudies

# Central differences of the stacked estimating functions, and a bread solved by two ways.
DIFFERENCES = 1e-5
SPLINE = SplineBasis((35.0, 50.0, 75.0))
NODES = 20


def draw_frame(seed=11, sets=80, calibrators=40):
    """One reference study and two local ones in pairs, lognormal exposure, a covariate in the calibration."""
    rng = np.random.default_rng(seed)
    studies = []
    for name, intercept, slope in (("A", 5.0, 0.8), ("B", -4.0, 1.2), ("R", 0.0, 1.0)):
        n = 2 * sets
        reference = rng.lognormal(3.9, 0.3, n)
        v = 0.02 * (reference - 50) + rng.normal(size=n)
        case = np.tile([1, 0], sets)
        reference = reference * np.where(case == 1, 0.96, 1.0)
        local = (reference * np.exp(rng.normal(0, 0.12, n)) - intercept) / slope
        shown = np.full(n, np.nan)
        shown[np.flatnonzero(case == 0)[:calibrators]] = reference[np.flatnonzero(case == 0)[:calibrators]]
        if name == "R":
            local, shown = np.full(n, np.nan), reference
        studies.append(
            pd.DataFrame(
                {
                    "study": name,
                    "set": np.repeat(np.arange(sets), 2),
                    "case": case,
                    "local": local,
                    "reference": shown,
                    "v": v,
                }
            )
        )
    return pd.concat(studies, ignore_index=True)


def problem_of(model, *, below=None):
    pool = PooledStudies.from_frame(draw_frame())
    formulas = ModelFormulas(calibration_covariates="v", calibration_model=model)
    problem = prepare(pool, formulas).problem
    if below is not None:
        response = problem.calibrators.response
        calibrators = replace(
            problem.calibrators, censored=response < below, response=np.maximum(response, below)
        )
        problem = replace(problem, calibrators=calibrators)
    return problem


def by_hand_covariance(problem, calibration, beta, terms_of):
    """Covariance of beta from psi by unit, its derivative by differences.

    `terms_of(calibration, beta)` gives each person's log relative risk and its gradient: (n,), (p, n).
    """
    pairs = problem.calibrators
    response = calibration.form.response(pairs.response)
    n_gamma, n_variance, p = calibration.gamma.size, calibration.variance.size, beta.size
    case = np.empty(problem.n_sets, dtype=int)
    control = np.empty(problem.n_sets, dtype=int)
    case[problem.set_code[problem.is_case]] = np.flatnonzero(problem.is_case)
    control[problem.set_code[~problem.is_case]] = np.flatnonzero(~problem.is_case)

    def psi(theta):
        first = theta[: n_gamma + n_variance]
        moved = replace(calibration, gamma=first[:n_gamma], variance=first[n_gamma:])
        own = np.zeros((problem.n_units, theta.size))
        functions = estimating_functions(calibration, pairs.rows, response, first)
        np.add.at(own[:, : first.size], pairs.unit, functions)
        risk, gradient = terms_of(moved, theta[first.size :])
        difference = gradient[:, case] - gradient[:, control]
        chance = 1 / (1 + np.exp(risk[case] - risk[control]))
        np.add.at(own[:, first.size :], problem.set_unit, (difference * chance).T)
        return own

    theta = np.concatenate([calibration.gamma, calibration.variance, beta])
    bread = np.empty((theta.size, theta.size))
    for k in range(theta.size):
        step = np.zeros(theta.size)
        step[k] = 1e-5 * max(abs(theta[k]), 1e-3)
        bread[:, k] = -(psi(theta + step) - psi(theta - step)).sum(axis=0) / (2 * step[k])
    at = psi(theta)
    influence = np.linalg.solve(bread, at.T).T[:, -p:]
    return influence.T @ influence


CASES = {
    "linear": (CalibrationModel(), None),
    "Huber": (CalibrationModel(estimator="huber"), None),
    "logarithms": (CalibrationModel("log-log"), None),
    "Huber between logarithms": (CalibrationModel("log-log", "huber"), None),
    "spline": (CalibrationModel("rcs"), None),
    "censored": (CalibrationModel(), 40.0),
    "censored between logarithms": (CalibrationModel("log-log"), 40.0),
}


@pytest.mark.parametrize("method", ["full", "internalized"])
@pytest.mark.parametrize("case", CASES)
def test_the_sandwich_of_plug_ins_is_the_one_by_hand(case, method):
    model, below = CASES[case]
    problem = problem_of(model, below=below)
    calibration = problem.calibrators.fit(problem.local_names)
    exposure = plug_in_exposure(problem, method, calibration)
    _, outcome, stacked = fit_plug_in(problem, exposure, SPLINE, calibration)
    found = stacked_covariance(stacked, 2).vcov

    def terms_of(moved, beta):
        value = np.where(exposure.calibrated, moved.predict(problem.calibration_rows), exposure.value)
        columns = SPLINE.columns(value)
        return beta @ columns, columns

    expected = by_hand_covariance(problem, calibration, outcome.beta, terms_of)
    np.testing.assert_allclose(found, expected, rtol=DIFFERENCES)


@pytest.mark.parametrize("case", CASES)
def test_the_sandwich_of_induced_is_the_one_by_hand(case):
    model, below = CASES[case]
    problem = problem_of(model, below=below)
    calibration = problem.calibrators.fit(problem.local_names)
    _, outcome, stacked = fit_induced(problem, SPLINE, calibration, nodes=NODES)
    found = stacked_covariance(stacked, 2).vcov
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()

    def terms_of(moved, beta):
        spread = np.sqrt(moved.variance[problem.calibration_rows.group])
        points = moved.linear_predictor(problem.calibration_rows) + nodes[:, None] * spread
        points = np.exp(points) if model.form == "log-log" else points
        points = np.where(problem.is_reference, problem.reference_assay, points)
        columns = np.stack([SPLINE.columns(row) for row in points], axis=1)
        risk = weights[:, None] * np.exp(np.einsum("k,kqn->qn", beta, columns))
        total = risk.sum(axis=0)
        return np.log(total), (columns * risk).sum(axis=1) / total

    expected = by_hand_covariance(problem, calibration, outcome.beta, terms_of)
    np.testing.assert_allclose(found, expected, rtol=10 * DIFFERENCES)


def test_induced_categories_between_logarithms_take_lognormal_probabilities():
    from scipy.stats import norm

    problem = problem_of(CalibrationModel("log-log"))
    calibration = problem.calibrators.fit(problem.local_names)
    basis = bc.categories([40, 60]).learn(np.array([50.0]))
    _, outcome, _ = fit_induced(problem, basis, calibration)
    rows = problem.calibration_rows
    mean, spread = calibration.linear_predictor(rows), np.sqrt(calibration.variance[rows.group])

    def loglik(beta):
        below = norm.cdf((np.log([[40.0], [60.0]]) - mean) / spread)
        uncertain = np.vstack([below[0], below[1] - below[0], 1 - below[1]])
        known = np.stack(
            [problem.reference_assay < 40, np.ones_like(mean, dtype=bool), problem.reference_assay >= 60]
        )
        known[1] = ~known[0] & ~known[2]
        share = np.where(problem.is_reference, known, uncertain)
        risk = np.log(share[0] + np.exp(beta[0]) * share[1] + np.exp(beta[1]) * share[2])
        case = risk[problem.is_case][np.argsort(problem.set_code[problem.is_case])]
        control = risk[~problem.is_case][np.argsort(problem.set_code[~problem.is_case])]
        return -np.log1p(np.exp(control - case)).sum()

    np.testing.assert_allclose(outcome.loglik, loglik(outcome.beta), rtol=1e-10)
    for step in np.vstack([np.eye(2), -np.eye(2)]) * 1e-3:
        assert loglik(outcome.beta + step) < outcome.loglik


def test_a_linear_exposure_between_logarithms_goes_by_quadrature():
    problem = problem_of(CalibrationModel("log-log"))
    calibration = problem.calibrators.fit(problem.local_names)
    basis = bc.linear().learn()
    _, induced, _ = fit_induced(problem, basis, calibration)
    exposure = plug_in_exposure(problem, "full", calibration)
    _, full, _ = fit_plug_in(problem, exposure, basis, calibration)
    # the spread about the mean grows with it, so that the two differ, by little where b sigma is small
    assert induced.beta[0] != full.beta[0]
    np.testing.assert_allclose(induced.beta, full.beta, rtol=0.1)


@pytest.mark.parametrize("form", ["linear", "log-log", "rcs"])
def test_a_change_of_the_local_unit_changes_nothing(form):
    frame = draw_frame(sets=60)
    scaled = frame.assign(local=frame["local"] / 2.5)
    fits = [
        bc.fit(
            PooledStudies.from_frame(one),
            method=["full", "two-stage"],
            exposure=bc.rcs(3),
            calibration_form=form,
        )
        for one in (frame, scaled)
    ]
    for method in ("full", "two-stage"):
        np.testing.assert_allclose(fits[1][method].params, fits[0][method].params, rtol=1e-6)
        np.testing.assert_allclose(fits[1][method].vcov, fits[0][method].vcov, rtol=1e-5)


def test_an_effect_modifier_goes_with_the_logarithm():
    frame = draw_frame(sets=60)
    frame["male"] = (frame["v"] > 0).astype(int)
    options = {"exposure": bc.linear(), "modifier": "male", "calibration_form": "log-log", "method": "full"}
    one, scaled = (
        bc.fit(PooledStudies.from_frame(frame.assign(local=frame["local"] * unit)), **options)
        for unit in (1.0, 3.0)
    )
    np.testing.assert_allclose(scaled.params, one.params, rtol=1e-6)


def test_what_cannot_be_combined_is_refused_by_name():
    frame = draw_frame(sets=60)
    pool = PooledStudies.from_frame(frame)
    with pytest.raises(OptionError, match=r"hc3 is made for least squares, not for huber"):
        bc.fit(pool, calibration_estimator="huber", calibration_variance="hc3")
    negative = frame.assign(local=frame["local"].where(frame.index != 7, -1.0))
    with pytest.raises(OptionError, match=r"1 local value is 0 or below \(study A, row 8\)"):
        bc.fit(PooledStudies.from_frame(negative), calibration_form="log-log")
    few = frame[(frame["study"] == "R") | frame["reference"].isna() | (frame["set"] < 10)]
    with pytest.raises(CalibrationDesignError, match="A: 10 pairs, at least 20 are needed"):
        bc.fit(PooledStudies.from_frame(few), calibration_form="rcs", calibration_knots=4)
    below_zero = frame.assign(reference=frame["reference"].where(frame.index != 330, 0.0))
    assert frame["study"][330] == "R"
    bad = PooledStudies.from_frame(below_zero)
    with pytest.raises(OptionError, match="induced with the calibration form log-log needs positive"):
        bc.fit(bad, method="induced", calibration_form="log-log")
    bc.fit(bad, method="full", exposure=bc.rcs(3), calibration_form="log-log")


def test_the_bootstrap_keeps_form_and_estimator():
    pool = PooledStudies.from_frame(draw_frame())
    options = {"exposure": bc.linear(), "calibration_form": "log-log", "calibration_estimator": "huber"}
    fit = bc.fit(pool, bootstrap=40, seed=1, **options)
    assert not fit.bootstrap.failures
    # 40 replicates give a standard error to 11 %
    ratio = fit.bootstrap.coefficients.std(axis=0, ddof=1) / np.sqrt(np.diagonal(fit.vcov))
    assert 0.6 < ratio[0] < 1.5
