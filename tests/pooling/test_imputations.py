"""Multiple imputation: every data set calibrated and fitted, combined by Rubin's rules, told and written as a fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pools import LOCAL_A, LOCAL_B, REFERENCE, draw_pool

import biocal as bc
from biocal.errors import OptionError

#: The same fits, averaged in another order.
SAME = 1e-9
M = 4


@pytest.fixture(scope="module")
def imputed() -> pd.DataFrame:
    """Four imputations of a covariate that a fifth of the persons miss; number 0 holds the gaps."""
    rng = np.random.default_rng(20261127)
    drawn = draw_pool(rng, (REFERENCE, LOCAL_A, LOCAL_B), covariate_log_odds=(0.4,))
    sets = drawn.groupby(["study", "set"], sort=True).ngroup().to_numpy()
    drawn["sex"] = np.where(sets % 2 == 0, "female", "male")
    gone = rng.random(len(drawn)) < 0.2
    parts = [drawn.assign(_imputation=0, z1=drawn["z1"].mask(gone))]
    for k in range(1, M + 1):
        guess = 0.3 * (drawn["case"] - 0.5) + rng.normal(0, 1, len(drawn))
        parts.append(drawn.assign(_imputation=k, z1=drawn["z1"].where(~gone, guess)))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def files(imputed, tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("imputed")
    found = []
    for study, part in imputed.groupby("study"):
        part.to_csv(folder / f"{study}.csv", index=False)
        found.append(str(folder / f"{study}.csv"))
    return found


@pytest.fixture(scope="module")
def pools(files) -> tuple[bc.PooledStudies, ...]:
    return bc.read_imputations(files)


OPTIONS = {"exposure": bc.rcs(3), "covariates": "z1"}


@pytest.mark.parametrize("method", ["naive", "full", "induced", "two-stage"])
def test_estimates_are_means_and_covariances_rubins(pools, method):
    combined = bc.fit_imputations(pools, method=method, **OPTIONS)
    axis = {"exposure": bc.rcs(knots=combined.basis.knots), "reference": combined.info.scale.reference}
    each = [bc.fit(pool, method=method, covariates="z1", **axis) for pool in pools]
    estimates = np.stack([one.estimates for one in each])
    within = np.mean([one.vcov for one in each], axis=0)
    np.testing.assert_allclose(combined.estimates, estimates.mean(axis=0), rtol=SAME)
    np.testing.assert_allclose(combined.vcov, within + (1 + 1 / M) * np.cov(estimates.T), rtol=SAME)


def test_knots_and_reference_are_quantiles_over_all_imputations(pools):
    combined = bc.fit_imputations(pools, **OPTIONS)
    exposures = np.concatenate(
        [bc.fit(pool, exposure=bc.linear(), covariates="z1").info.scale.control_exposure for pool in pools]
    )
    np.testing.assert_allclose(combined.basis.knots, np.quantile(exposures, [0.1, 0.5, 0.9]), rtol=SAME)
    np.testing.assert_allclose(combined.info.scale.reference, np.median(exposures), rtol=SAME)


def test_tables_have_degrees_of_freedom_and_missing_information(pools):
    combined = bc.fit_imputations(pools, **OPTIONS)
    tidy = combined.tidy()
    assert (tidy["df"] > M - 1).all()
    z1 = tidy.set_index("term").loc["z1"]
    assert z1["fraction_missing"] > 0.02
    from scipy import stats

    half = stats.t.ppf(0.975, z1["df"]) * z1["std_error"]
    assert z1["conf_high"] - z1["estimate"] == pytest.approx(half, rel=1e-8)
    curve = combined.dose_response([3.0])
    small = bc.fit_imputations(pools, small_sample=True, **OPTIONS).dose_response([3.0])
    assert curve.log_or[0] == small.log_or[0]
    assert small.half_width[0] > curve.half_width[0]
    assert np.isfinite(combined.test_overall().df_denominator)
    assert {test.test for test in combined.tests()} == {
        *("overall", "nonlinearity", "trend", "slope_heterogeneity", "heterogeneity", "basis")
    }


def test_the_summary_tells_of_the_imputations(pools):
    text = bc.fit_imputations(pools, **OPTIONS).summary()
    assert "Rubin's rules over 4 imputations" in " ".join(text.split())
    assert "fraction of missing information" in " ".join(text.split())
    assert "Log-likelihood" not in text


def test_number_0_is_the_data_before_imputation(pools, imputed):
    assert len(pools) == M
    assert all(pool.frame["z1"].notna().all() for pool in pools)
    assert any("before imputation" in problem.message for problem in pools[0].problems)


def test_a_file_an_imputation_is_the_same(imputed, pools, tmp_path):
    paths = []
    for k in range(1, M + 1):
        imputed[imputed["_imputation"] == k].drop(columns="_imputation").to_csv(
            tmp_path / f"i{k}.csv", index=False
        )
        paths.append(tmp_path / f"i{k}.csv")
    one = bc.fit_imputations(bc.read_imputations(paths, imputation=None), **OPTIONS)
    other = bc.fit_imputations(pools, **OPTIONS)
    np.testing.assert_allclose(one.estimates, other.estimates, rtol=SAME)


def test_subgroups_and_leaving_out_are_combined_part_by_part(pools):
    combined = bc.fit_imputations(pools, by="sex", leave_one_out=True, **OPTIONS)
    axis = {
        "exposure": bc.rcs(knots=combined.basis.knots),
        "reference": combined.info.scale.reference,
        "covariates": "z1",
    }
    each = [bc.fit(pool, by="sex", leave_one_out=True, **axis) for pool in pools]
    mean = np.mean([one.subgroups[0]["male"].fit.estimates for one in each], axis=0)
    np.testing.assert_allclose(combined.subgroups[0]["male"].fit.estimates, mean, rtol=SAME)
    mean = np.mean([one.left_out["B"].fit.subgroups[0]["male"].fit.estimates for one in each], axis=0)
    found = combined.left_out["B"].fit.subgroups[0]["male"].fit.estimates
    np.testing.assert_allclose(found, mean, rtol=SAME)
    tests = [one.subgroups[0].test_heterogeneity().statistic for one in each]
    assert combined.subgroups[0].test_heterogeneity().statistic == pytest.approx(np.mean(tests), rel=0.5)
    assert len(combined.left_out.tidy(at=[3.0])) == 4 * 3


def test_several_methods_make_a_comparison(pools):
    both = bc.fit_imputations(pools, method=["naive", "full"], **OPTIONS)
    assert list(both) == ["naive", "full"]
    assert both["naive"].basis == both["full"].basis


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"bootstrap": 10}, "bootstrap"),
        ({"aic": True}, "likelihoods"),
        ({"knot_rule": "published"}, "common"),
    ],
)
def test_what_has_no_meaning_over_imputations_is_refused(pools, options, part):
    with pytest.raises(OptionError, match=part):
        bc.fit_imputations(pools, **(OPTIONS | options))


def test_imputations_that_do_not_belong_together_are_refused(pools, files):
    with pytest.raises(OptionError, match="two data sets"):
        bc.fit_imputations(pools[:1])
    with pytest.raises(OptionError, match="no column 'imp'"):
        bc.read_imputations(files, imputation="imp")
    shorter = bc.PooledStudies.from_frame(pools[0].frame[pools[0].frame["study"] != "B"].drop(columns="sex"))
    with pytest.raises(OptionError, match="the whole pool"):
        bc.fit_imputations([pools[0], shorter])


def reiter(estimates, covariances, complete):
    """p-value of D1 with Reiter's denominator, from the fits of the imputations."""
    from scipy import stats

    m, k = estimates.shape
    within, between = covariances.mean(axis=0), np.cov(estimates.T).reshape(k, k)
    r = (1 + 1 / m) * np.trace(between @ np.linalg.inv(within)) / k
    t, full = k * (m - 1), complete * (complete + 1) / (complete + 3)
    a = r * t / (t - 2)
    near, far = full - 2 * (1 + a), full - 4 * (1 + a)
    parts = (
        a**2 * near / ((1 + a) ** 2 * far),
        8 * a**2 * near / ((1 + a) * far**2),
        4 * a**2 / ((1 + a) * far),
        4 * a**2 / (far * near),
        16 * a**2 * near / far**3,
        8 * a**2 / far**2,
    )
    df = 4 + 1 / (1 / far + sum(parts) / (t - 4))
    mean = estimates.mean(axis=0)
    return stats.f.sf(mean @ np.linalg.solve(within, mean) / k / (1 + r), k, df)


