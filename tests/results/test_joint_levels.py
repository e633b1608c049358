"""Joint curves: exposure and modifier against one common reference."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cli_pool import small_pool

import biocal as bc
from biocal.errors import OptionError

SAME = 1e-10
#: Two optimisers on one likelihood, and a covariance by numerical care of another package.
OTHER_PACKAGE = 1e-5


def frame_with_smoking(seed: int = 5) -> pd.DataFrame:
    frame = small_pool()
    frame["smoker"] = np.random.default_rng(seed).binomial(1, 0.4, len(frame))
    frame["never"] = 1 - frame["smoker"]
    return frame


def fitted(**options):
    pool = bc.PooledStudies.from_frame(frame_with_smoking())
    return bc.fit(pool, **({"exposure": bc.rcs(3), "modifier": "smoker", "reference": 60} | options))


def test_within_a_level_the_joint_curve_is_the_levels_own_curve_moved():
    fit = fitted()
    at = [40.0, 60.0, 75.0]
    for label, joint in zip(("0", "1"), fit.joint_responses("0", at), strict=True):
        own = fit.dose_response(at, modifier_level=label)
        np.testing.assert_allclose(joint.log_or - joint.log_or[1], own.log_or, atol=1e-12)
    reference = fit.joint_responses("0", at)[0]
    assert reference.log_or[1] == 0
    assert reference.std_error[1] == 0
    np.testing.assert_allclose(reference.std_error, fit.dose_response(at).std_error, rtol=SAME)


def test_the_other_level_as_reference_turns_the_signs():
    fit = fitted()
    forth = fit.joint_responses("0", [60.0])[1]
    back = fit.joint_responses("1", [60.0])[0]
    assert forth.log_or[0] == pytest.approx(-back.log_or[0], rel=SAME)
    assert forth.std_error[0] == pytest.approx(back.std_error[0], rel=SAME)
    assert forth.std_error[0] > 0


@pytest.mark.parametrize("method", ["full", "induced", "two-stage"])
def test_how_the_modifier_is_coded_does_not_matter(method):
    mine = fitted(method=method).joint_responses("0", [45.0, 80.0])
    turned = fitted(method=method, modifier="never").joint_responses("1", [45.0, 80.0])
    for level, other in zip(mine, turned[::-1], strict=True):
        np.testing.assert_allclose(level.log_or, other.log_or, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(level.std_error, other.std_error, rtol=1e-6)


def test_joint_categories_are_the_saturated_model_of_statsmodels():
    from statsmodels.discrete.conditional_models import ConditionalLogit

    frame = frame_with_smoking()
    frame = frame[frame["study"] == "West"]
    pool = bc.PooledStudies.from_frame(frame)
    fit = bc.fit(pool, exposure=bc.categories([50, 70]), modifier="smoker")
    low, high = fit.joint_responses("0")
    code = np.searchsorted([50, 70], frame["reference"], side="right")
    cell = 3 * frame["smoker"].to_numpy() + code
    design = (cell[:, None] == np.arange(1, 6)).astype(float)
    model = ConditionalLogit(frame["case"].to_numpy(), design, groups=frame["set"].to_numpy())
    other = model.fit(method="newton", disp=False, maxiter=100)
    found = np.concatenate([low.log_or, high.log_or])[1:]
    np.testing.assert_allclose(found, other.params, atol=OTHER_PACKAGE)
    np.testing.assert_array_equal([low.log_or[0], low.std_error[0]], 0)


def test_a_modifier_that_is_a_covariate_too_keeps_its_own_effect():
    frame = frame_with_smoking()
    frame.loc[frame.index[[3, 40]], "bmi"] = np.nan  # the designs are blank in different rows
    pool = bc.PooledStudies.from_frame(frame)
    common = {"exposure": bc.linear(), "modifier": "smoker", "reference": 60, "at": [50.0]}
    mine = bc.fit(pool, covariates="bmi + smoker", **common).joint_responses("0")
    apart = bc.fit(pool, covariates="bmi", **common).joint_responses("0")
    for level, other in zip(mine, apart, strict=True):
        np.testing.assert_allclose(level.log_or, other.log_or, rtol=1e-8)
        np.testing.assert_allclose(level.std_error, other.std_error, rtol=1e-8)


def test_levels_on_which_sets_are_matched_cannot_be_compared():
    fit = fitted(modifier="C(sex)")
    with pytest.raises(OptionError, match=r"the same for all persons of every matched set"):
        fit.joint_responses("f")
    with pytest.raises(OptionError, match=r"matched on"):
        fitted(modifier="C(sex)", joint="f")


def test_a_modifier_that_enters_the_covariates_in_another_form_is_refused():
    with pytest.raises(OptionError, match=r"also enters the covariates as I\(smoker \* bmi\)"):
        fitted(covariates="I(smoker * bmi)", joint="0")


def test_an_unknown_level_and_no_modifier_are_told():
    with pytest.raises(OptionError, match="levels: 0, 1"):
        fitted(joint="often")
    with pytest.raises(OptionError, match="needs an effect modifier"):
        fitted(modifier=None, joint="0")
