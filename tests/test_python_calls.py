"""The Python calls that users' scripts depend on: their names, what they return, and what that means."""

from __future__ import annotations

import matplotlib.axes
import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
from cli_pool import small_pool
from scipy import stats

import biocal as bc

#: The same sums in another order.
SAME_ARITHMETIC = 1e-9

DESIGN = {
    "replicates": 4,
    "methods": ["naive", "full"],
    "exposure": {"mean": 60, "sd": 20},
    "truth": {"type": "linear", "beta": [-0.01]},
    "fit": {"exposure": "linear"},
    "estimand": {"at": [40, 80], "reference": 60},
    "studies": [
        {"name": "A", "sets": 40, "laboratory": "reference"},
        {"name": "B", "sets": 40, "intercept": 12, "slope": 0.75, "r_squared": 0.8, "calibrators": 20},
    ],
}


@pytest.fixture(scope="module")
def pool():
    return bc.PooledStudies.from_frame(small_pool())


@pytest.fixture(scope="module")
def fit(pool):
    return bc.fit(pool, exposure=bc.rcs(knots=[40, 60, 80]), covariates="bmi", matching="C(sex)")


def test_files_and_frames_are_read_with_columns_by_name(tmp_path, pool):
    names = {"study": "cohort", "set": "stratum", "case": "y", "local": "w", "reference": "x"}
    frame = small_pool().rename(columns=names)
    files = [tmp_path / f"{study}.csv" for study in ("North", "South", "West")]
    for file in files:
        frame[frame["cohort"] == file.stem].to_csv(file, index=False)
    read = bc.read_studies([str(file) for file in files], **names)
    for other in (read, bc.PooledStudies.from_frame(frame, **names)):
        assert other.study_names == pool.study_names
        for name in ("set_code", "is_case", "local_assay", "reference_assay", "in_calibration"):
            np.testing.assert_array_equal(getattr(other, name), getattr(pool, name))


def test_a_calibration_has_a_row_a_study_a_summary_and_a_figure(pool):
    calibration = bc.calibrate(pool)
    table = calibration.tidy()
    assert table["study"].tolist() == ["North", "South", "West"]
    assert table["kind"].tolist() == ["local", "local", "reference"]
    assert "North" in calibration.summary()
    assert isinstance(calibration.plot(), matplotlib.figure.Figure)
    assert calibration.tidy_covariates().empty, (
        "there is no outcome model, and no covariates unless asked for"
    )


def test_without_words_the_fit_is_full_calibration_with_four_knots(pool):
    found = bc.fit(pool)
    assert (found.method, len(found.basis.knots)) == ("full", 4)


def test_coefficients_and_covariance_are_found_by_term(fit):
    terms = ["exposure", "exposure'", "bmi"]
    assert isinstance(fit.params, pd.Series)
    assert isinstance(fit.cov_params(), pd.DataFrame)
    assert fit.params.index.tolist() == terms
    assert fit.cov_params().index.tolist() == fit.cov_params().columns.tolist() == terms
    np.testing.assert_array_equal(fit.params.to_numpy(), fit.estimates)
    np.testing.assert_array_equal(fit.cov_params().to_numpy(), fit.vcov)


