"""The conditional likelihood against every subset written out, logistic regression, and high precision."""

from __future__ import annotations

import tracemalloc
from decimal import Decimal, localcontext
from itertools import product
from math import comb

import numpy as np
import pytest
from enumeration import enumerate_sets
from hypothesis import given, settings
from hypothesis import strategies as st
from matched_rows import MatchedRows, draw_matched_rows

from biocal.kernels.newton import DECREMENT_TOLERANCE, maximise
from biocal.kernels.sets import layout as set_layout
from biocal.kernels.sets import likelihood as matched_set
from biocal.kernels.sets import many_cases
from biocal.kernels.sets.layout import lay_out_sets
from biocal.kernels.sets.likelihood import ConditionalLikelihood, block_terms, case_residuals
from biocal.kernels.sets.many_cases import many_case_terms, null_terms
from biocal.kernels.sets.one_case import one_case_null_terms, one_case_terms

# Relative to the largest term that is added up: a few roundings a recursion step.
ROUNDING = 1e-13
SAME_ARITHMETIC = 1e-12  # the same sums in another order
DERIVATIVE = 1e-7  # central differences, step 1e-5, of functions of order 1 to 100

SHAPES = list(product(range(1, 6), range(1, 6)))
#: Uninformative, one case, one control, n:m, rare and common shapes together.
MIXTURE = (
    [(1, 1)] * 9
    + [(1, 3)] * 4
    + [(3, 1)] * 3
    + [(2, 2), (2, 5), (5, 2), (3, 3), (2, 3)] * 3
    + [
        (0, 2),
        (2, 0),
        (1, 4),
        (4, 4),
    ]
)


def likelihood_of(rows: MatchedRows, columns=None, weights=None) -> ConditionalLikelihood:
    layout = lay_out_sets(rows.set_code, rows.is_case)
    return ConditionalLikelihood(layout, rows.columns if columns is None else columns, weights)


def assert_agrees(rows: MatchedRows, beta: np.ndarray, rounding: float = ROUNDING) -> None:
    """evaluate() and details() against enumeration, each within rounding of its own scale."""
    likelihood = likelihood_of(rows)
    expected = enumerate_sets(beta @ rows.columns, rows.columns, rows.is_case, rows.set_code)
    quick, detail = likelihood.evaluate(beta[None]), likelihood.details(beta[None])
    # The tolerance is per unit of what is summed: predictors, columns (one scale each), and their products.
    eta_size = (1.0 + np.abs(beta @ rows.columns).max()) * rows.is_case.size
    size = np.abs(rows.columns).max(axis=1) * 10
    for got in (quick.loglik[0], detail.loglik[0]):
        assert abs(got - expected.loglik) <= rounding * eta_size
    assert (np.abs(quick.score[0] - expected.score.sum(axis=1)) <= rounding * size * rows.is_case.size).all()
    assert (np.abs(detail.set_scores[0] - expected.score) <= rounding * size[:, None]).all()
    for got in (quick.information[0], detail.information[0]):
        assert (
            np.abs(got - expected.information) <= rounding * np.outer(size, size) * rows.is_case.size
        ).all()
        np.testing.assert_allclose(got, got.T, rtol=0, atol=rounding * np.outer(size, size).max())
    assert np.abs(detail.residual[0] - (rows.is_case - expected.probability)).max() <= 10 * rounding
    assert (np.abs(detail.slope[0] - expected.slope) <= rounding * size[:, None]).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
def test_every_shape_to_five_by_five_is_its_enumeration(shape, spread):
    rows = draw_matched_rows(np.random.default_rng([*shape, int(spread)]), [shape] * 4)
    assert_agrees(rows, spread * np.array([1.0, -0.6, 0.3]))


