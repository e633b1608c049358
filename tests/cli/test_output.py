"""Writing results: whole or not at all, nothing overwritten unasked, no litter."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys

import pytest

from biocal.cli.files.output import OutputFolder
from biocal.errors import OutputError


def everything_in(folder):
    """All files below a folder with their content, and the folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def write(folder, contents, *, force=False):
    OutputFolder(str(folder), force=force, names=contents).write(contents)


# what is there already ---------------------------------------------------------------------------


def test_a_file_that_is_there_is_refused_before_any_work_and_kept(folder, biocal, monkeypatch):
    (folder / "o").mkdir()
    (folder / "o" / "tests.csv").write_text("mine")
    monkeypatch.setattr("biocal.pool.reading.read_studies", lambda *_, **__: pytest.fail("work was done"))
    answer = biocal("fit", "--spec", "spec.toml", "--out", "o")
    assert answer.code == 3
    assert answer.errors == [
        "error: 'o/tests.csv' would be overwritten; name another folder, or add --force to replace the earlier "
        "results"
    ]
    assert everything_in(folder / "o") == {"tests.csv": b"mine"}


@pytest.mark.usefixtures("no_figures")
def test_with_force_our_files_are_replaced_and_others_do_not_matter(folder, biocal):
    (folder / "o").mkdir()
    (folder / "o" / "tests.csv").write_text("earlier")
    (folder / "o" / "notes.txt").write_text("mine")
    (folder / "o" / "studies.csv").write_text("of a run with two-stage")
    answer = biocal("fit", "--spec", "spec.toml", "--out", "o", "--force")
    assert answer.code == 0
    assert (folder / "o" / "tests.csv").read_text().startswith("method,")
    assert (folder / "o" / "notes.txt").read_text() == "mine"
    assert "warning: studies.csv in o belong to an earlier run, not to this one" in answer.err


@pytest.mark.usefixtures("no_figures")
def test_other_files_in_the_folder_need_no_force(folder, biocal):
    (folder / "o").mkdir()
    (folder / "o" / "notes.txt").write_text("mine")
    assert biocal("fit", "--spec", "spec.toml", "--out", "o").code == 0
    assert not [name for name in everything_in(folder / "o") if name.startswith(".")]


def test_a_folder_where_a_file_should_go_is_refused_even_with_force(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(OutputError, match="is a folder where a file should go"):
        write(tmp_path, {"a.csv": b"1"}, force=True)


def test_a_dangling_link_is_not_written_through(tmp_path):
    (tmp_path / "a.csv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="would be overwritten"):
        write(tmp_path, {"a.csv": b"1"})
    write(tmp_path, {"a.csv": b"1"}, force=True)
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "a.csv").read_bytes() == b"1"


# places that cannot be written -------------------------------------------------------------------


@pytest.mark.parametrize("command", ["fit", "calibrate"])
def test_a_place_below_a_file_is_told(folder, biocal, command):
    before = everything_in(folder)
    answer = biocal(command, "--spec", "spec.toml", "--out", "pool.csv/results")
    assert answer.code == 3
    assert answer.errors == [
        "error: the results cannot be written to 'pool.csv/results': 'pool.csv' is a file, not a folder; nothing "
        "was written"
    ]
    assert everything_in(folder) == before


def test_a_folder_without_permission_is_told_before_any_work(folder, biocal, monkeypatch):
    # who runs the tests as root may write everywhere: the answer of the system is simulated
    monkeypatch.setattr("biocal.cli.files.output.os.access", lambda *_: False)
    monkeypatch.setattr("biocal.pool.reading.read_studies", lambda *_, **__: pytest.fail("work was done"))
    answer = biocal("fit", "--spec", "spec.toml", "--out", "o")
    assert answer.code == 3
    assert "'.' may not be written to; nothing was written" in answer.err


@pytest.mark.parametrize("after", [0, 2])
def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch, after):
    synced = []

    def fsync(descriptor):
        if len(synced) == after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced.append(descriptor)

    monkeypatch.setattr("biocal.cli.files.output.os.fsync", fsync)
    with pytest.raises(OutputError, match="No space left on device; nothing was written"):
        write(tmp_path / "new" / "folder", {name: b"1" for name in "abc"})
    assert everything_in(tmp_path) == {}


@pytest.mark.parametrize("fault", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_what_stops_half_way_through_renaming_is_undone(tmp_path, monkeypatch, fault, after):
    (tmp_path / "b").write_bytes(b"earlier")
    replace, done = os.replace, []

    def stop(source, target):
        if len(done) == after:
            done.append(None)
            raise fault
        done.append(target)
        replace(source, target)

    monkeypatch.setattr("biocal.cli.files.output.os.replace", stop)
    with pytest.raises((OutputError, KeyboardInterrupt)):
        write(tmp_path, {name: b"new" for name in "abc"}, force=True)
    assert everything_in(tmp_path) == {"b": b"earlier"}


# the real thing, in a mount of its own -----------------------------------------------------------

_ON_A_MOUNT = """
set -e
mkdir small
mount -t tmpfs -o size=200k,mode=755 none small
{prepare}
set +e
"$1" -c 'from biocal.cli.main import run; run()' fit --spec spec.toml --out small/results
echo "exit $?"
find small
"""


def on_a_mount(folder, prepare):
    """Run a fit that writes to a small disk which only this command sees."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = [
        "unshare",
        "--mount",
        *user,
        "sh",
        "-c",
        _ON_A_MOUNT.format(prepare=prepare),
        "sh",
        sys.executable,
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def can_mount():
    if shutil.which("unshare") is None:
        return False
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    trial = ["unshare", "--mount", *user, "sh", "-c", "mount -t tmpfs none /mnt"]
    return subprocess.run(trial, capture_output=True).returncode == 0


needs_mount = pytest.mark.skipif(
    not can_mount(), reason="no private mounts here; a full disk and a refused folder are simulated above"
)


@needs_mount
def test_a_disk_that_is_really_full_is_told_and_left_as_it_was(folder):
    done = on_a_mount(folder, "head -c 150000 /dev/zero > small/other")
    assert "exit 3\n" in done.stdout, done.stderr
    assert (
        "error: the results cannot be written to 'small/results': No space left on device; nothing"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert done.stdout.split("exit 3\n")[1].split() == ["small", "small/other"]


@needs_mount
def test_a_read_only_disk_is_told_before_any_work(folder):
    done = on_a_mount(folder, "mount -o remount,ro small")
    assert "exit 3\n" in done.stdout, done.stderr
    assert done.stderr.splitlines() == [
        "error: the results cannot be written to 'small/results': 'small' may not be written to; nothing was written"
    ]