def test_the_table_of_coefficients_is_that_of_wald(fit):
    table = fit.tidy().set_index("term")
    error = np.sqrt(np.diag(fit.cov_params()))
    np.testing.assert_allclose(table["std_error"], error, rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(table["statistic"], fit.params / error, rtol=SAME_ARITHMETIC)
    p_value = 2 * stats.norm.sf(np.abs(fit.params / error))
    np.testing.assert_allclose(table["p_value"], p_value, rtol=SAME_ARITHMETIC)
    half = stats.norm.ppf(0.975) * error
    np.testing.assert_allclose(table["conf_low"], fit.params - half, rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(table["conf_high"], fit.params + half, rtol=SAME_ARITHMETIC)
    assert (table["std_error_uncorrected"] > 0).all()


def test_odds_ratios_when_asked_for(fit):
    plain, ratios = fit.tidy(), fit.tidy(exponentiate=True)
    for column in ("estimate", "conf_low", "conf_high"):
        np.testing.assert_allclose(ratios[column], np.exp(plain[column]), rtol=SAME_ARITHMETIC)
    for column in ("std_error", "statistic", "p_value"):  # as in broom, on the log scale
        np.testing.assert_array_equal(ratios[column], plain[column])


def test_intervals_have_the_level_asked_for(fit, pool):
    width = (fit.conf_int(level=0.8)["conf_high"] - fit.conf_int(level=0.8)["conf_low"]) / 2
    expected = stats.norm.ppf(0.9) * np.sqrt(np.diag(fit.cov_params()))
    np.testing.assert_allclose(width, expected, rtol=SAME_ARITHMETIC)
    wide = bc.fit(pool, exposure=bc.linear(), level=0.8)
    np.testing.assert_allclose(wide.conf_int(), wide.conf_int(level=0.8), rtol=SAME_ARITHMETIC)


def test_tests_are_wald_tests_of_the_exposures_terms(fit):
    for test, positions in ((fit.test_overall(), [0, 1]), (fit.test_nonlinearity(), [1])):
        b, v = fit.estimates[positions], fit.vcov[np.ix_(positions, positions)]
        statistic = b @ np.linalg.solve(v, b)
        assert test.df == len(positions)
        assert test.statistic == pytest.approx(statistic, rel=SAME_ARITHMETIC)
        assert test.p_value == pytest.approx(stats.chi2.sf(statistic, len(positions)), rel=SAME_ARITHMETIC)


def test_a_curve_is_where_and_against_what_was_asked_for(fit):
    curve = fit.dose_response(at=[25, 50, 75], reference=50)
    table = curve.tidy()
    columns = ["method", "exposure", "reference_exposure", "log_or", "std_error", "or", "or_low", "or_high"]
    assert list(table.columns) == columns
    assert table["exposure"].tolist() == [25, 50, 75]
    assert set(table["reference_exposure"]) == {50}
    contrast = np.zeros((3, 3))
    contrast[:2] = fit.basis.columns(np.array([25.0, 50, 75])) - fit.basis.columns(np.array([50.0]))
    log_or, error = contrast.T @ fit.estimates, np.sqrt(np.diag(contrast.T @ fit.vcov @ contrast))
    half = stats.norm.ppf(0.975) * error
    np.testing.assert_allclose(table["log_or"], log_or, rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(table["std_error"], error, rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(table["or"], np.exp(log_or), rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(table["or_low"], np.exp(log_or - half), rtol=SAME_ARITHMETIC)
    np.testing.assert_allclose(table["or_high"], np.exp(log_or + half), rtol=SAME_ARITHMETIC)


def test_at_the_reference_the_odds_ratio_is_exactly_1(fit):
    for reference in (49.7, 61.3, 80.0):
        row = fit.dose_response(at=[reference], reference=reference).tidy().iloc[0]
        assert row[["log_or", "std_error", "or", "or_low", "or_high"]].tolist() == [0, 0, 1, 1, 1]


def test_curves_are_drawn_on_axes_of_ones_own_or_new_ones(fit):
    curve = fit.dose_response(at=[25, 50, 75], reference=50)
    own = matplotlib.figure.Figure().add_subplot()
    assert curve.plot(ax=own) is own
    assert isinstance(curve.plot(), matplotlib.axes.Axes)


def test_several_methods_are_a_mapping_from_method_to_fit(pool):
    both = bc.fit(pool, method=["naive", "full"], exposure=bc.linear())
    assert isinstance(both, bc.Comparison)
    assert list(both) == ["naive", "full"]
    assert {name: one.method for name, one in both.items()} == {"naive": "naive", "full": "full"}
    assert both.tidy()["method"].tolist() == ["naive", "full"]
    assert all(name in both.summary() for name in ("naive", "full"))
    assert isinstance(both.plot(), matplotlib.axes.Axes)
    assert isinstance(bc.fit(pool, method=["full"], exposure=bc.linear()), bc.Comparison)


def test_exposure_terms_are_made_by_knots_probabilities_or_cuts(pool):
    full = bc.fit(pool, exposure=bc.linear())
    calibrated = full.info.scale.control_exposure
    quartiles = bc.fit(pool, exposure=bc.rcs(probs=[0.1, 0.5, 0.9])).basis.knots
    np.testing.assert_allclose(quartiles, np.quantile(calibrated, [0.1, 0.5, 0.9]), rtol=SAME_ARITHMETIC)
    four = bc.fit(pool, exposure=bc.rcs(knots=4)).basis.knots
    np.testing.assert_allclose(four, np.quantile(calibrated, [0.05, 0.35, 0.65, 0.95]), rtol=SAME_ARITHMETIC)
    cut = bc.fit(pool, exposure=bc.categories(cuts=[45, 60, 75], reference="[60, 75)"))
    assert cut.terms == ("exposure(-inf, 45)", "exposure[45, 60)", "exposure[75, inf)")


def test_a_simulation_gives_performance_summary_and_figures_whatever_the_jobs():
    one, two = bc.simulate(DESIGN), bc.simulate(DESIGN, jobs=2)
    pd.testing.assert_frame_equal(one.replicates, two.replicates)
    assert isinstance(one.performance(), bc.PerformanceTable)
    assert one.performance().tidy()["n"].tolist() == [4] * 4
    assert "full" in one.summary()
    assert isinstance(one.plot_zip(), matplotlib.figure.Figure)


def test_bundled_data_are_data_frames():
    people = bc.datasets.load_vitamin_d()
    assert isinstance(people, pd.DataFrame)
    assert {"study", "set", "case", "local", "reference"} <= set(people)


def test_every_public_name_is_there():
    for name in bc.__all__:
        assert getattr(bc, name) is not None, name
    assert set(bc.__all__) >= {
        *("read_studies", "PooledStudies", "calibrate", "fit", "linear", "rcs", "categories", "simulate"),
        *("datasets", "Comparison"),
    }
