"""Subgroups, selections and imputations from the command line and from one spec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pools import LOCAL_A, LOCAL_B, REFERENCE, draw_pool
from typer.testing import CliRunner

import biocal as bc
from biocal.cli.app import app

DATA = Path(__file__).parents[2] / "data" / "vitamin_d"
#: The same arithmetic on the same rows, sums in another order.
SAME = 1e-9


def run(*words: str) -> str:
    answer = CliRunner().invoke(app, ["fit", *words])
    assert answer.exit_code == 0, answer.output
    return answer.output


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    rng = np.random.default_rng(20261128)
    frame = draw_pool(rng, (REFERENCE, LOCAL_A, LOCAL_B), covariate_log_odds=(0.3,))
    sets = frame.groupby(["study", "set"], sort=True).ngroup().to_numpy()
    frame["sex"] = np.where(sets % 2 == 0, "female", "male")
    place = tmp_path_factory.mktemp("pool") / "pool.csv"
    parts = [frame.assign(imp=k, z1=frame["z1"] + 0.1 * k * (frame.index % 3 == 0)) for k in (1, 2, 3)]
    pd.concat(parts).to_csv(place, index=False)
    frame.to_csv(place.with_name("one.csv"), index=False)
    return place


def test_a_spec_asks_for_subgroups_and_leaving_out(table, tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text(
        f'files = ["{table.with_name("one.csv")}"]\nmethod = "full"\nexposure = "linear"\nat = [3, 7]\nref = 5\n'
        "per = [1]\n"
        'where = "z1 > -1.5"\nby = ["sex"]\nleave_one_out = true\ncovariates = "z1"\nmissing = "indicator"\n'
    )
    run("--spec", str(spec), "--out", str(tmp_path / "out"))
    for name in ("subgroups", "leave_one_out"):
        for ending in ("csv", "png", "svg"):
            assert (tmp_path / "out" / f"{name}.{ending}").stat().st_size > 0
    found = pd.read_csv(tmp_path / "out" / "subgroups.csv", keep_default_na=False)
    assert found["level"].unique().tolist() == ["all", "female", "male"]
    assert {"sets", "cases", "controls"} <= set(found.columns)
    assert len(pd.read_csv(tmp_path / "out" / "subgroups_per_unit.csv")) == 2
    assert len(pd.read_csv(tmp_path / "out" / "leave_one_out.csv")) == 4 * 3 * 2
    assert 'id="left-out"' in (tmp_path / "out" / "report.html").read_text()


def test_imputations_are_combined_from_the_command_line(table, tmp_path):
    words = ("--method", "full", "--exposure", "linear", "--covariates", "z1", "--out", str(tmp_path / "out"))
    text = run(str(table), "--imputation", "imp", "--small-sample", *words)
    assert "Rubin's rules over 3 imputations" in text
    found = pd.read_csv(tmp_path / "out" / "coefficients.csv")
    pools = bc.read_imputations(str(table), imputation="imp")
    other = bc.fit_imputations(pools, exposure=bc.linear(), covariates="z1", small_sample=True).tidy()
    np.testing.assert_allclose(found["estimate"], other["estimate"], rtol=SAME)
    np.testing.assert_allclose(found["df"], other["df"], rtol=SAME)


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--where", "sex = 'male'"), 3, "equality is written =="),
        (("--by", "sexx"), 3, "did you mean 'sex'"),
        (("--missing", "mean"), 2, "is not one of"),
        (("--imputation", "imp", "--imputation-files"), 2, "two ways"),
        (("--imputation", "imp", "--bootstrap", "9"), 2, "cannot be used with imputations"),
        (("--imputation", "immp"), 3, "did you mean 'imp'"),
        (("--small-sample",), 2, "--small-sample needs imputations"),
        (("--sensitivity", "below-limit"), 3, "nothing to compare"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(table, tmp_path, capfd, words, code, part):
    from biocal.cli.main import main

    source = str(table if "--imputation" in words else table.with_name("one.csv"))
    assert main(["fit", source, "--out", str(tmp_path / "out"), *words]) == code
    assert part in " ".join(capfd.readouterr().err.split())


@pytest.mark.slow
def test_the_consortiums_run_equals_fits_of_files_cut_down(tmp_path):
    """Season-standardised, by sex, a lag of two years, each study left out: one spec, published categories."""
    cuts = (30, 50, 62.5, 75, 87.5, 100)
    spec = (DATA / "analysis.toml").read_text()
    for old in ('files = ["cohorts/*.csv"]', 'exposure = "rcs"\nknots = 4\n', "ref = 56.25\n"):
        assert old in spec
        spec = spec.replace(old, "")
    spec = "\n".join(line for line in spec.splitlines() if not line.startswith("season"))
    head = f'files = ["{DATA}/cohorts/*.csv"]\nexposure = "categories"\ncuts = {list(cuts)}\n'
    head += 'reference_category = "[50, 62.5)"\nseason = "month"\nwhere = "years_to_diagnosis >= 2"\nby = ["sex"]\n'
    (tmp_path / "spec.toml").write_text(f"{head}leave_one_out = true\n{spec}")
    run("--spec", str(tmp_path / "spec.toml"), "--method", "full", "--out", str(tmp_path / "out"))
    by_sex = pd.read_csv(tmp_path / "out" / "subgroups.csv", keep_default_na=False)
    left_out = pd.read_csv(tmp_path / "out" / "leave_one_out.csv", keep_default_na=False)
    people = bc.datasets.load_vitamin_d()
    for sex in ("female", "male"):
        late = (people["sex"] == sex) & (people["years_to_diagnosis"] >= 2)
        for study, rows in (("", by_sex), ("Hazel", left_out[left_out["left_out"] == "Hazel"])):
            cut = people[((people["case"] == 0) | late) & (people["study"] != study)]
            alone = bc.fit(
                bc.PooledStudies.from_frame(cut, scale_local={"Ginkgo": 2.496}),
                exposure=bc.categories(cuts, reference="[50, 62.5)"),
                covariates="bmi + physical_activity",
                matching="age + C(sex) + C(race) + C(month)",
                season="month",
            )
            mine = rows[rows["level"] == sex]
            curve = alone.dose_response()
            np.testing.assert_allclose(mine["log_or"].astype(float), curve.log_or, rtol=SAME, atol=SAME)
            np.testing.assert_allclose(mine["std_error"].astype(float), curve.std_error, rtol=SAME, atol=SAME)
            assert set(mine["sets"].astype(int)) == {alone.sample.n_sets}
            assert mine["category_cases"].astype(int).sum() == alone.sample.n_cases
