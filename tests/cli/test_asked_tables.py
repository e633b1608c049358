"""`biocal fit` with increments, other curves and joint curves."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from cli_pool import small_pool

PER_UNIT = [
    *("method", "increment", "sds", "curve", "exposure_from", "exposure_to"),
    *("log_or", "std_error", "or", "or_low", "or_high", "p_value"),
]
AIC = ["method", "curve", "knots", "n_terms", "loglik", "aic", "delta_aic", "chosen", "error"]
JOINT = [
    *("method", "modifier", "exposure", "reference_modifier", "reference_exposure"),
    *("log_or", "std_error", "or", "or_low", "or_high"),
]


def test_what_is_asked_for_is_written_and_told(folder, biocal, no_figures):
    answer = biocal(
        *("fit", "--spec", "spec.toml", "--out", "out", "--per", "25,10", "--per-sd", "--aic"),
    )
    assert answer.code == 0, answer.err
    per_unit = pd.read_csv(folder / "out" / "per_unit.csv")
    assert list(per_unit.columns) == PER_UNIT
    assert len(per_unit) == 2 * 3 * 2, "methods, increments, curve and linear fit"
    aic = pd.read_csv(folder / "out" / "aic.csv")
    assert list(aic.columns) == AIC
    assert list(aic.loc[aic["chosen"], "curve"]) == ["rcs, 3 knots"] * 2
    assert (aic.groupby("method")["delta_aic"].min() == 0).all()
    record = json.loads((folder / "out" / "fit.json").read_text(encoding="utf-8"))
    assert record["options"]["per"] == [25, 10]
    assert record["methods"]["full"]["linear"]["aic"] == pytest.approx(aic["aic"][6])
    assert record["tables"]["per_unit"][0]["log_or"] == pytest.approx(per_unit["log_or"][0])
    for words in ("Odds ratio per increment of the exposure", "1 SD (", "AIC of other curves"):
        assert words in answer.out, words


def test_joint_curves_have_a_table_and_a_figure_and_a_place_in_the_report(folder, biocal):
    frame = small_pool()
    frame["smoker"] = np.random.default_rng(1).choice(["no", "yes"], len(frame))
    frame.to_csv(folder / "pool.csv", index=False)
    words = ("--method", "full", "--modifier", "smoker", "--joint", "no", "--at", "40,60,80", "--per", "25")
    answer = biocal("fit", "--spec", "spec.toml", "--out", "out", *words, "--knots", "3")
    assert answer.code == 0, answer.err
    joint = pd.read_csv(folder / "out" / "joint.csv")
    assert list(joint.columns) == JOINT
    assert list(joint["reference_modifier"].unique()) == ["smoker = no"]
    assert (folder / "out" / "joint.svg").stat().st_size > 1000
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "Joint odds ratios against 60 nmol/L and smoker = no" in page
    assert "Odds ratio per increment" in page
    assert "Joint odds ratios against 60 nmol/L and smoker = no" in answer.out


def test_the_spec_knows_the_same_words(folder, biocal, no_figures):
    text = (folder / "spec.toml").read_text(encoding="utf-8")
    (folder / "spec.toml").write_text(text + "per = 5\nper_sd = true\naic = true\n", encoding="utf-8")
    assert biocal("fit", "--spec", "spec.toml", "--out", "out", "--quiet").code == 0
    assert set(pd.read_csv(folder / "out" / "per_unit.csv")["sds"].fillna(0)) == {0, 1}
    assert (folder / "out" / "aic.csv").exists()


def test_a_joint_level_without_a_modifier_is_an_error_in_words(folder, biocal):
    answer = biocal("fit", "--spec", "spec.toml", "--out", "out", "--joint", "no")
    assert answer.code == 3
    assert "needs an effect modifier" in answer.err
    assert not (folder / "out").exists()


def test_an_increment_that_is_no_number_is_refused(folder, biocal):
    assert biocal("fit", "--spec", "spec.toml", "--out", "out", "--per", "SD").code == 2
    answer = biocal("fit", "--spec", "spec.toml", "--out", "out", "--per", "-25")
    assert answer.code == 3
    assert "positive number" in answer.err
