"""Forms and estimators of the calibration: breads by numerical derivatives, limits, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from calibrations_by_hand import estimating_functions
from scipy.stats import norm

from biocal.errors import CalibrationDesignError, OptionError
from biocal.kernels.splines import spline_columns
from biocal.model.calibration.estimators import fit_calibration_model
from biocal.model.calibration.forms import CalibrationForm, CalibrationModel
from biocal.model.calibration.huber import TUNING, normal_expectation
from biocal.model.calibration.lines import lay_out_parameters
from biocal.model.calibration.rows import CalibrationRows

# Central differences of estimating functions, in units of the parameters' standard errors.
DIFFERENCES = 1e-5
# Sums of estimating functions at the estimate, relative to the sum of their absolute values.
SOLVED = 1e-9
SAME = 1e-12
NAMES = ("A", "B")
KNOTS = ((30.0, 48.0, 75.0), (32.0, 50.0, 70.0))


def draw_pairs(seed=3, size=60, *, errors=True):
    """Two studies' pairs with a covariate; positive values, some gross errors."""
    rng = np.random.default_rng(seed)
    study = np.repeat([0, 1], size)
    local = rng.lognormal(3.9, 0.35, study.size)
    v = rng.normal(size=study.size)
    sd = np.array([5.0, 8.0])[study]
    reference = np.array([8.0, 12.0])[study] + np.array([0.8, 1.1])[study] * local + 2 * v
    reference = np.maximum(reference + rng.normal(0, sd), 3.0)
    if errors:
        reference = reference + np.where(rng.random(study.size) < 0.06, 50.0, 0.0)
    return CalibrationRows(study, np.vstack([np.ones(study.size), local, v]), study), reference


def fit(rows, reference, *, form="linear", estimator="least-squares", censored=None):
    learned = CalibrationForm(form, KNOTS if form == "rcs" else ())
    layout = lay_out_parameters(
        len(NAMES),
        learned.n_own + rows.columns.shape[0] - 2,
        np.arange(len(NAMES)),
        by_study=False,
        n_own=learned.n_own,
    )
    model = CalibrationModel(form, estimator)
    return fit_calibration_model(rows, reference, layout, NAMES, model=model, form=learned, censored=censored)


CASES = {
    "least squares": {},
    "Huber": {"estimator": "huber"},
    "logarithms": {"form": "log-log"},
    "Huber between logarithms": {"form": "log-log", "estimator": "huber"},
    "spline": {"form": "rcs"},
    "Huber spline": {"form": "rcs", "estimator": "huber"},
    "censored": {"below": 35.0},
    "censored between logarithms": {"form": "log-log", "below": 35.0},
    "censored spline": {"form": "rcs", "below": 35.0},
}


@pytest.mark.parametrize("case", CASES)
def test_scores_and_bread_are_those_of_the_estimating_functions(case):
    options = dict(CASES[case])
    rows, reference = draw_pairs()
    limit = options.pop("below", None)
    censored = None if limit is None else reference < limit
    if limit is not None:
        reference = np.maximum(reference, limit)
    one = fit(rows, reference, censored=censored, **options)
    response = one.form.response(reference)
    theta = np.concatenate([one.gamma, one.variance])
    joint = one.joint_scores()
    expected = estimating_functions(one, rows, response, theta)
    np.testing.assert_allclose(joint.scores, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
    assert (np.abs(joint.scores.sum(axis=0)) <= SOLVED * np.abs(joint.scores).sum(axis=0)).all()
    bread = np.empty((theta.size, theta.size))
    for k in range(theta.size):
        step = np.zeros(theta.size)
        step[k] = 1e-4 * np.sqrt(abs(joint.inverse_bread[k, k]))
        high, low = (estimating_functions(one, rows, response, theta + s * step).sum(axis=0) for s in (1, -1))
        bread[:, k] = -(high - low) / (2 * step[k])
    product = bread @ joint.inverse_bread
    scale = np.sqrt(np.abs(np.diagonal(joint.inverse_bread)))
    np.testing.assert_allclose(product * scale[:, None] / scale, np.eye(theta.size), atol=DIFFERENCES)


@pytest.mark.parametrize("case", ["least squares", "logarithms", "spline", "Huber between logarithms"])
def test_folding_is_the_derivative_of_the_calibrated_mean(case):
    from dataclasses import replace

    rows, reference = draw_pairs()
    one = fit(rows, reference, **CASES[case])
    weights = np.random.default_rng(1).normal(size=(2, rows.study.size))
    found = one.fold(weights, rows)
    n_gamma = one.gamma.size
    assert found.shape[1] == n_gamma + (2 if one.mean_needs_variance else 0)
    for k in range(found.shape[1]):
        values = []
        for sign in (1, -1):
            gamma, variance = one.gamma.copy(), one.variance.copy()
            target, place = (gamma, k) if k < n_gamma else (variance, k - n_gamma)
            step = 1e-6 * abs(target[place])
            target[place] += sign * step
            values.append(weights @ replace(one, gamma=gamma, variance=variance).predict(rows))
        expected = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-5, atol=1e-5)


