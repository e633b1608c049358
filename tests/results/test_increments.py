"""Odds ratios per increment of the exposure."""

from __future__ import annotations

import numpy as np
import pytest
from cli_pool import small_pool

import biocal as bc
from biocal.errors import OptionError

#: The same arithmetic in another unit; two Newton searches meet to about this.
OTHER_UNIT = 1e-7
SAME = 1e-12


def pool(factor: float = 1.0):
    frame = small_pool()
    frame["local"] /= factor
    frame["reference"] /= factor
    return bc.PooledStudies.from_frame(frame)


@pytest.fixture(scope="module")
def spline():
    return bc.fit(pool(), exposure=bc.rcs(3), covariates="bmi", reference=60, per=[25, 10], per_sd=True)


def test_a_linear_odds_ratio_is_the_coefficient_times_the_increment():
    fit = bc.fit(pool(), exposure=bc.linear(), covariates="bmi")
    (row,) = fit.per_unit(25).to_dict("records")
    assert row["curve"] == "linear"
    assert row["log_or"] == pytest.approx(25 * fit.estimates[0], rel=SAME)
    assert row["std_error"] == pytest.approx(25 * fit.std_errors[0], rel=SAME)
    assert row["or"] == pytest.approx(np.exp(25 * fit.estimates[0]), rel=SAME)
    assert row["p_value"] == pytest.approx(fit.tidy()["p_value"][0], rel=1e-9)


@pytest.mark.parametrize("method", ["naive", "full", "induced", "two-stage"])
def test_per_25_is_per_one_of_measurements_divided_by_25(method):
    common = {"method": method, "covariates": "bmi"}
    mine = bc.fit(pool(), exposure=bc.rcs(3), reference=60, **common).per_unit(25)
    other = bc.fit(pool(25), exposure=bc.rcs(3), reference=60 / 25, **common).per_unit(1)
    for column in ("log_or", "std_error", "or_low", "or_high"):
        np.testing.assert_allclose(mine[column], other[column], rtol=OTHER_UNIT)
    assert list(mine["curve"]) == ["curve around the reference", "linear"]


def test_a_splines_increment_is_the_contrast_around_the_reference(spline):
    row = spline.per_unit(25).iloc[0]
    assert (row["exposure_from"], row["exposure_to"]) == (47.5, 72.5)
    curve = spline.dose_response(at=[72.5], reference=47.5).tidy().iloc[0]
    for column in ("log_or", "std_error", "or", "or_low", "or_high"):
        assert row[column] == pytest.approx(curve[column], rel=SAME)


def test_the_linear_trend_beside_a_spline_is_the_linear_fit(spline):
    straight = bc.fit(pool(), exposure=bc.linear(), covariates="bmi").per_unit(10).iloc[0]
    beside = spline.per_unit(10).iloc[1]
    assert beside["log_or"] == pytest.approx(straight["log_or"], rel=OTHER_UNIT)
    assert beside["std_error"] == pytest.approx(straight["std_error"], rel=OTHER_UNIT)
    trend = next(test for test in spline.tests() if test.test == "trend")
    assert (beside["log_or"] / beside["std_error"]) ** 2 == pytest.approx(trend.statistic, rel=1e-9)


def test_the_sd_is_full_calibrations_between_the_controls_for_every_method(spline):
    frame = small_pool()
    lines = spline.calibration.tidy().set_index("study")
    slopes = spline.calibration.tidy_covariates()
    bmi = float(slopes.loc[slopes["term"] == "bmi", "estimate"].iloc[0])
    exposure = frame["reference"].copy()
    for study in ("North", "South"):
        mine = frame["study"] == study
        line = lines.loc[study]
        exposure[mine] = (
            line["intercept"] + line["slope"] * frame.loc[mine, "local"] + bmi * frame.loc[mine, "bmi"]
        )
    sd = exposure[frame["case"] == 0].std()
    row = spline.per_sd().iloc[1]
    assert row["increment"] == pytest.approx(sd, rel=1e-10)
    assert row["sds"] == 1
    assert row["log_or"] == pytest.approx(sd * spline.per_unit(1).iloc[1]["log_or"], rel=1e-10)
    naive = bc.fit(pool(), method="naive", covariates="bmi")
    assert naive.per_sd()["increment"][0] == pytest.approx(sd, rel=1e-10)


def test_with_a_modifier_each_level_has_its_odds_ratio():
    fit = bc.fit(pool(), exposure=bc.linear(), modifier="C(sex)")
    table = fit.per_unit(10)
    assert list(table["modifier"]) == ["C(sex) = f", "C(sex) = m"]
    main, product = fit.exposure_positions[:, 0]
    both = fit.estimates[main] + fit.estimates[product]
    assert table["log_or"][1] == pytest.approx(10 * both, rel=SAME)
    block = fit.vcov[np.ix_([main, product], [main, product])]
    assert table["std_error"][1] == pytest.approx(10 * np.sqrt(block.sum()), rel=SAME)


def test_the_summary_says_which_contrast_and_which_sd(spline):
    text = " ".join(spline.summary().split())
    assert "25 curve, 47.50 to 72.50" in text.replace("25 units", "25")
    assert "contrast of the spline from half a step below the reference exposure" in text
    assert "SD: of full calibration's exposure between the controls of the fit" in text


@pytest.mark.parametrize("step", [0, -5, float("nan"), float("inf")])
def test_an_increment_must_be_a_positive_number(spline, step):
    with pytest.raises(OptionError, match="positive number of units"):
        spline.per_unit(step)
    with pytest.raises(OptionError, match="positive number of units"):
        bc.fit(pool(), per=step)
