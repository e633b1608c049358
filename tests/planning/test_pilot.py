"""Plans from data that hold some calibrators already."""

from __future__ import annotations

import numpy as np
import pytest
from cli_pool import small_pool

import biocal as bc
from biocal.errors import CalibrationDesignError, OptionError

SAME = 1e-9
COMMON = {"exposure": bc.rcs(3), "covariates": "bmi", "matching": "sex", "reference": 60.0}


@pytest.fixture(scope="module")
def pool():
    return bc.PooledStudies.from_frame(small_pool())


@pytest.fixture(scope="module")
def found(pool):
    spec = {"plan": {"calibrators": [25, 50], "spread": ["random", "extremes"]}}
    return bc.plan(spec, pool=pool, at=[40.0, 75.0], **COMMON)


@pytest.mark.parametrize("variance", ["robust", "hc3"])
def test_with_the_pilots_own_numbers_the_prediction_is_the_fit(pool, variance):
    fit = bc.fit(pool, method="full", calibration_variance=variance, **COMMON)
    plan = bc.plan({}, pool=pool, at=[40.0, 75.0], calibration_variance=variance, **COMMON)
    curve = fit.dose_response([40.0, 75.0])
    np.testing.assert_allclose(plan.planned.std_error, curve.std_error, rtol=SAME)
    np.testing.assert_allclose(plan.log_or, curve.log_or, rtol=SAME)
    np.testing.assert_allclose(plan.planned.shares, curve.shares.T, rtol=1e-7)


def test_twice_the_calibrators_halve_the_calibrations_part(found):
    predictor = found.predictor
    n = found.planned.calibrators
    outcome, once = predictor.parts(n, "as in the pilot")
    _, twice = predictor.parts(2 * n, "as in the pilot")
    np.testing.assert_allclose(once, 2 * twice, rtol=1e-10)
    np.testing.assert_allclose(outcome, found.predictor.floor**2, rtol=1e-10)


def test_extremes_know_slopes_better_than_chance_and_the_floor_is_below_both(found):
    pieces, n = found.predictor.pieces, np.array([25.0, 25.0])
    random, extremes = (pieces.calibration_covariance(n, how) for how in ("random", "extremes"))
    for law in pieces.laws["random"]:
        slope = law.line[1]
        assert extremes[slope, slope] < 0.6 * random[slope, slope]
    for one in found.predictions:
        assert (one.std_error > one.floor).all()


def test_arguments_that_a_plan_does_not_take_are_refused(pool):
    with pytest.raises(OptionError, match="bootstrap: a plan from a pilot takes exposure"):
        bc.plan({}, pool=pool, bootstrap=10)
    with pytest.raises(OptionError, match="not for categories"):
        bc.plan({}, pool=pool, exposure=bc.categories([50]))


def test_a_pilot_without_a_local_study_is_refused():
    frame = small_pool()
    alone = bc.PooledStudies.from_frame(frame[frame["study"] == "West"])
    with pytest.raises(CalibrationDesignError, match="nothing to calibrate"):
        bc.plan({}, pool=alone)


def test_guesses_and_a_pilot_do_not_go_together(pool):
    with pytest.raises(bc.InputError, match="exposure: is a guess"):
        bc.plan({"exposure": {"mean": 1, "sd": 1}}, pool=pool)
    with pytest.raises(OptionError, match="pilot's data"):
        bc.plan({"pilot": {"spec": "analysis.toml"}})