def test_without_gross_errors_beyond_the_corner_huber_is_least_squares():
    # residuals +1 and -1 only: all within 1.345 of a scale fixed by them
    local = np.tile([1.0, 1.0, 2.0, 2.0, 3.0, 3.0], 4)
    reference = 10 + 2 * local + np.tile([1.0, -1.0], 12)
    columns = np.vstack([np.ones(24), local])
    rows = CalibrationRows(np.repeat([0, 1], 12), columns, np.repeat([0, 1], 12))
    robust = fit(rows, reference, estimator="huber")
    np.testing.assert_allclose(robust.gamma, [10, 2, 10, 2], rtol=1e-10)
    # s^2 = RSS / (expectation * freedom) as no residual is clipped
    np.testing.assert_allclose(robust.variance, 12 / (normal_expectation(TUNING) * 10), rtol=1e-10)


def test_gross_errors_move_huber_less_than_least_squares():
    rows, clean = draw_pairs(errors=False)
    truth = fit(rows, clean).predict(rows)
    spoilt = clean.copy()
    spoilt[[3, 70]] += 200.0
    moved = np.abs(fit(rows, spoilt).predict(rows) - truth)
    robust = np.abs(fit(rows, spoilt, estimator="huber").predict(rows) - truth)
    for s in (0, 1):
        assert robust[rows.study == s].mean() < moved[rows.study == s].mean() / 2


def test_the_expectation_of_the_clipped_square_is_that_of_the_normal_law():
    draws = norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    np.testing.assert_allclose(normal_expectation(TUNING), np.minimum(draws**2, TUNING**2).mean(), rtol=1e-6)


def test_the_mean_between_logarithms_is_that_of_a_lognormal_law():
    rows, reference = draw_pairs(errors=False)
    one = fit(rows, reference, form="log-log")
    from_nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    mean = one.linear_predictor(rows)
    spread = np.sqrt(one.variance[rows.group])
    expected = (np.exp(mean[:, None] + spread[:, None] * from_nodes) @ weights) / weights.sum()
    np.testing.assert_allclose(one.predict(rows), expected, rtol=1e-12)


def test_a_spline_is_least_squares_on_its_columns_in_each_study():
    rows, reference = draw_pairs()
    one = fit(rows, reference, form="rcs")
    columns = []
    for s in (0, 1):
        mine = rows.study == s
        terms = np.vstack([np.ones(mine.size), spline_columns(rows.columns[1], KNOTS[s])])
        columns.append(np.where(mine, terms, 0.0))
    design = np.vstack([*columns, rows.columns[2:]]).T
    expected = design @ np.linalg.lstsq(design, reference, rcond=None)[0]
    np.testing.assert_allclose(one.predict(rows), expected, rtol=1e-9)
    assert one.layout.shares_covariates


def test_a_censored_fit_without_censored_pairs_is_least_squares():
    rows, reference = draw_pairs()
    nobody = np.zeros(reference.size, dtype=bool)
    assert fit(rows, reference, censored=nobody).estimator == "least-squares"
    # one censored pair in study A: study B's own variance stays that of its residuals over sum(1 - h)
    one = nobody.copy()
    one[int(np.argmin(np.where(rows.study == 0, reference, np.inf)))] = True
    alone = rows.columns[:2]
    plain = CalibrationRows(rows.study, alone, rows.group)
    tobit, line = fit(plain, reference, censored=one), fit(plain, reference)
    np.testing.assert_allclose(tobit.gamma[2:], line.gamma[2:], rtol=1e-8)
    np.testing.assert_allclose(tobit.variance[1], line.variance[1], rtol=1e-8)


def test_censored_regression_recovers_the_line_that_substitution_bends():
    rng = np.random.default_rng(8)
    n = 4000
    local = rng.normal(50, 15, 2 * n)
    reference = 5 + 0.9 * local + rng.normal(0, 8, 2 * n)
    study = np.repeat([0, 1], n)
    rows = CalibrationRows(study, np.vstack([np.ones(2 * n), local]), study)
    below = reference < 40.0  # about a third
    at_limit = np.maximum(reference, 40.0)
    found = fit(rows, at_limit, censored=below).gamma
    # four standard errors of a slope, 8 / (15 sqrt(n)), a little more for the censored third
    np.testing.assert_allclose(found[1::2], 0.9, atol=5 * 8 / (15 * np.sqrt(n)))
    assert (fit(rows, at_limit).gamma[1::2] < 0.8).all()


def test_refusals_name_the_combination():
    rows, reference = draw_pairs()
    below = reference < 35
    with pytest.raises(OptionError, match="Huber's estimator cannot take"):
        fit(rows, reference, estimator="huber", censored=below)
    most = np.ones(reference.size, dtype=bool)
    most[:2] = False
    with pytest.raises(CalibrationDesignError, match="above its detection limit: A, B") as caught:
        fit(rows, reference, censored=most)
    assert caught.value.studies == NAMES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("curved", "least-squares", None), "linear, log-log, rcs"),
        (("linear", "lad", None), "least-squares, huber"),
        (("linear", "huber", 3), "belong to the calibration form rcs"),
        (("rcs", "huber", 5), "3 or 4 knots"),
    ],
)
def test_choices_that_there_are_not_are_refused(arguments, words):
    with pytest.raises(OptionError, match=words):
        CalibrationModel.of(*arguments)
