"""Gauss-Hermite rules and tilted means."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from biocal.errors import OptionError
from biocal.kernels.normal_laws import normal_nodes, tilted

# The same sums in another order.
ROUNDING = 1e-12


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_a_rule_has_the_normal_moments_up_to_degree_2n_minus_1(n):
    nodes, weights = normal_nodes(n)
    for degree in range(2 * n):
        moment = prod(range(degree - 1, 0, -2)) if degree % 2 == 0 else 0.0
        scale = max(1.0, prod(range(degree - 1, 0, -2)))
        assert abs(weights @ nodes**degree - moment) <= 100 * ROUNDING * scale


def test_nodes_are_symmetric_and_weights_sum_to_one():
    nodes, weights = normal_nodes(21)
    np.testing.assert_array_equal(nodes, -nodes[::-1])
    np.testing.assert_array_equal(weights, weights[::-1])
    assert abs(weights.sum() - 1) <= ROUNDING
    assert nodes[10] == 0


@pytest.mark.parametrize("n", [0, -3, 101])
def test_other_numbers_of_nodes_are_refused_with_what_is_allowed(n):
    with pytest.raises(OptionError, match="from 1 to 100") as caught:
        normal_nodes(n)
    assert caught.value.nodes == n


def test_a_rule_handed_out_cannot_be_spoiled():
    with pytest.raises(ValueError, match="read-only"):
        normal_nodes(20)[0][0] = 0.0


@pytest.mark.parametrize("b", [-1.5, 0.0, 0.3, 2.0])
def test_the_log_mean_of_exp_of_a_normal_value_is_half_its_variance(b):
    nodes, weights = normal_nodes(30)
    # 30 nodes integrate exp(2 z) to about 1e-13.
    assert abs(tilted(b * nodes, np.log(weights))[0] - b * b / 2) <= 1e-12


def test_tilting_by_exp_b_z_moves_the_mean_to_b_and_leaves_the_variance():
    nodes, weights = normal_nodes(30)
    probability = tilted(0.7 * nodes[:, None], np.log(weights)[:, None])[1][:, 0]
    assert abs(probability.sum() - 1) <= ROUNDING
    assert abs(probability @ nodes - 0.7) <= ROUNDING
    assert abs(probability @ nodes**2 - 0.49 - 1) <= 10 * ROUNDING


def test_exponents_of_thousands_neither_overflow_nor_vanish():
    exponent = np.array([[5000.0, -9000.0], [4999.0, -9001.0]])
    log_mean, probability = tilted(exponent, np.log(np.full((2, 1), 0.5)))
    expected = np.log((1 + np.exp(-1)) / 2)
    np.testing.assert_allclose(log_mean, [5000 + expected, -9000 + expected], rtol=1e-15)
    np.testing.assert_allclose(probability[0], 1 / (1 + np.exp(-1)), rtol=ROUNDING)


def test_a_node_of_weight_zero_does_not_count():
    log_weights = np.array([[0.0], [-np.inf]])
    log_mean, probability = tilted(np.array([[1.0], [700.0]]), log_weights)
    assert log_mean[0] == 1.0
    np.testing.assert_array_equal(probability[:, 0], [1.0, 0.0])
