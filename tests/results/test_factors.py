"""The reference level of each factor stands in the summary and in fit.json."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from federated_pool import FEW_SITES, few_studies, make_pool
from federated_session import Session

import biocal as bc
from biocal.cli.main import main

SMOKING = ["never", "former", "current"]


@pytest.fixture(scope="module")
def frame():
    found = few_studies(make_pool(40))
    found["smoking"] = pd.Categorical(found["smoking"], SMOKING)
    return found.assign(smoker=found["bmi"] > 30, stage=1 + found["set"].to_numpy() % 3)


def _factors(frame, **model):
    fit = bc.fit(bc.PooledStudies.from_frame(frame), exposure=bc.linear(), **model)
    return fit, [
        (one.formula, one.factor, one.column, list(one.levels), one.coding, one.reference)
        for one in fit.info.factors
    ]


@pytest.mark.parametrize(
    ("formula", "coding", "reference"),
    [
        ("smoking", "Treatment", "never"),
        ("C(smoking)", "Treatment", "never"),
        ("C(smoking, Treatment('former'))", "Treatment", "former"),
        ("C(smoking, Sum)", "Sum", "current"),
        ("C(smoking, Sum('former'))", "Sum", "former"),
        ("C(smoking, Poly)", "Poly", None),
        ("C(smoking, Helmert)", "Helmert", None),
        ("C(smoking, Diff)", "Diff", None),
        ("smoking:bmi", "one column a level", None),
        ("smoking + smoking:bmi", "Treatment", "never"),
    ],
)
def test_a_factor_has_its_levels_its_coding_and_its_reference(frame, formula, coding, reference):
    _, factors = _factors(frame, covariates=formula)
    written = formula if formula.startswith("C(") else "smoking"
    assert factors == [("covariates", written, "smoking", SMOKING, coding, reference)]


def test_the_reference_is_the_level_that_no_term_names(frame):
    """Whatever the order: the other levels are those of the terms."""
    for levels in (["former", "current", "never"], ["current", "never", "former"]):
        one = frame.assign(smoking=frame["smoking"].cat.set_categories(levels))
        fit, factors = _factors(one, covariates="smoking")
        named = {term.removeprefix("smoking[T.").removesuffix("]") for term in fit.terms[1:]}
        assert {factors[0][-1]} == set(levels) - named


def test_every_formula_of_the_model_tells_its_factors(frame):
    _, factors = _factors(
        frame, covariates="bmi + smoker", matching="C(stage)", modifier="smoking", missing="indicator"
    )
    assert factors == [
        ("covariates", "smoker", "smoker", ["False", "True"], "Treatment", "False"),
        ("matching", "C(stage)", "stage", ["1", "2", "3"], "Treatment", "1"),
        ("modifier", "smoking", "smoking", SMOKING, "Treatment", "never"),
    ]
    _, factors = _factors(frame, covariates="bmi", calibration_covariates="C(smoking, Sum)")
    assert factors == [("calibration", "C(smoking, Sum)", "smoking", SMOKING, "Sum", "current")]


def test_the_summary_says_what_terms_stand_against(frame):
    fit, _ = _factors(frame, covariates="C(smoking, Poly) + smoker", matching="C(stage, Sum)")
    text = " ".join(fit.summary().split())
    assert (
        "Factors C(smoking, Poly): no reference level: Poly coding, levels in order never < former < current "
        "smoker: reference level False; levels False, True "
        "C(stage, Sum): omitted level 3 (Sum coding); levels 1, 2, 3" in text
    )
    fit, _ = _factors(frame, covariates="bmi")
    assert "Factors" not in fit.summary()


def _record(folder: Path, *words: str) -> list[dict[str, object]]:
    code = main(["fit", *words, "--exposure", "linear", "--out", str(folder / "out")])
    assert code == 0
    found = json.loads((folder / "out" / "fit.json").read_text(encoding="utf-8"))["model"]["factors"]
    assert isinstance(found, list)
    return found


def test_fit_json_has_the_factors_in_memory_and_from_partitions(frame, tmp_path):
    frame.to_parquet(tmp_path / "pool.parquet", index=False)
    model = ["--covariates", "smoking + smoker", "--matching", "C(stage)"]
    (tmp_path / "a").mkdir()
    found = _record(tmp_path / "a", str(tmp_path / "pool.parquet"), *model)
    assert found[0] == {
        "formula": "covariates",
        "factor": "smoking",
        "column": "smoking",
        "levels": SMOKING,
        "coding": "Treatment",
        "reference": "never",
    }
    assert [(one["factor"], one["reference"]) for one in found[1:]] == [
        ("smoker", "False"),
        ("C(stage)", "1"),
    ]
    bc.partition_studies(tmp_path / "pool.parquet", tmp_path / "parts", rows=100)
    assert _record(tmp_path, "--partitioned", str(tmp_path / "parts"), *model) == found


def test_a_federated_fit_has_the_factors_of_the_pooled_one(frame, tmp_path):
    plain = frame.drop(columns=["smoker", "stage"]).assign(smoking=frame["smoking"].astype(str))
    found = Session(tmp_path, plain, {"exposure": "linear"}, sites=FEW_SITES).play()
    pooled, _ = _factors(plain, covariates="bmi + C(smoking)", matching="age")
    assert next(iter(found.values())).info.factors == pooled.info.factors != ()
