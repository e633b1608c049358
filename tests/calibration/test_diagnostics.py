"""Diagnostics of a calibration against statsmodels, deletion of pairs, and F tests of nested fits."""

from __future__ import annotations

import numpy as np
import pytest

from biocal.model.calibration.diagnostics import (
    batch_lines,
    curvature,
    own_line,
    spread_by_third,
    unequal_variance,
)

SAME = 1e-9  # two factorisations of one design


@pytest.fixture
def pairs():
    rng = np.random.default_rng(12)
    local = rng.normal(50, 12, 45)
    return local, 8 + 0.8 * local + 0.004 * local**2 + rng.normal(0, 0.12 * local)


def columns_of(local):
    return np.vstack([np.ones(local.size), local])


def test_the_change_of_the_slope_is_that_of_leaving_a_pair_out(pairs):
    local, response = pairs
    line = own_line(columns_of(local), response)
    for i in (0, 7, 44):
        others = np.arange(local.size) != i
        without = np.polyfit(local[others], response[others], 1)[0]
        np.testing.assert_allclose(line.slope_change[i], line.slope - without, rtol=1e-7)


def test_tests_of_residuals_are_those_of_statsmodels(pairs):
    import statsmodels.api as sm
    from statsmodels.stats.diagnostic import het_breuschpagan

    local, response = pairs
    design = sm.add_constant(local)
    fit = sm.OLS(response, design).fit()
    line = own_line(columns_of(local), response)
    np.testing.assert_allclose((line.slope, line.se_slope), (fit.params[1], fit.bse[1]), rtol=SAME)
    np.testing.assert_allclose(line.leverage, fit.get_influence().hat_matrix_diag, rtol=SAME)
    expected = het_breuschpagan(fit.resid, design, robust=True)[1]
    np.testing.assert_allclose(unequal_variance(local, line.residuals), expected, rtol=SAME)
    bent = sm.OLS(response, np.column_stack([design, local**2])).fit()
    np.testing.assert_allclose(curvature(columns_of(local), response), bent.compare_f_test(fit)[1], rtol=1e-6)


def test_batches_are_tested_by_the_f_test_of_nested_fits(pairs):
    import pandas as pd
    import statsmodels.formula.api as smf

    local, response = pairs
    batch = np.repeat([0, 1, 2], 15)
    batch[:3] = -1
    frame = pd.DataFrame({"w": local[3:], "x": response[3:], "b": batch[3:]})
    wide = smf.ols("x ~ C(b) * w", frame).fit()
    narrow = smf.ols("x ~ w", frame).fit()
    lines, p_value = batch_lines(local, response, batch)
    np.testing.assert_allclose(p_value, wide.compare_f_test(narrow)[1], rtol=1e-6)
    mine = batch == 1
    slope, intercept = np.polyfit(local[mine], response[mine], 1)
    assert lines[1][0] == 15
    np.testing.assert_allclose(lines[1][1:3], (intercept, slope), rtol=1e-7)


def test_small_batches_and_few_pairs_tell_nothing(pairs):
    local, response = pairs
    batch = np.zeros(45, dtype=int)
    batch[:4] = 1
    lines, p_value = batch_lines(local, response, batch)
    assert set(lines) == {0}
    assert np.isnan(p_value)
    assert np.isnan(unequal_variance(local[:9], response[:9]))
    assert np.isnan(curvature(columns_of(local[:9]), response[:9]))
    exact = 2 + 3 * local
    assert np.isnan(curvature(columns_of(local), exact)) or curvature(columns_of(local), exact) > 0


def test_spread_by_thirds_of_the_local_values():
    local = np.array([5.0, 1.0, 3.0, 2.0, 6.0, 4.0])
    residuals = np.array([3.0, 1.0, -2.0, -1.0, 3.0, 2.0])
    assert spread_by_third(local, residuals) == (1.0, 2.0, 3.0)
    assert np.isnan(spread_by_third(local[:2], residuals[:2])).all()
