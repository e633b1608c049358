"""Predicted standard errors against the mean model standard errors of simulated studies (stored results)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.simulation.planning.spec import read_plan

FOLDER = Path(__file__).parents[1] / "data" / "planning"
DESIGNS = ("pairs-random", "triples-deciles", "line-random", "matched-deciles")

#: The largest difference that is allowed (issue: 5 %), beyond two Monte Carlo standard errors of what was simulated.
WITHIN = 0.05
#: Replicates below which the Monte Carlo error would decide.
ENOUGH_REPLICATES = 1000


@pytest.mark.parametrize("design", DESIGNS)
def test_predicted_standard_errors_are_within_five_per_cent_of_those_simulated(design):
    simulated = pd.read_csv(FOLDER / f"{design}.csv")
    assert (simulated["n"] >= ENOUGH_REPLICATES).all()
    assert set(simulated["method"]) == {"full"}
    found = bc.plan(FOLDER / f"{design}.toml")
    np.testing.assert_allclose(found.at, simulated["exposure"])
    np.testing.assert_allclose(found.true_log_or, simulated["truth"])
    allowed = WITHIN * simulated["model_se"] + 2 * simulated["mcse_model_se"]
    difference = np.abs(found.planned.std_error - simulated["model_se"])
    assert (difference < allowed).all(), (found.planned.std_error / simulated["model_se"]).tolist()


def test_the_expected_log_odds_ratios_are_the_means_of_those_simulated():
    simulated = pd.read_csv(FOLDER / "pairs-random.csv")
    found = bc.plan(FOLDER / "pairs-random.toml")
    # 3 Monte Carlo errors of the mean, and what two draws of the large study differ by
    allowed = 3 * simulated["mcse_bias"] + 0.005
    assert (np.abs(found.log_or - simulated["mean"]) < allowed).all()


def test_the_four_designs_cover_pairs_and_triples_lines_and_splines_chance_and_deciles():
    scenarios = [read_plan(FOLDER / f"{design}.toml").scenario for design in DESIGNS]
    assert {study.controls for s in scenarios for study in s.studies} == {1, 2}
    assert {s.fit.exposure for s in scenarios} == {"linear", "rcs"}
    assert {s.measurement.sampling for s in scenarios} == {"random", "deciles"}
    assert any(s.covariates and s.matching.names for s in scenarios)