@pytest.mark.parametrize("shape", SHAPES)
def test_linear_predictors_of_700_neither_overflow_nor_lose_digits(shape):
    rows = draw_matched_rows(np.random.default_rng([7, *shape]), [shape] * 4)
    rng = np.random.default_rng(5)
    columns = rows.columns.copy()
    columns[0] = rng.uniform(-700, 700, rows.is_case.size)
    columns[0, :2], columns[0, -2:] = 700.0, -700.0
    # Predictors carry 1e-13 of absolute rounding themselves at this size, and probabilities follow them.
    assert_agrees(MatchedRows(rows.set_code, rows.is_case, columns), np.array([1.0, 0.2, 0.1]), 2e-12)


@pytest.mark.parametrize("rare", [1, 20, 512])
@pytest.mark.parametrize("numbers", [1, 65_536])
@pytest.mark.parametrize("spread", [0.0, 1.0, 40.0, 400.0])
def test_mixtures_of_shapes_agree_padded_or_not_in_one_block_or_many(monkeypatch, rare, numbers, spread):
    monkeypatch.setattr(set_layout, "_RARE", rare)
    monkeypatch.setattr(set_layout, "_BLOCK_NUMBERS", numbers)
    rows = draw_matched_rows(np.random.default_rng(rare), MIXTURE * 3)
    padded = any(block.real is not None for block in lay_out_sets(rows.set_code, rows.is_case).blocks)
    assert padded == (rare > 1)
    assert_agrees(rows, spread * np.array([0.8, -1.0, 0.5]), ROUNDING * max(1.0, spread / 40))


@pytest.mark.parametrize("shape", [(2, 2), (2, 5), (4, 3), (5, 5)])
@pytest.mark.parametrize("spread", [0.5, 5.0])
def test_the_recursion_in_logs_is_the_recursion_in_numbers(monkeypatch, shape, spread):
    rows = draw_matched_rows(np.random.default_rng([3, *shape]), [shape] * 5)
    beta = spread * np.array([[1.0, -0.6, 0.3]])
    plain = likelihood_of(rows).details(beta)
    monkeypatch.setattr(many_cases, "_LINEAR_EXPONENT", -1.0)
    logs = likelihood_of(rows).details(beta)
    for name in ("loglik", "set_scores", "information", "residual", "slope"):
        np.testing.assert_allclose(getattr(logs, name), getattr(plain, name), rtol=0, atol=1e-12)


@pytest.mark.parametrize("rare", [1, 512])
def test_any_predictor_with_any_score_columns_is_its_enumeration(monkeypatch, rare):
    # The induced relative risk has score columns that are not those of its linear predictor.
    monkeypatch.setattr(set_layout, "_RARE", rare)
    rng = np.random.default_rng(12)
    rows = draw_matched_rows(rng, MIXTURE)
    eta = rng.normal(0, 2, rows.is_case.size)
    expected = enumerate_sets(eta, rows.columns, rows.is_case, rows.set_code)
    loglik, information = 0.0, np.zeros((3, 3))
    for block in lay_out_sets(rows.set_code, rows.is_case).blocks:
        terms = block_terms(block, block.take(eta), block.take(rows.columns), persons=True)
        loglik += terms.loglik.sum()
        information += terms.information
        np.testing.assert_allclose(terms.score, expected.score[:, block.sets], atol=ROUNDING * 100)
        residual, slope = case_residuals(block, terms)
        real = np.ones(block.rows.shape, dtype=bool) if block.real is None else block.real
        persons = block.rows[real]
        wanted = (rows.is_case - expected.probability)[persons]
        np.testing.assert_allclose(residual[real], wanted, atol=ROUNDING * 10)
        np.testing.assert_allclose(slope[:, real], expected.slope[:, persons], atol=ROUNDING * 100)
    np.testing.assert_allclose(loglik, expected.loglik, rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(information, expected.information, rtol=0, atol=SAME_ARITHMETIC * 100)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 1), (2, 3), (4, 2)])
