"""Numerical trouble in fits from partitions and in federated fits: refused or told in the words of a fit in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from federated_pool import FEW_SITES, few_studies, make_pool
from federated_session import Session
from partitioned_pool import numbered_by_range, write_by

import biocal as bc
from biocal.errors import CalibrationDesignError, FitError
from biocal.fitting.methods.estimate import calibrate_problem
from biocal.fitting.problem.model_columns import lay_out_columns
from biocal.fitting.problem.prepare import ModelFormulas, prepare
from biocal.fitting.problem.scale import common_exposure
from biocal.fitting.soundness.integrals import quadrature_notes
from biocal.fitting.soundness.sums import WhereControlsAre, integral_notes
from biocal.fitting.sums.calibration import solve_calibration
from biocal.fitting.sums.rows import moments_of_pairs, pairs_of, residual_sums_of
from biocal.model.exposure import SplineBasis

POOL = few_studies(make_pool(60))
MODEL: dict[str, Any] = {"exposure": bc.linear(), "covariates": "bmi", "calibration_covariates": "none"}
#: The same in the words of a spec.
PLAN = {"exposure": "linear", "knot_values": [], "covariates": "bmi", "matching": ""}
PLAN |= {"calibration_covariates": "none", "method": ["full"]}


def flat_lines() -> pd.DataFrame:
    """Local studies alone, with reference values that do not depend on the local ones."""
    pool = POOL[POOL["study"] != "Ash"].reset_index(drop=True)
    rng = np.random.default_rng(8)
    for study in ("Beech", "Damson", "Ebony"):
        rows = pool.index[(pool["study"] == study) & pool["reference"].notna()]
        local = pool.loc[rows, "local"].to_numpy() - pool.loc[rows, "local"].mean()
        noise = rng.normal(0, 5, len(rows))
        noise -= noise.mean()
        noise -= local * (local @ noise) / (local @ local)
        pool.loc[rows, "reference"] = 60 + noise + 1e-9 * local
    return pool


#: 12 sets for 3 coefficients.
FEW_SETS = POOL[(POOL["study"] == "Ash") & (POOL["set"] <= 14)].reset_index(drop=True)


def shifted(column: str, by: float) -> pd.DataFrame:
    return POOL.assign(**{column: POOL[column] + by})


def in_memory(pool: pd.DataFrame, **options: Any):
    return bc.fit(bc.PooledStudies.from_frame(pool), **(MODEL | options))


def from_partitions(folder: Path, pool: pd.DataFrame, **options: Any):
    return bc.fit_partitioned(
        write_by(folder / "pool", pool, numbered_by_range(pool, 3)), **(MODEL | options)
    )


def federated(folder: Path, pool: pd.DataFrame, **plan: Any) -> Session:
    sites = {
        site: [name for name in names if (pool["study"] == name).any()] for site, names in FEW_SITES.items()
    }
    return Session(
        folder / "sites", pool, PLAN | plan, sites={site: names for site, names in sites.items() if names}
    )


def told(fit) -> list[str]:
    """Remarks that a fit in memory would make too, without those on persons."""
    return [*fit.info.notes, *fit.notes]


@pytest.mark.parametrize(
    ("pool", "options", "kind"),
    [
        (shifted("local", 1e9), {}, CalibrationDesignError),
        (shifted("bmi", 1e10), {"calibration_covariates": "outcome"}, CalibrationDesignError),
        (flat_lines(), {}, FitError),
        (flat_lines(), {"method": "induced"}, FitError),
        (POOL.assign(bmi=1.0, one=1.0), {"covariates": None}, None),
    ],
    ids=["offset of local values", "offset of a covariate", "flat lines", "flat lines, induced", "sound"],
)
def test_what_a_fit_in_memory_refuses_partitions_refuse_in_the_same_words(
    tmp_path: Path, pool, options, kind
):
    if kind is None:
        assert np.isfinite(from_partitions(tmp_path, pool, **options).vcov).all()
        return
    with pytest.raises(kind) as expected:
        in_memory(pool, **options)
    with pytest.raises(kind) as found:
        from_partitions(tmp_path, pool, **options)
    assert str(found.value) == str(expected.value)


def test_sets_that_are_one_have_no_standard_error_from_partitions_either(tmp_path: Path):
    one = pd.DataFrame({"case": [1, 0, 0], "reference": [5.0, 4.0, 6.5], "study": "R", "local": np.nan})
    pool = pd.concat([one.assign(set=number) for number in range(6)], ignore_index=True)
    with pytest.raises(FitError) as expected:
        in_memory(pool, covariates=None)
    with pytest.raises(FitError) as found:
        from_partitions(tmp_path, pool, covariates=None)
    assert str(found.value) == str(expected.value)
    assert "standard errors along exposure cannot be estimated" in str(found.value)
    assert found.value.units == expected.value.units == 6


@pytest.mark.parametrize(
    ("pool", "options", "words"),
    [
        (shifted("local", 2e8), {}, "standard errors that rest on the calibration keep about"),
        (shifted("bmi", 1e12), {}, "digits are left of the differences"),
        (
            POOL.assign(twin=POOL["bmi"] + np.random.default_rng(1).normal(0, 1e-4, len(POOL))),
            {"covariates": "bmi + twin"},
            "nearly combinations of other columns",
        ),
        (FEW_SETS, {"exposure": bc.rcs([40, 60, 80])}, "independent matched sets say"),
        (
            POOL,
            {"exposure": bc.rcs([35, 60.0000001, 60.0000002, 85])},
            "nobody has an exposure between the knots",
        ),
    ],
    ids=["local values", "covariate", "collinear", "few sets", "knots"],
)
def test_what_a_fit_in_memory_tells_partitions_tell(tmp_path: Path, pool, options, words):
    expected = [note for note in told(in_memory(pool, **options)) if words in note]
    assert len(expected) == 1, "or this tests nothing"
    found = [note for note in told(from_partitions(tmp_path, pool, **options)) if words in note]
    if (
        "integrals" in words or "combinations" in words
    ):  # of other persons, and of rounding: one digit may differ
        assert [note[:40] for note in found] == [note[:40] for note in expected]
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("pool", "plan", "kind", "words"),
    [
        (
            shifted("local", 2e9),
            {},
            CalibrationDesignError,
            "too few digits are left: local values of study Beech lie",
        ),
        (
            flat_lines(),
            {},
            FitError,
            "the calibrated values hardly differ: .* is a calibration slope not told from 0",
        ),
    ],
    ids=["offset", "flat lines"],
)
def test_a_federated_fit_refuses_what_a_fit_in_memory_refuses(tmp_path: Path, pool, plan, kind, words):
    with pytest.raises(kind, match=words):
        in_memory(pool)
    with pytest.raises(kind, match=words):
        federated(tmp_path, pool, **plan).play()


def test_a_federated_fit_tells_what_a_fit_in_memory_tells(tmp_path: Path):
    pool = shifted("local", 2e8).assign(
        twin=POOL["bmi"] + np.random.default_rng(1).normal(0, 1e-4, len(POOL))
    )
    knots = [35.0, 60.0000001, 60.0000002, 85.0]
    plan = {"covariates": "bmi + twin", "exposure": "rcs", "knot_values": knots, "method": ["induced"]}
    fit = federated(tmp_path, pool, **plan).play()["induced"]
    options = {"covariates": "bmi + twin", "exposure": bc.rcs(knots), "method": "induced"}
    expected = told(in_memory(pool, **options))
    for words in (
        "standard errors that rest on the calibration keep about",
        "nearly combinations of other columns",
        "nobody has an exposure between the knots",
    ):
        assert any(words in note for note in expected), words
        assert any(words in note for note in told(fit)), words


def test_integrals_are_judged_at_exposures_of_controls_as_at_those_of_all_persons():
    prepared = prepare(bc.PooledStudies.from_frame(POOL), ModelFormulas("bmi", calibration_covariates="none"))
    problem, basis = prepared.problem, SplineBasis((55.0, 60.0, 65.0))
    fitted = calibrate_problem(problem)
    studies = {name: moments_of_pairs(*pairs_of(problem, s)) for s, name in enumerate(problem.local_names)}
    summed = solve_calibration(studies, by_study=False).with_residual_sums(
        {name: residual_sums_of(fitted, problem, s) for s, name in enumerate(problem.local_names)}
    )
    np.testing.assert_allclose(summed.variance, fitted.variance, rtol=1e-10)
    model = lay_out_columns(basis, problem)
    controls = np.sort(common_exposure(problem, fitted)[0][problem.is_control])
    where = WhereControlsAre(controls, np.empty((1, 0)))
    for steep in (0.0, 3.0):
        beta = np.array([0.01, steep, 0.0])
        expected = quadrature_notes(problem, basis, fitted, model, beta, 20)
        found = integral_notes(basis, summed, model, beta, where)
        assert bool(found) == bool(expected) == bool(steep)
        assert [note[:60] for note in found] == [note[:60] for note in expected]


def test_a_site_is_told_of_columns_with_few_digits_and_the_centre_is_not(tmp_path: Path):
    session = federated(tmp_path, shifted("bmi", 1e12))
    session.go_to("calibration")
    prepared = session.prepared("b")
    assert any(note.startswith("values of bmi lie near 1e+12") for note in prepared.notes)
    assert "lie near" not in str(prepared.message)
