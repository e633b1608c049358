"""Runs that are killed, interrupted or extended: nothing finished is lost, nothing is run twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from simulated_batches import run_stub, stub_design

from biocal.errors import OptionError, OutputError
from biocal.simulation.running import parts
from biocal.simulation.running.engine import RunOptions, run_design

TESTS = Path(__file__).parents[1]
#: Seconds a process may take to start on a busy machine.
PATIENCE = 60.0


def run(design, path, **options):
    return run_design(design, path, RunOptions(**options), run=run_stub)


def content(path):
    return (path / "replicates.parquet").read_bytes()


def batches_run(log):
    """(scenario, first replicate) of every batch that was begun, and how often."""
    lines = Path(log).read_text().splitlines() if Path(log).exists() else []
    return Counter(tuple(map(int, line.split()[:2])) for line in lines)


def start(tmp_path, replicates, *, pause=0.0, jobs=1, resume=False):
    asked = {
        "out": str(tmp_path / "out"),
        "replicates": replicates,
        "scenario": {"pause": pause, "log": str(tmp_path / "log")},
        "options": {"jobs": jobs, "resume": resume},
    }
    return subprocess.Popen(
        [sys.executable, str(TESTS / "simulated_run.py"), json.dumps(asked)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(ready, process):
    deadline = time.monotonic() + PATIENCE
    while not ready():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "the run did not get going"
        time.sleep(0.005)


@pytest.fixture
def kill_all():
    """End whole sessions, workers included."""
    begun = []
    yield begun.append
    for process in begun:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()


#: Batches that a kill can catch between their beginning and their file: with one job the one that runs; with
#: more, joblib has handed out two a job, and workers go on with those for a moment after their parent's death;
#: a third a job may be on its way to the parent.
CAUGHT = {1: 1, 2: 6}


@pytest.mark.parametrize(("jobs", "pause"), [(1, 0.004), (2, 0.05)])
def test_runs_killed_at_any_moment_lose_at_most_the_running_batches(tmp_path, kill_all, jobs, pause):
    design, kills = stub_design(200), 3
    log = tmp_path / "log"
    moments = random.Random(jobs)
    for attempt in range(kills):
        wanted = sum(batches_run(log).values()) + moments.randrange(1, 15)
        process = start(tmp_path, 200, pause=pause, jobs=jobs, resume=attempt > 0)
        kill_all(process)
        wait_for(lambda wanted=wanted: sum(batches_run(log).values()) >= wanted, process)
        time.sleep(moments.random() * 2 * pause)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    begun = batches_run(log)
    assert sum(begun.values()) - len(begun) <= kills * CAUGHT[jobs]
    report = run(design, tmp_path / "out", resume=True)
    done = sum(4 if scenario == 1 else 8 for scenario, _ in begun)
    assert report.replicates - report.replicates_now >= done - 8 * CAUGHT[jobs]
    run(design, tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_workers_end_soon_after_their_parent_is_killed(tmp_path, kill_all):
    process = start(tmp_path, 400, pause=0.05, jobs=2)
    kill_all(process)
    log = tmp_path / "log"
    wait_for(lambda: len(workers_in(log)) == 2, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + PATIENCE
    while any(is_running(worker) for worker in workers_in(log)):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.1)


def workers_in(log):
    lines = Path(log).read_text().splitlines() if Path(log).exists() else []
    return {int(line.split()[3]) for line in lines}


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_resumed_run_repeats_nothing(tmp_path):
    log = tmp_path / "log"
    design = stub_design(40, log=str(log))

    def stop(done, total):
        if done > 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(design, tmp_path / "out", progress=stop)
    run(design, tmp_path / "out", resume=True)
    assert set(batches_run(log).values()) == {1}
    assert len(batches_run(log)) == 5 + 10 + 5


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_in_a_terminal_leaves_a_folder_that_resumes(tmp_path, kill_all, jobs):
    process = start(tmp_path, 400, pause=0.02, jobs=jobs)
    kill_all(process)
    parts_folder = tmp_path / "out" / "parts"
    wait_for(lambda: parts_folder.is_dir() and len(list(parts_folder.glob("batch-*"))) >= 3, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the parent and its workers
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode not in (0, None)
    # the command line turns this one into a sentence
    assert told.count("Traceback") == 1, told
    assert told.rstrip().endswith("KeyboardInterrupt")
    assert not (tmp_path / "out" / ".biocal-lock").exists()
    report = run(stub_design(400), tmp_path / "out", resume=True)
    assert 0 < report.replicates_now < report.replicates


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="masks of signals are read from /proc")
def test_no_ctrl_c_reaches_a_worker_not_even_while_it_starts(tmp_path, kill_all):
    process = start(tmp_path, 400, pause=0.05, jobs=2)
    kill_all(process)
    wait_for(lambda: len(starting_workers(process.pid)) == 2, process)
    for worker in starting_workers(process.pid):
        status = Path(f"/proc/{worker}/status").read_text()
        blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:")).split()[1]
        assert int(blocked, 16) >> (signal.SIGINT - 1) & 1
        assert {os.readlink(f"/proc/{worker}/fd/{stream}") for stream in (1, 2)} == {os.devnull}


def starting_workers(parent):
    """Children that joblib has just started to run batches."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [one for one in children if b"popen_loky" in Path(f"/proc/{one}/cmdline").read_bytes()]
    except OSError:
        return []


