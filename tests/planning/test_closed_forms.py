"""Parts of a plan whose answer is known by algebra, by quadrature or by another package."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import biocal as bc
from biocal.simulation.planning.expected import expected_pieces
from biocal.simulation.planning.prediction import best_division, equal_division, powers_of_tests, wald_power
from biocal.simulation.planning.spec import read_plan

BETA, SD, R2 = -0.03, 20.0, 0.7
#: Expectations are evaluated on one large study: its own error, a few times half a per cent of a standard error.
EVALUATED = 0.03


def spec(**changes):
    """One local study of pairs with a line."""
    plain = {
        "exposure": {"mean": 60, "sd": SD},
        "truth": {"type": "linear", "beta": [BETA]},
        "fit": {"exposure": "linear"},
        "estimand": {"at": [40], "reference": 60},
        "studies": [
            {"name": "B", "sets": 800, "intercept": 12, "slope": 0.75, "r_squared": R2, "calibrators": 60}
        ],
    }
    return plain | changes


TWO = [
    {"name": "B", "sets": 700, "intercept": 12, "slope": 0.75, "r_squared": 0.6, "calibrators": 40},
    {"name": "C", "sets": 300, "intercept": 0, "slope": 1.0, "r_squared": 0.9, "calibrators": 40},
]


@pytest.fixture(scope="module")
def line():
    return bc.plan(spec(plan={"spread": ["random", "deciles", "extremes"], "calibrators": [20, 60, 200]}))


@pytest.fixture(scope="module")
def two():
    return bc.plan(spec(studies=TWO, plan={"budget": 60, "least": 5, "calibrators": [20]}))


def test_the_outcome_part_is_the_inverse_information_by_quadrature(line):
    # Difference d of case and control of the calibrated exposure, of variance s2 each: N(beta s2, 2 s2).
    s2 = R2 * SD**2
    difference = stats.norm(BETA * s2, np.sqrt(2 * s2))

    def integrand(d):
        p = 1 / (1 + np.exp(-BETA * d))
        return d * d * p * (1 - p) * difference.pdf(d)

    information, _ = integrate.quad(integrand, -250, 250)
    assert line.predictor.pieces.outcome[0, 0] == pytest.approx(1 / (800 * information), rel=EVALUATED)


def test_the_calibration_part_of_a_line_is_that_of_its_slope(line):
    # Within one study the exposure is a + b W and the estimate beta b_true / b: Var = beta^2 Var(b) / b^2.
    pieces = line.predictor.pieces
    n = 1e6
    part = pieces.calibration_parts(np.array([n]), "random")[0, 0, 0]
    assert part * n == pytest.approx(BETA**2 * (1 - R2) / R2, rel=EVALUATED)


def test_extremes_lower_the_variance_of_the_slope_by_the_law_of_the_local_value(line):
    pieces = line.predictor.pieces
    n = np.array([1e6])
    random, extremes = (pieces.calibration_parts(n, how)[0, 0, 0] for how in ("random", "extremes"))
    cut = stats.norm.isf(0.1)
    assert random / extremes == pytest.approx(1 + cut * stats.norm.pdf(cut) / 0.1, rel=EVALUATED)


def test_the_calibration_part_falls_with_the_calibrators_to_the_floor(line):
    predictor = line.predictor
    some, more = (predictor.pieces.calibration_parts(np.array([n]), "random")[0, 0, 0] for n in (1e4, 2e4))
    assert some / more == pytest.approx(2, rel=1e-3), "small samples' corrections are gone"
    far = predictor.std_error(np.array([1e9]), "random")
    np.testing.assert_allclose(far, predictor.floor, rtol=1e-6)
    errors = [one.std_error[0] for one in line.predictions[1:4]]
    assert errors[0] > errors[1] > errors[2] > predictor.floor[0]
    best = [line.labelled("equal")[k].std_error[0] for k in (0, 3, 6)]
    assert best[0] > best[1] > best[2], "random, deciles, extremes with 20 calibrators"


def test_enough_is_the_fewest_within_the_share_of_the_floor(line):
    (enough,) = line.enough["random"]
    predictor = line.predictor
    limit = 1.05 * predictor.floor[0]
    assert predictor.std_error(np.array([float(enough)]), "random")[0] <= limit
    assert predictor.std_error(np.array([enough - 1.0]), "random")[0] > limit


def test_the_gain_of_ten_more_is_the_difference_of_two_predictions(line):
    one = line.planned
    more = line.predictor.std_error(one.calibrators + 10, one.spread)
    np.testing.assert_allclose(one.gain, 1 - more / one.std_error, rtol=1e-12)


def test_a_budget_is_divided_as_brute_force_would(two):
    predictor = two.predictor
    best = best_division(predictor, 300, "random", 5)
    assert best.sum() == 300

    def cost(first: int) -> float:
        return float(predictor.std_error(np.array([first, 300.0 - first]), "random")[0])

    by_force = min(range(5, 296), key=cost)
    # Neyman's rule leaves the second-order terms aside: the optimum is flat there.
    assert cost(int(best[0])) <= 1.0005 * cost(by_force)
    parts = predictor.pieces.calibration_parts(np.array([1e4, 1e4]), "random")[:, 0, 0]
    assert best[0] / best[1] == pytest.approx(np.sqrt(parts[0] / parts[1]), rel=0.05)
    assert two.labelled("best division")[0].std_error[0] <= two.labelled("budget alike")[0].std_error[0]


def test_a_division_keeps_to_the_controls_and_to_the_budget():
    np.testing.assert_array_equal(equal_division((10, 100, 100), 100), [10, 45, 45])
    np.testing.assert_array_equal(equal_division((10, 10), 50), [10, 10])
    np.testing.assert_array_equal(equal_division((50, 50, 50), 100).sum(), 100)


@pytest.mark.parametrize(("noncentrality", "df"), [(0.0, 1), (3.8, 1), (10.0, 2), (25.0, 3)])
def test_power_is_that_of_the_noncentral_chi_square(noncentrality, df):
    limit = stats.chi2.isf(0.05, df)
    expected = stats.ncx2.sf(limit, df, noncentrality) if noncentrality else 0.05
    assert wald_power(noncentrality, df, 0.05) == pytest.approx(expected, rel=1e-8)


def test_power_of_a_line_is_that_of_its_z_test(line):
    pieces = line.predictor.pieces
    (found,) = powers_of_tests(pieces, np.array([60.0]), "random", alpha=0.05, wanted=0.8)
    z = pieces.beta[0] / np.sqrt(pieces.covariance(np.array([60.0]), "random")[0, 0])
    assert found.power == pytest.approx(stats.norm.sf(1.96 - z) + stats.norm.cdf(-1.96 - z), abs=1e-4)


def test_the_sets_needed_give_the_wanted_power_and_one_fewer_does_not(two):
    pieces = two.predictor.pieces
    n = two.planned.calibrators
    (found,) = powers_of_tests(pieces, n, "random", alpha=0.05, wanted=0.99)
    assert found.sets_needed is not None

    def power(sets: float) -> float:
        vcov = pieces.covariance(n, "random", sets / pieces.n_sets)
        return wald_power(float(pieces.beta[0] ** 2 / vcov[0, 0]), 1, 0.05)

    assert power(found.sets_needed) >= 0.99 > power(found.sets_needed - 1)


def test_no_number_of_sets_makes_up_for_a_poor_calibration(line):
    predictor = line.predictor
    few = np.array([10.0])
    calibration_alone = predictor.width(np.sqrt(predictor.parts(few, "random")[1].sum(axis=0)))[0]
    assert predictor.sets_for_width(few, "random", 0.99 * calibration_alone) == [None]
    (sets,) = predictor.sets_for_width(few, "random", 1.5 * calibration_alone)
    assert sets is not None
    width = predictor.width(predictor.std_error(few, "random", sets / 800))[0]
    assert width == pytest.approx(1.5 * calibration_alone, rel=1e-3)
    (tests,) = powers_of_tests(predictor.pieces, np.array([20.0]), "random", alpha=1e-9, wanted=0.999)
    assert tests.sets_needed is None


def test_the_same_spec_gives_the_same_numbers():
    first, second = bc.plan(spec()), bc.plan(spec())
    np.testing.assert_array_equal(first.planned.std_error, second.planned.std_error)


def test_another_large_study_differs_by_the_numerical_error_that_is_told():
    read = read_plan(spec())
    errors, told = [], []
    for seed in (1, 2, 3, 4):
        pieces, _ = expected_pieces(read.scenario, seed=seed, extreme_share=0.1)
        errors.append(np.sqrt(pieces.outcome[0, 0]))
        told.append(pieces.numerical_error)
    assert np.std(errors, ddof=1) / np.mean(errors) < 3 * np.mean(told)
    assert max(told) < 0.01
