"""Effect modification from partitions is that of all rows: products, levels, calibration, residual variances."""

from __future__ import annotations

import numpy as np
import pytest
from federated_pool import few_studies, make_pool
from partitioned_pool import assert_same_fit, assert_same_numbers, numbered_by_range, write_by

import biocal as bc
from biocal.errors import OptionError
from biocal.fitting.problem.prepare import ModelFormulas, prepare
from biocal.results.fit.tables import fit_tables


def pool_with_modifiers():
    """Sex of the person, stage matched on, and doses of three values, beside the other columns."""
    pool = few_studies(make_pool(50))
    rng = np.random.default_rng(7)
    pool["sex"] = rng.choice(["f", "m"], len(pool))
    pool["stage"] = np.where(pool["set"] % 3 == 0, "late", "early")
    pool["dose"] = rng.choice([0.0, 1.0, 2.5], len(pool))
    return pool


POOL = pool_with_modifiers()


@pytest.mark.parametrize(
    "options",
    [
        {"modifier": "sex", "method": ["naive", "full", "induced"], "exposure": bc.rcs(3)},
        {"modifier": "stage", "method": ["full", "induced"], "matching": "age + C(stage)"},
        {"modifier": "C(smoking)", "method": ["full", "induced"], "covariates": "bmi + C(smoking)"},
        {"modifier": "dose", "calibration_covariates": "none", "calibration_variance": "hc3"},
        {"modifier": "bmi", "calibration_coefficients": "by-study"},
        {"modifier": "sex", "exposure": bc.categories([45, 75]), "method": ["induced"]},
    ],
    ids=["within sets", "matched on", "among the covariates", "few numbers", "a number", "categories"],
)
def test_a_modifier_gives_the_fit_of_all_rows(tmp_path, options):
    options = {"method": ["full"], "exposure": bc.linear(), "covariates": "bmi", "matching": "age", **options}
    folder = write_by(tmp_path / "pool", POOL, numbered_by_range(POOL, 4))
    found = bc.fit_partitioned(folder, **options)
    expected = bc.fit(bc.PooledStudies.from_frame(POOL), **options)
    for method, fit in expected.items():
        assert_same_fit(found[method], fit)
        assert found[method].info.modifier_levels.labels == fit.info.modifier_levels.labels
        np.testing.assert_allclose(found[method].info.modifier_levels.values, fit.info.modifier_levels.values)
        assert found[method].info.modifier_effects == fit.info.modifier_effects
        assert found[method].info.joint_obstacle == fit.info.joint_obstacle
        assert found[method].info.calibration_names == fit.info.calibration_names
    tables, whole = fit_tables(found), fit_tables(expected)
    rows = ~whole["tests"]["test"].isin(["slope_heterogeneity", "heterogeneity", "basis"])
    assert_same_numbers(tables["tests"], whole["tests"][rows].reset_index(drop=True))
    assert "interaction" in tables["tests"]["test"].tolist()
    assert_same_numbers(tables["variance_shares"], whole["variance_shares"])
    if "calibration_covariates" in whole:
        assert_same_numbers(tables["calibration_covariates"], whole["calibration_covariates"])


def test_levels_have_residual_variances_of_their_own_where_pairs_are_enough():
    """Otherwise the tests above would not try them: four levels of ten pairs are too many for 45."""
    prepared = prepare(bc.PooledStudies.from_frame(POOL), ModelFormulas(modifier="sex"))
    assert prepared.problem.calibrators.layout.n_groups == 2 * len(prepared.problem.local_names)


def test_joint_curves_of_the_levels_are_those_of_all_rows(tmp_path):
    options = {"exposure": bc.linear(), "modifier": "sex", "joint": "f", "reference": 60, "at": [40, 80]}
    folder = write_by(tmp_path / "pool", POOL, numbered_by_range(POOL, 3))
    found = bc.fit_partitioned(folder, method=["full"], **options)
    expected = bc.fit(bc.PooledStudies.from_frame(POOL), method=["full"], **options)
    assert_same_numbers(fit_tables(found)["joint"], fit_tables(expected)["joint"])
    with pytest.raises(OptionError, match="'x' is not a level of sex; levels: f, m"):
        bc.fit_partitioned(folder, **(options | {"joint": "x"}))


@pytest.mark.parametrize("value", [1.0, "f"], ids=["a number", "a word"])
def test_a_modifier_of_one_value_is_refused_as_in_memory(tmp_path, value):
    alike = POOL.assign(sex=value)
    options = {"exposure": bc.linear(), "modifier": "sex"}
    with pytest.raises(OptionError, match="the modifier sex has the same value for everybody") as expected:
        bc.fit(bc.PooledStudies.from_frame(alike), **options)
    with pytest.raises(OptionError) as found:
        bc.fit_partitioned(write_by(tmp_path / "pool", alike, numbered_by_range(POOL, 3)), **options)
    assert str(found.value) == str(expected.value)


def test_a_modifier_may_have_one_value_within_a_partition(tmp_path):
    number = numbered_by_range(POOL, 3)
    pool = POOL.assign(sex=np.where(number == 1, "m", POOL["sex"]))
    options = {"exposure": bc.linear(), "modifier": "sex"}
    found = bc.fit_partitioned(write_by(tmp_path / "pool", pool, number), **options)
    assert_same_fit(found, bc.fit(bc.PooledStudies.from_frame(pool), **options))


def test_truth_values_are_coded_as_in_memory(tmp_path):
    pool = POOL.assign(smokes=POOL["smoking"] == "current")
    options = {"exposure": bc.linear(), "covariates": "smokes + bmi", "modifier": "smokes"}
    found = bc.fit_partitioned(write_by(tmp_path / "pool", pool, numbered_by_range(POOL, 3)), **options)
    expected = bc.fit(bc.PooledStudies.from_frame(pool), **options)
    assert_same_fit(found, expected)
    assert "smokes[T.True]" in found.terms
