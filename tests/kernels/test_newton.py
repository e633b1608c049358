"""Damped Newton: known maxima, halving, failures that are told, collinear columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from biocal.kernels.newton import DECREMENT_TOLERANCE, collinear_columns, maximise, solve_scaled

SAME_ARITHMETIC = 1e-12  # a linear solve of a small, well-scaled system


@dataclass(frozen=True)
class Point:
    loglik: np.ndarray
    score: np.ndarray
    information: np.ndarray


class Quadratic:
    """-(x - centre)' H (x - centre) / 2 for each problem of a batch."""

    def __init__(self, centre, hessian):
        self.centre, self.hessian = np.atleast_2d(centre).astype(float), np.asarray(hessian, dtype=float)

    def __call__(self, x):
        gap = x - self.centre
        score = -np.einsum(
            "bij,bj->bi", np.broadcast_to(self.hessian, (len(x), *self.hessian.shape[-2:])), gap
        )
        information = np.broadcast_to(self.hessian, (len(x), *self.hessian.shape[-2:])).copy()
        return Point(0.5 * (gap * score).sum(axis=1), score, information)


def log_cosh(x):
    """-log cosh(x): from |x| > 1.09 a full Newton step goes ever further out."""
    value = np.log(2) - np.logaddexp(x, -x)
    return Point(value.sum(axis=1), -np.tanh(x), np.exp(2 * value)[:, :, None])


def test_a_quadratic_is_climbed_in_one_step():
    optimum = maximise(Quadratic([3.0, -2.0], [[2.0, 0.5], [0.5, 1.0]]), np.zeros((1, 2)))
    np.testing.assert_allclose(optimum.point, [[3.0, -2.0]], rtol=SAME_ARITHMETIC)
    assert optimum.converged.tolist() == [True]
    assert optimum.iterations.tolist() == [2]
    np.testing.assert_allclose(optimum.loglik_start, -0.5 * (2 * 9 - 2 * 3 + 4))
    np.testing.assert_allclose(optimum.flatness, 1.0)


def test_scales_of_the_columns_do_not_matter():
    scale = np.array([1e-9, 1.0, 1e9])
    hessian = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 3.0]]) * np.outer(scale, scale)
    optimum = maximise(Quadratic(np.array([1.0, 2.0, 3.0]) / scale, hessian), np.zeros((1, 3)))
    np.testing.assert_allclose(optimum.point[0] * scale, [1.0, 2.0, 3.0], rtol=SAME_ARITHMETIC)


@pytest.mark.parametrize("start", [0.5, 1.2, 3.0, -8.0])
def test_steps_that_lower_the_likelihood_are_halved(start):
    seen = []

    def evaluate(x):
        seen.append(x.copy())
        return log_cosh(x)

    optimum = maximise(evaluate, np.array([[start]]))
    assert optimum.converged.tolist() == [True]
    np.testing.assert_allclose(optimum.point, 0.0, atol=1e-8)
    assert optimum.iterations[0] == len(seen)
    if abs(start) > 1.1:
        full_step = start - np.tanh(start) * np.cosh(start) ** 2
        np.testing.assert_allclose(seen[1], full_step)  # overshoots,
        np.testing.assert_allclose(seen[2], (start + full_step) / 2)  # and comes back half of the way


def test_a_trial_point_without_a_number_is_halved_too():
    def evaluate(x):  # log x - x, not defined at or below 0; the step from 2.5 goes to -1.25
        with np.errstate(invalid="ignore", divide="ignore"):
            value = np.where(x > 0, np.log(x) - x, np.nan)
        return Point(value.sum(axis=1), np.where(x > 0, 1 / x - 1, np.nan), (1 / x**2)[:, :, None])

    optimum = maximise(evaluate, np.array([[2.5]]))
    assert optimum.converged.tolist() == [True]
    np.testing.assert_allclose(optimum.point, 1.0, rtol=1e-8)


def test_too_few_iterations_are_told():
    optimum = maximise(log_cosh, np.array([[3.0]]), max_iterations=2)
    assert optimum.converged.tolist() == [False]
    assert optimum.decrement[0] > DECREMENT_TOLERANCE


def test_a_likelihood_that_rises_for_ever_does_not_converge():
    def evaluate(x):  # a slope with next to no curvature
        return Point(x[:, 0], np.ones((1, 1)), np.full((1, 1, 1), 1e-3))

    assert maximise(evaluate, np.zeros((1, 1))).converged.tolist() == [False]


