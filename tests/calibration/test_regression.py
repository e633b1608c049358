"""The calibration against numpy and statsmodels least squares, by hand, and its bad inputs."""

from __future__ import annotations

import numpy as np
import pytest

from biocal.errors import CalibrationDesignError
from biocal.model.calibration.lines import dense_rows, fit_calibration, fold_rows, lay_out_parameters
from biocal.model.calibration.rows import CalibrationRows

LEAST_SQUARES = 1e-10  # two factorisations of a well-conditioned design
NAMES = ("A", "B", "C")


def draw_rows(rng, sizes=(30, 40, 50), n_covariates=0, offset=60.0):
    """Calibration persons of three local studies in mixed order; reference values on lines of their own."""
    study = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    local = rng.normal(offset, 15, study.size)
    covariates = rng.normal(size=(n_covariates, study.size))
    response = np.array([12.0, -8.0, 5.0])[study] + np.array([0.75, 1.3, 0.9])[study] * local
    response += covariates.sum(axis=0) + rng.normal(0, 5, study.size)
    rows = CalibrationRows(study, np.vstack([np.ones(study.size), local, covariates]), study)
    return rows, response


def fit(rows, response, *, by_study=False, names=NAMES):
    layout = lay_out_parameters(len(names), rows.columns.shape[0], np.arange(len(names)), by_study=by_study)
    return fit_calibration(rows, response, layout, names)


def test_a_line_worked_by_hand():
    # W 1, 2, 3; X 2, 4, 9: slope 3.5, intercept -2, residuals .5, -1, .5, RSS 1.5 on one degree of freedom.
    rows = CalibrationRows(np.zeros(3, dtype=int), np.array([[1.0, 1, 1], [1, 2, 3]]), np.zeros(3, dtype=int))
    one = fit(rows, np.array([2.0, 4.0, 9.0]), names=("A",))
    np.testing.assert_allclose(one.gamma, [-2.0, 3.5], rtol=LEAST_SQUARES)
    np.testing.assert_allclose(one.residuals, [0.5, -1.0, 0.5], rtol=LEAST_SQUARES)
    np.testing.assert_allclose(one.leverage, [5 / 6, 1 / 3, 5 / 6], rtol=LEAST_SQUARES)
    np.testing.assert_allclose((one.variance, one.freedom), [[1.5], [1.0]], rtol=LEAST_SQUARES)
    np.testing.assert_allclose(
        one.inverse_bread, np.linalg.inv([[3.0, 6.0], [6.0, 14.0]]), rtol=LEAST_SQUARES
    )
    np.testing.assert_allclose(one.scores, [[0.5, 0.5], [-1.0, -2.0], [0.5, 1.5]], rtol=LEAST_SQUARES)


def test_without_covariates_each_study_has_its_own_ordinary_line():
    import statsmodels.api as sm

    rows, response = draw_rows(np.random.default_rng(1))
    one = fit(rows, response)
    for s in range(3):
        mine = rows.study == s
        line = sm.OLS(response[mine], rows.columns[:, mine].T).fit()
        np.testing.assert_allclose(one.gamma[2 * s : 2 * s + 2], line.params, rtol=LEAST_SQUARES)
        np.testing.assert_allclose(one.variance[s], line.mse_resid, rtol=LEAST_SQUARES)
        np.testing.assert_allclose(one.variance[s], line.ssr / (mine.sum() - 2), rtol=LEAST_SQUARES)
        np.testing.assert_allclose(one.freedom[s], mine.sum() - 2, rtol=LEAST_SQUARES)
        np.testing.assert_allclose(one.leverage[mine], line.get_influence().hat_matrix_diag, rtol=1e-9)
        block = one.inverse_bread[2 * s : 2 * s + 2, 2 * s : 2 * s + 2]
        np.testing.assert_allclose(block, line.normalized_cov_params, rtol=1e-9)


