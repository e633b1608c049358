"""A restricted analysis is the analysis of the files cut down beforehand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pools import LOCAL_A, LOCAL_B, REFERENCE, draw_pool

import biocal as bc
from biocal.errors import MatchedSetError

#: The same arithmetic on the same rows.
SAME = 1e-10


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Sets matched on sex; years to diagnosis of cases only, blank for controls."""
    rng = np.random.default_rng(20261122)
    drawn = draw_pool(rng, (REFERENCE, LOCAL_A, LOCAL_B), covariate_log_odds=(0.3,))
    sets = drawn.groupby(["study", "set"], sort=True).ngroup().to_numpy()
    drawn["sex"] = np.where(rng.random(sets.max() + 1) < 0.5, "female", "male")[sets]
    drawn["years"] = np.where(drawn["case"] == 1, rng.uniform(0, 10, len(drawn)).round(1), np.nan)
    return drawn


def fitted(frame: pd.DataFrame, **options) -> bc.Fit:
    return bc.fit(bc.PooledStudies.from_frame(frame), exposure=bc.rcs(3), covariates="z1", **options)


def assert_same_fit(one: bc.Fit, other: bc.Fit) -> None:
    assert one.basis == other.basis
    np.testing.assert_allclose(one.estimates, other.estimates, rtol=SAME)
    np.testing.assert_allclose(one.vcov, other.vcov, rtol=SAME)
    assert (one.sample.n_sets, one.sample.n_cases, one.sample.n_controls) == (
        other.sample.n_sets,
        other.sample.n_cases,
        other.sample.n_controls,
    )


@pytest.mark.parametrize("method", ["naive", "internalized", "full", "induced", "two-stage"])
def test_a_lag_restricts_the_outcome_model_to_sets_of_late_cases_and_leaves_the_calibration(frame, method):
    lagged = fitted(frame, method=method, where="years >= 4")
    # files without the early cases: their sets have no case, but their calibration controls still calibrate
    cut = frame[~((frame["case"] == 1) & (frame["years"] < 4))]
    assert_same_fit(lagged, fitted(cut, method=method))
    assert lagged.sample.n_calibrators == LOCAL_A.n_calibrators + LOCAL_B.n_calibrators


def test_calibrating_within_a_selection_is_fitting_the_files_cut_down(frame):
    men = fitted(frame, where="sex == 'male'", calibrate_within=True)
    assert_same_fit(men, fitted(frame[frame["sex"] == "male"]))
    assert men.sample.n_calibrators < LOCAL_A.n_calibrators + LOCAL_B.n_calibrators
    assert any("the calibration too" in note for note in men.info.notes)


def test_a_study_without_selected_rows_is_told_and_needs_no_calibration_of_its_own(frame):
    kept = fitted(frame, where="study != 'B'", calibrate_within=True)
    assert kept.local_names == ("A",)
    assert "no row of B is selected" in kept.info.notes


def test_rows_not_selected_are_counted_by_study_and_told(frame):
    men = fitted(frame, where="sex == 'male'")
    for flow in men.sample.flow:
        mine = frame[frame["study"] == flow.study]
        assert flow.not_selected == (mine["sex"] != "male").sum()
        assert flow.rows_read == flow.not_selected + flow.cases + flow.controls
    assert "not selected" in men.summary()
    assert "to sex == 'male'" in men.summary()
    assert {dropped.reason for dropped in men.sample.dropped_sets} == {"not selected"}


def test_a_selection_of_nobody_says_so(frame):
    with pytest.raises(MatchedSetError, match="not selected by the condition"):
        fitted(frame, where="years > 99")
    with pytest.raises(MatchedSetError, match="no row satisfies"):
        fitted(frame, where="z1 > 99", calibrate_within=True)


def test_values_that_a_condition_misses_are_counted(frame):
    holes = frame.assign(z2=frame["z1"].where(frame.index % 10 > 0))
    restricted = fitted(holes, where="z2 > -9")
    assert sum(flow.selection_unknown for flow in restricted.sample.flow) == holes["z2"].isna().sum()
    assert any("is missing; they count as not selected" in note for note in restricted.info.notes)