def test_a_likelihood_that_falls_along_its_own_score_stops_and_is_told():
    def evaluate(x):  # score and log-likelihood contradict each other
        return Point(-np.abs(x[:, 0]), np.ones((1, 1)), np.ones((1, 1, 1)))

    optimum = maximise(evaluate, np.zeros((1, 1)))
    assert optimum.converged.tolist() == [False]
    np.testing.assert_array_equal(optimum.point, 0.0)


def test_a_batch_gives_each_problem_the_numbers_it_has_alone():
    starts = np.array([[0.3], [1.2], [3.0], [0.0]])
    batch = maximise(log_cosh, starts)
    for b in range(4):
        alone = maximise(log_cosh, starts[b : b + 1])
        for name in ("point", "loglik", "decrement", "iterations", "converged", "flatness", "last_step"):
            np.testing.assert_array_equal(getattr(batch, name)[b], getattr(alone, name)[0])


def test_one_hopeless_problem_leaves_the_others_alone():
    def evaluate(x):
        good = log_cosh(x)
        return Point(
            np.where([True, False], good.loglik, x[:, 0]),
            np.where([[True], [False]], good.score, 1.0),
            np.where([[[True]], [[False]]], good.information, 1e-3),
        )

    optimum = maximise(evaluate, np.array([[1.5], [0.0]]))
    assert optimum.converged.tolist() == [True, False]
    np.testing.assert_allclose(optimum.point[0], 0.0, atol=1e-8)


def test_no_columns_are_at_their_maximum():
    def evaluate(x):
        return Point(np.array([-3.0]), np.zeros((1, 0)), np.zeros((1, 0, 0)))

    optimum = maximise(evaluate, np.zeros((1, 0)))
    assert optimum.converged.tolist() == [True]
    np.testing.assert_array_equal(optimum.flatness, 1.0)


def test_flatness_is_the_smallest_share_of_information_left():
    def evaluate(x):  # information of the second coordinate falls as the first climbs
        gap = x - np.array([[2.0, 0.0]])
        left = np.where(x[:, 0] > 1, 1e-4, 1.0)
        information = np.zeros((1, 2, 2))
        information[:, 0, 0], information[:, 1, 1] = 1.0, left
        return Point(-0.5 * (gap**2).sum(axis=1), -gap, information)

    np.testing.assert_allclose(maximise(evaluate, np.zeros((1, 2))).flatness, 1e-4)


def test_a_singular_system_gives_the_least_norm_solution():
    information = np.array([[[1.0, 1.0], [1.0, 1.0]]])
    np.testing.assert_allclose(solve_scaled(information, np.array([[2.0, 2.0]])), [[1.0, 1.0]])


def test_columns_that_combine_columns_before_them_are_flagged_whatever_their_scale():
    rng = np.random.default_rng(3)
    a, b, c = rng.normal(size=(3, 200))
    columns = np.vstack([a, 1e8 * b, 1e-7 * (2 * a - b), c, a + c, 0 * a])
    gram = columns @ columns.T
    assert collinear_columns(gram).tolist() == [False, False, True, False, True, True]


def test_nearly_collinear_columns_are_not_flagged():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 200))
    columns = np.vstack([a, a + 1e-4 * b])
    assert collinear_columns(columns @ columns.T).tolist() == [False, False]


def test_an_approach_that_leads_nowhere_leaves_the_ascent_to_newton():
    """Scores that promise much and do not fall: the best point so far is Newton's start."""

    def misleading(x):
        return Point(log_cosh(x).loglik, np.ones_like(x), np.ones((*x.shape, 1)))

    found = maximise(log_cosh, np.array([[3.0], [0.5]]), slope=misleading)
    assert found.converged.all()
    np.testing.assert_allclose(found.point, 0.0, atol=1e-9)


def test_an_approach_counts_its_evaluations():
    problem = Quadratic([[1.0, 2.0]], [[2.0, 0.3], [0.3, 1.0]])
    plain = maximise(problem, np.zeros((1, 2)))
    found = maximise(problem, np.zeros((1, 2)), slope=problem)
    np.testing.assert_allclose(found.point, plain.point, rtol=SAME_ARITHMETIC)
    assert (plain.iterations, found.iterations) == (
        2,
        3,
    )  # the start, a step by score, and there Newton's proof