@pytest.mark.parametrize("by_study", [False, True])
def test_covariates_have_common_or_own_coefficients(by_study):
    rows, response = draw_rows(np.random.default_rng(2), n_covariates=2)
    one = fit(rows, response, by_study=by_study)
    lines = [np.where(rows.study == s, column, 0.0) for s in range(3) for column in rows.columns[:2]]
    extra = rows.columns[2:]
    if by_study:
        extra = [np.where(rows.study == s, column, 0.0) for s in range(3) for column in rows.columns[2:]]
    design = np.vstack([*lines, *extra]).T
    expected = np.linalg.lstsq(design, response, rcond=None)[0]
    np.testing.assert_allclose(one.gamma, expected, rtol=1e-9)
    np.testing.assert_allclose(dense_rows(rows, one.layout), design)
    hat = design @ np.linalg.solve(design.T @ design, design.T)
    np.testing.assert_allclose(one.leverage, np.diagonal(hat), rtol=1e-9)
    np.testing.assert_allclose(one.inverse_bread, np.linalg.inv(design.T @ design), rtol=1e-7, atol=1e-12)
    residual = response - design @ expected
    np.testing.assert_allclose(one.scores, residual[:, None] * design, rtol=1e-6, atol=1e-8)
    for s in range(3):
        mine = rows.study == s
        rss = (residual[mine] ** 2).sum()
        np.testing.assert_allclose(one.variance[s], rss / (1 - np.diagonal(hat)[mine]).sum(), rtol=1e-9)
    assert one.dropped == ()


def test_by_study_coefficients_are_three_separate_regressions():
    rows, response = draw_rows(np.random.default_rng(3), n_covariates=1)
    one = fit(rows, response, by_study=True)
    for s in range(3):
        mine = rows.study == s
        expected = np.linalg.lstsq(rows.columns[:, mine].T, response[mine], rcond=None)[0]
        np.testing.assert_allclose(one.coefficients()[s], expected, rtol=1e-9)
        np.testing.assert_allclose(one.freedom[s], mine.sum() - 3, rtol=LEAST_SQUARES)


def test_prediction_is_the_line_of_the_persons_study_and_nan_for_reference_studies():
    rng = np.random.default_rng(4)
    one = fit(*draw_rows(rng, n_covariates=1))
    columns = np.vstack([np.ones(5), rng.normal(60, 10, 5), rng.normal(size=5)])
    study = np.array([2, -1, 0, 1, 2])
    persons = CalibrationRows(study, columns, np.maximum(study, 0))
    g = one.gamma
    expected = [
        np.nan if s < 0 else g[2 * s] + g[2 * s + 1] * w + g[6] * v
        for s, w, v in zip(study, columns[1], columns[2], strict=True)
    ]
    np.testing.assert_allclose(one.predict(persons), expected, rtol=1e-12)
    local = persons.take(np.array([0, 2, 3, 4, 4]))
    np.testing.assert_array_equal(one.predict(local), one.predict(persons)[[0, 2, 3, 4, 4]])


@pytest.mark.parametrize("by_study", [False, True])
def test_folding_weights_is_a_product_with_the_dense_rows(by_study):
    rng = np.random.default_rng(5)
    rows, response = draw_rows(rng, n_covariates=2)
    one = fit(rows, response, by_study=by_study)
    study = rows.study.copy()
    study[::7] = -1  # persons of reference studies count nothing, whatever their columns
    some = CalibrationRows(study, np.where(study < 0, np.nan, rows.columns), rows.group)
    weights = rng.normal(size=(4, study.size))
    local = study >= 0
    dense = dense_rows(some.take(np.flatnonzero(local)), one.layout)
    np.testing.assert_allclose(one.fold(weights, some), weights[:, local] @ dense, rtol=1e-10, atol=1e-9)
    np.testing.assert_array_equal(one.fold(weights, some), fold_rows(weights, some, one.layout))


def test_units_of_the_two_laboratories_scale_the_line():
    rows, response = draw_rows(np.random.default_rng(6))
    one = fit(rows, response)
    factor = np.array([[1.0], [2.496]])
    two = fit(CalibrationRows(rows.study, rows.columns * factor, rows.group), 1e-9 * response)
    np.testing.assert_allclose(two.gamma[::2], 1e-9 * one.gamma[::2], rtol=1e-9)
    np.testing.assert_allclose(two.gamma[1::2], 1e-9 * one.gamma[1::2] / 2.496, rtol=1e-9)
    np.testing.assert_allclose(two.leverage, one.leverage, rtol=1e-9)


def test_a_collinear_covariate_is_dropped_with_coefficient_zero_and_told():
    rows, response = draw_rows(np.random.default_rng(7), n_covariates=1)
    repeated = np.vstack([rows.columns, 3.0 - 2.0 * rows.columns[2]])
    more = CalibrationRows(rows.study, repeated, rows.group)
    one, two = fit(rows, response), fit(more, response)
    assert two.dropped == ((-1, 3),)
    np.testing.assert_allclose(two.gamma, one.gamma, rtol=1e-9)
    np.testing.assert_array_equal(two.coefficients()[:, 3], 0.0)
    np.testing.assert_allclose(two.predict(more), one.predict(rows), rtol=1e-9)
    assert two.fold(np.ones((1, rows.study.size)), more).shape == (1, 7)


