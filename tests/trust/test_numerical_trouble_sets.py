"""Tiny pools, one informative set, ties, exposures that do not vary: a right answer, a word, or a refusal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from troubled_pools import METHODS, PLUG_IN, fit, is_calibrator, pool_frame, told

import biocal as bc
from biocal.errors import FitError, SingularInformationError

SAME = 1e-9
#: Among thousands of sets that say nothing: the stopping rule is relative to the log-likelihood, theirs included, and
#: leaves 2e-8 of a standard error.
SAME_AMONG_MANY = 1e-7


def pairs(*differences, copies=1):
    """Reference study: one pair for each difference of case less control."""
    rows = [
        (number, case, 5.0 + case * difference)
        for number, difference in enumerate(differences * copies)
        for case in (1, 0)
    ]
    frame = pd.DataFrame(rows, columns=["set", "case", "reference"])
    return frame.assign(study="R", local=np.nan)


def uninformative(n):
    """Pairs whose members have one exposure."""
    value = np.repeat(np.random.default_rng(4).normal(5, 1, n), 2)
    sets = np.repeat(np.arange(1_000_000, 1_000_000 + n), 2)
    return pd.DataFrame(
        {"set": sets, "case": np.tile([1, 0], n), "reference": value, "study": "R", "local": np.nan}
    )


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("method", METHODS[:4])
def test_one_to_three_sets_that_agree_are_separation(n, method):
    with pytest.raises(FitError, match="separation: along exposure"):
        fit(pairs(*[1.0, 0.5, 2.0][:n]), method)


@pytest.mark.parametrize("copies", [1, 2, 50])
@pytest.mark.parametrize("method", METHODS[:4])
def test_sets_that_are_one_have_no_standard_error_and_are_refused(copies, method):
    # A case between its two controls: the score of every copy is 0 at the maximum, and so is the sandwich.
    one = pd.DataFrame({"case": [1, 0, 0], "reference": [5.0, 4.0, 6.5], "study": "R", "local": np.nan})
    frame = pd.concat([one.assign(set=number) for number in range(copies)])
    with pytest.raises(FitError, match="standard errors along exposure cannot be estimated") as caught:
        fit(frame, method)
    assert caught.value.terms == ("exposure",)
    assert caught.value.units == copies


@pytest.mark.parametrize("method", PLUG_IN)
@pytest.mark.parametrize("others", [0, 3_000])
def test_two_opposite_pairs_are_fitted_as_by_hand_and_told_among_thousands_that_say_nothing(method, others):
    frame = pd.concat([pairs(1.0, -2.0), uninformative(others)])
    found = fit(frame, method)
    # x solves 1 / (1 + exp(x)) = 2 / (1 + exp(-2 x)): bisection, by hand
    low, high = -5.0, 5.0
    for _ in range(200):
        middle = (low + high) / 2
        rises = 1 / (1 + np.exp(middle)) - 2 / (1 + np.exp(-2 * middle)) > 0
        low, high = (middle, high) if rises else (low, middle)
    np.testing.assert_allclose(found.params["exposure"], low, rtol=SAME_AMONG_MANY)
    score = 1 / (1 + np.exp(low))
    share = score * (1 - score) + 4 * np.exp(2 * low) / (1 + np.exp(2 * low)) ** 2
    np.testing.assert_allclose(found.cov_params().iloc[0, 0], 2 * score**2 / share**2, rtol=1e-6)
    assert any("only 2 independent matched sets say something" in note for note in told(found))


@pytest.mark.parametrize("method", PLUG_IN)
def test_one_set_that_says_something_among_thousands_is_refused(method):
    with pytest.raises(FitError, match="separation: along exposure"):
        fit(pd.concat([pairs(1.0), uninformative(3_000)]), method)


def test_enough_sets_are_not_talked_about():
    found = fit(pool_frame(larger=True), "full", covariates="z1")
    assert not any("independent matched sets" in note for note in told(found))


@pytest.mark.parametrize("method", METHODS)
def test_an_exposure_that_is_constant_within_all_sets_is_refused(method):
    frame = pool_frame(larger=True)
    within = frame.groupby(["study", "set"])
    frame["local"] = within["local"].transform("mean")
    measured = frame["study"] == "R"
    frame.loc[measured, "reference"] = within["reference"].transform("mean")[measured]
    problem = SingularInformationError if method in ("naive", "full", "induced") else FitError
    with pytest.raises(problem, match=r"constant within every matched set|cannot be estimated"):
        fit(frame, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_study_whose_exposure_is_constant_is_told_and_does_not_disturb_the_others(method):
    frame = pool_frame(larger=True)
    frame.loc[frame["study"] == "R", "reference"] = 5.0
    found = fit(frame, method)
    assert any("study R: exposure is constant within every matched set" in note for note in told(found))
    if method in PLUG_IN:
        without = fit(frame[frame["study"] != "R"], method)
        np.testing.assert_allclose(found.params, without.params, rtol=SAME)
        np.testing.assert_allclose(found.cov_params(), without.cov_params(), rtol=1e-7)


def test_thousands_of_tied_exposures_are_as_weights():
    # 1:1 with a binary exposure: log of the ratio of discordant pairs, and its exact sandwich
    more, fewer = 1_700, 1_300
    frame = pd.concat([pairs(*([1.0] * more + [-1.0] * fewer)), uninformative(2_000)])
    for method in METHODS[:4]:
        found = fit(frame, method)
        np.testing.assert_allclose(found.params["exposure"], np.log(more / fewer), rtol=SAME_AMONG_MANY)
        np.testing.assert_allclose(found.cov_params().iloc[0, 0], 1 / more + 1 / fewer, rtol=SAME_AMONG_MANY)


@pytest.mark.parametrize("method", METHODS[1:])
def test_calibrators_at_one_local_value_are_refused_by_study(method):
    frame = pool_frame(larger=True)
    frame.loc[is_calibrator(frame) & (frame["study"] == "B"), "local"] = 5.0
    with pytest.raises(
        bc.errors.CalibrationDesignError, match="study B: all 12 calibrated persons have the same"
    ):
        fit(frame, method)


@pytest.mark.parametrize("method", METHODS[1:])
def test_fewer_than_three_calibrators_are_refused_by_study(method):
    frame = pool_frame(larger=True)
    rows = np.flatnonzero(is_calibrator(frame) & (frame["study"] == "A"))
    frame.loc[rows[2:], "reference"] = np.nan
    with pytest.raises(bc.errors.CalibrationDesignError, match="study A: calibration pairs: 2"):
        fit(frame, method)
