"""Shards run apart and merged are one run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from simulated_batches import run_stub, stub_design

import biocal as bc
from biocal.errors import OptionError, OutputError
from biocal.simulation.running.engine import RunOptions, run_design
from biocal.simulation.running.lock import FolderLock
from biocal.simulation.running.schedule import Shard
from biocal.simulation.running.shards import ShardError, merge_folders


def run(design, path, **options):
    return run_design(design, path, RunOptions(**options), run=run_stub)


def run_shards(design, tmp_path, of, only=None):
    folders = [tmp_path / f"shard-{index}" for index in range(1, of + 1)]
    for index in only or range(1, of + 1):
        run(design, folders[index - 1], shard=Shard(index, of))
    return folders


def merge(folders, path, **options):
    return merge_folders(folders, path, **{"force": False, "finish": None, **options})


def stop_after_ten(done, total):
    if done > 10:
        raise KeyboardInterrupt


@pytest.mark.parametrize("of", [1, 3, 40])
def test_merged_shards_are_byte_for_byte_one_run(tmp_path, of):
    # forty: more shards than batches, so that some are empty
    design = stub_design(50, failing=0.1)
    folders = run_shards(design, tmp_path, of)
    merge(folders[::-1], tmp_path / "merged")
    run(design, tmp_path / "whole")
    for name in ("replicates.parquet", "design.json"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_shard_that_was_interrupted_and_resumed_merges_alike(tmp_path):
    design = stub_design(50)
    run_shards(design, tmp_path, 2, only=[1])
    second = tmp_path / "shard-2"
    with pytest.raises(KeyboardInterrupt):
        run(design, second, shard=Shard(2, 2), progress=stop_after_ten)
    with pytest.raises(ShardError, match=r"shard-2' is not finished: run it again with --resume \(it lacks"):
        merge([tmp_path / "shard-1", second], tmp_path / "merged")
    run(design, second, shard=Shard(2, 2), resume=True)
    merge([tmp_path / "shard-1", second], tmp_path / "merged")
    run(design, tmp_path / "whole")
    names = ("merged", "whole")
    first, whole = ((tmp_path / name / "replicates.parquet").read_bytes() for name in names)
    assert first == whole


def test_finishing_happens_once_at_the_merge(tmp_path):
    seen = []
    design = stub_design(10)
    for index in (1, 2):
        options = RunOptions(shard=Shard(index, 2))
        run_design(design, tmp_path / str(index), options, run=run_stub, finish=seen.append)
    assert seen == []
    merge([tmp_path / "1", tmp_path / "2"], tmp_path / "all", finish=seen.append)
    assert seen == [tmp_path / "all"]


def test_missing_and_doubled_shards_are_all_named(tmp_path):
    folders = run_shards(stub_design(50), tmp_path, 4, only=[1, 3])
    run(stub_design(50), tmp_path / "again", shard=Shard(3, 4))
    with pytest.raises(ShardError) as refusal:
        merge([folders[0], folders[2], tmp_path / "again"], tmp_path / "merged")
    assert len(refusal.value.problems) == 2
    assert "shard 3/4 is there 2 times" in refusal.value.problems[0]
    assert "2 of 4 shards are missing: 2, 4" in refusal.value.problems[1]
    assert not (tmp_path / "merged").exists()


def test_shards_of_different_divisions_are_refused(tmp_path):
    design = stub_design(20)
    run(design, tmp_path / "a", shard=Shard(1, 2))
    run(design, tmp_path / "b", shard=Shard(2, 3))
    with pytest.raises(ShardError, match="different divisions: 1 shards of 2 and 1 shards of 3"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "merged")


@pytest.mark.parametrize(
    ("change", "told"),
    [({"seed": 8}, "seed 7 there, 8 here"), ({"replicates": 30}, "replicates 20 there, 30")],
)
def test_shards_of_different_designs_are_refused(tmp_path, change, told):
    run(stub_design(20), tmp_path / "a", shard=Shard(1, 2))
    run(replace(stub_design(20), **change), tmp_path / "b", shard=Shard(2, 2))
    with pytest.raises(ShardError, match=f"another design than .*: {told}"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "merged")


def test_a_shard_is_not_resumed_as_another(tmp_path):
    run(stub_design(20), tmp_path, shard=Shard(1, 2))
    with pytest.raises(OptionError, match='shard "1/2" there, "2/2" here'):
        run(stub_design(20), tmp_path, shard=Shard(2, 2), resume=True)


def test_a_folder_without_a_simulation_is_named(tmp_path):
    with pytest.raises(ShardError, match=r"has no design\.json"):
        merge([tmp_path], tmp_path / "merged")
    with pytest.raises(ShardError, match="is not a folder"):
        merge([tmp_path / "nowhere"], tmp_path / "merged")


def test_a_shard_that_still_runs_is_told_as_such(tmp_path):
    design = stub_design(50)
    with pytest.raises(KeyboardInterrupt):
        run(design, tmp_path / "a", shard=Shard(1, 1), progress=stop_after_ten)
    with FolderLock(tmp_path / "a"), pytest.raises(ShardError, match="is still running"):
        merge([tmp_path / "a"], tmp_path / "merged")


def test_a_damaged_shard_is_told(tmp_path):
    folders = run_shards(stub_design(20), tmp_path, 2)
    (folders[0] / "replicates.parquet").write_bytes(b"PAR1")
    with pytest.raises(ShardError, match=r"cannot be read.*run that shard again with --resume"):
        merge(folders, tmp_path / "merged")


def test_the_merge_needs_a_folder_of_its_own(tmp_path):
    folders = run_shards(stub_design(20), tmp_path, 2)
    with pytest.raises(OptionError, match="is one of the shards"):
        merge(folders, folders[0])


def test_a_merge_does_not_overwrite_results_unasked(tmp_path):
    folders = run_shards(stub_design(20), tmp_path, 2)
    merge(folders, tmp_path / "merged")
    with pytest.raises(OutputError, match="holds a finished simulation"):
        merge(folders, tmp_path / "merged")
    merge(folders, tmp_path / "merged", force=True)
    assert json.loads((tmp_path / "merged" / "design.json").read_text())["shard"] is None


def test_a_shard_beyond_the_last_batch_ends_well_and_says_nothing(tmp_path):
    design = {
        "replicates": 2,
        "seed": 3,
        "methods": ["full"],
        "exposure": {"mean": 60, "sd": 20},
        "truth": {"type": "linear", "beta": [-0.01]},
        "fit": {"exposure": "linear"},
        "estimand": {"at": [40], "reference": 60},
        "studies": [{"name": "A", "sets": 50, "laboratory": "reference"}],
    }
    shards = [bc.simulate(design, shard=(index, 2), out=tmp_path / str(index)) for index in (1, 2)]
    assert sorted(study.is_empty for study in shards) == [False, True]
    merged = bc.merge_shards([tmp_path / "1", tmp_path / "2"], out=tmp_path / "merged")
    assert merged.performance().tidy()["n"].tolist() == [2]