def test_tests_of_small_samples_have_reiters_degrees_of_freedom(pools):
    options = OPTIONS | {"exposure": bc.rcs(4)}
    small = bc.fit_imputations(pools, small_sample=True, by="sex", **options)
    large = bc.fit_imputations(pools, by="sex", **options)
    axis = {"exposure": bc.rcs(knots=small.basis.knots), "reference": small.info.scale.reference}
    each = [bc.fit(pool, covariates="z1", by="sex", **axis) for pool in pools]
    estimates, covariances = (
        np.array([getattr(one, name) for one in each]) for name in ("estimates", "vcov")
    )
    complete = small.sample.n_sets - len(small.terms)
    positions = small.exposure_positions.ravel()
    found = {test.test: test for test in small.tests()}
    wanted = reiter(estimates[:, positions], covariances[:, positions[:, None], positions], complete)
    assert found["overall"].p_value == pytest.approx(wanted, rel=1e-9)
    assert abs(found["overall"].p_value / {t.test: t for t in large.tests()}["overall"].p_value - 1) > 1e-4
    # the linear fit has two coefficients fewer; of one coefficient and five imputations it is Barnard and Rubin's t
    from scipy import stats

    b, v = (np.array([getattr(one.linear, name)[0] for one in each]) for name in ("estimates", "vcov"))
    v = v.ravel()
    between = (1 + 1 / M) * np.var(b, ddof=1)
    total, complete = v.mean() + between, complete + 2
    old = (M - 1) * (total / between) ** 2
    observed = (complete + 1) / (complete + 3) * complete * v.mean() / total
    df = 1 / (1 / old + 1 / observed)
    assert M <= 5
    assert found["trend"].p_value == pytest.approx(2 * stats.t.sf(abs(b.mean()) / total**0.5, df), rel=1e-9)
    # levels: their joint coefficients' differences
    k = positions.size
    joint = [np.concatenate([g.fit.estimates[positions] for g in one.subgroups[0].fitted]) for one in each]
    apart = np.hstack([-np.eye(k), np.eye(k)])
    covariances = np.array([apart @ one.subgroups[0].covariance @ apart.T for one in each])
    wanted = reiter(np.array(joint) @ apart.T, covariances, small.sample.n_sets - 2 * k)
    assert small.subgroups[0].test_heterogeneity().p_value == pytest.approx(wanted, rel=1e-9)


