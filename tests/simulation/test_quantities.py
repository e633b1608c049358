"""Coefficients and p-values of tests beside the curves of a simulation study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, norm

from biocal.errors import DesignError
from biocal.fitting.methods.estimate import calibrate_problem, estimate_method
from biocal.fitting.methods.two_stage import heterogeneity_between_studies
from biocal.model.exposure import SplineBasis
from biocal.simulation.api import merge_shards, simulate
from biocal.simulation.design.design import Design, read_design
from biocal.simulation.drawing.draw import draw
from biocal.simulation.fitting.problem import problem_of
from biocal.simulation.fitting.replicate import estimate_drawn, run_batch
from biocal.simulation.results import SimulationResults

KNOTS = [34.35, 60.02, 85.64]
TESTS = ["overall", "nonlinearity", "interaction", "heterogeneity"]
#: The same arithmetic in another order.
SAME_ARITHMETIC = 1e-8


def spec(**changes: dict) -> dict:
    sections = {
        "replicates": 3,
        "seed": 5,
        "methods": ["naive", "full", "induced"],
        "exposure": {"mean": 60, "sd": 20},
        "truth": {"type": "rcs", "knots": KNOTS, "beta": [-0.02, 0.015]},
        "fit": {"knots": KNOTS, "calibration_covariates": "none"},
        "estimand": {"at": [25, 90], "reference": 55, "coefficients": True, "tests": TESTS[:2]},
        "studies": [
            {"name": "A", "sets": 60, "controls": 2, "laboratory": "reference"},
            {
                "name": "B",
                "sets": 60,
                "controls": 2,
                "intercept": 12,
                "slope": 0.75,
                "r_squared": 0.8,
                "calibrators": 30,
            },
        ],
    }
    for section, keys in changes.items():
        old = sections.get(section)
        sections[section] = {**old, **keys} if isinstance(old, dict) and isinstance(keys, dict) else keys
    return sections


SMOKER = {"covariates": [{"name": "smoker", "type": "binary", "log_or": 0.3}]}


@pytest.mark.parametrize("method", ["naive", "full", "induced"])
def test_coefficients_and_tests_are_those_of_the_general_code(method: str) -> None:
    scenario = Design.from_mapping(spec()).scenarios[0]
    drawn = draw(scenario, 5, 0, range(2))
    found = estimate_drawn(drawn, scenario)[method].quantities
    for row in range(2):
        problem = problem_of(drawn, scenario, row)
        fit = estimate_method(problem, method, SplineBasis(tuple(KNOTS)), calibrate_problem(problem))
        beta, vcov = fit.outcome.beta, fit.covariance.vcov
        np.testing.assert_allclose(found.beta[row], beta, rtol=SAME_ARITHMETIC)
        np.testing.assert_allclose(found.vcov[row], vcov, rtol=SAME_ARITHMETIC)
        overall = chi2.sf(beta @ np.linalg.solve(vcov, beta), 2)
        bend = 2 * norm.sf(abs(beta[1]) / np.sqrt(vcov[1, 1]))  # one column beyond the first: a z test
        np.testing.assert_allclose(found.p_values[row], [overall, bend], rtol=1e-6)


@pytest.mark.parametrize("method", ["naive", "full", "induced"])
def test_interaction_and_nonlinearity_take_the_products_in(method: str) -> None:
    design = spec(
        **SMOKER,
        truth={"type": "linear", "beta": [-0.01]},
        fit={"modifier": "smoker"},
        estimand={"tests": TESTS[:3]},
    )
    del design["truth"]["knots"]
    scenario = Design.from_mapping(design).scenarios[0]
    drawn = draw(scenario, 5, 0, range(1))
    found = estimate_drawn(drawn, scenario)[method].quantities
    beta, vcov = found.beta[0], found.vcov[0]
    assert beta.size == 4  # two columns, and their products with the smoker
    for test, places in (("overall", [0, 1, 2, 3]), ("nonlinearity", [1, 3]), ("interaction", [2, 3])):
        part, block = beta[places], vcov[np.ix_(places, places)]
        expected = chi2.sf(part @ np.linalg.solve(block, part), len(places))
        assert found.p_values[0, TESTS.index(test)] == pytest.approx(expected, rel=1e-6)


def test_heterogeneity_is_the_test_that_accompanies_a_fit() -> None:
    scenario = Design.from_mapping(spec(estimand={"tests": ["heterogeneity"]})).scenarios[0]
    drawn = draw(scenario, 5, 0, range(1))
    found = estimate_drawn(drawn, scenario)
    problem = problem_of(drawn, scenario, 0)
    for method in ("naive", "full"):
        (test,), _ = heterogeneity_between_studies(
            problem, method, SplineBasis(tuple(KNOTS)), calibrate_problem(problem)
        )
        assert found[method].quantities.p_values[0, 0] == pytest.approx(test.p_value, rel=1e-9)
    assert found["induced"].quantities.p_values[0, 0] == found["full"].quantities.p_values[0, 0]


def test_a_curve_without_coefficients_and_tests_has_the_rows_it_always_had() -> None:
    plain = Design.from_mapping(spec(estimand={"coefficients": False, "tests": []})).scenarios[0]
    asked = Design.from_mapping(spec()).scenarios[0]
    few, many = (pd.DataFrame(run_batch(scenario, 5, 0, range(2))) for scenario in (plain, asked))
    assert "quantity" not in few
    assert len(few) == 2 * 3 * 2
    assert len(many) == 2 * 3 * (2 + 2 + 2)
    curve = many[many["quantity"] == "log_or"].drop(columns="quantity").reset_index(drop=True)
    pd.testing.assert_frame_equal(curve, few)


def test_the_folder_holds_both_tables_and_the_curve_is_told_alone(tmp_path: Path) -> None:
    results = simulate(read_design(spec()), out=tmp_path / "out")
    folder = tmp_path / "out"
    rows = pd.read_parquet(folder / "replicates.parquet")
    assert rows.loc[rows["quantity"].str.startswith("p:"), "estimate"].between(0, 1).all()
    performance = pd.read_csv(folder / "performance.csv")
    assert len(performance) == 3 * 2
    tests = pd.read_csv(folder / "tests.csv")
    assert list(tests.columns) == [
        *("scenario", "method", "test", "alpha", "n", "failed", "rejected", "mcse_rejected")
    ]
    assert len(tests) == 3 * 2 * 2
    overall = rows[(rows["method"] == "full") & (rows["quantity"] == "p:overall")]["estimate"]
    told = tests[(tests["method"] == "full") & (tests["test"] == "overall") & (tests["alpha"] == 0.05)]
    assert told["rejected"].item() == pytest.approx((overall <= 0.05).mean())
    coefficients = pd.read_csv(folder / "coefficients.csv")
    assert coefficients["truth"].tolist() == [-0.02, 0.015] * 3
    assert coefficients["method"].drop_duplicates().tolist() == ["naive", "full", "induced"]
    mean = rows[(rows["method"] == "full") & (rows["quantity"] == "coefficient:2")]["estimate"].mean()
    one = coefficients[(coefficients["method"] == "full") & (coefficients["coefficient"] == 2)]
    assert one["mean"].item() == pytest.approx(mean)
    from_frame = SimulationResults(rows)
    assert from_frame.tests().tidy().equals(results.tests().tidy())
    assert len(from_frame.performance().tidy()) == 3 * 2


def test_replicates_of_an_earlier_version_have_no_tests_and_still_a_curve(tmp_path: Path) -> None:
    scenario = Design.from_mapping(spec()).scenarios[0]
    rows = pd.DataFrame(run_batch(scenario, 5, 0, range(3)))
    old = rows[rows["quantity"] == "log_or"].drop(columns="quantity")
    old.to_parquet(tmp_path / "replicates.parquet")
    for source in (old, tmp_path / "replicates.parquet"):
        results = SimulationResults(source)
        assert len(results.performance().tidy()) == 3 * 2
        assert results.tests().tidy().empty
        assert results.coefficients().tidy().empty


def test_scenarios_that_ask_and_those_that_do_not_share_a_file_also_from_shards(tmp_path: Path) -> None:
    design = read_design(spec(vary={"estimand.tests": [[], ["overall"]], "estimand.coefficients": [False]}))
    simulate(design, out=tmp_path / "whole")
    for number in (1, 2):
        simulate(design, out=tmp_path / f"shard{number}", shard=f"{number}/2")
    merge_shards([tmp_path / "shard1", tmp_path / "shard2"], tmp_path / "merged")
    whole, merged = (pd.read_parquet(tmp_path / name / "replicates.parquet") for name in ("whole", "merged"))
    pd.testing.assert_frame_equal(whole, merged)
    assert set(whole.loc[whole["scenario"] == 0, "quantity"]) == {"log_or"}
    assert set(whole.loc[whole["scenario"] == 1, "quantity"]) == {"log_or", "p:overall"}
    tests = pd.read_csv(tmp_path / "merged" / "tests.csv")
    assert set(tests["scenario"]) == {1}
    assert len(pd.read_csv(tmp_path / "merged" / "performance.csv")) == 2 * 3 * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimand": {"tests": ["overal"]}}, "estimand.tests[0]: must be one of"),
        ({"estimand": {"tests": ["overall", "overall"]}}, 'estimand.tests[1]: "overall" is there twice'),
        ({"estimand": {"tests": "overall"}}, "estimand.tests: must be a list of texts"),
        ({"fit": {"exposure": "linear"}, "estimand": {"coefficients": False}}, "nonlinearity needs a spline"),
        ({"estimand": {"tests": ["interaction"]}}, "interaction needs fit.modifier"),
        (
            {"fit": {"modifier": "smoker"}},
            "fit.modifier: there is no covariate 'smoker' in the outcome model",
        ),
        ({"fit": {"knots": 3}}, "estimand.coefficients: the fitted columns have no true coefficients"),
        (
            {"truth": {"type": "expression", "formula": "x"}},
            "estimand.coefficients: the fitted columns have no true coefficients",
        ),
    ],
)
def test_what_a_model_does_not_have_is_refused_under_its_key(changes: dict, message: str) -> None:
    design = spec(**changes)
    if changes.get("truth", {}).get("type") == "expression":
        design["truth"] = changes["truth"]
    with pytest.raises(DesignError) as raised:
        Design.from_mapping(design)
    assert any(message in problem for problem in raised.value.problems)


def test_a_straight_truth_has_coefficients_whatever_the_knots() -> None:
    design = spec(fit={"knots": 4})
    design["truth"] = {"type": "linear", "beta": [-0.01]}
    rows = pd.DataFrame(run_batch(Design.from_mapping(design).scenarios[0], 5, 0, [0]))
    full = rows[(rows["method"] == "full") & rows["quantity"].str.startswith("coefficient")]
    assert full["truth"].tolist() == [-0.01, 0.0, 0.0]


def test_a_section_varied_as_a_whole_leaves_the_keys_varied_within_it() -> None:
    """Whichever comes first in the file: a section put in last would undo what was varied within it."""
    studies = [{"label": "as they are", "value": spec()["studies"]}]
    vary = {"studies.calibrators": [20, 25], "studies": studies}
    scenarios = Design.from_mapping(spec(vary=vary)).scenarios
    assert [scenario.studies[1].calibrators for scenario in scenarios] == [20, 25]


def test_a_truth_varied_as_a_whole_does_not_hide_the_true_values(tmp_path: Path) -> None:
    truths = [
        {"label": name, "value": {"type": "linear", "beta": [beta]}}
        for name, beta in (("a", 0), ("b", -0.01))
    ]
    results = simulate(read_design(spec(vary={"truth": truths})), out=tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "performance.csv")
    assert table.columns.is_unique
    assert table.loc[table["truth.label"] == "a", "truth"].eq(0).all()
    assert table.loc[table["truth.label"] == "b", "truth"].ne(0).all()
    assert results.plot_bias("truth.label").axes
    assert (tmp_path / "out" / "figures" / "coverage_by_truth_label.png").exists()
