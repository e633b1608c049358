from __future__ import annotations

import csv
import math
import statistics

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.errors import ColumnError, OptionError
from biocal.simulation.measuring.measures import MEASURES
from biocal.simulation.measuring.performance import PERFORMANCE_COLUMNS

SAME_ARITHMETIC = 1e-12  # same formula, other order of summation
# Spread over 4,000 studies is known to 1.1 % (1 / sqrt(2 * 4000)); four of those, and 1 % for n = 200 being finite.
MONTE_CARLO_RATIO = 0.055

ESTIMATES = [0.4, 0.7, 0.6, 0.9]
ERRORS = [0.1, 0.2, 0.1, 0.2]
Z = statistics.NormalDist().inv_cdf(0.975)


def four_replicates(**columns) -> pd.DataFrame:
    return pd.DataFrame({"estimate": ESTIMATES, "std_error": ERRORS} | columns)


def one_row(table) -> pd.Series:
    frame = table.tidy()
    assert len(frame) == 1
    return frame.iloc[0]


def test_every_measure_of_morris_table_6_by_hand():
    # truth .5: errors -.1 .2 .1 .4; mean .65; deviations -.25 .05 -.05 .25, sum of squares .13
    found = one_row(bc.performance(four_replicates(), truth=0.5))
    sd = math.sqrt(0.13 / 3)
    squares = [0.01, 0.04, 0.01, 0.16]  # of the errors: mean .055
    sd_squares = statistics.stdev(squares)
    sd_variance = math.sqrt(4 * 0.015**2 / 3)  # s^2: .01 .04 .01 .04, mean .025, deviations .015
    model_se = math.sqrt(0.025)
    expected = {
        "truth": 0.5, "n": 4, "failed": 0, "mean": 0.65,
        "bias": 0.15, "mcse_bias": sd / 2,
        "relative_bias": 0.3, "mcse_relative_bias": sd / 0.5 / 2,
        "empirical_se": sd, "mcse_empirical_se": sd / math.sqrt(6),
        "model_se": model_se, "mcse_model_se": math.sqrt(sd_variance**2 / (4 * 4 * 0.025)),
        "rmse": math.sqrt(0.055), "mcse_rmse": sd_squares / 2 / (2 * math.sqrt(0.055)),
        "relative_error_model_se": 100 * (model_se / sd - 1),
        "mcse_relative_error_model_se": 100 * model_se / sd
        * math.sqrt(sd_variance**2 / (4 * 4 * 0.025**2) + 1 / 6),
        # intervals .204-.596, .308-1.092, .404-.796, .508-1.292: the last misses .5, the first the mean .65
        "coverage": 0.75, "mcse_coverage": math.sqrt(0.75 * 0.25 / 4),
        "bias_eliminated_coverage": 0.75, "mcse_bias_eliminated_coverage": math.sqrt(0.75 * 0.25 / 4),
        "power": 1.0, "mcse_power": 0.0,
    }  # fmt: skip
    assert set(expected) == set(PERFORMANCE_COLUMNS)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=SAME_ARITHMETIC, abs=1e-15), name


def test_columns_are_those_of_performance_csv_in_order():
    table = bc.performance(four_replicates(scenario=0, method="full", exposure=25.0), truth=0.5)
    measures = [
        "bias", "relative_bias", "empirical_se", "model_se", "rmse", "relative_error_model_se", "coverage",
        "bias_eliminated_coverage", "power",
    ]  # fmt: skip
    assert list(table.tidy().columns) == [
        "scenario", "method", "exposure", "truth", "n", "failed", "mean", *measures,
        *(f"mcse_{name}" for name in measures),
    ]  # fmt: skip


