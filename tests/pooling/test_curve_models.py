"""Curves of other shapes on the same persons, by AIC."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_pool import small_pool

import biocal as bc

HERE = Path(__file__).parents[1]
SETS = HERE.parent / "R-compat" / "parity" / "clogit" / "sets.csv"

#: Two Newton searches to rounding: the log-likelihood is flat at its maximum.
SAME_MAXIMUM = 1e-9


@pytest.fixture(scope="module")
def several():
    pool = bc.PooledStudies.from_frame(small_pool())
    return pool, bc.fit(pool, method=["full", "induced", "two-stage"], covariates="bmi", aic=True)


def test_aic_is_that_of_r_clogit_with_rms_splines():
    pins = json.loads((HERE / "data" / "aic" / "pins.json").read_text(encoding="utf-8"))
    sets = pd.read_csv(SETS)
    frame = sets.assign(study="one", local=np.nan, reference=sets["x1"])
    frame["set"] = frame["design"] + " " + frame["set"].astype(str)
    pool = bc.PooledStudies.from_frame(frame)
    fit = bc.fit(pool, exposure=bc.linear(), covariates="x2", aic=True)
    found = {model.curve: model.aic for model in fit.curve_models}
    compared = [name for name in pins if name not in ("R", "survival", "rms")]
    assert compared == ["linear", "rcs, 3 knots", "rcs, 4 knots", "rcs, 5 knots"]
    for name in compared:
        assert found[name] == pytest.approx(pins[name], rel=SAME_MAXIMUM), name


def test_each_curve_has_the_likelihood_of_its_own_fit(several):
    pool, comparison = several
    for method in ("full", "induced"):
        models = {model.curve: model for model in comparison[method].curve_models}
        for name, exposure in (("linear", bc.linear()), ("rcs, 5 knots", bc.rcs(5))):
            alone = bc.fit(pool, method=method, exposure=exposure, covariates="bmi")
            assert models[name].loglik == pytest.approx(alone.loglik, rel=SAME_MAXIMUM)
            assert models[name].aic == pytest.approx(alone.aic, rel=SAME_MAXIMUM)
            assert models[name].n_terms == len(alone.terms)
        (chosen,) = (model for model in models.values() if model.chosen)
        assert chosen.curve == "rcs, 4 knots"
        assert chosen.aic == comparison[method].aic


def test_two_stage_has_no_likelihood_and_the_summary_says_so(several):
    _, comparison = several
    assert comparison["two-stage"].curve_models == ()
    text = " ".join(comparison.summary().split())
    assert "two-stage has no likelihood of its own" in text
    assert "takes the calibration as known" in text
    assert "AIC compares curves within a method" in text


def test_a_curve_with_knots_of_its_own_stands_beside_the_others():
    pool = bc.PooledStudies.from_frame(small_pool())
    fit = bc.fit(pool, exposure=bc.rcs([40, 60, 80]), aic=True)
    last = fit.curve_models[-1]
    assert (last.curve, last.knots, last.chosen) == ("rcs, 3 knots as given", (40.0, 60.0, 80.0), True)
    assert len(fit.curve_models) == 7
    assert last.loglik == fit.loglik


def test_categories_are_compared_with_the_smooth_curves():
    pool = bc.PooledStudies.from_frame(small_pool())
    fit = bc.fit(pool, exposure=bc.categories([45, 60, 75]), aic=True)
    assert [model.curve for model in fit.curve_models][-1] == "categories"
    assert fit.linear is not None
    straight = bc.fit(pool, exposure=bc.linear())
    assert fit.linear.loglik == pytest.approx(straight.loglik, rel=SAME_MAXIMUM)


def test_knots_that_cannot_be_placed_keep_their_row_with_the_reason():
    frame = small_pool()
    frame = frame[frame["study"] == "West"]
    frame["reference"] = frame["reference"].round(-1).clip(50, 80)  # four values: seven quantiles coincide
    pool = bc.PooledStudies.from_frame(frame)
    fit = bc.fit(pool, exposure=bc.linear(), aic=True)
    failed = [model for model in fit.curve_models if model.failure]
    assert "rcs, 7 knots" in [model.curve for model in failed]
    assert all(np.isnan(model.aic) for model in failed)
    assert f"not fitted: {failed[0].curve}: " in " ".join(fit.summary().split())
    assert np.isfinite(fit.curve_models[0].aic)
