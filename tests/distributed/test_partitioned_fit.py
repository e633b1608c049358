"""A fit from partitions is the fit of all rows: every method, knots given or quantiles, sets 1:m and n:m."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from federated_pool import few_studies, make_pool
from partitioned_pool import (
    METHODS,
    assert_same_fit,
    assert_same_numbers,
    close,
    numbered_by_range,
    several_cases,
    write_by,
    write_partitions,
)

import biocal as bc
from biocal.remote.partitions.api import run_partitioned
from biocal.results.fit.tables import fit_tables

POOL = few_studies(make_pool(40))
MODEL = {"covariates": "bmi + C(smoking)", "matching": "age"}


def both(tmp_path, pool, number=None, **options):
    """The fit from partitions, and that of all rows."""
    number = numbered_by_range(pool, 8) if number is None else number
    folder = write_by(tmp_path / "pool", pool, number)
    options = {"method": METHODS, **MODEL, **options}
    return bc.fit_partitioned(folder, **options), bc.fit(bc.PooledStudies.from_frame(pool), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"exposure": bc.rcs(4)},
        {"exposure": bc.rcs(knots=[35, 60, 85]), "reference": 60, "at": [30, 45, 60, 75]},
        {
            "exposure": bc.rcs(3),
            "calibration_covariates": "none",
            "calibration_variance": "hc3",
            "method": ["full"],
        },
        {
            "exposure": bc.linear(),
            "calibration_coefficients": "by-study",
            "method": ["internalized", "induced"],
        },
    ],
    ids=["quantile knots", "given knots", "published calibration, hc3", "linear, by study"],
)
def test_all_methods_are_those_of_all_rows(tmp_path, options):
    found, expected = both(tmp_path, POOL, **options)
    assert list(found) == options.get("method", METHODS)
    for method in found:
        assert_same_fit(found[method], expected[method])


def test_sets_with_several_cases_categories_and_standard_deviations_are_those_of_all_rows(tmp_path):
    pool = several_cases(POOL)
    exposure = bc.categories([45, 60, 75], reference="[45, 60)")
    found, expected = both(tmp_path, pool, exposure=exposure, method=["full", "induced"])
    assert any(cases > 1 for cases, _ in found["full"].sample.set_shapes)
    for method in found:
        assert_same_fit(found[method], expected[method])
    options = {"exposure": bc.rcs(3), "per": 10, "per_sd": True}
    found, expected = both(tmp_path, pool, method=["full"], **options)
    tables, whole = fit_tables(found), fit_tables(expected)
    for name in ("per_unit", "variance_shares", "covariance"):
        assert_same_numbers(tables[name], whole[name])


@pytest.mark.slow
def test_partitions_by_study_or_of_few_sets_give_the_same_fit(tmp_path):
    found, expected = both(tmp_path, POOL, pd.factorize(POOL["study"])[0])
    for method in METHODS:
        assert_same_fit(found[method], expected[method])
    few = POOL[POOL["study"].isin(["Ash", "Beech"])].dropna(subset=["bmi"]).reset_index(drop=True)
    sides = few.groupby(["study", "set"])["case"].transform("nunique")
    few = few[sides == 2].reset_index(drop=True)
    found, expected = both(tmp_path / "few", few, numbered_by_range(few, 25))
    for method in METHODS:
        assert_same_fit(found[method], expected[method])


def test_persons_in_several_sets_of_a_partition_are_one_unit(tmp_path):
    pool = POOL.copy()
    pool["person"] = np.arange(len(pool))
    number = numbered_by_range(pool, 4)
    first = pool.index[pool["case"] == 0]
    for k in range(4):  # in each partition the second control met is the first again, in another set
        mine = first[number[first] == k]
        study = pool.loc[mine, "study"] == pool.loc[mine[0], "study"]
        pool.loc[mine[study][5], "person"] = pool.loc[mine[0], "person"]
    found, expected = both(tmp_path, pool, number, method=["full"])
    assert_same_fit(found["full"], expected["full"])
    words = "persons in several sets"
    notes = [[note for note in fit.info.notes if words in note] for fit in (found["full"], expected["full"])]
    assert notes[0] == notes[1] != []


def test_a_partition_without_usable_sets_counts_and_changes_nothing(tmp_path):
    pool = POOL.copy()
    number = numbered_by_range(pool, 12)
    pool.loc[number == 5, "bmi"] = np.nan  # half of a study
    found, expected = both(tmp_path, pool, number, method=["full"])
    assert_same_fit(found["full"], expected["full"])


def test_quantiles_of_tied_values_and_of_both_signs_are_exact(tmp_path):
    pool = POOL[POOL["study"].isin(["Ash", "Elder"])].copy()
    pool["reference"] = (pool["reference"] - 60).round(-1)
    found, expected = both(tmp_path, pool, exposure=bc.rcs(probs=[0.1, 0.5, 0.9]), method=["full"])
    assert found["full"].basis.knots == expected["full"].basis.knots
    assert found["full"].info.scale.reference == expected["full"].info.scale.reference


@pytest.mark.slow
def test_processes_give_the_numbers_of_one_process_to_the_last_bit(tmp_path):
    folder = write_partitions(tmp_path / "pool", POOL, 4)
    alone = bc.fit_partitioned(folder, **MODEL)
    several = run_partitioned(folder, jobs=2, **MODEL)
    np.testing.assert_array_equal(several.comparison["full"].vcov, alone.vcov)
    assert several.n_partitions == 4
    assert several.n_rows == len(POOL)
    assert all(peak > 2**20 for peak in several.peak_memory.values())


def test_naive_needs_no_calibration(tmp_path):
    pool = POOL[POOL["study"].isin(["Ash", "Beech"])].copy()
    pool.loc[pool["study"] == "Beech", "reference"] = np.nan
    found, expected = both(tmp_path, pool, exposure=bc.rcs(3), method=["naive"], matching=None)
    close(found["naive"].vcov, expected["naive"].vcov)
    assert found["naive"].info.notes[0] == expected["naive"].info.notes[0]
    assert "no calibration was possible" in found["naive"].info.notes[0]