def by_the_book(estimate, std_error, truth, quantile=Z):
    """Measures of one group, a line a formula, without arrays of groups."""
    e, s, t = (np.asarray(part, dtype=float) for part in (estimate, std_error, truth))
    n = len(e)
    empirical, model, mse = e.std(ddof=1), math.sqrt((s**2).mean()), ((e - t) ** 2).mean()
    var_s2 = (s**2).var(ddof=1)
    cover = ((e - quantile * s <= t) & (t <= e + quantile * s)).mean()
    target = e.mean() + t - t.mean()
    becover = ((e - quantile * s <= target) & (target <= e + quantile * s)).mean()
    power = (abs(e) >= Z * s).mean()
    return {
        "bias": (e - t).mean(), "mcse_bias": (e - t).std(ddof=1) / math.sqrt(n),
        "relative_bias": ((e - t) / t).mean(), "mcse_relative_bias": ((e - t) / t).std(ddof=1) / math.sqrt(n),
        "empirical_se": empirical, "mcse_empirical_se": empirical / math.sqrt(2 * (n - 1)),
        "model_se": model, "mcse_model_se": math.sqrt(var_s2 / (4 * n * model**2)),
        "rmse": math.sqrt(mse),
        "mcse_rmse": math.sqrt((((e - t) ** 2 - mse) ** 2).sum() / (n * (n - 1))) / (2 * math.sqrt(mse)),
        "relative_error_model_se": 100 * (model / empirical - 1),
        "mcse_relative_error_model_se":
            100 * model / empirical * math.sqrt(var_s2 / (4 * n * model**4) + 1 / (2 * (n - 1))),
        "coverage": cover, "mcse_coverage": math.sqrt(cover * (1 - cover) / n),
        "bias_eliminated_coverage": becover,
        "mcse_bias_eliminated_coverage": math.sqrt(becover * (1 - becover) / n),
        "power": power, "mcse_power": math.sqrt(power * (1 - power) / n),
    }  # fmt: skip


def drawn(n=300, seed=1, **columns) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "method": rng.choice(["a", "b", "c"], n),
            "size": rng.choice([50, 100], n),
            "estimate": rng.normal(0.5, 0.2, n),
            "std_error": rng.gamma(40, 0.005, n),
            "truth": rng.choice([0.4, 0.5], n),
        }
        | columns
    )


def test_groups_agree_with_the_formulas_one_group_at_a_time():
    frame = drawn()
    table = bc.performance(frame, by=["method", "size"]).tidy()
    assert len(table) == 6
    for _, row in table.iterrows():
        part = frame[(frame["method"] == row["method"]) & (frame["size"] == row["size"])]
        assert row["n"] == len(part)
        assert np.isnan(row["truth"])  # more than one within the group
        for name, value in by_the_book(part["estimate"], part["std_error"], part["truth"]).items():
            assert row[name] == pytest.approx(value, rel=SAME_ARITHMETIC, abs=1e-14), name


def test_row_order_does_not_matter():
    frame = drawn()
    table = bc.performance(frame, by=["method", "size"]).tidy()
    shuffled = bc.performance(frame.sample(frac=1, random_state=3), by=["method", "size"]).tidy()
    pd.testing.assert_frame_equal(table, shuffled, rtol=SAME_ARITHMETIC)


def test_monte_carlo_errors_are_the_spread_over_repeated_studies():
    rng = np.random.default_rng(7)
    studies, n = 4000, 200
    # SEs vary independently of the estimates; truth off the mean, so that no share is 0 or 1.
    frame = pd.DataFrame(
        {
            "study": np.repeat(np.arange(studies), n),
            "estimate": rng.normal(0.5, 0.2, studies * n),
            "std_error": 0.2 * np.sqrt(rng.chisquare(30, studies * n) / 30),
        }
    )
    table = bc.performance(frame, truth=0.4, by="study").tidy()
    for name in MEASURES:
        seen = table[name].std(ddof=1)
        told = math.sqrt((table[f"mcse_{name}"] ** 2).mean())
        ratio = told / seen
        if name == "bias_eliminated_coverage":
            # the mean moves with the estimates, which makes this share a little steadier than a free one
            assert 1 - MONTE_CARLO_RATIO < ratio < 1.15, name
        else:
            assert ratio == pytest.approx(1, abs=MONTE_CARLO_RATIO), name


def test_failed_rows_are_counted_and_enter_nothing():
    frame = four_replicates(converged=True)
    bad = pd.DataFrame(
        {
            "estimate": [9.0, np.nan, 9.0, np.inf],
            "std_error": [1.0, 1.0, np.nan, 1.0],
            "converged": [False, True, True, True],
        }
    )
    found = one_row(bc.performance(pd.concat([frame, bad]), truth=0.5))
    clean = one_row(bc.performance(frame, truth=0.5))
    assert found["failed"] == 4
    assert clean["failed"] == 0
    assert found.drop("failed").equals(clean.drop("failed"))


