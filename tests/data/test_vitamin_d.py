"""The synthetic consortium holds what its README promises."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.discrete.conditional_models import ConditionalLogit

from biocal.datasets import data_root, load_vitamin_d
from biocal.kernels.splines import spline_columns

FOLDER = data_root() / "vitamin_d"
REFERENCE_COHORTS = ["Birch", "Fir", "Juniper", "Maple", "Pine"]
NMOL_PER_NG = 2.496
PUBLISHED_INTERVALS = {24.0: (1.05, 1.62), 81.25: (0.67, 0.99), 93.75: (0.59, 0.91)}  # McCullough 2019
SPREADSHEET_BYTES = 1_500_000
BORDER_SHIFT = 3  # calibrators that rounding and gaps may move from one tenth to the next
Z_LIMIT = 4.0  # one data set, some tens of comparisons: 4 standard errors is a fault, 2 is chance


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    return load_vitamin_d()


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "truth.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_vitamin_d", FOLDER / "make_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_vitamin_d"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def everything(generator: ModuleType) -> pd.DataFrame:
    """The consortium with everybody's exposure, which no file has."""
    full: pd.DataFrame = generator.build()[0]
    return full


def in_nmol(people: pd.DataFrame) -> pd.Series:
    """Local values, all in nmol/L."""
    return people["local"] * np.where(people["study"] == "Ginkgo", NMOL_PER_NG, 1.0)


def test_totals_are_those_of_the_published_project(people: pd.DataFrame) -> None:
    assert people["study"].nunique() == 17
    assert len(list((FOLDER / "cohorts").glob("*.csv"))) == 17
    assert (people["case"] == 1).sum() == 5706
    assert (people["case"] == 0).sum() == 7107


def test_sets_are_4305_pairs_and_1401_triples_with_one_case_each(people: pd.DataFrame) -> None:
    sets = people.groupby(["study", "set"])["case"].agg(["size", "sum"])
    assert (sets["sum"] == 1).all()
    assert sets["size"].value_counts().to_dict() == {2: 4305, 3: 1401}


def test_whole_reference_cohorts_hold_30_1_percent_of_participants(people: pd.DataFrame) -> None:
    of_study = people.groupby("study")
    complete = of_study["reference"].apply(lambda column: column.notna().all())
    assert sorted(complete.index[complete]) == REFERENCE_COHORTS
    at_reference = people["study"].isin(REFERENCE_COHORTS)
    assert people.loc[at_reference, "local"].isna().all()
    assert at_reference.mean() == pytest.approx(0.301, abs=0.001)


def test_calibrators_are_29_to_100_controls_of_each_local_cohort(
    people: pd.DataFrame, truth: dict[str, Any]
) -> None:
    calibrators = people[people["reference"].notna() & ~people["study"].isin(REFERENCE_COHORTS)]
    assert (calibrators["case"] == 0).all()
    assert calibrators["local"].notna().all()
    counts = calibrators.groupby("study").size().to_dict()
    planted = {c["name"]: c["calibrators"] for c in truth["cohorts"] if c["laboratory"] == "local"}
    assert counts == planted
    assert (min(counts.values()), max(counts.values())) == (29, 100)


def test_calibrators_are_spread_over_the_tenths_of_the_local_value(people: pd.DataFrame) -> None:
    for study, rows in people[people["local"].notna() & (people["case"] == 0)].groupby("study"):
        # ranks, because rounded values tie at the borders; a few values went missing after the choice.
        # Both move a border by a person or two, so a calibrator or two may change tenths.
        tenth = np.ceil(rows["local"].rank(method="first") / len(rows) * 10).astype(int)
        counts = tenth[rows["reference"].notna()].value_counts().reindex(range(1, 11), fill_value=0)
        assert counts.max() - counts.min() <= 1 + BORDER_SHIFT, study
        assert counts.min() >= 1, study


def test_sets_are_matched_on_sex_race_age_and_month(people: pd.DataFrame) -> None:
    sets = people.groupby(["study", "set"])
    assert (sets["sex"].nunique() == 1).all()
    assert (sets["race"].nunique() == 1).all()
    key = ["study", "set"]
    cases, controls = people[people["case"] == 1], people[people["case"] == 0]
    both = controls.merge(cases[[*key, "age", "month"]], on=key, suffixes=("", "_case"))
    assert len(both) == 7107
    assert (both["age"] - both["age_case"]).abs().max() <= 1
    months_apart = (both["month"] - both["month_case"]).abs()
    assert set(months_apart.unique()) <= {0, 1, 11}
    assert (months_apart != 0).any()


