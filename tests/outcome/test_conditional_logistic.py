"""The fitted outcome model against R's clogit, statsmodels, closed forms; collinear and constant columns by name."""

from __future__ import annotations

import numpy as np
import pytest
from fixture_files import read_answers, read_rows
from matched_rows import draw_matched_rows
from outcome_fits import fit_conditional_logistic

from biocal.errors import ConvergenceError, SingularInformationError
from biocal.kernels.newton import maximise
from biocal.kernels.sets.layout import lay_out_sets
from biocal.model.outcome import conditional as conditional_logistic
from biocal.model.outcome.conditional import constant_within_sets

AGAINST_R = 1e-8  # R's pinned 15 digits, less what its own stopping rule leaves
TWO_OPTIMISERS = 1e-6  # statsmodels' Newton stops on the change of the parameters


def infert(merged: bool):
    rows = read_rows("infert")
    code = rows["set"].to_numpy() - 1
    if merged:  # sets 2k-1 and 2k
        code = code // 2
    return code, rows["case"].to_numpy() == 1, rows[["spontaneous", "induced"]].to_numpy(dtype=float).T


@pytest.mark.parametrize(("answer", "merged"), [("spontaneous_induced", False), ("merged_pairs", True)])
def test_infertility_data_give_what_r_gives(answer, merged):
    pinned = read_answers("infert")[answer]
    code, case, columns = infert(merged)
    fit = fit_conditional_logistic(lay_out_sets(code, case), columns, pinned["terms"])
    np.testing.assert_allclose(fit.beta, pinned["coef"], rtol=AGAINST_R)
    np.testing.assert_allclose(np.linalg.inv(fit.information), pinned["vcov"], rtol=AGAINST_R)
    np.testing.assert_allclose([fit.loglik_null, fit.loglik], pinned["loglik"], rtol=AGAINST_R)
    np.testing.assert_allclose(fit.set_scores.sum(axis=1), 0.0, atol=1e-7)  # the closing step squares 1e-4


@pytest.mark.parametrize(
    "shapes", [[(1, 1)] * 60, [(1, 3)] * 30, [(2, 3)] * 15, [(1, 2), (2, 1), (3, 3)] * 8]
)
def test_statsmodels_finds_the_same_maximum(shapes):
    from statsmodels.discrete.conditional_models import ConditionalLogit

    rows = draw_matched_rows(np.random.default_rng(len(shapes)), shapes)
    columns = rows.columns + 0.7 * rows.is_case * np.array([[1.0], [-0.5], [0.0]])
    fit = fit_conditional_logistic(lay_out_sets(rows.set_code, rows.is_case), columns, ["a", "b", "c"])
    order = np.argsort(rows.set_code, kind="stable")
    other = ConditionalLogit(
        rows.is_case[order].astype(float), columns.T[order], groups=rows.set_code[order]
    ).fit(method="newton", disp=False, maxiter=100)
    np.testing.assert_allclose(fit.beta, other.params, rtol=TWO_OPTIMISERS, atol=TWO_OPTIMISERS)
    np.testing.assert_allclose(fit.loglik, other.llf, rtol=1e-9)


def test_pairs_with_a_binary_column_have_the_ratio_of_discordant_pairs():
    # 30 pairs with the case exposed only, 12 with the control, 20 with both or none.
    exposed = np.array([[1, 0]] * 30 + [[0, 1]] * 12 + [[1, 1], [0, 0]] * 10, dtype=float).ravel()
    code, case = np.repeat(np.arange(62), 2), np.tile([True, False], 62)
    fit = fit_conditional_logistic(lay_out_sets(code, case), exposed[None], ["exposed"])
    np.testing.assert_allclose(fit.beta, np.log(30 / 12), rtol=1e-12)
    np.testing.assert_allclose(1 / fit.information[0, 0], 1 / 30 + 1 / 12, rtol=1e-12)
    np.testing.assert_allclose(fit.loglik_null, -62 * np.log(2), rtol=1e-12)


