"""A file that changes while it is read: noticed, never read half."""

from __future__ import annotations

import builtins
import os

import pytest

from biocal.system.bytes import file_bytes

_TEXT = b"set,case\n" + b"1,1\n" * 5_000


def _cut(path):
    os.truncate(path, 100)


def _add(path):
    with open(path, "ab") as file:
        file.write(b"2,0\n")


def _overwrite(path):
    with open(path, "r+b") as file:
        file.write(b"set,CASE")
    os.utime(path, (1, 1))


def _replace(path):
    new = path.with_name("new")
    new.write_bytes(b"another")
    os.replace(new, path)


@pytest.fixture
def while_read(tmp_path, monkeypatch):
    """Read a file, during which something is done to it: after half of it, or after all."""

    def run(harm, *, half):
        path = tmp_path / "a.csv"
        path.write_bytes(_TEXT)
        real = builtins.open

        class Slow:
            def __init__(self, file):
                self.file = file

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.file.close()

            def fileno(self):
                return self.file.fileno()

            def read(self):
                first = self.file.read(len(_TEXT) // 2 if half else -1)
                monkeypatch.undo()
                harm(path)
                return first + self.file.read()

        monkeypatch.setattr(builtins, "open", lambda name, mode: Slow(real(name, mode, buffering=0)))
        return file_bytes(path)

    return run


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("harm", [_cut, _add, _overwrite])
def test_a_file_that_changes_while_it_is_read_is_refused(while_read, harm, half):
    with pytest.raises(OSError, match="it changed while it was read; wait until it is whole"):
        while_read(harm, half=half)


@pytest.mark.parametrize("half", [True, False])
def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(while_read, half):
    assert while_read(_replace, half=half) == _TEXT
