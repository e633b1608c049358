"""The one writer of files: synced before named, held while written, cleaned up after a kill."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from biocal.system import file_set
from biocal.system import files as temporary_names
from biocal.system import files as whole_file
from biocal.system.file_set import INCOMPLETE, StillWritingError, undo_stopped, write_set
from biocal.system.files import MARK, is_abandoned, remove_abandoned, replace_file, temporary_folder


def everything_in(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def calls(monkeypatch):
    """What is asked of the system, in order: ("sync", name), ("rename", from, to), ("remove", name)."""
    made = []

    def name(path):
        base = os.path.basename(os.path.realpath(path))
        return "temporary" if base.startswith(MARK) else base

    def fsync(descriptor, real=os.fsync):
        made.append(("sync", name(f"/proc/self/fd/{descriptor}")))
        real(descriptor)

    def renaming(real):
        def rename(source, target):
            made.append(("rename", name(source), name(target)))
            real(source, target)

        return rename

    def unlink(path, missing_ok=False, real=Path.unlink):
        if path.exists():
            made.append(("remove", path.name))
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", renaming(os.replace))
    monkeypatch.setattr(os, "rename", renaming(os.rename))
    monkeypatch.setattr(Path, "unlink", unlink)
    return made


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of descriptors need /proc")


# one file ----------------------------------------------------------------------------------------


@needs_proc
def test_a_file_is_synced_then_named_then_its_folder_is_synced(tmp_path, calls):
    replace_file(tmp_path / "a.csv", b"1")
    assert calls == [
        ("sync", "temporary"),
        ("rename", "temporary", "a.csv"),
        ("sync", tmp_path.name),
    ]


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_file_that_cannot_be_synced_leaves_the_earlier_one_alone(tmp_path, monkeypatch, fault):
    (tmp_path / "a.csv").write_bytes(b"earlier")

    def fail(descriptor):
        raise fault

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(fault)):
        replace_file(tmp_path / "a.csv", b"new")
    assert everything_in(tmp_path) == {"a.csv": b"earlier"}


def test_a_file_has_the_permissions_asked_for_from_its_first_moment(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "replace", lambda source, target: seen.append(os.stat(source).st_mode))
    replace_file(tmp_path / "key", b"1", mode=whole_file.FOR_OWNER)
    replace_file(tmp_path / "open", b"1")
    umask = os.umask(0)
    os.umask(umask)
    assert [stat.S_IMODE(mode) for mode in seen] == [0o600, 0o666 & ~umask]


def test_what_a_killed_process_left_of_the_same_name_goes_and_what_a_live_one_holds_stays(tmp_path):
    """The killed one is real: its lock went with it."""
    script = (
        "import sys, os, signal\n"
        "from pathlib import Path\n"
        "from biocal.system.files import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half')\n"
        "    file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.csv")])
    assert done.returncode == -signal.SIGKILL
    (left,) = everything_in(tmp_path).items()
    assert left[0].startswith(MARK)
    assert left[1] == b"half"
    with whole_file.whole_file(tmp_path / "a.csv") as other:
        other.write(b"first")
        replace_file(tmp_path / "a.csv", b"second")
        assert len(everything_in(tmp_path)) == 2  # ours is held, the killed one's is gone
    assert everything_in(tmp_path) == {"a.csv": b"first"}


def test_without_locks_of_the_system_only_old_leftovers_go(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    young, old = (temporary_names.temporary_name(tmp_path / name) for name in "ab")
    young.write_bytes(b"1")
    old.mkdir()
    os.utime(old, (1, 1))
    assert remove_abandoned(tmp_path) == [old.name]
    replace_file(tmp_path / "c", b"1")
    assert set(everything_in(tmp_path)) == {young.name, "c"}


def test_a_link_of_a_temporary_name_is_not_followed(tmp_path):
    (tmp_path / "precious").mkdir()
    link = tmp_path / "out" / f"{MARK}00000000-00000000"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "precious", target_is_directory=True)
    assert not is_abandoned(link)
    assert remove_abandoned(tmp_path / "out") == []
    assert (tmp_path / "precious").is_dir()


# sets of files -----------------------------------------------------------------------------------


@needs_proc
def test_a_new_folder_of_results_appears_in_one_renaming_after_all_is_synced(tmp_path, calls):
    write_set(tmp_path / "out", {"a.csv": b"1", "b.csv": b"2"})
    assert calls == [
        ("sync", "a.csv"),
        ("sync", "b.csv"),
        ("sync", "temporary"),
        ("rename", "temporary", "out"),
        ("sync", tmp_path.name),
    ]


@needs_proc
def test_files_in_a_folder_that_is_there_are_marked_incomplete_while_they_are_renamed(tmp_path, calls):
    (tmp_path / "b.csv").write_bytes(b"earlier")
    write_set(tmp_path, {"a.csv": b"1", "b.csv": b"2"})
    renames = [call for call in calls if call[0] == "rename"]
    assert renames == [
        ("rename", "temporary", INCOMPLETE),
        ("rename", "a.csv", "a.csv"),
        ("rename", "b.csv", "b.csv"),  # the earlier one, out of the way
        ("rename", "b.csv", "b.csv"),
    ]
    before = calls[: calls.index(renames[0])]
    assert {("sync", "a.csv"), ("sync", "b.csv"), ("sync", "plan.json"), ("sync", "new")} <= set(before)
    assert calls[-4:] == [
        renames[-1],
        ("sync", tmp_path.name),
        ("remove", INCOMPLETE),
        ("sync", tmp_path.name),
    ]
    assert everything_in(tmp_path) == {"a.csv": b"1", "b.csv": b"2"}


#: A process that kills itself at its n-th renaming, before or after it.
_KILLED = """
import os, signal, sys
from pathlib import Path
from biocal.system.file_set import undo_stopped, write_set
number, after = int(sys.argv[2]), sys.argv[3] == "after"
real, count = os.replace, 0
def replace(source, target):
    global count
    count += 1
    if count == number and not after:
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
    if count == number:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
