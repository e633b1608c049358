"""Pooling against numbers pinned from R's metafor (R-compat/parity/pooling); R is not needed here."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "R-compat" / "parity" / "pooling"
PINS = json.loads((FOLDER / "pins.json").read_text(encoding="utf-8"))

GRIDS = {f"k{k}_p{p}_tau_{tau}" for k in (3, 5, 17) for p in (1, 2, 3) for tau in ("none", "large")}
UNIVARIATE_FITS = {f"{method}_{test}" for method in ("FE", "DL", "REML") for test in ("z", "knha", "adhoc")}
UNIVARIATE = {
    *("estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "tau_squared"),
    *(
        "tau_squared_std_error",
        "q",
        "q_p_value",
        "i_squared_metafor",
        "h_squared_metafor",
        "weights",
        "left_out",
    ),
}
VECTOR = {"estimate", "covariance", "q", "q_p_value"}

# Closed forms: the same arithmetic in two languages, through chi-square and t tails.
CLOSED_FORM = 1e-10
# Interval limits hold a t quantile, which SciPy 1.12 computes to about ten digits.
T_QUANTILE = 1e-8
# Two optimisers of the multivariate restricted likelihood, relative as compare.py says.
# On the boundary metafor's general-purpose search stops where the likelihood is flat to rounding.
TWO_OPTIMISERS = 1e-6


def load_compare():
    spec = importlib.util.spec_from_file_location("pooling_compare", FOLDER / "compare.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def differences():
    return list(load_compare().differences(PINS))


def test_the_pins_belong_to_the_data_beside_them():
    digest = hashlib.sha256((FOLDER / "studies.csv").read_bytes()).hexdigest()
    assert PINS["made_with"]["studies_csv_sha256"] == digest
    assert set(PINS["made_with"]) == {"R", "metafor", "studies_csv_sha256"}


def test_the_grid_is_complete():
    assert set(PINS["grids"]) == GRIDS
    for grid, fits in PINS["grids"].items():
        vectors = set() if "_p1_" in grid else {"mv_FE", "mv_REML"}
        assert set(fits) == UNIVARIATE_FITS | vectors
        k, p = int(grid[1:].split("_")[0]), int(grid.split("_p")[1][0])
        for fit, pinned in fits.items():
            extra = {"restricted_log_likelihood"} if fit.split("_")[0] == "REML" else set()
            if fit.startswith("mv_"):
                extra = {"between_covariance", "restricted_log_likelihood"} if fit == "mv_REML" else set()
                extra |= {"left_out"} if (k, p) == (5, 2) else set()
            assert set(pinned) == (VECTOR if fit.startswith("mv_") else UNIVARIATE) | extra
            if "left_out" in pinned:
                assert len(pinned["left_out"]) == (0 if k == 3 else k)


def test_the_grids_hold_both_boundary_and_interior_maxima():
    tau_squared = [fits["REML_z"]["tau_squared"] for fits in PINS["grids"].values()]
    assert min(tau_squared) == 0
    assert max(tau_squared) > 0.2


def test_every_univariate_number_agrees_with_metafor(differences):
    compared = [d for d in differences if not d.fit.startswith("mv_")]
    assert len(compared) == 18 * (9 * len(UNIVARIATE) + 3)
    limits = [d for d in compared if d.quantity in ("conf_low", "conf_high")]
    assert [d for d in limits if d.size > T_QUANTILE] == []
    assert [d for d in compared if d not in limits and d.size > CLOSED_FORM] == []


def test_every_multivariate_number_agrees_with_metafor(differences):
    compared = [d for d in differences if d.fit.startswith("mv_")]
    assert len(compared) == 12 * (2 * len(VECTOR) + 2) + 2 * 2
    fixed = [d for d in compared if d.fit == "mv_FE"]
    assert [d for d in fixed if d.size > CLOSED_FORM] == []
    assert [d for d in compared if d.size > TWO_OPTIMISERS] == []


def test_the_restricted_likelihood_is_nowhere_below_metafors(differences):
    compare = load_compare()
    studies = compare.read_studies()
    for grid, fits in PINS["grids"].items():
        for fit in {"REML_z", "mv_REML"} & set(fits):
            kind = compare.multivariate if fit == "mv_REML" else compare.univariate
            ours = kind(fit, *studies[grid])["restricted_log_likelihood"]
            assert ours >= fits[fit]["restricted_log_likelihood"] - CLOSED_FORM