def test_controls_have_the_published_mean_and_spread(everything: pd.DataFrame) -> None:
    level = everything.loc[everything["case"] == 0, "exposure"]
    assert level.mean() == pytest.approx(57, abs=1)
    assert level.std() == pytest.approx(22, abs=1)
    assert level.min() > 0
    season = (everything["exposure"] - everything["annual"])[everything["case"] == 0]
    assert 0.10 < season.var() / level.var() < 0.20


def test_levels_differ_by_cohort_latitude_race_season_and_bmi(people: pd.DataFrame) -> None:
    measured = people[people["study"].isin(REFERENCE_COHORTS) & (people["case"] == 0)]
    means = measured.groupby("study")["reference"].mean()
    assert means.max() - means.min() > 8
    birch = measured[measured["study"] == "Birch"].groupby("race")["reference"].mean()
    assert birch["Black"] < birch["White"] - 8
    assert measured[["bmi", "reference"]].corr().iloc[0, 1] < -0.08
    assert measured[["physical_activity", "reference"]].corr().iloc[0, 1] > 0.05
    summer = measured["month"].isin([7, 8, 9, 10])
    winter = measured["month"].isin([1, 2, 3, 4])
    gain = {
        study: measured.loc[summer & (measured["study"] == study), "reference"].mean()
        - measured.loc[winter & (measured["study"] == study), "reference"].mean()
        for study in REFERENCE_COHORTS
    }
    assert gain["Fir"] > gain["Birch"] > 5  # Finland swings more than the southern United States
    assert gain["Juniper"] < -5  # southern hemisphere


def test_measurements_keep_the_planted_lines(everything: pd.DataFrame, truth: dict[str, Any]) -> None:
    for cohort in truth["cohorts"]:
        if cohort["laboratory"] == "reference":
            continue
        rows = everything[(everything["study"] == cohort["name"]) & (everything["case"] == 0)]
        rows = rows[rows["local"].notna()]
        local, exposure = in_nmol(rows).to_numpy(), rows["exposure"].to_numpy()
        design = np.column_stack([np.ones_like(local), local - local.mean()])
        coefficients, *_ = np.linalg.lstsq(design, exposure, rcond=None)
        residual = exposure - design @ coefficients
        # sandwich, as the gamma law makes the residuals' spread grow with the level
        bread = np.linalg.inv(design.T @ design)
        covariance = bread @ ((design * residual[:, None] ** 2).T @ design) @ bread
        planted = [cohort["intercept"] + cohort["slope"] * local.mean(), cohort["slope"]]
        z = (coefficients - planted) / np.sqrt(np.diag(covariance))
        assert np.abs(z).max() < Z_LIMIT, cohort["name"]
        assert 1 - residual.var() / exposure.var() == pytest.approx(cohort["r_squared"], abs=0.07)
        consistent = cohort["sd"] * np.sqrt(1 - cohort["r_squared"])
        assert cohort["residual_sd"] == pytest.approx(consistent, abs=0.001)  # three decimals in the file


def test_measurement_error_does_not_depend_on_what_else_is_known(everything: pd.DataFrame) -> None:
    local = everything[everything["local"].notna()].copy()
    local["value"] = in_nmol(local)
    by_study = local.groupby("study")
    # classical error: given the level, the local value does not depend on anybody's case status or season
    slope = {study: np.polyfit(rows["exposure"], rows["value"], 1)[0] for study, rows in by_study}
    centred = local[["value", "exposure"]] - by_study[["value", "exposure"]].transform("mean")
    error = centred["value"] - local["study"].map(slope) * centred["exposure"]
    error = error / error.groupby(local["study"]).transform("std")
    for known in (local["case"], local["exposure"] - local["annual"], local["bmi"], local["race"] == "Black"):
        both = pd.DataFrame({"error": error, "known": known.astype(float)}).dropna()
        z = both.corr().iloc[0, 1] * np.sqrt(len(both))
        assert abs(z) < Z_LIMIT


