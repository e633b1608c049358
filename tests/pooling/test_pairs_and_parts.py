"""Calibration pairs of persons in several sets, and columns that have a part of their own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import biocal as bc
from biocal.errors import FormulaError


def pool_frame() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n_sets = 80
    reference = rng.normal(60, 15, size=(2, 2 * n_sets))
    local = (reference[1] - 5) / 0.9 + rng.normal(0, 6, size=2 * n_sets)
    shared = {"set": np.repeat(np.arange(n_sets), 2), "case": np.tile([1, 0], n_sets)}
    a = pd.DataFrame({"study": "A", **shared, "local": np.nan, "reference": reference[0]})
    b = pd.DataFrame({"study": "B", **shared, "local": local, "reference": np.nan})
    controls = np.flatnonzero(b["case"].to_numpy() == 0)[:30]
    b.loc[controls, "reference"] = reference[1][controls]
    frame = pd.concat([a, b], ignore_index=True)
    frame["person"] = np.arange(len(frame))
    frame["z"] = rng.normal(size=len(frame))
    return frame


def test_a_control_in_two_sets_is_one_calibration_pair() -> None:
    frame = pool_frame()
    once = bc.calibrate(bc.PooledStudies.from_frame(frame))
    calibrators = frame[(frame["study"] == "B") & frame["reference"].notna()].copy()
    calibrators["set"] += 1  # the same persons serve in a second set too
    twice = bc.PooledStudies.from_frame(pd.concat([frame, calibrators], ignore_index=True))
    found = bc.calibrate(twice)
    assert found.studies[1].n_calibration == 30
    assert found.studies[1].slope == pytest.approx(once.studies[1].slope, rel=1e-12)
    assert found.studies[1].se_slope == pytest.approx(once.studies[1].se_slope, rel=1e-12)
    assert bc.fit(twice, exposure=bc.linear()).sample.n_calibrators == 30


def test_without_persons_every_row_is_a_pair() -> None:
    frame = pool_frame().drop(columns="person")
    calibrators = frame[(frame["study"] == "B") & frame["reference"].notna()].copy()
    calibrators["set"] += 1
    pool = bc.PooledStudies.from_frame(pd.concat([frame, calibrators], ignore_index=True))
    assert bc.calibrate(pool).studies[1].n_calibration == 60


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"covariates": "z + case"}, "case status"),
        ({"covariates": "local"}, "local value"),
        ({"modifier": "reference"}, "reference value"),
        ({"calibration_covariates": "reference"}, "reference value"),
    ],
)
def test_a_column_with_a_part_of_its_own_is_no_covariate(options: dict[str, str], word: str) -> None:
    pool = bc.PooledStudies.from_frame(pool_frame())
    with pytest.raises(FormulaError, match=word):
        bc.fit(pool, exposure=bc.linear(), **options)


def test_the_calibration_may_bend_in_the_local_value() -> None:
    pool = bc.PooledStudies.from_frame(pool_frame())
    fit = bc.fit(pool, exposure=bc.linear(), calibration_covariates="I((local - 60)**2)")
    assert fit.calibration is not None
    assert fit.calibration.covariates[0].term.startswith("I((local")
