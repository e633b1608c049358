"""Fits on a Dask cluster: real processes, 4 partitions each, one of them killed, the same numbers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from federated_pool import few_studies, make_pool
from partitioned_pool import METHODS, assert_identical, assert_same_fit, write_partitions

import biocal as bc
from biocal.errors import FitError, OptionError
from biocal.remote.partitions.api import run_partitioned
from biocal.remote.partitions.running import dask_runner
from biocal.remote.partitions.running.part_cache import forget

PATIENCE = 60.0
POOL = few_studies(make_pool(40))
MODEL = {"method": METHODS, "exposure": bc.rcs(4), "covariates": "bmi + C(smoking)", "matching": "age"}
#: Rounds before the ascent: counting, reading, laying out, calibrating, 4 of quantiles.
FIRST_OF_THE_ASCENT = 9


@pytest.fixture(scope="module")
def local_cluster():
    """Two worker processes of one thread."""
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture
def folder(tmp_path):
    """Four partitions for each of two workers."""
    return write_partitions(tmp_path / "pool", POOL, 8)


def test_a_worker_killed_in_the_middle_of_a_fit_changes_no_bit(tmp_path, folder, local_cluster, monkeypatch):
    monkeypatch.chdir(tmp_path)  # whatever is removed wrongly would be looked for here
    (tmp_path / "canary").write_text("sings")
    victim, rounds = next(iter(local_cluster.workers.values())).pid, []

    def kill(words):
        rounds.append(words)
        if len(rounds) == FIRST_OF_THE_ASCENT + 1:
            os.kill(victim, signal.SIGKILL)

    run = run_partitioned(folder, scheduler=local_cluster.scheduler_address, told=kill, **MODEL)
    assert rounds[FIRST_OF_THE_ASCENT] == "climbing"
    assert victim not in {worker.pid for worker in local_cluster.workers.values()}
    alone = bc.fit_partitioned(folder, **MODEL)
    assert_identical(run.comparison, alone)
    assert kept_by_workers(local_cluster) == []
    assert (tmp_path / "canary").exists()


def kept_by_workers(cluster):
    """What fits have left behind beside the workers' own files."""
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        found = client.run(lambda dask_worker: os.listdir(dask_worker.local_directory), on_error="ignore")
    return [name for names in found.values() for name in names if name.startswith("biocal")]


def test_nothing_but_the_folder_of_a_fit_is_ever_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own, other = tmp_path / "biocal-0123", tmp_path / "biocal-4567"
    for place in (own, other):
        place.mkdir()
    wrong = [
        (Path(), "0123"),
        (Path("biocal-0123"), "0123"),
        (tmp_path, "0123"),
        (other, "0123"),
        (other, ""),
    ]
    for place, token in wrong:
        forget(place, token)
    assert sorted(tmp_path.iterdir()) == [own, other]
    forget(own, "0123")
    assert sorted(tmp_path.iterdir()) == [other]


def test_a_folder_named_from_here_is_found_by_workers_elsewhere(folder, local_cluster, monkeypatch):
    monkeypatch.chdir(folder.parent)
    options = {"exposure": bc.linear(), "modifier": "smoking"}
    found = bc.fit_partitioned("pool", scheduler=local_cluster.scheduler_address, **options)
    assert_same_fit(found, bc.fit(bc.PooledStudies.from_frame(POOL), **options))


def test_a_failure_of_a_partition_is_told_as_without_a_cluster(folder, local_cluster):
    with pytest.raises(bc.InputError, match=r"part-0\.parquet: .*'waist'"):
        bc.fit_partitioned(folder, scheduler=local_cluster.scheduler_address, covariates="waist")
    assert kept_by_workers(local_cluster) == []


def test_workers_with_another_version_are_refused(folder, local_cluster, monkeypatch):
    monkeypatch.setattr(bc, "__version__", "99.0")
    with pytest.raises(FitError, match=r"a Dask worker has biocal .*, and this is 99\.0"):
        bc.fit_partitioned(folder, scheduler=local_cluster.scheduler_address)


def test_a_scheduler_that_is_not_there_is_told(folder, monkeypatch):
    monkeypatch.setattr(dask_runner, "PATIENCE", 1.0)
    with pytest.raises(OptionError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:1'"):
        bc.fit_partitioned(folder, scheduler="tcp://127.0.0.1:1")


@pytest.mark.slow
def test_a_scheduler_that_dies_is_told(folder, monkeypatch):
    monkeypatch.setattr(dask_runner, "PATIENCE", 3.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    scheduler = start("scheduler", "--host", address, "--no-dashboard")
    worker = start("worker", address, "--nthreads", "1", "--no-nanny")
    rounds = []

    def kill(words):
        rounds.append(words)
        if len(rounds) == 3:
            scheduler.kill()

    try:
        with pytest.raises(FitError, match=r"was lost.*nothing was written"):
            run_partitioned(folder, scheduler=address, told=kill, **MODEL)
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()


def start(part, *arguments):
    command = [sys.executable, "-m", f"distributed.cli.dask_{part}", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
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