folder = Path(sys.argv[1])
if sys.argv[4] == "undo":
    undo_stopped(folder)
else:
    write_set(folder, {"a": b"new", "below/b": b"new", "c": b"new"})
"""


def kill(folder, number, when, what="write"):
    words = [sys.executable, "-c", _KILLED, str(folder), str(number), when, what]
    return subprocess.run(words).returncode


@pytest.mark.parametrize(("number", "when"), [(1, "after"), (2, "after"), (4, "after"), (5, "before")])
def test_a_kill_while_files_are_renamed_is_marked_and_undone_by_the_next_run(tmp_path, number, when):
    earlier = {"b": b"other", "c": b"earlier"}
    for name, content in earlier.items():
        (tmp_path / name).write_bytes(content)
    assert kill(tmp_path, number, when) == -signal.SIGKILL
    assert "must not be used" in (tmp_path / INCOMPLETE).read_text(encoding="utf-8")
    undo_stopped(tmp_path)
    assert everything_in(tmp_path) == earlier


def test_a_kill_while_a_kill_is_undone_loses_nothing(tmp_path):
    for name in "ac":
        (tmp_path / name).write_bytes(b"earlier")
    assert kill(tmp_path, 6, "after") == -signal.SIGKILL  # all are renamed, the mark is still there
    assert kill(tmp_path, 1, "after", "undo") == -signal.SIGKILL
    assert (tmp_path / INCOMPLETE).exists()
    assert undo_stopped(tmp_path) == 2  # the one left to put back, and the new one to remove
    assert everything_in(tmp_path) == {"a": b"earlier", "c": b"earlier"}


def test_an_undoing_that_is_stopped_keeps_the_earlier_files(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"earlier")

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(file_set, "_undo", stop)
        broken.setattr(file_set, "sync_folder", lambda folder: stop() if folder == tmp_path else None)
        with pytest.raises(KeyboardInterrupt):
            write_set(tmp_path, {"a": b"new"})
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / INCOMPLETE).exists()
    undo_stopped(tmp_path)
    assert everything_in(tmp_path) == {"a": b"earlier"}


def test_what_a_live_process_is_writing_is_not_undone(tmp_path, monkeypatch):
    found = []

    def look(folder):
        if (folder / INCOMPLETE).exists() and not found:
            with pytest.raises(StillWritingError, match="another run is writing") as told:
                undo_stopped(folder)
            found.append(told.value.strerror)

    (tmp_path / "a").write_bytes(b"earlier")
    monkeypatch.setattr(file_set, "sync_folder", look)
    write_set(tmp_path, {"a": b"new"})
    assert found == ["another run is writing its results there"]
    assert everything_in(tmp_path) == {"a": b"new"}


@pytest.mark.parametrize("name", ["../precious", "/{parent}/precious"])
def test_a_forged_plan_reaches_nothing_outside_the_folder(tmp_path, name):
    (tmp_path / "precious").write_bytes(b"mine")
    out = tmp_path / "out"
    out.mkdir()
    with temporary_folder(out / "set") as staging:
        pass
    plan = {"names": [name.format(parent=tmp_path)], "there": [], "folders": []}
    (staging / "plan.json").write_text(json.dumps(plan))
    (out / INCOMPLETE).write_text(staging.name)
    with pytest.raises(OSError, match="not a plan that biocal wrote"):
        undo_stopped(out)
    assert (tmp_path / "precious").read_bytes() == b"mine"


@pytest.mark.parametrize("last", ["", "..", f"{MARK}../..", "\x00", "/"])
def test_a_mark_that_names_no_place_of_ours_is_left_alone(tmp_path, last):
    (tmp_path / INCOMPLETE).write_text(f"something\n{last}")
    assert undo_stopped(tmp_path) == 0
    assert set(everything_in(tmp_path)) == {INCOMPLETE}
    write_set(tmp_path, {"a": b"1"})  # whoever replaces everything ends it
    assert set(everything_in(tmp_path)) == {"a"}


def test_a_folder_that_appears_meanwhile_is_not_written_into(tmp_path, monkeypatch):
    real = file_set._fill

    def slow(folder, contents):
        real(folder, contents)
        (tmp_path / "deep" / "out").mkdir()
        (tmp_path / "deep" / "out" / "theirs").write_bytes(b"1")

    monkeypatch.setattr(file_set, "_fill", slow)
    with pytest.raises(OSError, match="not empty"):
        write_set(tmp_path / "deep" / "out", {"a": b"1"})
    assert everything_in(tmp_path) == {"deep": None, "deep/out": None, "deep/out/theirs": b"1"}
