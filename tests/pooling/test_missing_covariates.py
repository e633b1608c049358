"""Missing covariates: complete cases told by study and variable; indicators against columns made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pools import LOCAL_A, LOCAL_B, REFERENCE, draw_pool

import biocal as bc
from biocal.errors import FormulaError, OptionError

#: The same model with its columns shifted or made elsewhere: Newton stops at another point near the maximum.
SAME = 1e-6


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(20261125)
    drawn = draw_pool(rng, (REFERENCE, LOCAL_A, LOCAL_B), covariate_log_odds=(0.3,))
    drawn["smoking"] = rng.choice([1.0, 2.0, 3.0], len(drawn))
    drawn["race"] = rng.choice(["a", "b"], len(drawn))
    for name, share in (("z1", 0.1), ("smoking", 0.07), ("race", 0.05)):
        drawn.loc[rng.random(len(drawn)) < share, name] = None
    return drawn


def fitted(frame: pd.DataFrame, covariates: str, **options) -> bc.Fit:
    return bc.fit(bc.PooledStudies.from_frame(frame), exposure=bc.linear(), covariates=covariates, **options)


def by_hand(frame: pd.DataFrame, fill: float) -> pd.DataFrame:
    gone = frame["z1"].isna()
    smoking = frame["smoking"].map({1.0: "s1", 2.0: "s2", 3.0: "s3"}).fillna("x")
    return frame.assign(z1=frame["z1"].fillna(fill), z1_gone=gone.astype(int), smoking=smoking)


@pytest.mark.parametrize("method", ["naive", "full", "induced"])
def test_indicators_are_the_columns_one_would_make_by_hand(frame, method):
    filled = fitted(frame, "z1 + C(smoking)", method=method, missing="indicator")
    made = by_hand(frame, frame["z1"].mean())
    other = fitted(made, "z1 + z1_gone + C(smoking)", method=method)
    assert filled.terms == (
        *("exposure", "C(smoking)[T.2]", "C(smoking)[T.3]", "C(smoking)[T.missing]", "z1", "z1[missing]"),
    )
    assert len(other.terms) == len(filled.terms)
    np.testing.assert_allclose(filled.estimates[0], other.estimates[0], rtol=SAME)
    np.testing.assert_allclose(filled.vcov[0, 0], other.vcov[0, 0], rtol=SAME)
    assert filled.sample.n_sets == 160
    assert filled.sample.n_sets > fitted(frame, "z1 + C(smoking)", method=method).sample.n_sets


def test_what_a_linear_covariate_is_filled_with_does_not_matter(frame):
    filled = fitted(frame, "z1", missing="indicator")
    other = fitted(by_hand(frame, -50.0), "z1 + z1_gone")
    np.testing.assert_allclose(filled.estimates[:2], other.estimates[:2], rtol=SAME)
    np.testing.assert_allclose(filled.vcov[:2, :2], other.vcov[:2, :2], rtol=SAME)


def test_words_get_a_level_and_the_base_level_stays(frame):
    filled = fitted(frame, "race", missing="indicator")
    assert filled.terms == ("exposure", "race[T.b]", "race[T.missing]")


def test_terms_made_of_a_covariate_have_one_indicator(frame):
    filled = fitted(frame, "exp(z1 / 10) + rcs(z1, 3)", missing="indicator")
    assert sum("missing" in term for term in filled.terms) == 1


def test_what_was_filled_is_told_by_variable_and_study_with_its_bias(frame):
    filled = fitted(frame, "z1 + C(smoking)", missing="indicator")
    told = [note for note in filled.info.notes if "is missing in" in note]
    for name in ("z1", "smoking"):
        by_study = frame[frame[name].isna()].groupby("study").size()
        note = next(note for note in told if note.startswith(name))
        assert ", ".join(f"{study} {n}" for study, n in by_study.items()) in note
        assert f"{by_study.sum()} rows" in note
    assert any("biased where the covariate confounds" in note for note in filled.info.notes)


def test_matching_factors_are_filled_in_the_calibration(frame):
    filled = fitted(frame, "z1", matching="race", missing="indicator")
    assert {"z1[missing]", "race[T.missing]"} <= set(filled.info.calibration_names)
    assert filled.sample.n_calibrators == 40


def test_complete_cases_are_told_by_study_and_variable(frame):
    complete = fitted(frame, "z1 + C(smoking)")
    for flow in complete.sample.flow:
        mine = frame[frame["study"] == flow.study]
        assert flow.missing_by_variable == {
            name: int(mine[name].isna().sum()) for name in ("z1", "smoking") if mine[name].isna().any()
        }
        assert flow.missing_covariate == (mine["z1"].isna() | mine["smoking"].isna()).sum()
    assert f"z1 {int(frame['z1'].isna().sum())}" in complete.summary()


def test_a_covariate_without_values_and_an_unknown_rule_are_refused(frame):
    with pytest.raises(FormulaError, match="no value at all"):
        fitted(frame.assign(z1=np.nan), "z1", missing="indicator")
    with pytest.raises(OptionError, match="complete or indicator"):
        fitted(frame, "z1", missing="mean")
