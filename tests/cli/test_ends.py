"""A command ends well whatever becomes of its streams, and whatever bytes its words are made of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

COMMAND = [sys.executable, "-c", "from biocal.cli.main import run; run()"]
RESULTS = {"coefficients.csv", "fit.json", "report.html"}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="streams are closed, and names are bytes, on POSIX")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ends")
    rng = np.random.default_rng(20)
    value = rng.normal(50, 10, 160).round(2)
    table = pd.DataFrame({"set": np.repeat(range(80), 2), "case": np.tile([1, 0], 80), "reference": value})
    table.to_csv(place / "alone.csv", index=False)
    table.insert(0, "study", "North")
    table.to_csv(place / "pool.csv", index=False)
    for name in ("pool", "alone"):
        Path(place, os.fsdecode(name.encode() + b"\xff.csv")).write_bytes(
            (place / f"{name}.csv").read_bytes()
        )
    table.to_parquet(place / "pool.parquet")
    Path(place, os.fsdecode(b"pool\xff.parquet")).write_bytes((place / "pool.parquet").read_bytes())
    return place


def run(folder: Path, *words: str | bytes, shell: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run a command with what a shell does to its streams."""
    return subprocess.run(
        ["bash", "-c", f'"$@" {shell}; exit ${{PIPESTATUS[0]}}', "bash", *COMMAND, *words],
        cwd=folder, capture_output=True, timeout=120,
    )  # fmt: skip


CLOSED = [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "| head -0", "2>&1 | head -0"]


@pytest.mark.parametrize("shell", CLOSED)
def test_a_fit_is_finished_whatever_becomes_of_its_streams(folder, tmp_path, shell):
    fit = ("fit", "pool.csv", "--method", "full", "--exposure", "linear", "--out", str(tmp_path / "out"))
    done = run(folder, *fit, shell=shell)
    assert (done.returncode, b"Traceback" in done.stderr, b"error" in done.stderr) == (0, False, False)
    assert RESULTS <= set(os.listdir(tmp_path / "out"))


WORDS = [
    ("check", "pool.csv"),
    ("partition", "pool.csv", "--rows", "50"),
    ("example",),
    ("--version",),
    ("fit", "-h"),
]


@pytest.mark.parametrize("shell", CLOSED[:4])
@pytest.mark.parametrize("words", WORDS, ids=lambda words: words[0])
def test_a_closed_stream_is_no_fault_of_a_command(folder, tmp_path, words, shell):
    out = ("--out", str(tmp_path / "out")) if words[0] == "partition" else ()
    done = run(folder, *words, *out, shell=shell)
    assert (done.returncode, b"Traceback" in done.stderr, b"error" in done.stderr) == (0, False, False)


@pytest.mark.parametrize("shell", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full", "2>&1 | head -0"])
def test_a_command_that_cannot_tell_its_error_has_its_exit_code(folder, shell):
    assert run(folder, "check", "absent.csv", shell=shell).returncode == 3
    assert run(folder, "check", "--absent", shell=shell).returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux")
def test_standard_output_without_room_is_told_and_the_folder_is_whole(folder, tmp_path):
    fit = ("fit", "pool.csv", "--method", "full", "--exposure", "linear", "--out", str(tmp_path / "out"))
    done = run(folder, *fit, shell=">/dev/full")
    assert done.returncode == 3
    assert b"(standard output; what is under --out is whole)" in done.stderr
    assert RESULTS <= set(os.listdir(tmp_path / "out"))


@pytest.mark.parametrize("file", [b"pool\xff.csv", b"pool\xff.parquet"])
def test_a_file_whose_name_is_not_utf8_is_read_and_recorded(folder, tmp_path, file):
    out = os.fsencode(tmp_path) + b"/o\xfe"
    done = run(folder, "fit", file, "--method", "full", "--exposure", "linear", "--out", out, "--quiet")
    assert (done.returncode, done.stderr) == (0, b"")
    record = json.loads(Path(os.fsdecode(out), "fit.json").read_text(encoding="utf-8"))
    assert os.fsencode(record["files"][0]["path"]) == file, "the name reads back as it is"
    assert "pool\\udcff" in Path(os.fsdecode(out), "report.html").read_text(encoding="utf-8")
    partition = run(folder, "partition", file, "--rows", "50", "--out", out + b"p")
    assert partition.returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("fit", "pool.csv", "--unit", b"nm\xffol", "--out", "o"), 2, b"'--unit': 'nm\\udcffol' is not text in UTF-8"),
        (("fit", "pool.csv", "--covariates", b"b\xff", "--out", "o"), 2, b"'--covariates'"),
        (("calibrate", "pool.csv", "--unit", b"nm\xffol"), 2, b"'--unit'"),
        (("check", "pool.csv", "--study", b"\xff"), 2, b"'--study'"),
        (("check", b"alone\xff.csv"), 3, b"rename the file or add the column"),
        (("fit", b"alone\xff.csv", "--out", "o"), 3, b"rename the file or add the column"),
        (("partition", b"alone\xff.csv", "--out", "o"), 3, b"rename the file or add the column"),
        (("simulate", "absent.toml", "--out", b"o\xff"), 2, b"not text in UTF-8"),
    ],
    ids=lambda value: str(value[:2]) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_bytes_that_are_not_utf8_are_refused_by_name_where_text_is_needed(folder, words, code, told):
    before = set(os.listdir(folder))
    done = run(folder, *words)
    assert done.returncode == code
    assert told in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"internal error" not in done.stderr
    assert set(os.listdir(folder)) == before, "nothing is left behind"