def test_units_and_origins_of_columns_do_not_matter():
    code, case, columns = infert(True)
    scale, shift = np.array([[1e-8], [1e5]]), np.array([[3.0], [-1e3]])
    one = fit_conditional_logistic(lay_out_sets(code, case), columns, ["a", "b"])
    two = fit_conditional_logistic(lay_out_sets(code, case), scale * (columns + shift), ["a", "b"])
    np.testing.assert_allclose(two.beta * scale[:, 0], one.beta, rtol=1e-9)  # 12 digits left after the shift
    np.testing.assert_allclose(two.loglik, one.loglik, rtol=1e-12)


def test_an_unscaled_spline_far_from_zero_is_fitted():
    # Columns of very unequal size and nearly collinear: where general optimisers returned zeros.
    rng = np.random.default_rng(3)
    code, case = np.repeat(np.arange(400), 2), np.tile([True, False], 400)
    x = rng.normal(60, 20, 800) + 5 * case
    columns = np.vstack([x, np.maximum(x - 30, 0) ** 3, np.maximum(x - 60, 0) ** 3])
    layout = lay_out_sets(code, case)
    fit = fit_conditional_logistic(layout, columns, ["x", "x'", "x''"])
    scaled = fit_conditional_logistic(
        layout, columns / columns.std(axis=1, keepdims=True), ["x", "x'", "x''"]
    )
    np.testing.assert_allclose(fit.beta * columns.std(axis=1), scaled.beta, rtol=1e-8)
    assert (np.abs(scaled.beta) > 1e-3).all()


def test_a_column_constant_within_every_set_is_named():
    code, case, columns = infert(False)
    with pytest.raises(
        SingularInformationError, match=r"^age is constant within every matched set"
    ) as caught:
        fit_conditional_logistic(
            lay_out_sets(code, case), np.vstack([columns, 20.0 + code]), ["a", "b", "age"]
        )
    assert caught.value.terms == ("age",)


def test_two_constant_columns_are_named_in_the_plural():
    code, case, columns = infert(False)
    more = np.vstack([columns, 20.0 + code, np.ones(code.size)])
    with pytest.raises(SingularInformationError, match="age and one are constant"):
        fit_conditional_logistic(lay_out_sets(code, case), more, ["a", "b", "age", "one"])


def test_constant_within_sets_ignores_sets_without_information():
    code, case = np.array([0, 0, 1, 1]), np.array([True, False, False, False])
    columns = np.array([[1.0, 1.0, 3.0, 9.0], [1.0, 2.0, 0.0, 0.0]])
    assert constant_within_sets(lay_out_sets(code, case), columns).tolist() == [True, False]
    assert constant_within_sets(lay_out_sets(code, case), np.empty((0, 4))).shape == (0,)


def test_collinear_columns_are_named_with_those_they_repeat():
    rng = np.random.default_rng(6)
    code, case, columns = infert(False)
    a, b = columns
    c = rng.normal(size=code.size)
    # b + 2c, but for a part that is constant within sets: collinear all the same.
    more = np.vstack([a, b, c, b + 2 * c + 10.0 * code])
    with pytest.raises(SingularInformationError, match="total cannot be told apart from b and c") as caught:
        fit_conditional_logistic(lay_out_sets(code, case), more, ["a", "b", "c", "total"])
    assert caught.value.terms == ("total",)


def test_a_maximum_that_is_not_found_is_an_error_with_its_facts(monkeypatch):
    def hasty(evaluate, start, **options):
        return maximise(evaluate, start, max_iterations=1)

    monkeypatch.setattr(conditional_logistic, "maximise", hasty)
    code, case, columns = infert(False)
    with pytest.raises(ConvergenceError, match=r"not found in \d evaluations") as caught:
        fit_conditional_logistic(lay_out_sets(code, case), columns, ["a", "b"])
    assert caught.value.iterations <= 4
    assert caught.value.decrement > 0