def test_assays_are_those_that_published_comparisons_found(truth: dict[str, Any]) -> None:
    local = [cohort for cohort in truth["cohorts"] if cohort["laboratory"] == "local"]
    kinds = {cohort["assay"] for cohort in local}
    assert kinds == {
        "radioimmunoassay",
        "chemiluminescence",
        "competitive protein-binding assay",
        "ELISA",
    }
    for cohort in local:
        if cohort["assay"] == "radioimmunoassay":
            assert 0.95 <= cohort["slope"] <= 1.0
            assert 0.8 <= cohort["r_squared"] <= 0.9
    (elisa,) = (cohort for cohort in local if cohort["assay"] == "ELISA")
    assert elisa["r_squared"] == 0.6
    typical_local = (elisa["mean"] - elisa["intercept"]) / elisa["slope"]
    assert typical_local < 0.65 * elisa["mean"]


def test_one_file_is_in_ng_per_ml_and_the_spec_converts_it(people: pd.DataFrame) -> None:
    spec = tomllib.loads((FOLDER / "analysis.toml").read_text(encoding="utf-8"))
    assert spec["scale_local"] == {"Ginkgo": NMOL_PER_NG} == people.attrs["scale_local"]
    cohorts = pd.read_csv(FOLDER / "cohorts.csv")
    assert cohorts.loc[cohorts["local_unit"] == "ng/mL", "study"].tolist() == ["Ginkgo"]
    assert people.loc[people["study"] == "Ginkgo", "local"].median() < 35


def test_a_little_is_missing(people: pd.DataFrame) -> None:
    assert 0.01 < people["bmi"].isna().mean() < 0.03
    assert 0.02 < people["physical_activity"].isna().mean() < 0.04
    local = people[~people["study"].isin(REFERENCE_COHORTS)]
    assert 0 < local["local"].isna().sum() < 60
    complete = ["study", "set", "case", "age", "sex", "race", "month"]
    assert people[complete].notna().all(axis=None)


def test_facts_of_the_case_are_blank_for_controls(people: pd.DataFrame) -> None:
    is_case = people["case"] == 1
    for column in ("years_to_diagnosis", "subsite"):
        assert people.loc[is_case, column].notna().all()
        assert people.loc[~is_case, column].isna().all()
    assert set(people["subsite"].dropna()) == {"proximal colon", "distal colon", "rectum", "unknown"}


def test_every_level_of_the_matching_factors_has_calibrators(people: pd.DataFrame) -> None:
    calibrators = people[people["reference"].notna() & people["local"].notna()]
    for column in ("sex", "race", "month"):
        counts = calibrators[column].value_counts().reindex(people[column].unique(), fill_value=0)
        assert counts.min() >= 10, column


def test_truth_follows_the_published_categories_and_then_stays_flat(truth: dict[str, Any]) -> None:
    risks = truth["truth"]["odds_ratios"]
    shared = dict(zip(risks["at"], risks["shared"], strict=True))
    women = dict(zip(risks["at"], risks["female"], strict=True))
    for exposure, (low, high) in PUBLISHED_INTERVALS.items():
        assert low < shared[exposure] < high
        assert low < women[exposure] < high
    assert shared[110.0] == pytest.approx(shared[93.75], abs=0.005)


def test_truth_is_read_back_by_the_package(truth: dict[str, Any], generator: ModuleType) -> None:
    exposure = np.linspace(14, 130, 50)
    ours = spline_columns(exposure, truth["truth"]["knots"]).T
    # the same cubes, summed in another order
    np.testing.assert_allclose(ours, generator.spline_columns(exposure), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("sex", ["female", "male"])
def test_true_curve_falls_and_is_flat_beyond_its_last_knot(
    generator: ModuleType, truth: dict[str, Any], sex: str
) -> None:
    curve = generator.spline_columns(np.linspace(14, 140, 400)) @ np.array(truth["truth"][sex]["beta"])
    assert np.diff(curve).max() < 1e-8  # truth.toml holds ten figures
    assert curve[-1] - curve[-100] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("sex", "published"), [("female", 0.81), ("male", 0.93)])