@pytest.mark.parametrize("converged", [[1, 1, 0, 1], [True, True, None, True], [1.0, 1.0, np.nan, 1.0]])
def test_converged_may_be_numbers_or_have_blanks(converged):
    assert one_row(bc.performance(four_replicates(converged=converged), truth=0.5))["failed"] == 1


def test_a_group_in_which_all_failed_keeps_its_row_with_blanks():
    frame = four_replicates(method=["a", "a", "b", "b"], truth=0.5)
    frame.loc[2:, "estimate"] = np.nan
    table = bc.performance(frame).tidy().set_index("method")
    assert table.loc["b", "n"] == 0
    assert table.loc["b", "failed"] == 2
    assert table.loc["b", "truth"] == 0.5
    assert table.loc["b", list(MEASURES)].isna().all()
    assert table["n"].dtype.kind == "i"


def test_one_replicate_gives_what_needs_no_spread():
    found = one_row(bc.performance(four_replicates().head(1), truth=0.5))
    assert found["bias"] == pytest.approx(-0.1)
    assert found["rmse"] == pytest.approx(0.1)
    assert found["coverage"] == 1
    for name in ("empirical_se", "relative_error_model_se", "mcse_bias", "mcse_rmse", "mcse_model_se"):
        assert np.isnan(found[name]), name


def test_relative_bias_is_blank_where_the_truth_is_0():
    found = one_row(bc.performance(four_replicates(), truth=0.0))
    assert np.isnan(found["relative_bias"])
    assert np.isnan(found["mcse_relative_bias"])
    assert found["bias"] == pytest.approx(0.65)


def test_estimates_that_are_0_by_definition_reject_nothing_and_cover():
    found = one_row(bc.performance(pd.DataFrame({"estimate": [0.0, 0.0], "std_error": 0.0}), truth=0.0))
    assert (found["power"], found["coverage"], found["rmse"], found["mcse_rmse"]) == (0, 1, 0, 0)
    assert np.isnan(found["relative_error_model_se"])


def test_limits_of_ones_own_decide_coverage():
    frame = four_replicates(low=[0.45, 0.45, 0.55, -np.inf], high=[0.6, 0.6, 0.7, np.inf])
    found = one_row(bc.performance(frame, truth=0.5, conf_low="low", conf_high="high"))
    assert found["coverage"] == 0.75
    assert found["bias_eliminated_coverage"] == 0.5  # of the mean, .65
    assert found["power"] == 1.0  # still by the standard errors, as in rsimsum


def test_degrees_of_freedom_widen_the_intervals():
    # t quantile with 1 df is 12.7, with a column row by row
    frame = four_replicates(df=[1.0, 1.0, 1.0, 1e9])
    assert one_row(bc.performance(frame, truth=0.5, df="df"))["coverage"] == 0.75
    assert one_row(bc.performance(frame, truth=0.5, df=1))["coverage"] == 1.0
    assert one_row(bc.performance(frame, truth=0.5, power_df=1))["power"] == 0.0


def test_level_moves_coverage_and_power():
    found = one_row(bc.performance(four_replicates(), truth=0.5, level=0.5))  # quantile .674
    assert found["coverage"] == 0.0
    assert one_row(bc.performance(four_replicates(), truth=0.5, level=1 - 1e-9))["power"] == 0.0


def test_without_truth_or_standard_errors_what_needs_them_is_blank():
    found = one_row(bc.performance(pd.DataFrame({"estimate": ESTIMATES}), truth=None, std_error=None))
    blank = {name for name in MEASURES if np.isnan(found[name])}
    assert blank == set(MEASURES) - {"empirical_se"}
    found = one_row(bc.performance(four_replicates(), truth=None))
    assert found["bias_eliminated_coverage"] == 0.75
    assert np.isnan(found["coverage"])


