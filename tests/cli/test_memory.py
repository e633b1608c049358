"""Memory that runs out: told by phase, with what was asked for, what to do, and an exit code."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from biocal.cli import memory
from biocal.simulation import replicate

_ASKED = np.dtype(float).itemsize * 2**57


def run_out(*_, **__):
    np.empty(_ASKED // 8)


@pytest.fixture
def unlimited(monkeypatch):
    monkeypatch.setattr(memory, "address_space", lambda: None)


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize(
    ("place", "phase", "code"),
    [
        ("biocal.study.reading.read_studies", "reading", 3),
        ("biocal.fit", "fitting", 4),
        ("biocal.report.api.report_html", "drawing", 4),
        ("biocal.cli.output.write_set", "writing the results", 4),
    ],
)
def test_want_of_memory_is_told_by_phase_and_leaves_nothing(folder, biocal, monkeypatch, place, phase, code):
    monkeypatch.setattr("biocal.cli.figures.fit_figures", lambda comparison: {})
    monkeypatch.setattr(place, run_out)
    answer = biocal("fit", "--spec", "spec.toml", "--out", "o", "--quiet")
    assert answer.code == code
    (line,) = answer.err.splitlines()
    assert line.startswith(
        f"error: out of memory while {phase} (1.00 EiB more were asked for): give it more memory, or "
    )
    assert not (folder / "o").exists()


@pytest.mark.usefixtures("folder")
def test_the_limit_of_the_process_is_named(biocal, monkeypatch):
    monkeypatch.setattr(memory, "address_space", lambda: 800 * 2**20)
    monkeypatch.setattr("biocal.study.reading.read_studies", run_out)
    answer = biocal("check", "pool.csv")
    assert answer.code == 3
    assert "raise the limit of this process, which is 800 MiB (ulimit -v)" in answer.err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("x.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
    ],
)
def test_want_of_memory_is_known_in_every_guise(error):
    assert memory.is_memory_error(error)
    wrapped = ValueError("something else")
    wrapped.__cause__ = error
    assert memory.is_memory_error(wrapped)
    assert not memory.is_memory_error(ValueError("something else"))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("peak", "said", "code"),
    [(790, "out of memory while reading, as it seems", 3), (400, "internal error", 1)],
)
def test_any_error_close_to_the_limit_is_told_as_want_of_memory(biocal, monkeypatch, peak, said, code):
    def fail(*_, **__):
        raise SystemError("error return without exception set")

    monkeypatch.setattr(memory, "address_space", lambda: 800 * 2**20)
    monkeypatch.setattr(memory, "_most_had", lambda: peak * 2**20)
    monkeypatch.setattr("biocal.study.reading.read_studies", fail)
    answer = biocal("check", "pool.csv")
    assert answer.code == code
    (line,) = answer.err.splitlines()
    assert line.startswith(f"error: {said}")
    assert "SystemError: error return without exception set" in line


@pytest.mark.parametrize(("threads", "lacking"), [("1", False), ("2", True)])
def test_too_small_a_limit_is_told_before_anything_is_loaded(monkeypatch, threads, lacking):
    monkeypatch.setattr(memory, "address_space", lambda: 340 * 2**20)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", threads)
    assert ("385 MiB or more" in memory.lacking_room()) == lacking


def test_want_of_memory_is_no_failed_replicate(monkeypatch):
    """It would be a matter of the machine that ran it."""
    monkeypatch.setattr(replicate, "draw", run_out)
    with pytest.raises(MemoryError):
        replicate.run_batch(None, 1, 0, range(2))
