"""Tables of `biocal simulate` from its replicates, and the results object around them."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.errors import ColumnError, InputError, OptionError
from biocal.simulation.measuring import cubes as results_file
from biocal.simulation.measuring.cubes import read_cubes
from biocal.simulation.measuring.summaries import SUMMARIES, relative_bias_floor, summary_of_cube
from biocal.simulation.measuring.tables import (
    difference_table,
    performance_table,
    simulation_tables,
    summary_table,
)
from biocal.simulation.results import SimulationResults

SAME_ARITHMETIC = 1e-12  # same formula, other order of summation
# Spread over 1,000 studies is known to 2.2 %; four of those.
MONTE_CARLO_RATIO = 0.09
Z = 1.959963984540054
AT = (25.0, 75.0, 100.0)
TRUTH = (0.5, -0.2, -0.1)


def table_of(
    estimates, std_error=0.1, *, scenario=0, methods=("naive", "full"), at=AT, truth=TRUTH
) -> pd.DataFrame:
    """Replicates table from estimates (B, k, m)."""
    estimates = np.asarray(estimates, dtype=float)
    batch, k, m = estimates.shape
    errors = np.broadcast_to(np.asarray(std_error, dtype=float), estimates.shape).reshape(-1)
    frame = pd.DataFrame(
        {
            "scenario": scenario,
            "replicate": np.repeat(np.arange(batch), k * m),
            "method": np.tile(np.repeat(methods, m), batch),
            "exposure": np.tile(at, batch * k),
            "estimate": estimates.reshape(-1),
            "std_error": errors,
            "truth": np.tile(truth, batch * k),
        }
    )
    frame["conf_low"] = frame["estimate"] - Z * frame["std_error"]
    frame["conf_high"] = frame["estimate"] + Z * frame["std_error"]
    frame["converged"] = frame["estimate"].notna()
    frame["error"] = np.where(frame["converged"], "", "ConvergenceError: no maximum")
    return frame


def draw(batch=40, seed=1, bias=((-0.1, -0.1, -0.1), (0.0, 0.02, 0.03)), **options) -> pd.DataFrame:
    """Correlated exposures and methods, as in a real study."""
    rng = np.random.default_rng(seed)
    shared = rng.multivariate_normal(np.zeros(3), 0.01 * (0.3 + 0.7 * np.eye(3)), size=batch)[:, None]
    own = 0.03 * rng.standard_normal((batch, 2, 3))
    return table_of(np.asarray(TRUTH) + np.asarray(bias) + shared + own, 0.1, **options)


def test_performance_agrees_with_bc_performance():
    frame = pd.concat([draw(scenario=0), draw(scenario=1, seed=2)])
    table = performance_table(frame)
    general = bc.performance(frame, by=["scenario", "method", "exposure"]).tidy()
    general = general.sort_values(["scenario", "method", "exposure"], key=lambda c: c, ignore_index=True)
    ours = table.sort_values(["scenario", "method", "exposure"], ignore_index=True)
    pd.testing.assert_frame_equal(ours, general, rtol=SAME_ARITHMETIC, check_dtype=False)


def test_methods_keep_the_order_of_the_design_and_varied_keys_follow_the_scenario():
    levels = pd.DataFrame(
        {"scenario": [1, 0], "studies.r_squared": [0.7, 0.9], "studies.calibrators": [50, 250]}
    )
    table = performance_table(pd.concat([draw(scenario=1), draw(scenario=0)]), levels)
    assert list(table.columns[:6]) == [
        "scenario", "studies.r_squared", "studies.calibrators", "method", "exposure", "truth",
    ]  # fmt: skip
    assert table["scenario"].tolist() == [0] * 6 + [1] * 6
    assert table["studies.calibrators"].tolist() == [250] * 6 + [50] * 6
    assert table["method"].tolist() == (["naive"] * 3 + ["full"] * 3) * 2


def test_tables_do_not_depend_on_the_order_of_rows_or_on_how_they_are_read(tmp_path):
    frame = pd.concat([draw(scenario=s, seed=s) for s in range(3)], ignore_index=True)
    path = tmp_path / "replicates.parquet"
    frame.to_parquet(path, row_group_size=100)
    tables = simulation_tables(frame)
    of_file = simulation_tables(path)
    shuffled = simulation_tables(frame.sample(frac=1, random_state=1).sort_values("method", ascending=False))
    for name in ("performance", "summary", "differences", "failures"):
        pd.testing.assert_frame_equal(getattr(tables, name), getattr(of_file, name))
        pd.testing.assert_frame_equal(getattr(tables, name), getattr(shuffled, name), rtol=SAME_ARITHMETIC)


def test_a_file_that_is_not_ordered_by_scenario_is_refused(tmp_path):
    first, second = draw(scenario=0), draw(scenario=1)
    pd.concat([first[first["replicate"] < 20], second, first[first["replicate"] >= 20]]).to_parquet(
        tmp_path / "mixed.parquet"
    )
    with pytest.raises(InputError, match="not ordered by scenario"):
        performance_table(tmp_path / "mixed.parquet")


@pytest.mark.parametrize("rows", [1, 5, 6, 7, 50])
def test_a_file_gives_the_same_tables_in_pieces_of_any_size(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(results_file, "_BATCH_ROWS", rows)
    frame = pd.concat([draw(9, scenario=s, seed=s) for s in range(3)], ignore_index=True)
    # the first replicates lack a method and an exposure: later pieces bring what earlier ones did not have
    lost = (frame["replicate"] < 2) & ((frame["method"] == "full") | (frame["exposure"] == 75.0))
    failed = frame["replicate"] == 4
    frame.loc[failed, "estimate"] = np.nan
    frame.loc[failed, "converged"] = False
    frame.loc[failed, "error"] = "SeparationError: no finite maximum"
    frame = frame[~lost]
    frame.to_parquet(tmp_path / "replicates.parquet")
    there, of_file = simulation_tables(frame), simulation_tables(tmp_path / "replicates.parquet")
    for name in ("performance", "summary", "differences", "failures"):
        pd.testing.assert_frame_equal(getattr(there, name), getattr(of_file, name))


def test_summary_by_hand():
    # two replicates; errors of the only method: (.1 .1 -.1), (.3 -.1 -.1); relative .2 -.5 1, .6 .5 1
    estimates = np.asarray(TRUTH) + np.array([[[0.1, 0.1, -0.1]], [[0.3, -0.1, -0.1]]])
    frame = table_of(estimates, 0.1, methods=("full",))
    row = summary_table(frame, weights={0: {25.0: 2.0, 75.0: 1.0, 100.0: 1.0}}).iloc[0]
    assert row["average_relative_bias"] == pytest.approx((0.4 + 0.0 + 1.0) / 3)
    assert row["average_coverage"] == pytest.approx((0.5 + 1 + 1) / 3)
    # weighted errors of the replicates: (.2 + .1 + .1) / 4 and (.6 + .1 + .1) / 4
    assert row["weighted_absolute_error"] == pytest.approx(0.15)
    assert row["mcse_weighted_absolute_error"] == pytest.approx(math.sqrt(2) * 0.05 / math.sqrt(2))
    # coverage of the replicates: 1 and 2/3
    assert row["mcse_average_coverage"] == pytest.approx(1 / 6)
    assert (row["n"], row["failed"]) == (2, 0)


def jackknife(frame, name):
    """Leave one replicate out: the classical standard error."""
    replicates = frame["replicate"].unique()
    left_out = [summary_table(frame[frame["replicate"] != r])[name].iloc[0] for r in replicates]
    n = len(replicates)
    return math.sqrt((n - 1) / n * ((left_out - np.mean(left_out)) ** 2).sum())


@pytest.mark.parametrize("name", SUMMARIES)
def test_monte_carlo_errors_of_summaries_are_those_of_the_jackknife(name):
    frame = draw(30)
    frame = frame[frame["method"] == "naive"]  # its relative biases are far from 0: no sign changes
    row = summary_table(frame).iloc[0]
    assert row[f"mcse_{name}"] == pytest.approx(jackknife(frame, name), rel=1e-9)


@pytest.mark.parametrize("name", SUMMARIES)
def test_with_failures_at_some_exposures_the_jackknife_still_agrees(name):
    frame = draw(60)
    frame = frame[frame["method"] == "naive"].reset_index(drop=True)
    lost = (frame["replicate"] % 7 == 0) & (frame["exposure"] == 100)
    frame.loc[lost, ["estimate", "converged"]] = [np.nan, False]
    row = summary_table(frame).iloc[0]
    assert row["failed"] == 9
    # the jackknife scales by one n for all exposures: they differ at the order of 1 / n
    assert row[f"mcse_{name}"] == pytest.approx(jackknife(frame, name), rel=0.02)


def test_monte_carlo_errors_of_summaries_are_the_spread_over_repeated_studies():
    weights = {25.0: 0.2, 75.0: 0.5, 100.0: 0.3}
    rows = [
        summary_of_cube(next(iter(read_cubes(draw(100, seed=seed)))), weights).iloc[0] for seed in range(1000)
    ]
    found = pd.DataFrame(rows)
    for name in SUMMARIES:
        told = math.sqrt((found[f"mcse_{name}"].astype(float) ** 2).mean())
        assert told / found[name].astype(float).std() == pytest.approx(1, abs=MONTE_CARLO_RATIO), name


def test_floor_is_the_average_relative_bias_of_an_unbiased_estimator():
    found, floors = [], []
    for seed in range(200):
        frame = draw(50, seed=seed, bias=np.zeros((2, 3)))
        found.append(summary_table(frame)["average_relative_bias"].iloc[0])
        floors.append(relative_bias_floor(performance_table(frame)["mcse_relative_bias"].to_numpy()[:3]))
    error = np.std(found) / math.sqrt(200)
    assert np.mean(found) == pytest.approx(np.mean(floors), abs=4 * error)


def test_null_truth_leaves_relative_bias_blank_and_its_points_out_of_the_average():
    estimates = np.array([[[0.1, 0.3, 0.0]], [[0.3, 0.1, 0.0]]])
    frame = table_of(estimates, [0.1, 0.1, 0.0], methods=("full",), truth=(0.1, 1e-17, 0.0))
    performance = performance_table(frame)
    assert performance["relative_bias"].isna().tolist() == [False, True, True]
    row = summary_table(frame).iloc[0]
    assert row["average_relative_bias"] == pytest.approx(1.0)  # of the first exposure alone
    assert row["average_coverage"] == pytest.approx(0.5)  # the third, of width 0, is passed over
    null = summary_table(table_of(estimates, 0.1, methods=("full",), truth=(0.0, 0.0, 0.0))).iloc[0]
    assert np.isnan(null["average_relative_bias"])
    assert np.isnan(null["mcse_average_relative_bias"])


def test_a_method_that_always_fails_has_rows_with_blanks():
    frame = draw(5)
    frame.loc[frame["method"] == "full", ["estimate", "std_error", "conf_low", "conf_high"]] = np.nan
    frame.loc[frame["method"] == "full", "converged"] = False
    tables = simulation_tables(frame)
    full = tables.performance[tables.performance["method"] == "full"]
    assert full["failed"].tolist() == [5, 5, 5]
    assert full["bias"].isna().all()
    assert full["truth"].tolist() == list(TRUTH)
    row = tables.summary.set_index("method").loc["full"]
    assert (row["n"], row["failed"]) == (0, 5)
    assert row[list(SUMMARIES)].isna().all()
    assert tables.differences["bias_difference"].isna().all()
    assert tables.failures.set_index("method").loc["full", "share"] == 1


def test_one_replicate_has_no_monte_carlo_error():
    row = summary_table(draw(1)).iloc[0]
    assert np.isfinite(row["weighted_absolute_error"])
    assert np.isnan(row["mcse_weighted_absolute_error"])
    assert np.isnan(difference_table(draw(1))["mcse_bias_difference"]).all()


def test_differences_are_paired_by_replicate():
    frame = draw(40)
    wide = frame.pivot_table(index="replicate", columns=["method", "exposure"], values="estimate")
    table = difference_table(frame)
    assert table[["method", "minus"]].drop_duplicates().values.tolist() == [["full", "naive"]]
    for x, t, (_, row) in zip(AT, TRUTH, table.iterrows(), strict=True):
        full, naive = wide["full"][x], wide["naive"][x]
        difference, squares = full - naive, (full - t) ** 2 - (naive - t) ** 2
        assert row["bias_difference"] == pytest.approx(difference.mean(), rel=SAME_ARITHMETIC)
        assert row["mcse_bias_difference"] == pytest.approx(
            difference.std() / math.sqrt(40), rel=SAME_ARITHMETIC
        )
        assert row["squared_error_difference"] == pytest.approx(squares.mean(), rel=1e-10)
        assert row["mcse_squared_error_difference"] == pytest.approx(squares.std() / math.sqrt(40), rel=1e-10)


def test_pairs_need_both_methods():
    frame = draw(10)
    lost = (frame["method"] == "full") & (frame["replicate"] < 3)
    frame.loc[lost, "converged"] = False
    kept = difference_table(frame[frame["replicate"] >= 3])
    pd.testing.assert_frame_equal(difference_table(frame), kept)
    assert kept["n"].tolist() == [7, 7, 7]


def test_one_method_has_no_differences():
    table = difference_table(draw(3).query("method == 'full'"))
    assert table.empty
    assert "mcse_squared_error_difference" in table


def test_faults_of_the_replicates_are_told():
    frame = draw(3)
    with pytest.raises(InputError, match=r"replicate 0, method naive, exposure 25\.0 occurs more than once"):
        performance_table(pd.concat([frame, frame]))
    with pytest.raises(ColumnError, match="'truth'"):
        performance_table(frame.drop(columns="truth"))
    two = frame.assign(truth=np.where(frame["replicate"] == 0, 1.0, frame["truth"]))
    with pytest.raises(InputError, match="more than one truth"):
        performance_table(two)
    with pytest.raises(InputError, match="no weight for exposure 100"):
        summary_table(frame, weights={0: {25.0: 1.0, 75.0: 1.0}})
    with pytest.raises(InputError, match="no weights for scenario 0"):
        summary_table(frame, weights={1: {}})
    with pytest.raises(InputError, match="not all 0"):
        summary_table(frame, weights={0: dict.fromkeys(AT, 0.0)})
    with pytest.raises(InputError, match="no varied keys for scenario 0"):
        summary_table(frame, pd.DataFrame({"scenario": [1]}))
    with pytest.raises(ColumnError, match="'scenario'"):
        summary_table(frame, pd.DataFrame({"key": [1]}))


def test_rows_that_are_not_there_are_not_failures():
    frame = draw(10)
    shard = frame[~((frame["method"] == "full") & (frame["replicate"] > 5))]
    full = performance_table(shard).query("method == 'full'")
    assert full["n"].tolist() == [6, 6, 6]
    assert full["failed"].tolist() == [0, 0, 0]


@pytest.fixture
def study() -> SimulationResults:
    levels = pd.DataFrame(
        itertools.product([29, 250], [0.9, 0.7]), columns=["studies.calibrators", "studies.r_squared"]
    )
    levels.insert(0, "scenario", range(4))
    frame = pd.concat([draw(40, seed=s, scenario=s) for s in range(4)], ignore_index=True)
    lost = (frame["scenario"] == 2) & (frame["method"] == "full") & (frame["replicate"] < 3)
    quiet = (frame["scenario"] == 1) & (frame["method"] == "naive") & (frame["replicate"] < 2)
    numbers = ["estimate", "std_error", "conf_low", "conf_high"]
    frame.loc[lost | quiet, numbers] = np.nan
    frame.loc[lost | quiet, "converged"] = False
    frame.loc[lost | quiet, "error"] = "SeparationError: no finite maximum"
    weights = {s: dict(zip(AT, (0.2, 0.5, 0.3), strict=True)) for s in range(4)}
    return SimulationResults(
        frame, levels, weights=weights, references=dict.fromkeys(range(4), 55.0), title="Subsets"
    )


def test_failures_above_five_percent_are_shouted(study):
    text = study.summary()
    shout = " ".join(text[text.index("WARNING") :].split())
    assert shout.startswith(
        "WARNING: full FAILED in 7.5 % of the replicates of scenario 2 (studies.calibrators = 250, "
        "studies.r_squared = 0.9): 3 of 40."
    )
    assert "SeparationError: no finite maximum" in shout
    assert text.count("WARNING") == 1
    assert "naive failed in 2 of 40 replicates of scenario 1" in " ".join(text.split())


def test_summary_names_the_study_and_what_was_varied(study):
    text = str(study)
    for part in (
        "Subsets",
        "4 scenarios, 40 replicates",
        "studies.calibrators = 29, 250",
        "without any bias",
    ):
        assert part in " ".join(text.split())
    assert "No replicate failed" in SimulationResults(draw(5)).summary()


def test_tables_of_a_study_carry_the_varied_keys(study):
    assert study.varied == ("studies.calibrators", "studies.r_squared")
    assert study.methods == ("naive", "full")
    assert study.performance().by == (
        "scenario",
        "studies.calibrators",
        "studies.r_squared",
        "method",
        "exposure",
    )
    assert len(study.summary_table()) == 8
    assert "| 0 | 29 | 0.9 | naive |" in study.summary_table().to_markdown(measures=["average_coverage"])
    assert study.failures().tidy()["failed"].sum() == 5


def test_one_pair_may_be_asked_for_either_way_round(study):
    there = study.differences("full", "naive").tidy()
    back = study.differences("naive", "full").tidy()
    np.testing.assert_array_equal(there["bias_difference"], -back["bias_difference"])
    np.testing.assert_array_equal(there["mcse_bias_difference"], back["mcse_bias_difference"])
    assert (back["method"] == "naive").all()
    with pytest.raises(OptionError, match="minus must be one of naive, full"):
        study.differences("full", "induced")


def test_a_study_may_stay_in_its_file(study, tmp_path):
    path = tmp_path / "replicates.parquet"
    study.replicates.to_parquet(path)
    of_file = SimulationResults(path, study.levels, weights=study.weights)
    pd.testing.assert_frame_equal(of_file.tables.summary, study.tables.summary)
    assert len(of_file.replicates) == len(study.replicates)


def test_a_design_gives_levels_weights_and_true_curves():
    from biocal.simulation.design.scenario import Estimand, ExposureLaw, Scenario, StudyDesign
    from biocal.simulation.design.truth import Truth

    scenario = Scenario(
        exposure=ExposureLaw(60.0, 20.0),
        truth=Truth("linear", beta=(-0.01,)),
        studies=(StudyDesign("A", 10, laboratory="reference"),),
        estimand=Estimand(AT, 55.0),
    )
    design = SimpleNamespace(
        scenarios=(scenario, scenario),
        varied=("truth.beta",),
        levels=({"truth.beta": [-0.01]}, {"truth.beta": [-0.02, 0.01]}),
        title="Lines",
    )
    frame = pd.concat([draw(5, scenario=s) for s in range(2)])
    study = SimulationResults.from_design(frame, design)
    normal = np.exp(-0.5 * ((np.array(AT) - 60) / 20) ** 2)
    weights = np.array([study.weights[0][x] for x in AT])
    np.testing.assert_allclose(weights, normal / normal.sum(), rtol=1e-6)
    exposure, log_or = study.true_curves[0]
    np.testing.assert_allclose(log_or, -0.01 * (exposure - 55.0), atol=1e-12)
    assert study.references == {0: 55.0, 1: 55.0}
    assert "truth.beta = [-0.01], [-0.02, 0.01]" in study.summary()
    assert "[-0.02, 0.01]" in study.summary_table().to_markdown()
