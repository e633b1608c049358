"""Separation is told, by name, when there is no finite maximum, and never when there is one."""

from __future__ import annotations

import numpy as np
import pytest
from matched_rows import draw_matched_rows
from outcome_fits import fit_conditional_logistic
from scipy.optimize import linprog

from biocal.errors import SeparationError
from biocal.kernels.sets.layout import lay_out_sets

SHAPES = [(1, 1), (1, 2), (2, 1), (2, 3), (3, 2)]


def equal_sets(rng, n_sets, shape, n_columns):
    """set_code, is_case and normal columns, the first of which is related to case status."""
    m, c = shape
    code, case = np.repeat(np.arange(n_sets), m + c), np.tile(np.arange(m + c) < m, n_sets)
    columns = rng.normal(size=(n_columns, code.size))
    columns[0] += 0.5 * case
    return code, case, columns


def fit(code, case, columns):
    return fit_conditional_logistic(lay_out_sets(code, case), columns, [f"z{k}" for k in range(len(columns))])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sign", [1, -1])
def test_complete_separation_is_told_by_name(shape, sign):
    rng = np.random.default_rng(1)
    code, case, columns = equal_sets(rng, 20, shape, 2)
    columns[1] = sign * (case + 0.5 * rng.uniform(size=case.size))
    with pytest.raises(SeparationError, match="z1") as caught:
        fit(code, case, columns)
    assert "z1" in caught.value.terms


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_sets", [30, 3_000, 30_000])
@pytest.mark.parametrize("n_exposed", [1, 10])
def test_a_level_that_only_cases_or_only_controls_have_is_told_however_rare(shape, n_sets, n_exposed):
    # In many sets such a column moves the log-likelihood by less than the stopping rule lets pass.
    rng = np.random.default_rng([n_sets, n_exposed, *shape])
    for exposed_role in (True, False):
        code, case, columns = equal_sets(rng, n_sets, shape, 3)
        columns[2] = 0.0
        columns[2, rng.choice(np.flatnonzero(case == exposed_role), n_exposed, replace=False)] = 1.0
        with pytest.raises(SeparationError, match=r"along z2 every case") as caught:
            fit(code, case, columns)
        assert caught.value.terms == ("z2",)


def test_separation_along_a_combination_of_columns_names_them_all():
    rng = np.random.default_rng(5)
    code, case, columns = equal_sets(rng, 200, (1, 2), 3)
    columns[2] = 2 * columns[1] + np.where(case, 1.0, 0.0) * (rng.uniform(size=case.size) < 0.05)
    with pytest.raises(SeparationError) as caught:
        fit(code, case, columns)
    assert caught.value.terms == ("z1", "z2")


def has_no_maximum(code, case, columns):
    """Linear programme: is there a direction in the box with every case at or above every control of its set?"""
    gaps = []
    for j in np.unique(code):
        mine = np.flatnonzero(code == j)
        cases, controls = mine[case[mine]], mine[~case[mine]]
        gaps += [columns[:, i] - columns[:, k] for i in cases for k in controls]
    gaps = np.array(gaps)
    best = linprog(-gaps.sum(axis=0), A_ub=-gaps, b_ub=np.zeros(len(gaps)), bounds=(-1, 1))
    return -best.fun > 1e-6


@pytest.mark.parametrize("shape", SHAPES)
def test_the_verdict_on_small_data_is_that_of_a_linear_programme(shape):
    rng = np.random.default_rng([11, *shape])
    verdicts = []
    for _ in range(40):
        n_sets = int(rng.integers(2, 9 if shape[0] * shape[1] < 6 else 4))
        rows = draw_matched_rows(rng, [shape] * n_sets, n_columns=2)
        columns = np.round(rows.columns * 1.5 + rows.is_case)  # ties, so that separation is often partial
        columns[:, :2] += [[0.5, 0.0], [0.0, 0.5]]
        try:
            fit(rows.set_code, rows.is_case, columns)
            told = False
        except SeparationError:
            told = True
        verdicts.append(told)
        assert told == has_no_maximum(rows.set_code, rows.is_case, columns)
    assert 3 < sum(verdicts) < 37  # both verdicts occur


@pytest.mark.parametrize("slope", [3.0, 10.0, 40.0])
def test_a_merely_large_effect_is_fitted(slope):
    rng = np.random.default_rng(8)
    n = 4_000
    difference = rng.uniform(-1, 1, n)
    first_is_case = rng.uniform(size=n) < 1 / (1 + np.exp(-slope * difference))
    code, case = np.repeat(np.arange(n), 2), np.column_stack([first_is_case, ~first_is_case]).ravel()
    columns = np.zeros((2, 2 * n))
    columns[0, ::2] = difference
    columns[1] = rng.normal(size=2 * n)
    result = fit(code, case, columns)
    assert abs(result.beta[0] - slope) < 4 / np.sqrt(result.information[0, 0])  # 4 standard errors


def test_one_discordant_set_among_thousands_keeps_the_estimate_finite():
    # 1:1 with a binary column: the estimate is log(pairs exposed case / pairs exposed control), exactly.
    n = 5_000
    code, case = np.repeat(np.arange(n), 2), np.tile([True, False], n)
    column = case.astype(float)
    column[:2] = [0.0, 1.0]
    np.testing.assert_allclose(fit(code, case, column[None]).beta, np.log(n - 1), rtol=1e-8)
