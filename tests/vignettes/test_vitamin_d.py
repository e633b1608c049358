"""The conclusions of the vitamin D vignette, from the stored redraws that it reads."""

from __future__ import annotations

import tomllib

import numpy as np
import pandas as pd
import pytest

from biocal import datasets
from biocal.model.exposure import SplineBasis

FOLDER = datasets.data_root() / "vitamin_d"
LEVELS = [24.0, 81.25, 93.75, 110.0]
METHODS = ["reference", "naive", "internalized", "full", "induced", "two-stage"]
#: Five Monte Carlo standard errors: what 500 draws cannot move a bias by.
SURE = 5.0


@pytest.fixture(scope="module")
def stored():
    table = pd.read_csv(FOLDER / "redraws" / "performance.csv")
    return table.set_index(["season", "method", "sex", "exposure"]).sort_index()


def mean_bias(stored, method, season="standardised"):
    return stored.loc[(season, method), "bias"].abs().mean()


def test_five_hundred_draws_of_every_method_are_stored(stored):
    wanted = pd.MultiIndex.from_product([["standardised", "ignored"], METHODS, ["female", "male"], LEVELS])
    assert set(stored.index) == set(wanted)
    assert (stored["n"] + stored["failed"] == 500).all()


def test_the_truth_stored_is_the_truth_planted(stored):
    planted = tomllib.loads((FOLDER / "truth.toml").read_text(encoding="utf-8"))["truth"]
    basis = SplineBasis(tuple(planted["knots"]))
    for sex in ("female", "male"):
        beta = np.array(planted[sex]["beta"])
        log_or = beta @ (basis.columns(np.array(LEVELS)) - basis.columns(np.array([56.25])))
        told = stored.loc[("standardised", "full", sex), "truth"].loc[LEVELS]
        np.testing.assert_allclose(told, log_or, rtol=1e-6)  # the file's digits


def test_naive_is_nearly_right_here_but_in_women_at_81(stored):
    naive, best = (stored.loc[("standardised", name)] for name in ("naive", "reference"))
    assert mean_bias(stored, "naive") < mean_bias(stored, "reference") + 0.01
    assert naive["bias"].abs().idxmax() == ("female", 81.25)
    assert naive["bias"].abs().max() < 0.08
    assert naive["coverage"].idxmin() == ("female", 81.25)
    assert 0.65 < naive["coverage"].min() < 0.80
    elsewhere = naive.drop(("female", 81.25))
    assert (elsewhere["coverage"] > 0.88).all()
    assert naive["coverage"].min() < best["coverage"].min()


def test_full_and_induced_are_off_by_little_and_their_intervals_are_nearly_as_good_as_they_say(stored):
    for method in ("full", "induced", "two-stage"):
        rows = stored.loc[("standardised", method)]
        assert rows["bias"].abs().max() < 0.07
        assert rows["coverage"].drop(("female", 81.25)).min() > 0.91
        assert rows["coverage"].min() > 0.82


def test_internalized_is_pulled_down_at_the_high_end(stored):
    for season in ("standardised", "ignored"):
        for sex in ("female", "male"):
            of = {name: stored.loc[(season, name, sex, 110.0)] for name in ("internalized", "full")}
            lower = of["full"]["bias"] - of["internalized"]["bias"]
            assert lower > SURE * of["full"]["mcse_bias"]
    assert stored.loc[("ignored", "internalized", "female", 110.0), "bias"] < -0.1


def test_standardising_finds_more_of_the_flat_part_of_the_womens_curve(stored):
    for method in ("reference", "full", "induced"):
        ignored, standardised = (
            stored.loc[(season, method, "female", 110.0)] for season in ("ignored", "standardised")
        )
        assert ignored["bias"] < -SURE * ignored["mcse_bias"]
        # the same draws: what is between them is known better than either
        assert standardised["bias"] > ignored["bias"] + 3 * ignored["mcse_bias"]


def test_the_spline_rounds_off_the_bend_even_with_everybodys_reference_values_and_the_season_adds_nothing(
    stored,
):
    reference = stored.loc[("standardised", "reference")]
    bend = reference.loc[("female", 81.25)]
    assert bend["bias"] > SURE * bend["mcse_bias"]
    assert mean_bias(stored, "reference") < 0.015
    assert mean_bias(stored, "reference") < mean_bias(stored, "reference", "ignored")
    for method in ("naive", "full", "induced", "two-stage"):
        assert mean_bias(stored, "reference") < mean_bias(stored, method)
