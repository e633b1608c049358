"""The engine: same numbers however they are run, failures kept, places that are lost told."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from simulated_batches import run_and_die, run_stub, stub_design

import biocal.simulation.running.parts as parts
from biocal.errors import OptionError, OutputError, SimulationError
from biocal.simulation.running.engine import RunOptions, run_design, time_left
from biocal.simulation.running.lock import LOCK_NAME, FolderInUseError, FolderLock


def run(design, path, *, runner=run_stub, finish=None, **options):
    return run_design(design, path, RunOptions(**options), run=runner, finish=finish)


def rows(path):
    return pd.read_parquet(path / "replicates.parquet")


def test_rows_come_in_the_order_of_scenario_replicate_method_and_exposure(tmp_path):
    run(stub_design(20), tmp_path)
    frame = rows(tmp_path)
    assert len(frame) == 3 * 20 * 2 * 3
    methods = frame["method"].map({"naive": 0, "full": 1})
    keys = list(zip(frame["scenario"], frame["replicate"], methods, frame["exposure"], strict=True))
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_the_file_holds_what_the_batches_gave(tmp_path):
    design = stub_design(10, failing=0.3)
    run(design, tmp_path)
    frame = rows(tmp_path)
    expected = run_stub(design.scenarios[1], design.seed, 1, range(10))
    found = frame[frame["scenario"] == 1]
    for name in ("estimate", "std_error", "conf_low", "truth"):
        np.testing.assert_array_equal(found[name], expected[name])
    failed = ~expected["converged"]
    assert failed.any()
    assert found.loc[failed, "estimate"].isna().all()
    assert set(found.loc[failed, "error"]) == {"ConvergenceError: made to fail"}
    assert found.loc[~failed, "error"].isna().all()


@pytest.mark.parametrize("options", [{"jobs": 2}, {"jobs": -1}])
def test_jobs_change_no_byte(tmp_path, options):
    design = stub_design(20, failing=0.1)
    run(design, tmp_path / "one")
    run(design, tmp_path / "many", **options)
    first, second = ((tmp_path / name / "replicates.parquet").read_bytes() for name in ("one", "many"))
    assert first == second


def test_the_parts_are_gone_and_the_design_is_told_complete_at_the_end(tmp_path):
    run(stub_design(20), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["design.json", "replicates.parquet"]
    record = json.loads((tmp_path / "design.json").read_text())
    assert record["complete"] is True
    assert record["seed"] == 7
    assert record["versions"]["numpy"] == np.__version__


def test_many_batches_leave_few_files(tmp_path):
    design = stub_design(8 * 100)
    seen = []
    run(design, tmp_path, progress=lambda done, total: seen.append(len(list((tmp_path / "parts").iterdir()))))
    n_batches = 100 + 200 + 100
    assert len(seen) == n_batches
    assert max(seen) <= parts.BLOCKS_PER_PART + n_batches // parts.BLOCKS_PER_PART


def test_progress_tells_replicates_done_and_all_of_them(tmp_path):
    told = []
    run(stub_design(10), tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (30, 30)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_the_time_left_follows_the_rate_of_this_run():
    assert time_left(100, 10.0, 36_000) == "1:00:00"
    assert time_left(0, 10.0, 5) == "?"


def test_nothing_is_shown_when_stderr_is_not_a_terminal(tmp_path, capfd):
    run(stub_design(5), tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_folder_with_results_is_refused_without_resume_or_force(tmp_path):
    run(stub_design(5), tmp_path)
    with pytest.raises(OutputError, match=r"holds a finished simulation.*--force"):
        run(stub_design(5), tmp_path)
    assert len(rows(tmp_path)) == 90


def test_results_of_other_programs_are_not_touched_without_force(tmp_path):
    (tmp_path / "performance.csv").write_text("mine")
    with pytest.raises(OutputError, match=r"holds performance\.csv, and no design\.json"):
        run(stub_design(5), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["performance.csv"]


def test_other_files_in_the_folder_do_not_matter(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "spare.txt").write_text("mine")
    run(stub_design(5), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "parts" / "spare.txt").read_text() == "mine"


def test_force_begins_anew(tmp_path):
    run(stub_design(5), tmp_path)
    (tmp_path / "performance.csv").write_text("old")
    report = run(stub_design(3), tmp_path, force=True)
    assert report.replicates_now == 9
    assert len(rows(tmp_path)) == 54
    assert not (tmp_path / "performance.csv").exists()


def test_a_folder_that_holds_nonsense_as_design_is_refused(tmp_path):
    (tmp_path / "design.json").write_text("[1, 2")
    with pytest.raises(OutputError, match="not a design that biocal simulate wrote"):
        run(stub_design(5), tmp_path, resume=True)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        run(stub_design(5), tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": 0}, "number of processes"),
        ({"jobs": 1.5}, "number of processes"),
        ({"jobs": True}, "number of processes"),
        ({"resume": True, "force": True}, "choose one"),
        ({"jobs": 2, "scheduler": "tcp://x:1"}, "choose one"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        RunOptions(**options)


def test_a_run_holds_its_folder(tmp_path):
    with FolderLock(tmp_path), pytest.raises(FolderInUseError, match=f"process {os.getpid()} on"):
        run(stub_design(5), tmp_path)
    run(stub_design(5), tmp_path)
    assert not (tmp_path / LOCK_NAME).exists()


def test_a_run_in_another_process_holds_its_folder(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from biocal.simulation.running.lock import FolderLock\n"
        "with FolderLock(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderInUseError) as refusal:
            run(stub_design(5), tmp_path)
        assert refusal.value.pid == holder.pid
    finally:
        holder.kill()
        holder.communicate()
    assert (tmp_path / LOCK_NAME).exists()  # the killed run left it ...
    run(stub_design(5), tmp_path)  # ... and it holds nothing


def _lock_of(tmp_path, **changes):
    with FolderLock(tmp_path):
        holder = json.loads((tmp_path / LOCK_NAME).read_text())
    (tmp_path / LOCK_NAME).write_text(json.dumps(holder | changes))


def test_the_lock_of_a_live_run_on_another_machine_holds(tmp_path):
    _lock_of(tmp_path, host="elsewhere")
    with pytest.raises(FolderInUseError, match="on elsewhere"):
        FolderLock(tmp_path).__enter__()


def test_a_run_on_another_machine_that_has_long_been_silent_counts_as_dead(tmp_path):
    _lock_of(tmp_path, host="elsewhere")
    long_ago = time.time() - 3_600
    os.utime(tmp_path / LOCK_NAME, (long_ago, long_ago))
    with FolderLock(tmp_path):
        pass


@pytest.mark.parametrize("start", ["0", None])
def test_without_locks_of_the_system_a_later_process_of_the_same_number_does_not_hold(
    tmp_path, monkeypatch, start
):
    if start is None and not Path("/proc/self/stat").exists():
        pytest.skip("without /proc the number is all there is")
    monkeypatch.setattr(FolderLock, "_take", lambda self, file: False)
    _lock_of(tmp_path, start=start)
    with FolderLock(tmp_path):
        pass


def test_without_locks_of_the_system_a_live_process_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(FolderLock, "_take", lambda self, file: False)
    with FolderLock(tmp_path), pytest.raises(FolderInUseError):
        FolderLock(tmp_path).__enter__()


def test_a_full_disk_is_told_and_leaves_what_was_done(tmp_path, monkeypatch):
    design = stub_design(20)
    write, left = parts.write_blocks, [3]

    def full(path, *arguments, **options):
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        write(path, *arguments, **options)

    monkeypatch.setattr(parts, "write_blocks", full)
    with pytest.raises(OutputError, match="disk is full: free some space, then go on with --resume"):
        run(design, tmp_path)
    monkeypatch.undo()
    report = run(design, tmp_path, resume=True)
    assert report.replicates - report.replicates_now == 8 + 4 + 8


def test_a_folder_removed_under_a_run_is_told(tmp_path):
    folder = tmp_path / "out"

    def remove(done, total):
        shutil.rmtree(folder, ignore_errors=True)

    with pytest.raises(OutputError, match="the folder was removed"):
        run(stub_design(20), folder, progress=remove)


def test_a_run_that_stops_before_its_first_batch_leaves_nothing(tmp_path):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(stub_design(5), tmp_path / "out", runner=interrupted)
    assert not (tmp_path / "out").exists()


def test_a_worker_that_is_killed_is_told_and_the_run_goes_on_later(tmp_path):
    mark = {"mark": str(tmp_path / "mark"), "at": [1, 8]}
    design = stub_design(20, options=mark)
    with pytest.raises(SimulationError, match=r"worker process was killed.*--resume"):
        run(design, tmp_path / "out", runner=run_and_die, jobs=2)
    run(design, tmp_path / "out", runner=run_and_die, jobs=2, resume=True)
    run(stub_design(20), tmp_path / "serial")
    pd.testing.assert_frame_equal(rows(tmp_path / "out"), rows(tmp_path / "serial"))


def test_finishing_sees_the_whole_file_and_its_fault_keeps_the_results(tmp_path):
    def fault(path):
        assert len(rows(path)) == 90
        raise RuntimeError("no figures today")

    with pytest.raises(RuntimeError):
        run(stub_design(5), tmp_path, finish=fault)
    assert json.loads((tmp_path / "design.json").read_text())["complete"] is False
    report = run(stub_design(5), tmp_path, finish=lambda path: None, resume=True)
    assert report.replicates_now == 0


def test_every_file_names_its_columns_alike(tmp_path):
    run(stub_design(5), tmp_path)
    assert pq.read_schema(tmp_path / "replicates.parquet").equals(parts.SCHEMA, check_metadata=False)
