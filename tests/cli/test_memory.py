"""Memory that runs out: told by phase, with what was asked for, what to do, and an exit code."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from biocal.cli.edge import messages as memory
from biocal.simulation.fitting import replicate

_ASKED = np.dtype(float).itemsize * 2**57


def run_out(*_, **__):
    np.empty(_ASKED // 8)


@pytest.mark.parametrize(
    ("place", "phase", "code"),
    [
        ("biocal.pool.reading.read_studies", "reading", 3),
        ("biocal.fit", "fitting", 4),
        ("biocal.report.api.report_html", "drawing", 4),
        ("biocal.cli.files.output.write_set", "writing the results", 4),
    ],
)
def test_want_of_memory_is_told_by_phase_and_leaves_nothing(folder, biocal, monkeypatch, place, phase, code):
    monkeypatch.setattr("biocal.cli.files.figures.fit_figures", lambda comparison: {})
    monkeypatch.setattr(place, run_out)
    answer = biocal("fit", "--spec", "spec.toml", "--out", "o", "--quiet")
    assert answer.code == code
    (line,) = answer.err.splitlines()
    assert line.startswith(f"error: out of memory while {phase} (Unable to allocate 1.00 EiB")
    assert "give it more memory, or " in line
    assert not (folder / "o").exists()


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_want_of_memory_is_known_when_it_is_wrapped(error):
    assert memory.is_memory_error(error)
    wrapped = ValueError("something else")
    wrapped.__cause__ = error
    assert memory.is_memory_error(wrapped)
    assert not memory.is_memory_error(ValueError("something else"))


def test_want_of_memory_is_no_failed_replicate(monkeypatch):
    """It would be a matter of the machine that ran it."""
    monkeypatch.setattr(replicate, "draw", run_out)
    with pytest.raises(MemoryError):
        replicate.run_batch(None, 1, 0, range(2))
