"""Processes that are killed, as by a system short of memory: told in a sentence of what was being done."""

from __future__ import annotations

import os
import signal

import pytest

from biocal.errors import FitError
from biocal.fitting.repeated import bootstrap
from biocal.remote.partitions.running.runners import ProcessesRunner
from biocal.system.processes import end_with_the_parent


class EndsWhoReadsIt:
    """Kills the process that takes it in."""

    def __reduce__(self):
        return _end_this_process, ()


def _end_this_process():
    os.kill(os.getpid(), signal.SIGKILL)


def fit_of_partitions():
    ProcessesRunner(2).map(print, [(EndsWhoReadsIt(),), (EndsWhoReadsIt(),)])


def bootstrapping():
    list(bootstrap._run(EndsWhoReadsIt(), [range(1), range(1, 2)], jobs=2))


def test_a_process_that_cannot_watch_its_parent_does_not_outlive_it(monkeypatch):
    def no_room(self):
        raise RuntimeError("can't start new thread")

    def leave(code):
        raise SystemExit(code)

    monkeypatch.setattr("threading.Thread.start", no_room)
    monkeypatch.setattr("os._exit", leave)
    with pytest.raises(SystemExit):
        end_with_the_parent.__wrapped__()


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
@pytest.mark.parametrize(
    ("work", "words"),
    [
        (fit_of_partitions, "a worker process was killed, perhaps for lack of memory; nothing was written"),
        (
            bootstrapping,
            "a process of the bootstrap was killed, perhaps for lack of memory: give it fewer --jobs",
        ),
    ],
)
def test_a_process_that_is_killed_is_told(work, words, capfd):
    with pytest.raises(FitError, match=words) as fault:
        work()
    assert "\n" not in str(fault.value)
    assert capfd.readouterr() == ("", "")