def test_groups_may_be_blank_categorical_or_mixed():
    frame = four_replicates(method=["b", None, "a", "a"])
    assert bc.performance(frame, truth=0.5).tidy()["n"].tolist() == [2, 1, 1]
    ordered = pd.Categorical(["b", "a", "a", "b"], categories=["b", "a", "unused"], ordered=True)
    table = bc.performance(four_replicates(method=ordered), truth=0.5).tidy()
    assert table["method"].tolist() == ["b", "a"]
    mixed = pd.Series([1, "x", 1, "x"], dtype=object)
    assert bc.performance(four_replicates(level=mixed), truth=0.5, by="level").tidy()["n"].tolist() == [2, 2]


def test_an_empty_table_gives_an_empty_table():
    empty = four_replicates(method="a").head(0)
    assert bc.performance(empty, truth=0.5).tidy().empty


def test_long_table_has_the_names_of_rsimsum():
    table = bc.performance(four_replicates(method="a"), truth=0.5)
    long = table.long().set_index("stat")
    assert long.index.tolist() == [
        "nsim", "thetamean", "bias", "rbias", "empse", "mse", "modelse", "relerror", "cover", "becover", "power",
    ]  # fmt: skip
    assert long.loc["nsim", "est"] == 4
    assert long.loc["mse", "est"] == pytest.approx(0.055)
    squares = [0.01, 0.04, 0.01, 0.16]
    assert long.loc["mse", "mcse"] == pytest.approx(statistics.stdev(squares) / 2)  # rsimsum's formula
    assert list(table.long().columns) == ["method", "stat", "est", "mcse"]


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        ({}, {"estimate": "estimat"}, ColumnError, "did you mean 'estimate'"),
        ({}, {"truth": "truth"}, ColumnError, "truth=None"),
        ({}, {"truth": 0.5, "by": "methd"}, ColumnError, "methd"),
        ({"estimate": ["a", "b", "c", "d"]}, {"truth": 0.5}, ColumnError, "must hold numbers"),
        (
            {"std_error": [0.1, -0.1, 0.1, 0.1]},
            {"truth": 0.5},
            ColumnError,
            "negative in 1 of 4 rows, first in row 1",
        ),
        ({"truth": [0.5, np.nan, 0.5, 0.5]}, {}, ColumnError, "is not known in 1 of 4 rows"),
        (
            {"low": 1.0, "high": 0.0},
            {"truth": 0.5, "conf_low": "low", "conf_high": "high"},
            ColumnError,
            "above",
        ),
        ({"low": 1.0}, {"truth": 0.5, "conf_low": "low"}, OptionError, "go together"),
        ({}, {"truth": 0.5, "level": 95}, OptionError, "between 0 and 1"),
        ({}, {"truth": 0.5, "df": 0}, OptionError, "positive"),
        ({"converged": "yes"}, {"truth": 0.5}, ColumnError, "true or false, not yes"),
    ],
)
def test_what_cannot_be_used_is_told(change, options, error, words):
    with pytest.raises(error, match=words):
        bc.performance(four_replicates(**change), **options)


def test_csv_reads_back_to_the_last_digit(tmp_path):
    table = bc.performance(drawn(), by=["method", "size"])
    path = tmp_path / "performance.csv"
    table.to_csv(path)
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == list(table.tidy().columns)
    for k, name in enumerate(header[1:], start=1):
        back = [float(row[k]) if row[k] else math.nan for row in rows]
        np.testing.assert_array_equal(back, table.tidy()[name].to_numpy(dtype=float))


def test_markdown_rounds_to_the_monte_carlo_error():
    text = bc.performance(four_replicates(method="a|b"), truth=0.5).to_markdown(measures=["n", "bias"])
    assert text.splitlines() == [
        "| method | n | bias |",
        "| --- | ---: | ---: |",
        r"| a\|b | 4 | 0.15 (0.10) |",
    ]
    text = bc.performance(four_replicates(), truth=0.66).to_markdown(measures=["bias"], digits=1)
    assert text.splitlines()[-1] == "| 0.0 (0.1) |"  # -.01 is not shown as -0.0


def test_a_name_in_brackets_at_the_start_of_a_latex_row_is_no_argument_of_the_line_before():
    text = bc.performance(four_replicates(curve="[0, 0.5]"), truth=0.9, by="curve").to_latex(measures=["n"])
    assert "\\midrule\n{[}0, 0.5{]} & 4" in text


