"""Nothing is sent anywhere: commands run where every connection is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_pool import SPEC, small_pool

OFFLINE = str(Path(__file__).parents[1] / "offline")
# the biocal that is tested, where PYTHONPATH says which
HERE = [path for path in [os.environ.get("PYTHONPATH")] if path]
COMMAND = "from biocal.cli.main import run; run()"


def python(code, *words, folder):
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([OFFLINE, *HERE])},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('example.org', 80)",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')",
        "import pandas; pandas.read_csv('http://127.0.0.1:9/x.csv')",
    ],
)
def test_a_connection_would_be_noticed(code, tmp_path):
    done = python(code, folder=tmp_path)
    assert done.returncode != 0
    assert "a connection to a network was tried" in done.stderr


def test_a_fit_with_figures_and_report_needs_no_network(tmp_path):
    small_pool(30).to_csv(tmp_path / "pool.csv", index=False)
    (tmp_path / "spec.toml").write_text(SPEC, encoding="utf-8")
    words = ("fit", "--spec", "spec.toml", "--out", "o", "--bootstrap", "4", "--seed", "1", "--jobs", "2")
    done = python(COMMAND, *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o" / "report.html").stat().st_size > 100_000


@pytest.mark.parametrize(
    "name", ["http://127.0.0.1:9/pool.csv", "s3://bucket/pool.parquet", "ftp://127.0.0.1/p.dta"]
)
def test_an_address_is_the_name_of_a_file_and_nothing_more(name, tmp_path):
    done = python(COMMAND, "check", name, folder=tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [f"error: {name}: there is no such file"]