def test_true_exposures_give_the_planted_risk_back(
    everything: pd.DataFrame, truth: dict[str, Any], generator: ModuleType, sex: str, published: float
) -> None:
    """statsmodels on everybody's annual mean: near the planted line, and near the planted curve."""
    rows = everything[everything["sex"] == sex].dropna(subset=["bmi", "physical_activity"])
    size = rows.groupby(["study", "set"])["case"].transform("size")
    cases = rows.groupby(["study", "set"])["case"].transform("sum")
    rows = rows[(size > 1) & (cases == 1)]  # statsmodels warns of sets it cannot use
    groups = rows.groupby(["study", "set"]).ngroup().to_numpy()
    covariates = rows[["bmi", "physical_activity"]].to_numpy()
    annual = rows["annual"].to_numpy()
    curve = generator.spline_columns(annual) @ np.array(truth["truth"][sex]["beta"])
    for term, planted in ((annual / 25, np.log(published)), (curve, 1.0)):
        design = np.column_stack([term - term.mean(), covariates - covariates.mean(axis=0)])
        fitted = ConditionalLogit(rows["case"].to_numpy(), design, groups=groups).fit(disp=0)
        expected = [planted, truth["covariates"]["bmi"], truth["covariates"]["physical_activity"]]
        assert np.abs((fitted.params - expected) / fitted.bse).max() < 3


def test_files_are_what_the_script_makes_byte_for_byte(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "make_data.py"), "--out", str(tmp_path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "5706 cases, 7107 controls" in printed
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(made) == 17 + 2
    for path in made:
        assert (tmp_path / path).read_bytes() == (FOLDER / path).read_bytes(), path


def test_readme_says_first_that_the_data_are_synthetic() -> None:
    assert "ynthetic" in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()[0]
    assert "SYNTHETIC" in (FOLDER / "truth.toml").read_text(encoding="utf-8").splitlines()[0]


def test_readme_repeats_the_numbers_of_the_truth(truth: dict[str, Any]) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for sex in ("female", "male"):
        assert str(truth["truth"][sex]["factor"]) in readme
    risks = truth["truth"]["odds_ratios"]
    for name in ("shared", "female", "male"):
        assert all(f"{risk:.3f}".lstrip("0") in readme for risk in risks[name])


def test_dictionary_describes_every_column(people: pd.DataFrame) -> None:
    dictionary = pd.read_csv(FOLDER / "dictionary.csv")
    assert dictionary["column"].tolist() == people.columns.tolist()


def test_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.csv")) < SPREADSHEET_BYTES


def test_readme_recipe_keeps_whole_sets_of_one_subsite(people: pd.DataFrame) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    recipe = 'people.groupby(["study", "set"])["subsite"].transform(lambda s: (s == "rectum").any())'
    assert recipe in readme
    rectum = people[eval(recipe, {"people": people})]
    assert set(rectum["subsite"].dropna()) == {"rectum"}
    assert (rectum["case"] == 1).sum() == (people["subsite"] == "rectum").sum()
    assert (rectum.groupby(["study", "set"])["case"].sum() == 1).all()


def test_analysis_standardises_the_season_and_finds_every_cohorts(
    people: pd.DataFrame, truth: dict[str, Any]
) -> None:
    import biocal as bc

    spec = tomllib.loads((FOLDER / "analysis.toml").read_text(encoding="utf-8"))
    assert spec["season_reference"] == "annual"  # what the risk depends on, see truth.toml
    pool = bc.PooledStudies.from_frame(people, scale_local=spec["scale_local"])
    model = {name: spec[name] for name in ("covariates", "matching", "season", "season_reference")}
    seasons = {
        s.study: s for s in bc.fit(pool, method="full", exposure=bc.linear(), **model).info.season.studies
    }
    z = []
    for cohort in truth["cohorts"]:
        angle = 2 * np.pi * (cohort["peak"] - 0.5) / 12  # a month stands at its middle
        planted = cohort["amplitude"] * np.array([np.cos(angle), np.sin(angle)])
        found = seasons[cohort["name"]]
        z.append((found.coefficients - planted) / found.std_errors)
    assert np.abs(z).max() < Z_LIMIT
    assert np.sqrt(np.mean(np.square(z))) < 1.5  # of 34 values, SD .12
