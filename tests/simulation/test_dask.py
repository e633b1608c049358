"""Runs on a Dask cluster: real processes, one of them killed, the same numbers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed import LocalCluster
from simulated_batches import run_and_die, run_stub, stub_design

import biocal
from biocal.errors import OptionError, SimulationError
from biocal.simulation.running import workers as cluster_module
from biocal.simulation.running.engine import RunOptions, run_design

TESTS = Path(__file__).parents[1]
PATIENCE = 60.0


def run(design, path, *, runner=run_stub, **options):
    return run_design(design, path, RunOptions(**options), run=runner)


def content(path):
    return (path / "replicates.parquet").read_bytes()


@pytest.fixture
def local_cluster(monkeypatch):
    """Two worker processes of one thread that can import the tests' modules."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]))
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster


def test_a_worker_that_dies_in_the_middle_of_a_batch_changes_no_byte(tmp_path, local_cluster):
    workers = {worker.pid for worker in local_cluster.workers.values()}
    mark = {"mark": str(tmp_path / "mark"), "at": [1, 16]}
    design = stub_design(60, pause=0.01, failing=0.1, options=mark)
    run(design, tmp_path / "dask", runner=run_and_die, scheduler=local_cluster.scheduler_address)
    assert (tmp_path / "mark").exists()  # so that it did die
    assert {worker.pid for worker in local_cluster.workers.values()} != workers
    run(stub_design(60, failing=0.1), tmp_path / "serial")
    assert content(tmp_path / "dask") == content(tmp_path / "serial")


def test_a_worker_killed_from_outside_changes_no_byte(tmp_path, local_cluster):
    victim = next(iter(local_cluster.workers.values())).pid

    def kill(done, total):
        nonlocal victim
        if done > total // 3 and victim:
            os.kill(victim, signal.SIGKILL)
            victim = None

    design = stub_design(60, pause=0.02)
    run(design, tmp_path / "dask", scheduler=local_cluster.scheduler_address, progress=kill)
    assert victim is None
    run(stub_design(60), tmp_path / "serial")
    assert content(tmp_path / "dask") == content(tmp_path / "serial")


def test_a_run_begun_on_a_cluster_ends_on_this_machine(tmp_path, local_cluster):
    def stop(done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(stub_design(40), tmp_path / "dask", scheduler=local_cluster.scheduler_address, progress=stop)
    report = run(stub_design(40), tmp_path / "dask", resume=True)
    assert 0 < report.replicates_now < report.replicates
    run(stub_design(40), tmp_path / "serial")
    assert content(tmp_path / "dask") == content(tmp_path / "serial")


def test_workers_with_another_version_are_refused(tmp_path, local_cluster, monkeypatch):
    monkeypatch.setattr(biocal, "__version__", "99.0")
    with pytest.raises(SimulationError, match=r"a Dask worker has biocal .*, and this is 99\.0"):
        run(stub_design(10), tmp_path / "out", scheduler=local_cluster.scheduler_address)


def test_a_scheduler_that_is_not_there_is_told_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_module, "PATIENCE", 1.0)
    with pytest.raises(OptionError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:1'"):
        run(stub_design(10), tmp_path / "out", scheduler="tcp://127.0.0.1:1")
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_dies_is_told_and_the_run_goes_on_later(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_module, "PATIENCE", 5.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    scheduler = start("scheduler", "--host", address, "--no-dashboard", environment=environment)
    worker = start("worker", address, "--nthreads", "1", "--no-nanny", environment=environment)

    def kill(done, total):
        if done > total // 3:
            scheduler.kill()

    try:
        with pytest.raises(SimulationError, match=r"was lost.*--resume"):
            run(stub_design(60, pause=0.05), tmp_path / "out", scheduler=address, progress=kill)
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
    report = run(stub_design(60), tmp_path / "out", resume=True)
    assert report.replicates_now < report.replicates
    run(stub_design(60), tmp_path / "serial")
    assert content(tmp_path / "out") == content(tmp_path / "serial")


def start(part, *arguments, environment):
    command = [sys.executable, "-m", f"distributed.cli.dask_{part}", *arguments]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    if part == "scheduler":
        port = int(arguments[1].rpartition(":")[2])
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return process
            time.sleep(0.1)
        raise AssertionError("the scheduler did not start")
    return process
