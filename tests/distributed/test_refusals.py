"""What a partitioned pool may not be, told with partition and row as in memory, and what is never trusted."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest
from federated_pool import few_studies, make_pool
from partitioned_pool import numbered_by_range, write_by, write_partitions

import biocal as bc
from biocal.errors import DataProblemsError, FormulaError, InputError, OptionError, OutputError
from biocal.fitting.sums.rows import moments_of_pairs
from biocal.pool.checks.notices import Problem
from biocal.remote.partitions.api import run_partitioned
from biocal.remote.partitions.merging import merged_moments
from biocal.remote.partitions.quantiles import count_digits, exact_quantiles, ordered_keys, value_of_key
from biocal.remote.partitions.running.part_cache import load, store
from biocal.remote.partitions.running.session import scratch_folder
from biocal.system.files import temporary_name

POOL = few_studies(make_pool(40))
#: Sums in another order, of numbers about 60.
ROUNDING = 1e-11


def refused(folder, **options):
    with pytest.raises(DataProblemsError) as caught:
        bc.fit_partitioned(folder, **options)
    return caught.value.problems


def test_a_set_in_two_partitions_is_told_with_both_rows(tmp_path):
    number = numbered_by_range(POOL, 4)
    rows = np.flatnonzero((POOL["study"] == "Beech") & (POOL["set"] == 3))
    number[rows[0]] = (number[rows[0]] + 2) % 4
    problems = refused(write_by(tmp_path / "pool", POOL, number))
    assert [problem.code for problem in problems] == ["set-split"]
    only = problems[0]
    assert (only.study, only.column) == ("Beech", "set")
    places = [only.file, str(only).split("is in ")[1].split(" too")[0].partition(":")[0]]
    assert sorted(places) == sorted(str(tmp_path / "pool" / f"part-{k}.parquet") for k in set(number[rows]))
    written = bc.fit_partitioned(write_partitions(tmp_path / "whole", POOL, 4), exposure=bc.linear())
    assert written.sample.n_sets > 0


def test_a_person_in_two_partitions_is_told(tmp_path):
    pool = POOL.assign(person=np.arange(len(POOL)))
    number = numbered_by_range(pool, 2)
    own = pool.index[(pool["study"] == pool["study"].iloc[0]) & (pool["case"] == 0)]
    number[POOL["study"] == POOL["study"].iloc[0]] = 0
    last = pool["set"] == pool.loc[own[-1], "set"]
    number[last & (pool["study"] == pool["study"].iloc[0])] = 1
    pool.loc[own[-1], "person"] = pool.loc[own[0], "person"]
    folder = write_by(tmp_path / "pool", pool, number)
    problems = refused(folder)
    assert [problem.code for problem in problems] == ["person-split"]
    assert "must lie in one partition" in str(problems[0])
    alone = bc.PartitionedStudies.of(folder, person=None)
    assert bc.fit_partitioned(alone, exposure=bc.linear()).sample.n_sets > 0


def test_equal_hashes_of_different_sets_are_no_split(tmp_path, monkeypatch):
    from biocal.remote.partitions import census as partition_census

    monkeypatch.setattr(
        partition_census, "hash_words", lambda words: np.array([len(word) for word in words], np.uint64)
    )
    folder = write_partitions(tmp_path / "pool", POOL, 3)
    assert bc.fit_partitioned(folder, exposure=bc.linear()).sample.n_sets > 0


def test_problems_of_all_partitions_are_told_with_file_and_row(tmp_path):
    number = numbered_by_range(POOL, 4)
    pool = POOL.astype({"reference": object, "case": object})
    bad = {k: np.flatnonzero((number == k) & POOL["reference"].notna())[2] for k in (1, 3)}
    for row in bad.values():
        pool.loc[row, "reference"] = "12,,5"
    ill = np.flatnonzero(number == 2)[4]
    pool.loc[ill, "case"] = "ill"
    pool = pool.astype({"reference": str, "case": str}).replace({"nan": None})
    problems = refused(write_by(tmp_path / "pool", pool, number))
    found = {(problem.file, problem.line, problem.column) for problem in problems if problem.level == "error"}
    line = {
        row: 1 + int((np.flatnonzero(number == number[row]) == row).argmax()) for row in (*bad.values(), ill)
    }
    wanted = {
        (str(tmp_path / "pool" / f"part-{k}.parquet"), line[row], "reference") for k, row in bad.items()
    }
    assert found == wanted | {(str(tmp_path / "pool" / "part-2.parquet"), line[ill], "case")}


def test_the_kind_of_a_study_is_that_of_all_its_partitions(tmp_path):
    rows = POOL[POOL["study"].isin(["Ash", "Beech"])].reset_index(drop=True)
    paired = rows["reference"].notna()
    whole = rows.groupby(["study", "set"])["reference"].transform(lambda one: one.notna().all())
    filled = rows.copy()
    first = (rows["study"] == "Beech") & (rows["set"] <= 6)
    filled.loc[first, "reference"] = filled.loc[first, "local"]
    number = np.where(first, 1, 0)
    folder = write_by(tmp_path / "pool", filled, number)  # alone, part-1 would be undecided
    found = bc.fit_partitioned(folder, exposure=bc.linear())
    expected = bc.fit(bc.PooledStudies.from_frame(filled), exposure=bc.linear())
    np.testing.assert_allclose(found.vcov, expected.vcov, rtol=1e-8)
    assert paired.any()
    assert whole.any()
    filled["reference"] = filled["reference"].fillna(60.0)
    problems = refused(write_by(tmp_path / "all", filled, number))
    assert "--local-study Beech" in str(problems[0])


def test_options_and_files_that_cannot_be_are_refused_before_work(tmp_path):
    folder = write_partitions(tmp_path / "pool", POOL, 2)
    for options, kind, words in [
        ({"method": "two-stage"}, OptionError, "knows naive, internalized, full, induced"),
        ({"method": "ful"}, OptionError, "did you mean 'full'"),
        ({"jobs": 0}, OptionError, "jobs is a number"),
        ({"jobs": 2, "scheduler": "tcp://x:1"}, OptionError, "give one of them"),
        ({"at": []}, OptionError, "finite numbers"),
        ({"reference": float("nan")}, OptionError, "finite numbers"),
        ({"level": 95}, OptionError, "between 0 and 1"),
        ({"covariates": "center(bmi)"}, FormulaError, "learns from the rows"),
        ({"covariates": "waist"}, FormulaError, "waist"),
    ]:
        with pytest.raises(kind, match=words):
            bc.fit_partitioned(folder, **options)
    declared = bc.PartitionedStudies.of(folder, reference_study="Elm")
    with pytest.raises(OptionError, match="'Elm', which is not in the data"):
        bc.fit_partitioned(declared)
    (folder / "part-2.parquet").write_bytes((folder / "part-1.parquet").read_bytes())
    assert {problem.code for problem in refused(folder)} == {"file-twice", "set-split"}
    with pytest.raises(InputError, match=r"there is no \.parquet file in it"):
        bc.fit_partitioned(tmp_path)
    with pytest.raises(InputError, match="a file, but a partitioned pool is a folder"):
        bc.fit_partitioned(folder / "part-0.parquet")


def test_a_column_of_words_in_one_partition_and_numbers_in_another_is_refused(tmp_path):
    number = numbered_by_range(POOL, 2)
    folder = write_by(tmp_path / "pool", POOL, number)
    POOL[number == 1].assign(bmi="thin").to_parquet(folder / "part-1.parquet")
    with pytest.raises(InputError, match=r"column 'bmi' holds number in .*part-0.* and words in .*part-1"):
        bc.fit_partitioned(folder, covariates="bmi")


def test_a_partition_that_changes_during_the_fit_is_refused(tmp_path):
    folder = write_partitions(tmp_path / "pool", POOL, 2)

    def change(words):
        if words == "reading":
            POOL[numbered_by_range(POOL, 2) == 1].iloc[:-5].to_parquet(folder / "part-1.parquet")

    with pytest.raises(InputError, match=r"part-1\.parquet: changed while the fit was running"):
        run_partitioned(folder, told=change)


def test_partitions_that_workers_do_not_see_are_told_as_such(tmp_path, monkeypatch):
    def blind(path, roles):
        raise DataProblemsError([Problem("error", "no-file", "there is no such file", file=path)])

    monkeypatch.setattr("biocal.remote.partitions.rounds.take_census", blind)
    with pytest.raises(InputError, match=r"part-0\.parquet: not found by whoever computes"):
        bc.fit_partitioned(write_partitions(tmp_path / "pool", POOL, 2))


def test_nothing_is_left_on_disk_after_a_fit_or_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    folder = write_partitions(tmp_path / "pool", POOL, 2)
    seen = []
    run_partitioned(folder, told=lambda words: seen.append(len(list((tmp_path / "scratch").rglob("*.part")))))
    assert max(seen) == 2
    with pytest.raises(bc.FitError):
        bc.fit_partitioned(folder, covariates="bmi + I(2 * bmi)")
    assert list((tmp_path / "scratch").iterdir()) == []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(OutputError, match="name one with TMPDIR"):
        bc.fit_partitioned(folder)


def test_what_a_killed_fit_has_left_is_removed_by_the_next_and_nothing_else_is(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder() as running:
        left, mine = temporary_name(tmp_path / "biocal-partitions"), tmp_path / "biocal-partitions-mine"
        for folder in (left, mine):
            folder.mkdir()
            (folder / "000000.part").write_text("x")
        link = temporary_name(tmp_path / "biocal-partitions")
        link.symlink_to(mine)
        with scratch_folder() as other:
            there = {str(folder) for folder in tmp_path.iterdir()}
            assert stat.S_IMODE(os.stat(other).st_mode) == 0o700
        assert there == {running, other, str(mine), str(link)}
    assert (mine / "000000.part").exists()
    assert not os.path.exists(running)


@pytest.mark.parametrize("cut", [0, 10, 40, -1])
def test_a_prepared_partition_cut_short_is_none(tmp_path, cut):
    path = tmp_path / "000000.part"
    store(path, {"a": np.arange(5.0), "b": np.eye(3)})
    np.testing.assert_array_equal(load(path)["b"], np.eye(3))
    path.write_bytes(path.read_bytes()[:cut])
    assert load(path) is None
    assert load(tmp_path / "absent") is None


def test_a_disk_without_room_is_told(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OutputError, match="No space left on device; free some of it"):
        store(tmp_path / "x.part", np.arange(3))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", range(4))
def test_quantiles_by_counting_are_numpys_to_the_last_bit(seed):
    rng = np.random.default_rng(seed)
    values = [
        rng.normal(0, 1, 1001),
        rng.normal(0, 1, 500).round(1),
        np.concatenate([np.zeros(40), [-0.0, 1e-300, -1e300, 5e-324], rng.lognormal(0, 9, 60)]),
        np.array([60.25]),
    ][seed]
    parts = [np.sort(ordered_keys(part)) for part in np.array_split(rng.permutation(values), 3)]
    probabilities = (0.0, 0.01, 0.05, 1 / 3, 0.5, 0.95, 1.0)
    found = exact_quantiles(
        values.size,
        probabilities,
        lambda prefixes, shift: [count_digits(part, prefixes, shift) for part in parts],
    )
    np.testing.assert_array_equal(found, np.quantile(values + 0.0, probabilities))
    assert [value_of_key(int(key)) for key in ordered_keys(values)] == (values + 0.0).tolist()


def test_moments_put_together_are_those_of_all_pairs():
    rng = np.random.default_rng(5)
    columns, response = rng.normal(60, 1, (3, 50)), rng.normal(1e4, 3, 50)
    columns[2] = 0.1
    whole = moments_of_pairs(columns, response)
    pieces = [slice(0, 7), slice(7, 8), slice(8, 50)]
    merged = merged_moments([moments_of_pairs(columns[:, one], response[one]) for one in pieces])
    assert merged.n == whole.n
    for name in ("means", "products", "response_mean", "response_products", "response_square"):
        np.testing.assert_allclose(
            getattr(merged, name), getattr(whole, name), rtol=ROUNDING, atol=ROUNDING, err_msg=name
        )
    assert merged.products[2, 2] == 0.0