def test_score_information_and_slopes_are_derivatives(shape):
    rows = draw_matched_rows(np.random.default_rng(list(shape)), [shape] * 6)
    likelihood, beta, step = likelihood_of(rows), np.array([0.4, -0.7, 0.2]), 1e-5
    here = likelihood.details(beta[None])
    for k in range(3):
        shift = step * np.eye(3)[k]
        up, down = likelihood.details(beta[None] + shift), likelihood.details(beta[None] - shift)
        loglik_slope = (up.loglik - down.loglik) / (2 * step)
        score_slope = (up.set_scores - down.set_scores).sum(axis=-1) / (2 * step)
        residual_slope = (up.residual - down.residual) / (2 * step)
        np.testing.assert_allclose(here.set_scores.sum(axis=-1)[0, k], loglik_slope[0], atol=DERIVATIVE)
        np.testing.assert_allclose(here.information[0, k], -score_slope[0], atol=DERIVATIVE)
        np.testing.assert_allclose(here.slope[0, k], -residual_slope[0], atol=DERIVATIVE)


@pytest.mark.parametrize(
    ("difference", "beta"), [(1.3, 0.4), (-2.0, 0.9), (0.0, 5.0), (70.0, 10.0), (70.0, -10.0)]
)
def test_pair_reduces_to_logistic_regression_on_the_difference(difference, beta):
    rows = MatchedRows(np.zeros(2, dtype=int), np.array([False, True]), np.array([[0.0, difference]]))
    terms = likelihood_of(rows).evaluate(np.array([[beta]]))
    x = difference * beta
    p_control = np.exp(-np.logaddexp(0, x))
    np.testing.assert_allclose(terms.loglik[0], -np.logaddexp(0, -x), rtol=SAME_ARITHMETIC, atol=1e-15)
    np.testing.assert_allclose(terms.score[0, 0], difference * p_control, rtol=SAME_ARITHMETIC)
    p_case = np.exp(-np.logaddexp(0, -x))
    np.testing.assert_allclose(
        terms.information[0, 0, 0], difference**2 * p_control * p_case, rtol=SAME_ARITHMETIC
    )


