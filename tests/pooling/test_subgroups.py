"""Subgroups and leaving out one study: equal to fits of the files cut down, and told what they rest on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pools import LOCAL_A, LOCAL_B, REFERENCE, draw_pool

import biocal as bc
from biocal.errors import ColumnError, OptionError

#: The same arithmetic on the same rows, sums in another order.
SAME = 1e-9
METHODS = ("naive", "internalized", "full", "induced", "two-stage")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Sets matched on sex, with a tumour site for cases only; study B has two cases a set, often of two sites."""
    rng = np.random.default_rng(20261123)
    drawn = draw_pool(rng, (REFERENCE, LOCAL_A, LOCAL_B), covariate_log_odds=(0.3,))
    sets = drawn.groupby(["study", "set"], sort=True).ngroup().to_numpy()
    drawn["sex"] = np.where(rng.random(sets.max() + 1) < 0.5, "female", "male")[sets]
    drawn["site"] = np.where(rng.random(len(drawn)) < 0.4, "rectum", "colon")
    drawn["site"] = drawn["site"].where(drawn["case"] == 1)
    return drawn


def fitted(frame: pd.DataFrame, **options) -> bc.Fit:
    options = {"exposure": bc.rcs(3), "covariates": "z1"} | options
    return bc.fit(bc.PooledStudies.from_frame(frame), **options)


def assert_same_fit(one: bc.Fit, other: bc.Fit) -> None:
    np.testing.assert_allclose(one.estimates, other.estimates, rtol=SAME)
    np.testing.assert_allclose(one.vcov, other.vcov, rtol=SAME)
    assert one.sample.n_sets == other.sample.n_sets
    assert one.sample.n_controls == other.sample.n_controls


@pytest.mark.parametrize("method", METHODS)
def test_a_level_is_the_fit_of_files_without_the_other_levels_cases(frame, method):
    whole = fitted(frame, method=method, by="sex")
    knots, anchor = bc.rcs(whole.basis.knots), whole.info.scale.reference
    for level, group in whole.subgroups[0].items():
        # without its case a set leaves the outcome model, and its calibration controls still calibrate
        cut = frame[(frame["case"] == 0) | (frame["sex"] == level)]
        assert_same_fit(group.fit, fitted(cut, method=method, exposure=knots, reference=anchor))


@pytest.mark.parametrize("method", ["naive", "full", "induced"])
def test_a_level_calibrated_within_is_the_fit_of_its_files_alone(frame, method):
    whole = fitted(frame, method=method, by="sex", calibrate_within=True)
    for level, group in whole.subgroups[0].items():
        alone = fitted(
            frame[frame["sex"] == level],
            method=method,
            exposure=bc.rcs(whole.basis.knots),
            reference=whole.info.scale.reference,
        )
        assert_same_fit(group.fit, alone)
        assert group.calibrators == alone.sample.n_calibrators < whole.sample.n_calibrators


@pytest.mark.parametrize("method", METHODS)
def test_without_a_study_is_the_fit_of_the_other_files(frame, method):
    whole = fitted(frame, method=method, leave_one_out=True)
    assert list(whole.left_out) == ["A", "B", "R"]
    for study, group in whole.left_out.items():
        rest = fitted(
            frame[frame["study"] != study],
            method=method,
            exposure=bc.rcs(whole.basis.knots),
            reference=whole.info.scale.reference,
        )
        assert_same_fit(group.fit, rest)
        assert group.calibrators == rest.sample.n_calibrators


def test_levels_without_each_study_are_fits_of_the_other_files(frame):
    whole = fitted(frame, by="sex", leave_one_out=True)
    table = whole.left_out.tidy(at=[3.0])
    rest = frame[(frame["study"] != "B") & ((frame["case"] == 0) | (frame["sex"] == "male"))]
    alone = fitted(rest, exposure=bc.rcs(whole.basis.knots), reference=whole.info.scale.reference)
    row = table[(table["left_out"] == "B") & (table["level"] == "male")].iloc[0]
    curve = alone.dose_response([3.0])
    np.testing.assert_allclose(
        [row["log_or"], row["std_error"]], [curve.log_or[0], curve.std_error[0]], rtol=SAME
    )
    assert (row["sets"], row["cases"]) == (alone.sample.n_sets, alone.sample.n_cases)
    before = table[(table["left_out"] == "") & (table["level"] == "male")].iloc[0]
    assert row["change"] == pytest.approx(row["log_or"] - before["log_or"])


def test_a_set_goes_with_its_case_and_splits_between_the_sites_of_several(frame):
    whole = fitted(frame, subsite="site")
    sites = whole.subgroups[0]
    for site, group in sites.items():
        cut = frame[(frame["case"] == 0) | (frame["site"] == site)]
        alone = fitted(cut, exposure=bc.rcs(whole.basis.knots), reference=whole.info.scale.reference)
        assert_same_fit(group.fit, alone)
    cases = frame[frame["case"] == 1].groupby(["study", "set"])["site"].nunique()
    n_mixed = int((cases > 1).sum())
    assert n_mixed > 0
    assert any(
        note.startswith(f"{n_mixed} matched sets with cases of several levels") for note in sites.notes
    )
    assert sum(group.counts.sets for group in sites.groups) == whole.sample.n_sets + n_mixed
    assert sum(group.counts.cases for group in sites.groups) == whole.sample.n_cases