def test_a_covariate_constant_in_one_study_is_dropped_there_only():
    rows, response = draw_rows(np.random.default_rng(8), n_covariates=1)
    columns = rows.columns.copy()
    columns[2, rows.study == 1] = 1.0
    some = CalibrationRows(rows.study, columns, rows.group)
    assert fit(some, response).dropped == ()  # a common coefficient is learned in the others
    own = fit(some, response, by_study=True)
    assert own.dropped == ((1, 2),)
    assert own.coefficients()[1, 2] == 0.0
    assert (own.coefficients()[[0, 2], 2] != 0).all()
    np.testing.assert_allclose(own.freedom, [27, 38, 47], rtol=LEAST_SQUARES)


def test_the_lines_are_never_dropped_for_a_covariate():
    # A covariate equal to W in one study and 0 elsewhere: the covariate goes, the slope stays.
    rows, response = draw_rows(np.random.default_rng(9))
    extra = np.where(rows.study == 0, rows.columns[1], 0.0)
    one = fit(CalibrationRows(rows.study, np.vstack([rows.columns, extra]), rows.group), response)
    assert one.dropped == ((-1, 2),)
    np.testing.assert_allclose(one.gamma, fit(rows, response).gamma, rtol=1e-9)


@pytest.mark.parametrize(("sizes", "studies"), [((2, 40, 50), ("A",)), ((0, 40, 2), ("A", "C"))])
def test_too_few_pairs_are_told_for_every_study_at_once(sizes, studies):
    with pytest.raises(CalibrationDesignError, match="at least 3 are needed") as caught:
        fit(*draw_rows(np.random.default_rng(1), sizes=sizes))
    assert caught.value.studies == studies


def test_constant_local_values_are_told_with_the_number_of_persons():
    rows, response = draw_rows(np.random.default_rng(1))
    columns = rows.columns.copy()
    columns[1, rows.study == 1] = 41.3
    with pytest.raises(
        CalibrationDesignError, match="study B: all 40 calibrated persons have the same local value"
    ) as e:
        fit(CalibrationRows(rows.study, columns, rows.group), response)
    assert e.value.studies == ("B",)


def test_as_many_coefficients_as_pairs_are_told():
    rng = np.random.default_rng(2)
    rows, response = draw_rows(rng, sizes=(4, 40, 50), n_covariates=2)
    with pytest.raises(CalibrationDesignError, match="A has as many coefficients as pairs") as caught:
        fit(rows, response, by_study=True)
    assert caught.value.studies == ("A",)
    assert fit(rows, response).dropped == ()  # common coefficients are possible


def test_three_pairs_are_enough_for_a_line():
    rows, response = draw_rows(np.random.default_rng(3), sizes=(3, 3, 3))
    np.testing.assert_allclose(fit(rows, response).freedom, 1.0, rtol=1e-9)


def test_levels_of_a_modifier_have_residual_variances_of_their_own():
    rows, response = draw_rows(np.random.default_rng(4))
    group = np.where((rows.study == 0) & (rows.columns[1] > 60), 3, rows.study)
    layout = lay_out_parameters(3, 2, np.array([0, 1, 2, 0]), by_study=False)
    one = fit_calibration(CalibrationRows(rows.study, rows.columns, group), response, layout, NAMES)
    plain = fit(rows, response)
    np.testing.assert_array_equal(one.gamma, plain.gamma)
    np.testing.assert_allclose(
        one.variance[0] * one.freedom[0] + one.variance[3] * one.freedom[3],
        plain.variance[0] * plain.freedom[0],
        rtol=LEAST_SQUARES,
    )
    np.testing.assert_allclose(one.variance[1:3], plain.variance[1:], rtol=LEAST_SQUARES)


def test_persons_of_one_study_are_predicted_as_among_others():
    rows, response = draw_rows(np.random.default_rng(11), n_covariates=2)
    one = fit(rows, response)
    together = one.predict(rows)
    for s in range(3):
        mine = np.flatnonzero(rows.study == s)
        np.testing.assert_array_equal(one.predict(rows.take(mine)), together[mine])
    elsewhere = CalibrationRows(np.full(4, -1), rows.columns[:, :4], np.full(4, -1))
    assert np.isnan(one.predict(elsewhere)).all()
