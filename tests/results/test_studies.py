"""Estimates by study: their table, contrasts and forest plot."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from pools import StudyPlan, draw_pool

import biocal as bc
from biocal.errors import OptionError
from biocal.kernels.meta.numbers import combine_estimates, leave_one_study_out
from biocal.results.studies.contrast import StudyContrast
from biocal.results.studies.estimates import StudyEstimates, draw_forest_figure

SAME_ARITHMETIC = 1e-10  # relative; sums in another order
REML_SEARCH = 1e-6  # relative; two searches for one restricted maximum
NAMES = ("A", "B", "C", "D", "R")


@pytest.fixture(scope="module")
def frame():
    plans = [StudyPlan(n, 60 + 10 * k, (1, 1), (0.4, 0.8), n_calibrators=30) for k, n in enumerate("ABCD")]
    pool = draw_pool(np.random.default_rng(5), [*plans, StudyPlan("R", 80)], covariate_log_odds=(0.3,))
    lost = pool[(pool["study"] == "R") & (pool["set"] <= 4)].assign(study="Lost")
    return pd.concat([pool, lost], ignore_index=True)


def fit(frame, **options):
    chosen = {"method": "two-stage", "exposure": bc.rcs(knots=[3, 5, 7]), "covariates": "z1"} | options
    return bc.fit(bc.PooledStudies.from_frame(frame), unit="nmol/L", outcome_name="cancer", **chosen)


@pytest.fixture(scope="module")
def two_stage(frame):
    return fit(frame)


@pytest.fixture(scope="module")
def studies(two_stage) -> StudyEstimates:
    return two_stage.studies


# the table


def test_the_table_has_every_term_of_every_study_and_of_the_pool(studies, frame):
    table = studies.tidy()
    columns = ["study", "sets", "cases", "term", "estimate", "std_error", "weight", "q", "df", "i2", "tau2"]
    assert list(table.columns) == columns
    assert list(table["study"].unique()) == [
        "A",
        "B",
        "C",
        "D",
        "Lost",
        "R",
        "pooled",
        "pooled, fixed effect",
    ]
    assert list(table.loc[table["study"] == "A", "term"]) == ["exposure", "exposure'", "z1"]
    sets = table.drop_duplicates("study").set_index("study")["sets"]
    assert dict(sets) == {
        "A": 60, "B": 70, "C": 80, "D": 90, "Lost": 4, "R": 80, "pooled": 380, "pooled, fixed effect": 380,
    }  # fmt: skip


def test_a_study_left_out_has_blank_estimates_and_no_weight(studies):
    lost = studies.tidy().query("study == 'Lost'")
    assert lost[["estimate", "std_error", "weight"]].isna().all(axis=None)
    assert "too few matched sets" in studies.left_out["Lost"]


def test_pooled_rows_are_the_fit_s_coefficients_and_weights_sum_to_one(two_stage, studies):
    table = studies.tidy()
    pooled = table[table["study"] == "pooled"]
    np.testing.assert_array_equal(pooled["estimate"], two_stage.estimates)
    np.testing.assert_array_equal(pooled["std_error"], two_stage.std_errors)
    for _, rows in table[table["weight"].notna()].groupby("term"):
        assert rows["weight"].sum() == pytest.approx(1.0, rel=SAME_ARITHMETIC)


def test_heterogeneity_of_a_pooled_row_is_that_of_the_term_alone(studies):
    table = studies.tidy()
    for term in studies.terms:
        rows = table[(table["term"] == term) & table["weight"].notna()]
        weights = 1 / rows["std_error"] ** 2
        centre = (weights * rows["estimate"]).sum() / weights.sum()
        q = (weights * (rows["estimate"] - centre) ** 2).sum()
        for name in ("pooled", "pooled, fixed effect"):
            row = table[(table["term"] == term) & (table["study"] == name)].iloc[0]
            assert (row["q"], row["df"]) == (pytest.approx(q, rel=1e-8), 4)
            assert row["i2"] == pytest.approx(max(0.0, (q - 4) / q), abs=1e-8)
    assert (table.loc[table["study"] == "pooled, fixed effect", "tau2"] == 0).all()


def test_the_table_survives_writing_and_reading(studies, tmp_path):
    table = studies.tidy()
    table.to_csv(tmp_path / "studies.csv", index=False)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "studies.csv"), table, check_dtype=False)


# contrasts


def test_a_contrast_is_the_difference_of_two_points_of_each_study_s_curve(frame, studies):
    contrast = studies.contrast(6.5, 4.0)
    assert contrast.studies == NAMES
    for k, name in enumerate(NAMES):
        alone = fit(frame[frame["study"] == name], method="full")
        curve = alone.dose_response(at=[6.5], reference=4.0)
        assert contrast.estimates[k] == pytest.approx(curve.log_or[0], rel=1e-8)
        assert contrast.std_errors[k] == pytest.approx(curve.std_error[0], rel=1e-8)


@pytest.mark.parametrize("method", ["fixed", "dersimonian-laird", "reml"])
@pytest.mark.parametrize("standard_error", ["normal", "hartung-knapp", "hartung-knapp-at-least-normal"])
def test_a_contrast_is_pooled_as_asked(studies, method, standard_error):
    contrast = studies.contrast(6.5, 4.0, method=method, standard_error=standard_error, level=0.9)
    by_hand = combine_estimates(
        contrast.estimates, contrast.std_errors**2, method=method, standard_error=standard_error, level=0.9
    )
    assert contrast.pooled.conf_low == by_hand.conf_low
    assert contrast.pooled.prediction_high == pytest.approx(by_hand.prediction_high, nan_ok=True)
    assert (contrast.pooled.method, contrast.pooled.standard_error_kind) == (method, standard_error)


def test_turning_a_contrast_round_inverts_its_odds_ratios(studies):
    there, back = studies.contrast(6.5, 4.0), studies.contrast(4.0, 6.5)
    np.testing.assert_allclose(back.estimates, -there.estimates, rtol=SAME_ARITHMETIC)
    assert back.pooled.estimate == pytest.approx(-there.pooled.estimate, rel=REML_SEARCH)
    assert back.pooled.conf_low == pytest.approx(-there.pooled.conf_high, rel=REML_SEARCH)


def test_the_default_contrast_is_between_quartiles_of_the_controls(two_stage, studies):
    low, high = np.quantile(two_stage.info.scale.control_exposure, [0.25, 0.75])
    default, asked = studies.contrast(), studies.contrast(high, low)
    np.testing.assert_array_equal(default.estimates, asked.estimates)
    assert "75th against 25th percentile" in default.rule
    assert asked.rule == ""
    assert default.label == f"{high:.4g} against {low:.4g} nmol/L"


def test_leaving_one_study_out_is_fitting_without_it(frame, studies):
    contrast = studies.contrast(6.5, 4.0)
    table = contrast.leave_one_out()
    vectors = studies.leave_one_out()
    assert tuple(table["left_out"]) == NAMES
    for k, name in enumerate(NAMES):
        without = fit(frame[frame["study"] != name])
        again = without.studies.contrast(6.5, 4.0).pooled
        assert table["log_or"][k] == pytest.approx(again.estimate, rel=REML_SEARCH)
        assert table["tau2"][k] == pytest.approx(again.tau_squared, rel=1e-5, abs=1e-10)
        mine = vectors[vectors["left_out"] == name]
        np.testing.assert_allclose(mine["estimate"], without.estimates[:2], rtol=1e-5)
        np.testing.assert_allclose(mine["std_error"], without.std_errors[:2], rtol=1e-5)
    by_hand = leave_one_study_out(contrast.estimates, contrast.std_errors**2)
    np.testing.assert_array_equal(table["std_error"], [p.std_error for p in by_hand])


def test_the_table_of_a_contrast_has_studies_and_every_way_of_pooling(studies):
    contrast = studies.contrast(6.5, 4.0)
    table = contrast.tidy()
    assert list(table["study"]) == [
        *NAMES,
        "pooled, fixed effect",
        "pooled, DerSimonian-Laird",
        "pooled, REML",
        "pooled, REML, Hartung-Knapp",
    ]
    assert table["weight"].sum() == pytest.approx(1.0, rel=SAME_ARITHMETIC)
    reml = table.iloc[7]
    assert reml["or"] == pytest.approx(np.exp(contrast.pooled.estimate), rel=SAME_ARITHMETIC)
    assert reml["prediction_low"] == pytest.approx(
        np.exp(contrast.pooled.prediction_low), rel=SAME_ARITHMETIC
    )
    assert np.isnan(table["prediction_low"][5])  # a fixed effect has no new study to predict


def test_the_summary_tells_studies_heterogeneity_those_left_out_and_remarks(studies):
    contrast = studies.contrast(6.5, 4.0)
    text = contrast.summary()
    for part in ("6.5 against 4 nmol/L", "pooled, REML", "prediction interval", "left out: Lost: too few"):
        assert part in text
    plain = " ".join(text.split())
    for remark in contrast.pool("reml", "hartung-knapp").remarks:
        assert remark in plain.replace("at-least- normal", "at-least-normal")
    assert "75th against 25th percentile" in " ".join(studies.summary().split())


@pytest.mark.parametrize(("at", "reference"), [(4.0, 4.0), (np.nan, 4.0), (np.inf, 4.0), ("high", 4.0)])
def test_exposures_that_cannot_be_compared_are_refused(studies, at, reference):
    with pytest.raises(OptionError, match="two different finite numbers"):
        studies.contrast(at, reference)


def test_unknown_ways_of_pooling_and_levels_are_refused(studies):
    with pytest.raises(OptionError, match="reml"):
        studies.contrast(6, 4, method="magic")
    with pytest.raises(OptionError, match="no effect modifier"):
        studies.contrast(6, 4, modifier_level="m")
    with pytest.raises(OptionError, match="between 0 and 1"):
        studies.contrast(6, 4, level=95)


def test_categories_are_compared_by_their_labels(frame):
    found = fit(frame, exposure=bc.categories([4.0, 6.0], reference="[4, 6)"))
    default = found.studies.contrast()
    assert default.label == "[6, inf) against [4, 6) nmol/L"
    estimates = found.studies.estimates[found.studies.fitted]
    np.testing.assert_allclose(default.estimates, estimates[:, 1], rtol=SAME_ARITHMETIC)
    across = found.studies.contrast("[6,inf)", "(-inf, 4)")
    np.testing.assert_allclose(across.estimates, estimates[:, 1] - estimates[:, 0], rtol=SAME_ARITHMETIC)
    with pytest.raises(OptionError, match="is not one of"):
        found.studies.contrast("[5, 6)")
    with pytest.raises(OptionError, match="with itself"):
        found.studies.contrast("[4, 6)")


def test_a_contrast_at_a_level_of_the_modifier_adds_the_product(frame):
    frame = frame.assign(sex=np.where(frame["set"] % 2 == 0, "f", "m"))
    found = fit(frame, exposure=bc.linear(), modifier="sex", covariates=None)
    women, men = (found.studies.contrast(6, 5, modifier_level=level) for level in ("f", "m"))
    estimates = found.studies.estimates[found.studies.fitted]
    np.testing.assert_allclose(women.estimates, estimates[:, 0], rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(men.estimates, estimates.sum(axis=1), rtol=SAME_ARITHMETIC)
    assert men.label.endswith("sex = m")
    with pytest.raises(OptionError, match="levels: f, m"):
        found.studies.contrast(6, 5, modifier_level="x")


# the forest plot


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_forest_plot_shows_the_contrast_and_names_the_study_left_out(studies):
    shown = texts(studies.plot_forest(6.5, 4.0))
    contrast = studies.contrast(6.5, 4.0)
    first = np.exp(contrast.estimates[0])
    assert any(text.startswith(f"{first:.2f} (") for text in shown)
    for part in ("A", "R", "Lost", "Fixed effect", "Random effects (REML)", "Prediction interval"):
        assert any(part in text for text in shown), part
    assert any("too few matched sets" in text.replace("\n", " ") for text in shown)
    figure = studies.plot_forest(6.5, 4.0)
    assert "6.5 against 4 nmol/L" in figure.axes[0].get_xlabel().replace("\n", " ")
    assert "cancer" in figure.axes[0].get_xlabel()


def test_the_forest_plot_of_a_fit_is_that_of_its_studies(two_stage, frame):
    figure = draw_forest_figure(two_stage)
    assert "against" in figure.axes[0].get_xlabel()
    with pytest.raises(OptionError, match="two-stage"):
        draw_forest_figure(fit(frame[frame["study"] != "Lost"], method="full"))


def test_with_two_studies_there_is_no_prediction_interval(frame):
    found = fit(frame[frame["study"].isin(["A", "B"])])
    contrast = found.studies.contrast()
    assert isinstance(contrast, StudyContrast)
    assert np.isnan(contrast.pooled.prediction_low)
    assert "prediction interval for" not in contrast.summary()
    assert not any("Prediction" in text for text in texts(contrast.plot()))


def test_weights_of_a_contrast_fall_with_the_variance(studies):
    contrast = studies.contrast(6.5, 4.0)
    order = np.argsort(contrast.std_errors)
    assert all(a >= b for a, b in pairwise(contrast.pooled.weights[order]))