@pytest.mark.parametrize("shape", [(1, 2), (2, 3), (3, 2), (5, 5)])
def test_at_zero_the_moments_are_those_of_drawing_without_replacement(shape):
    m, c = shape
    rows = draw_matched_rows(np.random.default_rng(2), [shape])
    terms = likelihood_of(rows).evaluate(np.zeros((1, 3)))
    n = m + c
    covariance = np.cov(rows.columns, ddof=1)
    np.testing.assert_allclose(terms.loglik[0], -np.log(comb(n, m)), rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(terms.information[0], m * (n - m) / n * covariance, rtol=1e-11, atol=1e-12)


def test_the_start_at_zero_is_the_recursion_at_zero():
    rng = np.random.default_rng(9)
    columns = rng.normal(size=(2, 3, 6, 7))
    columns -= columns.mean(axis=-2, keepdims=True)
    short = null_terms(columns, 2, np.full(7, 6))
    long = many_case_terms(np.zeros((2, 6, 7)), columns, 2)
    for name in ("loglik", "score", "information"):
        np.testing.assert_allclose(getattr(short, name), getattr(long, name), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("m", [1, 4])
def test_the_start_at_zero_of_one_case_sets_is_the_general_formula(m):
    columns = np.random.default_rng(10).normal(size=(2, 3, m, 7))
    short, long = one_case_null_terms(columns), one_case_terms(np.zeros((2, m, 7)), columns)
    for name in ("loglik", "score", "information"):
        np.testing.assert_allclose(getattr(short, name), getattr(long, name), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spread", [1.0, 600.0])  # plain numbers, and logarithms
@pytest.mark.parametrize("n_sets", [3, 8, 13])  # whole cache lines and not
def test_the_score_without_the_information_is_the_same_score(spread, n_sets):
    rng = np.random.default_rng(n_sets)
    eta, columns = spread * rng.normal(size=(2, 7, n_sets)), rng.normal(size=(2, 3, 7, n_sets))
    active = np.array([n_sets] * 5 + [n_sets - 1, n_sets - 2])  # two sets are shorter
    for k, n in enumerate(active):
        eta[:, k, n:], columns[:, :, k, n:] = -np.inf, 0.0
    cheap = many_case_terms(eta, columns, 3, active=active, information=False)
    whole = many_case_terms(eta, columns, 3, active=active)
    assert cheap.information is None
    np.testing.assert_allclose(cheap.loglik, whole.loglik, rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(cheap.score, whole.score, rtol=SAME_ARITHMETIC, atol=SAME_ARITHMETIC)


def test_a_set_has_the_same_digits_beside_one_that_needs_a_guard_against_overflow():
    rng = np.random.default_rng(11)
    eta, columns = rng.normal(size=(3, 6)), rng.normal(size=(2, 3, 6))
    alone = one_case_terms(eta, columns, persons=True)
    eta[:, 5] = 2000.0
    beside = one_case_terms(eta, columns, persons=True)
    assert (alone.loglik[:5] == beside.loglik[:5]).all()
    assert (alone.persons.slope[..., :5] == beside.persons.slope[..., :5]).all()
    assert beside.loglik[5] == pytest.approx(-2000.0 - np.log(3.0), rel=SAME_ARITHMETIC)


def test_only_sets_of_several_cases_and_many_others_offer_the_score_alone(monkeypatch):
    rng = np.random.default_rng(12)
    several, single = draw_matched_rows(rng, [(3, 4)] * 5), draw_matched_rows(rng, [(1, 4)] * 5)
    assert likelihood_of(several).slope is not None
    assert likelihood_of(single).slope is None
    assert likelihood_of(several, weights=np.ones((1, 5))).slope is None
    monkeypatch.setattr(matched_set, "_MANY", single.is_case.size * single.columns.shape[0] - 1)
    assert likelihood_of(single).slope is not None


@pytest.mark.parametrize("shapes", [[(1, 4)] * 30, [(1, 1)] * 30, [(1, 2), (4, 1), (1, 3), (1, 1)] * 9])
def test_score_alone_is_that_of_the_whole_and_leads_to_the_same_maximum(monkeypatch, shapes):
    monkeypatch.setattr(matched_set, "_MANY", 0)
    likelihood = likelihood_of(draw_matched_rows(np.random.default_rng(15), shapes))
    for beta in (np.array([[0.4, -0.3, 0.2]]), np.array([[4e3, 3e3, -2e3]])):  # the second needs the guard
        whole, alone = likelihood.evaluate(beta), likelihood.slope(beta)
        np.testing.assert_allclose(alone.loglik, whole.loglik, rtol=SAME_ARITHMETIC)
        np.testing.assert_allclose(
            alone.score, whole.score, rtol=SAME_ARITHMETIC, atol=ROUNDING * np.abs(whole.score).max()
        )
    start = np.zeros((1, 3))
    plain, near = (maximise(likelihood.evaluate, start, slope=slope) for slope in (None, likelihood.slope))
    assert near.converged.all()
    np.testing.assert_allclose(near.point, plain.point, rtol=1e-9)  # what Newton's last step leaves


@pytest.mark.parametrize("shape", [(1, 4), (1, 1), (3, 1), (2, 3), (2, 2)])
def test_sets_of_one_shape_in_order_are_laid_out_as_any(monkeypatch, shape):
    monkeypatch.setattr(set_layout, "_BLOCK_NUMBERS", 100)
    monkeypatch.setattr(set_layout, "_RECURSION_NUMBERS", 100)
    rows = draw_matched_rows(np.random.default_rng(16), [shape] * 50)
    order = np.lexsort((np.random.default_rng(17).random(rows.set_code.size), rows.set_code))
    code, case = rows.set_code[order], rows.is_case[order]
    quick = lay_out_sets(code, case)
    assert set_layout._equal_sets(code, case) is not None
    monkeypatch.setattr(set_layout, "_equal_sets", lambda *_: None)
    usual = lay_out_sets(code, case)
    assert len(quick.blocks) > 1
    for mine, theirs in zip(quick.blocks, usual.blocks, strict=True):
        for name in mine.__slots__:
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=name)
    assert quick.n_sets == usual.n_sets == quick.n_informative == usual.n_informative
    assert quick.n_persons == usual.n_persons


@pytest.mark.parametrize(
    ("code", "case"),
    [
        ([0, 0, 1, 1, 2, 2], [1, 0, 1, 1, 0, 0]),  # cases as many as sets, and not one in each
        ([0, 0, 0, 1, 1, 1], [1, 0, 0, 1, 1, 0]),
        ([0, 0, 1, 1, 0, 1], [1, 0, 1, 0, 1, 1]),
        ([1, 1, 0, 0], [1, 0, 1, 0]),
        ([0, 0, 1, 1, 1], [1, 0, 1, 0, 0]),
        ([0, 0, 2, 2], [1, 0, 1, 0]),  # a code without persons
        ([0, 0, 0], [1, 1, 1]),
    ],
)
def test_other_sets_are_not_taken_for_sets_of_one_shape_in_order(code, case):
    assert set_layout._equal_sets(np.array(code), np.array(case, dtype=bool)) is None


def test_persons_in_the_layouts_order_give_the_same_terms_without_gathering():
    shapes = [*MIXTURE, *[(1, 2)] * set_layout._RARE, *[(2, 1)] * set_layout._RARE]  # the last two unpadded
    rows = draw_matched_rows(np.random.default_rng(14), shapes)
    layout = lay_out_sets(rows.set_code, rows.is_case)
    order, ordered = layout.in_order()
    assert (np.sort(order) == np.arange(rows.is_case.size)).all()
    assert {block.first_row is None for block in ordered.blocks} == {True, False}
    beta = np.array([[0.4, -0.3, 0.2]])
    plain = ConditionalLikelihood(layout, rows.columns).details(beta)
    moved = ConditionalLikelihood(ordered, rows.columns[:, order]).details(beta)
    for name in ("loglik", "information", "set_scores"):
        assert (getattr(moved, name) == getattr(plain, name)).all()
    for name in ("residual", "slope"):
        assert (getattr(moved, name) == getattr(plain, name)[..., order]).all()


def test_approaching_by_scores_ends_at_newtons_maximum():
    rows = draw_matched_rows(np.random.default_rng(13), [(2, 5), (3, 3), (4, 7)] * 40)
    more = np.stack([rows.columns, rows.columns[::-1] * 0.5, rows.columns * 3.0])
    likelihood = likelihood_of(rows, columns=more)
    start = np.zeros((3, 3))
    plain = maximise(likelihood.evaluate, start)
    near = maximise(likelihood.evaluate, start, slope=likelihood.slope)
    assert near.converged.all()
    np.testing.assert_allclose(near.point, plain.point, rtol=1e-9)  # what Newton's last step leaves
    np.testing.assert_allclose(near.loglik, plain.loglik, rtol=DECREMENT_TOLERANCE)  # one step before
    assert (near.loglik_start == plain.loglik_start).all()
    alone = likelihood_of(rows, columns=more[2:])
    assert (maximise(alone.evaluate, start[2:], slope=alone.slope).point[0] == near.point[2]).all()


def test_swapping_cases_and_controls_turns_the_sign():
    rows = draw_matched_rows(np.random.default_rng(4), MIXTURE)
    swapped = MatchedRows(rows.set_code, ~rows.is_case, rows.columns)
    beta = np.array([[0.5, -1.0, 0.2]])
    one, two = likelihood_of(rows).details(beta), likelihood_of(swapped).details(-beta)
    np.testing.assert_allclose(one.loglik, two.loglik, rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(one.set_scores, -two.set_scores, atol=SAME_ARITHMETIC)
    np.testing.assert_allclose(one.information, two.information, atol=SAME_ARITHMETIC * 10)
    np.testing.assert_allclose(one.residual, -two.residual, atol=SAME_ARITHMETIC)
    np.testing.assert_allclose(one.slope, two.slope, atol=SAME_ARITHMETIC)  # both factors turn


@pytest.mark.parametrize("spread", [0.0, 1.0, 300.0])
def test_a_set_weight_counts_the_set_that_often(spread):
    rng = np.random.default_rng(6)
    rows = draw_matched_rows(rng, MIXTURE)
    n_sets = len(MIXTURE)
    weight = rng.integers(0, 4, n_sets)
    members = [np.flatnonzero(rows.set_code == j) for j in range(n_sets) for _ in range(weight[j])]
    code = np.concatenate([np.full(who.size, j) for j, who in enumerate(members)])
    order = np.concatenate(members)
    repeated = MatchedRows(code, rows.is_case[order], rows.columns[:, order])
    beta = spread * np.array([[0.5, -1.0, 0.2]])
    weighted, plain = likelihood_of(rows, weights=weight[None]), likelihood_of(repeated)
    quick, expected, detail = weighted.evaluate(beta), plain.evaluate(beta), weighted.details(beta)
    for got in (quick, detail):
        np.testing.assert_allclose(got.loglik, expected.loglik, rtol=SAME_ARITHMETIC)
        np.testing.assert_allclose(got.information, expected.information, rtol=0, atol=1e-11)
    np.testing.assert_allclose(quick.score, expected.score, rtol=0, atol=1e-11)
    np.testing.assert_allclose(detail.set_scores.sum(axis=-1), expected.score, rtol=0, atol=1e-11)
    once = likelihood_of(rows).details(beta)
    np.testing.assert_allclose(detail.residual, once.residual * weight[rows.set_code], atol=SAME_ARITHMETIC)
    np.testing.assert_allclose(detail.slope, once.slope * weight[rows.set_code], atol=SAME_ARITHMETIC)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_batch_is_its_problems_one_by_one(weighted):
    rng = np.random.default_rng(10)
    rows = draw_matched_rows(rng, MIXTURE * 2)
    columns = rng.normal(size=(4, 3, rows.is_case.size))
    beta = rng.normal(size=(4, 3))
    beta[2] = 0.0
    weights = rng.integers(0, 3, (4, 2 * len(MIXTURE))) if weighted else None
    batch = likelihood_of(rows, columns, weights)
    quick, detail = batch.evaluate(beta), batch.details(beta)
    for b in range(4):
        alone = likelihood_of(rows, columns[b], None if weights is None else weights[b])
        one, full = alone.evaluate(beta[b : b + 1]), alone.details(beta[b : b + 1])
        for name in ("loglik", "score", "information"):
            np.testing.assert_allclose(getattr(quick, name)[b], getattr(one, name)[0], rtol=1e-11, atol=1e-11)
        for name in ("loglik", "set_scores", "information", "residual", "slope"):
            np.testing.assert_allclose(
                getattr(detail, name)[b], getattr(full, name)[0], rtol=1e-11, atol=1e-11
            )


def log_total_with_derivatives(eta, x, m):
    """log of the m-th elementary symmetric polynomial of exp(eta + t x), and its two derivatives at t = 0.

    In 60 decimal digits, the polynomial differentiated term by term.
    """
    with localcontext() as context:
        context.prec = 60
        weights = [Decimal(float(e)).exp() for e in eta]
        slopes = [Decimal(float(v)) for v in x]
        zero = Decimal(0)
        total = [Decimal(1)] + [zero] * m
        first, second = [zero] * (m + 1), [zero] * (m + 1)
        for u, v in zip(weights, slopes, strict=True):
            for d in range(m, 0, -1):
                second[d] += u * (second[d - 1] + 2 * v * first[d - 1] + v * v * total[d - 1])
                first[d] += u * (first[d - 1] + v * total[d - 1])
                total[d] += u * total[d - 1]
        mean = first[m] / total[m]
        return float(total[m].ln()), float(mean), float(second[m] / total[m] - mean * mean)


@pytest.mark.parametrize("spread", [0.3, 3.0, 100.0])
def test_a_set_of_150_cases_and_250_controls_keeps_its_digits(spread):
    rng = np.random.default_rng(15)
    case = np.arange(400) < 150
    x = rng.normal(size=400)
    x -= x.mean()
    rows = MatchedRows(np.zeros(400, dtype=int), case, x[None])
    terms = likelihood_of(rows).evaluate(np.array([[spread]]))
    log_total, mean, variance = log_total_with_derivatives(spread * x, x, 150)
    # Sums of 150 terms and 37,500 recursion cells: rounding relative to the sum of the sizes.
    np.testing.assert_allclose(
        terms.loglik[0], spread * x[case].sum() - log_total, rtol=0, atol=1e-13 * 400 * spread + 1e-11
    )
    np.testing.assert_allclose(terms.score[0, 0], x[case].sum() - mean, rtol=1e-10)
    np.testing.assert_allclose(terms.information[0, 0, 0], variance, rtol=1e-9)


def test_a_set_of_1500_cases_and_1500_controls_is_finite():
    rng = np.random.default_rng(16)
    case = np.arange(3000) < 1500
    rows = MatchedRows(np.zeros(3000, dtype=int), case, rng.normal(size=(1, 3000)))
    terms = likelihood_of(rows).evaluate(np.array([[0.5]]))
    assert np.isfinite(terms.loglik).all()
    assert np.isfinite(terms.score).all()
    # A random subset's total has at most the variance of drawing at beta = 0 by a factor of order 1.
    assert 100 < terms.information[0, 0, 0] < 3000


def test_sets_without_a_case_or_without_a_control_count_nothing():
    rows = draw_matched_rows(np.random.default_rng(1), [(0, 3), (2, 2), (2, 0), (1, 3)])
    layout = lay_out_sets(rows.set_code, rows.is_case)
    assert (layout.n_sets, layout.n_informative, layout.n_persons) == (4, 2, 13)
    detail = likelihood_of(rows).details(np.array([[0.3, 0.2, -0.1]]))
    assert (detail.set_scores[0][:, [0, 2]] == 0).all()
    empty = np.isin(rows.set_code, (0, 2))
    assert (detail.residual[0, empty] == 0).all()
    assert (detail.slope[0][:, empty] == 0).all()


def test_no_rows_at_all_give_a_likelihood_of_one():
    layout = lay_out_sets(np.zeros(0, dtype=int), np.zeros(0, dtype=bool))
    terms = ConditionalLikelihood(layout, np.zeros((2, 0))).evaluate(np.zeros((1, 2)))
    assert terms.loglik[0] == 0
    assert (terms.information == 0).all()


def test_columns_constant_within_every_set_are_found_whatever_their_size():
    rows = draw_matched_rows(np.random.default_rng(3), MIXTURE, n_columns=2)
    level = 1e6 + rows.set_code * 1.7
    columns = np.vstack([rows.columns, level, np.full_like(level, 3.0), level + 1e-3 * rows.columns[0]])
    assert likelihood_of(rows, columns).constant_columns(columns).tolist() == [
        False,
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_direction_separates_only_with_every_case_level_with_or_above_every_control(shape):
    m, c = shape
    code, case = np.repeat([0, 1], m + c), np.tile(np.arange(m + c) < m, 2)
    level = np.where(case, 2.0, 1.0)  # separated in both sets
    tied = level.copy()
    tied[m + c :] = 5.0  # in the second set all are level
    crossed = level.copy()
    crossed[m + c] = 0.5  # one case below the controls of its set
    constant = np.ones(level.size)
    rows = MatchedRows(code, case, np.vstack([level, tied, crossed, constant]))
    likelihood = likelihood_of(rows)
    found = [likelihood.separates(sign * direction) for direction in np.eye(4) for sign in (1, -1)]
    assert found == [True, False, True, False, False, False, False, False]


def test_sets_that_count_nothing_do_not_hinder_separation():
    rows = MatchedRows(np.array([0, 0, 1, 1]), np.array([True, False] * 2), np.array([[1.0, 0.0, 0.0, 1.0]]))
    assert not likelihood_of(rows).separates(np.array([1.0]))
    assert likelihood_of(rows, weights=np.array([[2.0, 0.0]])).separates(np.array([1.0]))


whole_numbers = st.integers(-40, 40)


@st.composite
def problems(draw):
    shapes = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=8))
    rows = draw_matched_rows(np.random.default_rng(draw(st.integers(0, 2**32 - 1))), shapes, n_columns=2)
    beta = np.array([draw(whole_numbers), draw(whole_numbers)]) / draw(st.sampled_from([1.0, 10.0, 100.0]))
    return rows, beta


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_laws_of_the_conditional_likelihood(problem):
    rows, beta = problem
    detail = likelihood_of(rows).details(beta[None])
    slack = 1e-12 * (1 + np.abs(beta).max())
    n_sets = int(rows.set_code.max()) + 1
    assert detail.loglik[0] <= slack  # a probability
    # Probabilities of a set sum to its cases, slopes to 0; residuals rebuild the score, slopes the information.
    assert np.abs(np.bincount(rows.set_code, detail.residual[0], n_sets)).max() <= slack
    for k in range(2):
        assert np.abs(np.bincount(rows.set_code, detail.slope[0, k], n_sets)).max() <= slack
        by_set = np.bincount(rows.set_code, detail.residual[0] * rows.columns[k], n_sets)
        np.testing.assert_allclose(by_set, detail.set_scores[0, k], rtol=0, atol=10 * slack)
    np.testing.assert_allclose(
        detail.slope[0] @ rows.columns.T, detail.information[0], rtol=0, atol=100 * slack
    )
    assert np.linalg.eigvalsh(detail.information[0]).min() >= -100 * slack


@settings(max_examples=40, deadline=None)
@given(problem=problems(), seed=st.integers(0, 1000), shift=whole_numbers)
def test_row_order_set_numbers_and_set_constants_do_not_matter(problem, seed, shift):
    rows, beta = problem
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows.is_case.size)
    renumber = rng.permutation(int(rows.set_code.max()) + 1)
    code = renumber[rows.set_code]
    moved = MatchedRows(code[order], rows.is_case[order], (rows.columns + shift * code)[:, order])
    one, two = likelihood_of(rows).evaluate(beta[None]), likelihood_of(moved).evaluate(beta[None])
    slack = 1e-11 * (1 + np.abs(beta).max()) * (1 + abs(shift))
    for name in ("loglik", "score", "information"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=0, atol=slack)


@pytest.mark.parametrize("cells", [1, 60])
def test_large_sets_that_are_not_filled_up_and_go_one_by_one_are_their_enumeration(monkeypatch, cells):
    monkeypatch.setattr("biocal.kernels.sets.draw_paths.LARGE_TABLE", cells)
    monkeypatch.setattr(set_layout, "_TABLE_CELLS", cells)
    rows = draw_matched_rows(np.random.default_rng(30), MIXTURE)
    assert_agrees(rows, np.array([0.8, -1.0, 0.5]))
    monkeypatch.setattr(many_cases, "_LINEAR_EXPONENT", -1.0)
    assert_agrees(rows, np.array([0.8, -1.0, 0.5]))


def test_one_set_of_1000_cases_takes_the_memory_of_one_set():
    n = 1000
    rng = np.random.default_rng(31)
    columns, is_case = rng.normal(size=(1, 2 * n)), np.arange(2 * n) < n
    likelihood = likelihood_of(MatchedRows(np.zeros(2 * n, dtype=np.intp), is_case, columns))
    tracemalloc.start()
    likelihood.details(np.array([[0.3]]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # six tables of 2000 rows by 1000, and a fifth more for what is passing
    assert peak < 1.2 * 6 * 8 * 2 * n * n
