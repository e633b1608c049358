"""Heterogeneity between levels: metafor's where they are independent, the common calibration's part where not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pools import LOCAL_A, LOCAL_B, REFERENCE, draw_pool

import biocal as bc
from biocal.kernels.contrasts import equality_test

PINS = json.loads((Path(__file__).parents[1] / "data" / "subgroups" / "pins.json").read_text())
#: Two linear solvers.
SAME = 1e-9


def with_sex(plans, seed: int):
    rng = np.random.default_rng(seed)
    frame = draw_pool(rng, plans)
    sets = frame.groupby(["study", "set"], sort=True).ngroup().to_numpy()
    frame["sex"] = np.where(rng.random(sets.max() + 1) < 0.5, "female", "male")[sets]
    return frame


def fitted(frame, **options) -> bc.Fit:
    return bc.fit(bc.PooledStudies.from_frame(frame), **({"exposure": bc.rcs(3), "by": "sex"} | options))


def test_independent_groups_have_metafors_test_of_the_moderator():
    test = equality_test(
        "heterogeneity", np.array(PINS["log_or"])[:, None], np.diag(np.square(PINS["std_error"]))
    )
    assert test.df == PINS["df"]
    np.testing.assert_allclose([test.statistic, test.p_value], [PINS["qm"], PINS["p"]], rtol=SAME)


def test_levels_measured_at_the_reference_laboratory_are_independent():
    found = fitted(with_sex((REFERENCE,), 1)).subgroups[0]
    (one, other) = (group.fit for group in found.fitted)
    curves = [fit.dose_response([7.0]) for fit in (one, other)]
    z = (curves[0].log_or[0] - curves[1].log_or[0]) ** 2 / sum(c.std_error[0] ** 2 for c in curves)
    np.testing.assert_allclose(found.test_heterogeneity(7.0).statistic, z, rtol=SAME)
    difference = one.estimates - other.estimates
    wald = difference @ np.linalg.solve(one.vcov + other.vcov, difference)
    np.testing.assert_allclose(found.test_heterogeneity().statistic, wald, rtol=SAME)


@pytest.mark.parametrize("method", ["full", "induced"])
def test_the_test_of_heterogeneity_is_that_of_the_difference_of_influences(method):
    frame = with_sex((REFERENCE, LOCAL_A, LOCAL_B), 2)
    options = {"exposure": bc.linear(), "calibration_covariates": "none", "method": method}
    levels = fitted(frame, **options).subgroups[0]
    joint = levels.covariance
    assert joint[0, 1] != 0.0
    part = [group.influence[:, 0] for group in levels.fitted]
    np.testing.assert_allclose(joint[0, 1], part[0] @ part[1], rtol=SAME)
    both = part[0] - part[1]
    z = (levels["female"].fit.estimates[0] - levels["male"].fit.estimates[0]) ** 2 / (both @ both)
    np.testing.assert_allclose(levels.test_heterogeneity().statistic, z, rtol=SAME)


def test_the_covariance_between_levels_is_that_of_recalibrating_with_other_pairs():
    """Delete-one-pair jackknife: a calibration pair moves both levels' estimates together.

    Pairs stand outside all sets here, so that they have no part but the calibration's.
    """
    frame = with_sex((REFERENCE, LOCAL_A), 3)
    pair = frame["local"].notna() & frame["reference"].notna()
    alone = frame[pair].assign(set=None)
    rest = frame.assign(reference=frame["reference"].mask(pair))
    whole = pd.concat([rest, alone], ignore_index=True)
    options = {"exposure": bc.linear(), "reference": 5.0}
    levels = fitted(whole, **options).subgroups[0]
    rows = np.flatnonzero(whole["set"].isna())
    moved = []
    for row in rows:
        without = fitted(whole.drop(index=row), **options).subgroups[0]
        moved.append([group.fit.estimates[0] for group in without.fitted])
    apart = np.asarray(moved) - np.mean(moved, axis=0)
    # a jackknife over 20 pairs is near a sandwich, and above it by about their leverage
    assert levels.covariance[0, 1] == pytest.approx(float((apart[:, 0] * apart[:, 1]).sum()), rel=0.5)
    assert levels.covariance[0, 1] > 0


def test_a_person_in_two_levels_clusters_them():
    frame = with_sex((REFERENCE,), 4)
    frame["person"] = np.arange(len(frame)).astype(str)
    first = [frame[(frame["sex"] == s) & (frame["case"] == 0)].index[:10] for s in ("female", "male")]
    shared = frame.copy()
    shared.loc[first[1], "person"] = shared.loc[first[0], "person"].to_numpy()
    apart, joined = (fitted(one, exposure=bc.linear()).subgroups[0] for one in (frame, shared))
    assert apart.covariance[0, 1] == 0.0
    assert joined.covariance[0, 1] != 0.0
    np.testing.assert_allclose(joined["male"].fit.estimates, apart["male"].fit.estimates)
    within = fitted(shared.assign(local=np.nan), exposure=bc.linear(), calibrate_within=True).subgroups[0]
    np.testing.assert_allclose(within.covariance, joined.covariance, rtol=SAME)


def test_persons_in_several_sets_cluster_what_is_left_without_a_study():
    frame = with_sex((REFERENCE, LOCAL_A), 5)
    frame["person"] = np.arange(len(frame)).astype(str)
    mine = frame[(frame["study"] == "R") & (frame["case"] == 0)].index
    frame.loc[mine[10:20], "person"] = frame.loc[mine[:10], "person"].to_numpy()
    left = fitted(frame, by=(), leave_one_out=True).left_out["A"].fit
    alone = frame[frame["study"] == "R"]
    clustered = fitted(alone, by=(), exposure=bc.rcs(knots=left.basis.knots))
    plain = fitted(alone.drop(columns="person"), by=(), exposure=bc.rcs(knots=left.basis.knots))
    np.testing.assert_allclose(left.vcov, clustered.vcov, rtol=SAME)
    assert not np.allclose(left.vcov, plain.vcov, rtol=1e-3)