def test_imputations_that_lose_different_studies_in_two_stage_are_told(pools, monkeypatch):
    from biocal.errors import FitError
    from biocal.fitting.methods import two_stage_studies

    fit_study = two_stage_studies._fit_study
    lost = float(pools[1].frame["z1"].sum())

    def refuses_one(problem, study, *rest):
        if problem.study_names[study] == "B" and np.isclose(problem.covariates[0].sum(), lost):
            raise FitError("not this one")
        return fit_study(problem, study, *rest)

    monkeypatch.setattr(two_stage_studies, "_fit_study", refuses_one)
    combined = bc.fit_imputations(pools, method="two-stage", **OPTIONS)
    assert "imputation 1: none; imputation 2: B;" in combined.warnings[0]
    assert "left out: study B: not this one" in combined.warnings


@pytest.mark.parametrize("small_sample", [False, True])
def test_odds_ratios_per_increment_have_the_intervals_and_p_values_of_the_trend_and_curve(
    pools, small_sample
):
    from scipy import stats

    combined = bc.fit_imputations(pools, small_sample=small_sample, **OPTIONS)
    rows = combined.per_unit(1.0).set_index("curve")
    (trend,) = [test for test in combined.tests() if test.test == "trend"]
    t = rows.loc["linear", "log_or"] / rows.loc["linear", "std_error"]
    df = combined.linear.imputation.df(np.ones((1, 1)))[0]
    assert trend.statistic == pytest.approx(t**2, rel=1e-9)
    assert rows.loc["linear", "p_value"] == pytest.approx(2 * stats.t.sf(abs(t), df), rel=1e-9)
    if small_sample:  # of large samples D1 has degrees of freedom of its own
        assert rows.loc["linear", "p_value"] == pytest.approx(trend.p_value, rel=1e-9)
    middle = combined.info.scale.reference
    curve = combined.dose_response(at=[middle + 0.5], reference=middle - 0.5)
    half = float(stats.t.isf(0.025, curve.df[0]) * curve.std_error[0])
    around = rows.drop("linear").iloc[0]
    assert np.log(around["or_high"]) == pytest.approx(curve.log_or[0] + half, rel=1e-8)