def test_a_damaged_part_is_told_and_run_again(tmp_path):
    design = stub_design(40)

    def stop(done, total):
        if done > 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(design, tmp_path / "out", progress=stop)
    first, second, third = sorted((tmp_path / "out" / "parts").glob("*.parquet"))[:3]
    first.write_bytes(b"")  # as a power failure leaves a file that was not synced
    second.write_bytes(second.read_bytes()[:1000])
    damaged = bytearray(third.read_bytes())
    damaged[200:260] = bytes(60)  # the footer is fine, a page is not
    third.write_bytes(damaged)
    report = run(design, tmp_path / "out", resume=True)
    assert len(report.notes) == 3
    assert all("its batches are run again" in note for note in report.notes)
    run(design, tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_kill_while_files_are_grouped_counts_no_batch_twice(tmp_path, monkeypatch):
    design = stub_design(8 * 40)
    monkeypatch.setattr(parts, "BLOCKS_PER_PART", 10)
    unlink = Path.unlink

    def killed(path, missing_ok=False):
        if path.name.startswith("batch-"):
            raise KeyboardInterrupt  # the group is written, its small files are still there
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            run(design, tmp_path / "out")
    names = [path.name for path in (tmp_path / "out" / "parts").iterdir()]
    assert "part-000000.parquet" in names
    assert len(names) == 11
    run(design, tmp_path / "out", resume=True)
    run(design, tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_resuming_an_empty_folder_begins(tmp_path):
    report = run(stub_design(5), tmp_path / "out", resume=True)
    assert report.replicates_now == 15


def test_resuming_a_finished_run_runs_nothing(tmp_path):
    run(stub_design(5), tmp_path)
    before = content(tmp_path)
    assert run(stub_design(5), tmp_path, resume=True).replicates_now == 0
    assert content(tmp_path) == before


def test_a_finished_run_can_be_extended_to_what_a_longer_one_would_be(tmp_path):
    log = tmp_path / "log"
    run(stub_design(20, log=str(log)), tmp_path / "out")
    report = run(stub_design(50, log=str(log)), tmp_path / "out", resume=True)
    assert "from 20 to 50 replicates" in report.notes[0]
    run(stub_design(50), tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    # only the last batch of a scenario, which was not full, is run again
    assert {batch for batch, times in batches_run(log).items() if times == 2} == {(0, 16), (2, 16)}


def test_a_run_cannot_be_cut(tmp_path):
    run(stub_design(20), tmp_path)
    with pytest.raises(OptionError, match=r"begun with 20 replicates.*10.*extended, not cut"):
        run(stub_design(10), tmp_path, resume=True)


def test_another_seed_or_design_is_not_resumed_and_the_difference_is_named(tmp_path):
    run(stub_design(5), tmp_path)
    with pytest.raises(OptionError, match="seed 7 there, 8 here"):
        run(replace(stub_design(5), seed=8), tmp_path, resume=True)
    other = stub_design(5)
    other = replace(other, scenarios=(replace(other.scenarios[0], name="z"), *other.scenarios[1:]))
    with pytest.raises(OptionError, match=r'scenarios\[0\]\[0\] "a" there, "z" here'):
        run(other, tmp_path, resume=True)


def test_another_title_is_the_same_study(tmp_path):
    run(stub_design(5), tmp_path)
    report = run(replace(stub_design(5), title="a better one"), tmp_path, resume=True)
    assert report.replicates_now == 0


def test_other_versions_are_told(tmp_path):
    run(stub_design(5), tmp_path)
    record = json.loads((tmp_path / "design.json").read_text())
    record["versions"]["numpy"] = "1.0"
    (tmp_path / "design.json").write_text(json.dumps(record))
    report = run(stub_design(5), tmp_path, resume=True)
    assert 'numpy "1.0" there' in report.notes[0]


def test_an_unfinished_folder_is_not_begun_anew_by_accident(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(stub_design(20), tmp_path, progress=stop)
    with pytest.raises(OutputError, match="not finished: add --resume to go on"):
        run(stub_design(20), tmp_path)
