"""The files of ``biocal fit``: those of the contract, their columns, every digit."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_pool import SPEC, small_pool

import biocal as bc
from biocal.cli.main import main
from biocal.results.calibration.quality_tables import QUALITY_COLUMNS

COLUMNS = {
    "coefficients.csv": [
        *("method", "term", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"),
        "std_error_uncorrected",
    ],
    "covariance.csv": ["method", "row", "column", "value"],
    "dose_response.csv": [
        *("method", "exposure", "reference_exposure", "log_or", "std_error", "or", "or_low", "or_high"),
    ],
    "tests.csv": ["method", "test", "statistic", "df", "p_value"],
    "variance_shares.csv": ["method", "exposure", "study", "share"],
    "calibration.csv": [
        *("study", "kind", "n", "n_calibration", "intercept", "slope", "se_intercept", "se_slope"),
        *(
            "residual_sd",
            "r_squared",
            "local_min",
            "local_max",
            "calibration_min",
            "calibration_max",
            "outside",
        ),
    ],
    "calibration_covariates.csv": ["study", "term", "estimate", "std_error"],
    "calibration_quality.csv": list(QUALITY_COLUMNS),
}
ALL_METHODS_COLUMNS = COLUMNS | {
    "studies.csv": [
        *("study", "sets", "cases", "term", "estimate", "std_error", "weight", "q", "df", "i2", "tau2"),
    ],
    "bootstrap.csv": [
        *("method", "term", "exposure", "std_error", "percentile_low", "percentile_high"),
        *("normal_low", "normal_high", "n", "failed"),
    ],
}
FIGURES = {"dose_response.png", "dose_response.svg", "calibration.png", "calibration.svg", "report.html"}
METHODS = ["naive", "internalized", "full", "induced", "two-stage"]


def fitted(folder: Path, *words: str) -> Path:
    """Run a fit of the small pool in a folder, and return where its files are."""
    small_pool().to_csv(folder / "pool.csv", index=False)
    (folder / "spec.toml").write_text(SPEC, encoding="utf-8")
    with contextlib.chdir(folder):
        assert main(["fit", "--spec", "spec.toml", "--out", "out", "--quiet", *words]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a fit as the spec has it."""
    return fitted(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of all methods with a bootstrap."""
    return fitted(tmp_path_factory.mktemp("everything"), "--method", "all", "--bootstrap", "4", "--seed", "7")


def read(path: Path) -> pd.DataFrame:
    """A table with numbers read by Python's `float`, which is exact; pandas' own default is not everywhere."""
    table = pd.read_csv(path, dtype=object, keep_default_na=False)
    for column in table.columns:
        with contextlib.suppress(ValueError):
            table[column] = [float(cell) if cell else np.nan for cell in table[column]]
    return table.replace({"": None})


def test_a_fit_writes_the_files_of_the_contract_and_no_others(plain):
    assert {path.name for path in plain.iterdir()} == {*COLUMNS, *FIGURES, "fit.json"}


def test_the_record_tells_how_the_bootstrap_was_drawn(everything):
    record = json.loads((everything / "fit.json").read_text(encoding="utf-8"))
    assert {method["bootstrap"]["seed"] for method in record["methods"].values()} == {7}
    assert record["options"]["seed"] == 7


def test_all_methods_with_a_bootstrap_add_studies_bootstrap_and_forest_plot(everything):
    expected = {*ALL_METHODS_COLUMNS, *FIGURES, "fit.json", "forest.png", "forest.svg"}
    assert {path.name for path in everything.iterdir()} == expected


def test_every_table_has_the_columns_of_the_contract_in_their_order(plain, everything):
    for name, columns in COLUMNS.items():
        assert list(read(plain / name).columns) == columns, name
    for name, columns in ALL_METHODS_COLUMNS.items():
        assert list(read(everything / name).columns) == columns, name


def test_the_tables_hold_every_digit_of_the_same_fit_in_python(plain):
    pool = bc.read_studies(plain.parent / "pool.csv")
    both = bc.fit(
        pool, method=["naive", "full"], exposure=bc.rcs(3), covariates="bmi", matching="sex", reference=60
    )
    coefficients = read(plain / "coefficients.csv")
    assert list(coefficients["term"]) == ["exposure", "exposure'", "bmi"] * 2
    for method in ("naive", "full"):
        mine = coefficients[coefficients["method"] == method]
        # equality to the last bit: repr reads back as the number it was
        np.testing.assert_array_equal(mine["estimate"], both[method].estimates)
        np.testing.assert_array_equal(mine["std_error"], both[method].std_errors)
        covariance = read(plain / "covariance.csv").query("method == @method")["value"].to_numpy()
        np.testing.assert_array_equal(covariance.reshape(3, 3), both[method].vcov)
        curve = read(plain / "dose_response.csv").query("method == @method")
        np.testing.assert_array_equal(curve["log_or"], both[method].dose_response().log_or)
    calibration = both["full"].calibration.tidy()
    for column in COLUMNS["calibration.csv"][2:]:
        np.testing.assert_array_equal(read(plain / "calibration.csv")[column], calibration[column])


def test_the_curve_has_101_points_and_the_reference_where_it_is_exactly_1(plain):
    curve = read(plain / "dose_response.csv").query("method == 'full'")
    assert len(curve) == 102
    at_reference = curve[curve["exposure"] == 60]
    assert at_reference[["log_or", "std_error", "or", "or_low", "or_high"]].to_numpy().tolist() == [
        [0.0, 0.0, 1.0, 1.0, 1.0]
    ]
    assert (curve["reference_exposure"] == 60).all()


def test_variance_shares_leave_out_the_reference_exposure(plain):
    shares = read(plain / "variance_shares.csv").query("method == 'full'")
    assert 60 not in set(shares["exposure"])
    assert set(shares["study"]) == {"North", "South"}
    assert (shares["share"] > 0).all()


def test_numbers_that_do_not_exist_are_blank(plain):
    lines = (plain / "calibration.csv").read_text(encoding="utf-8").splitlines()
    (west,) = (line for line in lines if line.startswith("West"))
    assert west == "West,reference,120,0,0.0,1.0,,,,,,,,,"
    first = (plain / "calibration_covariates.csv").read_text(encoding="utf-8").splitlines()[1]
    assert first.startswith(",bmi,"), "the study of common coefficients is blank"


def test_two_stage_and_bootstrap_tables_are_filled(everything):
    studies = read(everything / "studies.csv")
    assert set(studies["study"]) == {"North", "South", "West", "pooled", "pooled, fixed effect"}
    pooled = studies.query("study == 'pooled' and term == 'exposure'")
    assert pooled[["q", "df", "i2", "tau2"]].notna().all(axis=None)
    bootstrap = read(everything / "bootstrap.csv")
    assert list(dict.fromkeys(bootstrap["method"])) == METHODS
    assert (bootstrap["n"] + bootstrap["failed"] == 4).all()
    assert (bootstrap["term"].isna() == bootstrap["exposure"].notna()).all()
    assert "heterogeneity" in set(read(everything / "tests.csv")["test"])


def test_the_record_holds_options_versions_files_counts_knots_and_convergence(plain):
    record = json.loads((plain / "fit.json").read_text(encoding="utf-8"))
    assert record["biocal"] == bc.__version__
    assert set(record["versions"]) >= {"python", "numpy", "scipy", "pandas"}
    content = (plain.parent / "pool.csv").read_bytes()
    assert record["files"] == [
        {"path": "pool.csv", "sha256": hashlib.sha256(content).hexdigest(), "n_rows": 360}
    ]
    options = record["options"]
    assert (options["knots"], options["ref"], options["covariates"]) == (3, 60, "bmi")
    assert options["level"] == 0.95, "defaults are told as well"
    counts = record["counts"]
    assert (counts["sets"], counts["cases"], counts["controls"], counts["calibrators"]) == (180, 180, 180, 50)
    assert counts["set_shapes"] == {"1:1": 180}
    assert [flow["study"] for flow in record["flow"]] == ["North", "South", "West"]
    full = record["methods"]["full"]
    assert len(full["knots"]) == 3
    assert full["knots"] == record["methods"]["naive"]["knots"]
    assert full["loglik"] > full["loglik_null"]
    assert full["convergence"]["converged"] is True
    assert any("naive" in warning for warning in record["methods"]["naive"]["warnings"])


@pytest.mark.parametrize("name", sorted(ALL_METHODS_COLUMNS))
def test_the_record_holds_every_table_at_full_precision(everything, name):
    record = json.loads((everything / "fit.json").read_text(encoding="utf-8"))
    stored = pd.DataFrame(record["tables"][name.removesuffix(".csv")])
    table = read(everything / name)
    assert list(stored.columns) == list(table.columns)
    for column in table.columns:
        if pd.api.types.is_numeric_dtype(table[column]):
            np.testing.assert_array_equal(pd.to_numeric(stored[column]), table[column])
        else:
            assert stored[column].fillna("").astype(str).tolist() == table[column].fillna("").tolist()


def test_sets_left_out_are_told_with_study_and_reason(tmp_path):
    pool = small_pool()
    pool.loc[(pool["study"] == "North") & pool["set"].isin([1, 2]) & (pool["case"] == 1), "bmi"] = np.nan
    pool.loc[(pool["study"] == "West") & (pool["set"] == 5) & (pool["case"] == 0), "bmi"] = np.nan
    pool.loc[(pool["study"] == "West") & (pool["set"] == 7), "bmi"] = np.nan
    pool.to_csv(tmp_path / "holes.csv", index=False)
    out = tmp_path / "out"
    words = ["fit", tmp_path / "holes.csv", "--out", out, "--covariates", "bmi", "--exposure", "linear"]
    assert main([*map(str, words), "--method", "naive", "--quiet"]) == 0
    record = json.loads((out / "fit.json").read_text(encoding="utf-8"))
    assert record["dropped_sets"] == [
        {"study": "North", "set": "1", "reason": "no case left"},
        {"study": "North", "set": "2", "reason": "no case left"},
        {"study": "West", "set": "5", "reason": "no control left"},
        {"study": "West", "set": "7", "reason": "no row left"},
    ]
    north = record["flow"][0]
    assert (north["missing_covariate"], north["missing_by_variable"]) == (2, {"bmi": 2})


def test_the_same_command_writes_the_same_bytes(plain, tmp_path):
    again = fitted(tmp_path)
    for path in plain.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_an_effect_modifier_gets_its_column_wherever_a_curve_is(tmp_path):
    out = fitted(tmp_path, "--modifier", "sex", "--matching", "")
    curves, shares = read(out / "dose_response.csv"), read(out / "variance_shares.csv")
    assert list(curves.columns)[:3] == ["method", "modifier", "exposure"]
    assert list(shares.columns) == ["method", "modifier", "exposure", "study", "share"]
    assert set(curves["modifier"]) == {"sex = f", "sex = m"}
    terms = read(out / "coefficients.csv")["term"].tolist()
    assert terms[-2:] == ["exposure:sex[T.m]", "exposure':sex[T.m]"]
    assert "interaction" in set(read(out / "tests.csv")["test"])


def test_categories_have_a_row_each(tmp_path):
    words = ("--exposure", "categories", "--cuts", "45,60,75", "--reference-category", "[45, 60)")
    out = fitted(tmp_path, *words)
    curve = read(out / "dose_response.csv").query("method == 'full'")
    assert curve["exposure"].tolist() == ["(-inf, 45)", "[45, 60)", "[60, 75)", "[75, inf)"]
    assert set(curve["reference_exposure"]) == {"[45, 60)"}
    terms = read(out / "coefficients.csv").query("method == 'full'")["term"].tolist()
    assert terms == ["exposure(-inf, 45)", "exposure[60, 75)", "exposure[75, inf)", "bmi"]


def test_a_pool_of_reference_studies_needs_no_calibration_figure(tmp_path):
    pool = small_pool()
    pool[pool["study"] == "West"].to_csv(tmp_path / "west.csv", index=False)
    out = tmp_path / "out"
    assert (
        main(["fit", str(tmp_path / "west.csv"), "--out", str(out), "--exposure", "linear", "--quiet"]) == 0
    )
    names = {path.name for path in out.iterdir()}
    assert "calibration.csv" in names
    assert not names & {"calibration.png", "calibration_covariates.csv"}
    assert read(out / "variance_shares.csv").empty


def test_suppress_hides_small_counts_in_the_report_alone(tmp_path):
    frame = small_pool()
    frame.loc[[3, 9], "bmi"] = np.nan
    (tmp_path / "a").mkdir()
    frame.to_csv(tmp_path / "a" / "pool.csv", index=False)
    (tmp_path / "a" / "spec.toml").write_text(SPEC + "suppress = 5\n", encoding="utf-8")
    with contextlib.chdir(tmp_path / "a"):
        assert main(["fit", "--spec", "spec.toml", "--out", "o", "--quiet"]) == 0
    report = (tmp_path / "a" / "o" / "report.html").read_text(encoding="utf-8")
    assert "&lt;5" in report
    record = json.loads((tmp_path / "a" / "o" / "fit.json").read_text(encoding="utf-8"))
    assert sum(flow["missing_covariate"] for flow in record["flow"]) == 2


@pytest.mark.parametrize("method", ["full", "two-stage"])
def test_only_tables_are_the_same_tables_without_figures_or_report(tmp_path, method):
    (tmp_path / "spec.toml").write_text(SPEC, encoding="utf-8")
    small_pool().to_csv(tmp_path / "pool.csv", index=False)
    words = ["fit", "--spec", "spec.toml", "--method", method, "--quiet"]
    code = (
        "import sys; from biocal.cli.main import main; done = main(sys.argv[1:]); "
        "sys.exit(done or 10 * ('matplotlib' in sys.modules) + 20 * ('jinja2' in sys.modules))"
    )
    alone = subprocess.run(
        [sys.executable, "-c", code, *words, "--out", "o", "--only-tables"], cwd=tmp_path, check=False
    )
    assert alone.returncode == 0
    with contextlib.chdir(tmp_path):
        assert main([*words, "--out", "all"]) == 0
    found, whole = ({path.name: path for path in (tmp_path / name).iterdir()} for name in ("o", "all"))
    assert set(found) == {name for name in whole if name.endswith((".csv", ".json"))}
    for name in found:
        if name != "fit.json":  # which records the option
            assert found[name].read_bytes() == whole[name].read_bytes()
