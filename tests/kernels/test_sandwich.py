"""The stacked sandwich by hand, and against the whole bread inverted and the whole meat added up."""

from __future__ import annotations

import numpy as np
import pytest

from biocal.kernels.sandwich import StackedScores, stacked_covariance

SAME_ARITHMETIC = 1e-12  # small matrices of order one, solved in another order


def test_one_outcome_and_one_calibration_parameter_by_hand():
    # Units 0, 1, 2 with U = 1, -2, 1; calibration scores 3 and -3 in units 1 and 3.  B22 = 4, B21 = 2,
    # B11 = 6: influence = (U - c / 3) / 4.
    stacked = StackedScores(
        outcome_scores=np.array([[1.0], [-2.0], [1.0], [0.0]]),
        information=np.array([[4.0]]),
        cross=np.array([[2.0]]),
        calibration_scores=np.array([[3.0], [-3.0]]),
        calibration_unit=np.array([1, 3]),
        calibration_study=np.array([0, 0]),
        inverse_calibration_bread=np.array([[1 / 6]]),
    )
    result = stacked_covariance(stacked, 1)
    np.testing.assert_allclose(result.influence[:, 0], [0.25, -0.75, 0.25, 0.25], rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(result.vcov, [[(1 + 9 + 1 + 1) / 16]], rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(result.vcov_uncorrected, [[0.25]], rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(result.calibration_parts, [[[2 / 16]]], rtol=SAME_ARITHMETIC)


def test_without_calibration_it_is_the_plain_sandwich():
    rng = np.random.default_rng(1)
    scores, half = rng.normal(size=(30, 3)), rng.normal(size=(3, 10))
    bread = half @ half.T
    result = stacked_covariance(StackedScores(scores, bread, None, None, None, None, None), 2)
    inverse = np.linalg.inv(bread)
    np.testing.assert_allclose(result.vcov, inverse @ scores.T @ scores @ inverse, rtol=1e-10)
    np.testing.assert_array_equal(result.calibration_parts, np.zeros((2, 3, 3)))


@pytest.mark.parametrize("symmetric", [True, False])
def test_it_is_the_lower_right_corner_of_the_whole_sandwich(symmetric):
    rng = np.random.default_rng(2)
    n_units, p, n_gamma, n_pairs = 40, 3, 5, 25
    outcome, half = rng.normal(size=(n_units, p)), rng.normal(size=(p, 12))
    calibration_bread = rng.normal(size=(n_gamma, n_gamma)) + 6 * np.eye(n_gamma)
    if symmetric:
        calibration_bread = calibration_bread @ calibration_bread.T
    cross, scores = rng.normal(size=(p, n_gamma)), rng.normal(size=(n_pairs, n_gamma))
    unit, study = rng.integers(0, n_units, n_pairs), rng.integers(0, 2, n_pairs)
    stacked = StackedScores(
        outcome, half @ half.T, cross, scores, unit, study, np.linalg.inv(calibration_bread)
    )
    result = stacked_covariance(stacked, 2)

    bread = np.zeros((n_gamma + p, n_gamma + p))
    bread[:n_gamma, :n_gamma], bread[n_gamma:, :n_gamma] = calibration_bread, cross
    bread[n_gamma:, n_gamma:] = half @ half.T

    def sandwich(calibration_scores, outcome_scores):
        psi = np.zeros((n_units, n_gamma + p))
        np.add.at(psi[:, :n_gamma], unit, calibration_scores)
        psi[:, n_gamma:] = outcome_scores
        inverse = np.linalg.inv(bread)
        return (inverse @ psi.T @ psi @ inverse.T)[n_gamma:, n_gamma:]

    np.testing.assert_allclose(result.vcov, sandwich(scores, outcome), rtol=1e-9, atol=1e-12)
    for s in range(2):
        mine = np.where((study == s)[:, None], scores, 0.0)
        np.testing.assert_allclose(
            result.calibration_parts[s], sandwich(mine, np.zeros((n_units, p))), rtol=1e-9, atol=1e-12
        )
    np.testing.assert_array_equal(stacked.outcome_scores, outcome)  # nothing given is changed


def test_units_of_the_columns_scale_the_covariance():
    rng = np.random.default_rng(4)
    scores, half = rng.normal(size=(30, 2)), rng.normal(size=(2, 10))
    scale = np.array([1e6, 1e-6])
    one = stacked_covariance(StackedScores(scores, half @ half.T, None, None, None, None, None), 0)
    bread = half @ half.T * np.outer(scale, scale)
    two = stacked_covariance(StackedScores(scores * scale, bread, None, None, None, None, None), 0)
    np.testing.assert_allclose(two.vcov * np.outer(scale, scale), one.vcov, rtol=SAME_ARITHMETIC)