def test_latex_is_escaped_and_set_with_booktabs():
    text = bc.performance(four_replicates(my_key="a_1 & 5 %"), truth=0.9, by="my_key").to_latex(
        measures=["bias", "n"], caption="Bias", label="tab:bias"
    )
    assert r"my\_key & bias & n \\" in text
    assert r"a\_1 \& 5 \% & $-$0.25 (0.10) & 4 \\" in text
    for part in (
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"\caption{Bias}",
        r"\label{tab:bias}",
        r"\end{table}",
    ):
        assert part in text


def test_tables_refuse_measures_they_do_not_have():
    with pytest.raises(OptionError, match="no measure 'bais'"):
        bc.performance(four_replicates(), truth=0.5).to_markdown(measures=["bais"])
    with pytest.raises(OptionError, match="digits"):
        bc.performance(four_replicates(), truth=0.5).to_latex(digits=-1)


def test_summary_tells_failures_and_fits_the_page():
    frame = four_replicates(method="internalized")
    frame.loc[0, "estimate"] = np.nan
    text = bc.performance(frame, truth=0.5).summary()
    assert "1 of 4 rows failed" in text
    assert max(map(len, text.splitlines())) <= 110


def test_shares_need_as_many_replicates_as_the_binomial_says():
    assert bc.replicates_needed(mcse=0.005) == 1900  # 95 * 5 / .5^2 in percent
    assert bc.replicates_needed(mcse=0.005, measure="power", expected=0.5) == 10_000
    assert bc.replicates_needed(mcse=0.005, failing=0.5) == 3800


def test_bias_needs_the_variance_over_the_squared_error():
    assert bc.replicates_needed(mcse=0.005, measure="bias", empirical_se=0.2) == 1600
    assert bc.replicates_needed(mcse=0.01, measure="relative_bias", empirical_se=0.1, truth=-0.5) == 400
    assert (
        bc.replicates_needed(mcse=0.005, measure="bias_difference", empirical_se=0.1, correlation=0.98) == 16
    )


@pytest.mark.parametrize(
    ("measure", "given", "mcse"),
    [
        ("bias", {"empirical_se": 0.2}, 0.004),
        ("relative_bias", {"empirical_se": 0.2, "truth": 0.5}, 0.008),
        ("empirical_se", {"empirical_se": 0.2}, 0.003),
        ("rmse", {"empirical_se": 0.2, "bias": 0.1}, 0.003),
        ("model_se", {"empirical_se": 0.2, "squared_se_cv": math.sqrt(2 / 30)}, 0.0006),
        ("relative_error_model_se", {"squared_se_cv": math.sqrt(2 / 30)}, 1.5),
    ],
)
def test_so_many_replicates_give_the_monte_carlo_error_asked_for(measure, given, mcse):
    n = bc.replicates_needed(mcse=mcse, measure=measure, **given)
    rng = np.random.default_rng(11)
    studies = 100
    frame = pd.DataFrame(
        {
            "study": np.repeat(np.arange(studies), n),
            "estimate": rng.normal(0.5 + given.get("bias", 0.0), 0.2, studies * n),
            "std_error": 0.2 * np.sqrt(rng.chisquare(30, studies * n) / 30),
        }
    )
    told = bc.performance(frame, truth=0.5, by="study").tidy()[f"mcse_{measure}"].mean()
    assert told == pytest.approx(
        mcse, rel=0.02
    )  # n is at least 1,000: each is known to some 2 %, 100 averaged


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"mcse": 0.0}, "mcse"),
        ({"mcse": float("nan")}, "mcse"),
        ({"mcse": 0.1, "measure": "precision"}, "measure"),
        ({"mcse": 0.1, "measure": "bias"}, "empirical_se"),
        ({"mcse": 0.1, "measure": "relative_bias", "empirical_se": 1.0}, "truth"),
        ({"mcse": 0.1, "measure": "relative_bias", "empirical_se": 1.0, "truth": 0.0}, "truth"),
        ({"mcse": 0.1, "expected": 1.0}, "expected"),
        ({"mcse": 0.1, "failing": 1.0}, "failing"),
    ],
)
def test_replicates_needed_names_the_option_at_fault(options, option):
    with pytest.raises(OptionError) as caught:
        bc.replicates_needed(**options)
    assert caught.value.option == option