def test_by_finds_that_a_column_blank_for_controls_describes_the_case(frame):
    by, subsite = fitted(frame, by="site"), fitted(frame, subsite="site")
    for one, other in zip(by.subgroups[0].fitted, subsite.subgroups[0].fitted, strict=True):
        np.testing.assert_array_equal(one.fit.estimates, other.fit.estimates)
    filled = frame.assign(site=frame["site"].fillna("none"))
    told = fitted(filled, subsite="site")
    np.testing.assert_array_equal(
        told.subgroups[0]["colon"].fit.estimates, subsite.subgroups[0]["colon"].fit.estimates
    )


def test_cases_without_a_site_are_in_no_level_and_told(frame):
    holes = frame.copy()
    lost = holes.index[(holes["case"] == 1) & (holes["study"] == "R")][:7]
    holes.loc[lost, "site"] = None
    sites = fitted(holes, subsite="site").subgroups[0]
    assert sum(group.counts.cases for group in sites.groups) == sites.overall_counts.cases - 7
    assert any(
        "7 cases without a value of site in no level" in note and "(R 7)" in note for note in sites.notes
    )


def test_a_set_that_mixes_levels_is_split_and_its_cases_alone_are_told():
    rng = np.random.default_rng(7)
    mixed = draw_pool(rng, (REFERENCE,)).assign(sex=lambda f: np.where(rng.random(len(f)) < 0.5, "f", "m"))
    found = bc.fit(bc.PooledStudies.from_frame(mixed), exposure=bc.linear(), by="sex").subgroups[0]
    sexes = mixed.groupby("set")["sex"].nunique()
    pure = int((sexes == 1).sum())
    assert sum(group.counts.sets for group in found.groups) == pure
    n = int((sexes == 2).sum())
    assert any(note.startswith(f"{n} matched sets with members of several levels") for note in found.notes)
    assert any(note.startswith(f"{n} cases without a control of the same level") for note in found.notes)


def test_levels_of_a_condition_are_yes_and_no(frame):
    found = fitted(frame, by="case(z1) >= 0").subgroups[0]
    assert list(found) == ["yes", "no"]
    assert found["yes"].counts.cases + found["no"].counts.cases == found.overall_counts.cases


def test_categories_are_counted_by_level(frame):
    whole = fitted(frame, exposure=bc.categories([4, 6]), by="sex")
    table = whole.subgroups[0].tidy()
    for _, part in table.groupby("level"):
        assert part["category_cases"].sum() == part["cases"].iloc[0]
        assert part["category_controls"].sum() == part["controls"].iloc[0]
        assert (part["category_sets"] <= part["sets"]).all()
    by_level = table[table["level"] != "all"].groupby("exposure")["category_cases"].sum()
    whole_counts = table[table["level"] == "all"].set_index("exposure")["category_cases"]
    pd.testing.assert_series_equal(by_level, whole_counts, check_index=True, check_names=False)


def test_with_a_modifier_each_level_of_it_has_a_row(frame):
    whole = fitted(frame, by="sex", modifier="z1", covariates=None, exposure=bc.linear(), at=[3.0])
    table = whole.subgroups[0].tidy()
    assert table["modifier"].nunique() == 3
    assert len(table) == 3 * 3
    same = fitted(frame, by="sex", modifier="sex", covariates=None, exposure=bc.linear())
    assert not same.subgroups[0].fitted
    assert all("the same for everybody" in group.reason for group in same.subgroups[0].groups)
    assert sum(group.counts.sets for group in same.subgroups[0].groups) == same.sample.n_sets


def test_a_level_that_cannot_be_fitted_is_named_and_the_others_stay(frame):
    few = frame.copy()
    one_set = (few["study"] == "R") & (few["set"] == 1)
    few["sex"] = np.where(one_set, "other", few["sex"])
    found = fitted(few, by="sex").subgroups[0]
    assert [group.name for group in found.fitted] == ["female", "male"]
    assert found["other"].reason
    row = found.tidy().query("level == 'other'").iloc[0]
    assert row["note"]
    assert row["sets"] == 1
    assert np.isnan(row["log_or"])
    assert any(note.startswith("sex other could not be fitted") for note in found.notes)


@pytest.mark.parametrize(
    ("options", "error", "part"),
    [
        ({"by": "sexx"}, ColumnError, "did you mean 'sex'"),
        ({"by": "z1"}, OptionError, "different values"),
        ({"by": "study == 'R' or study != 'R'"}, OptionError, "one value"),
        ({"subsite": "z1 > 0"}, ColumnError, "no column"),
        ({"calibrate_within": True}, OptionError, "something to be within"),
    ],
)
def test_what_cannot_be_split_is_refused(frame, options, error, part):
    with pytest.raises(error, match=part):
        fitted(frame, **options)


def test_one_study_cannot_be_left_out(frame):
    with pytest.raises(OptionError, match="two studies"):
        fitted(frame[frame["study"] == "R"], leave_one_out=True)


def test_summaries_and_figures_say_sets_and_cases(frame):
    whole = fitted(frame, by="sex", subsite="site", leave_one_out=True)
    text = whole.summary()
    assert "By sex, method full" in text
    assert "Do the levels differ?" in text
    assert "Without one study, method full" in text
    assert "moves the odds ratio most" in text
    for drawn in (whole.subgroups[0].plot(), whole.left_out.plot(at=[3.0, 6.0, 7.0])):
        words = [text.get_text() for axes in drawn.axes for text in axes.texts]
        assert {"Sets", "Cases"} <= set(words)
    assert len(whole.left_out.plot(at=[3.0, 6.0, 7.0]).axes) == 3
