"""Several files that belong together: all of them appear, or none.

A new folder is filled under a hidden name and takes its own in one renaming.  In a folder that is there files are
renamed one by one; as long as that lasts, a file in it says so, and what a kill leaves is undone by the next run.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from biocal.system.files import (
    MARK,
    is_abandoned,
    new_folders,
    remove_abandoned,
    replace_file,
    sync_folder,
    temporary_folder,
)

#: There while files of a set are being renamed: those beside it are not one set.
INCOMPLETE = "INCOMPLETE-biocal.txt"
_WORDS = (
    "biocal was stopped while it put its results into this folder: the files beside this one are not one set of\n"
    "results, and must not be used. Run the same command again; it puts things in order first.\n"
)
_NEW, _EARLIER, _PLAN = "new", "earlier", "plan.json"


class StillWritingError(OSError):
    """Another process is putting its files into the folder at this moment."""


def write_set(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a folder, all or none; files of the same names are replaced.

    Parameters
    ----------
    folder : Path
        Made when absent, with its parents.
    contents : mapping of str to bytes
        By name; one with slashes goes into a folder below.

    Raises
    ------
    OSError
        They cannot be written; then nothing is changed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_set(Path(place, "results"), {"a.csv": b"1", "b.csv": b"2"})
    ...     sorted(os.listdir(Path(place, "results")))
    ['a.csv', 'b.csv']
    """
    if os.path.lexists(folder):
        _write_into(folder, contents)
        return
    with new_folders(folder.parent):
        remove_abandoned(folder.parent, folder.name)
        with temporary_folder(folder) as staging:
            try:
                _fill(staging, contents)
                os.rename(staging, folder)
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
    sync_folder(folder.parent)


def undo_stopped(folder: Path) -> int:
    """Bring a folder back to what it was before a process was killed while it wrote there.

    Returns
    -------
    int
        Files that were put back or removed.

    Raises
    ------
    StillWritingError
        That process lives.
    OSError
        It cannot be done.
    """
    remove_abandoned(folder.parent, folder.name)
    undone = 0
    staging = _half_placed(folder)
    if staging is not None:
        if not is_abandoned(staging):
            raise StillWritingError(errno.EBUSY, "another run is writing its results there")
        undone = _undo(folder, staging)
    remove_abandoned(folder)
    return undone


def _half_placed(folder: Path) -> Path | None:
    """Where the rest of a set is that was being put into a folder; None when there is none."""
    try:
        staging = folder / (folder / INCOMPLETE).read_text(encoding="utf-8").splitlines()[-1]
    except (OSError, ValueError, IndexError):
        return None
    is_ours = staging.parent == folder and staging.name.startswith(MARK)
    return staging if is_ours and staging.is_dir() and not staging.is_symlink() else None


def _fill(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a folder of our own, and sync them and it."""
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with open(folder / name, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    for inner in {(folder / name).parent for name in contents} | {folder}:
        sync_folder(inner)


def _write_into(folder: Path, contents: Mapping[str, bytes]) -> None:
    with temporary_folder(folder / "set") as staging:
        try:
            plan = _planned(folder, list(contents))
            for name in (*contents, *plan["there"]):
                (staging / _EARLIER / name).parent.mkdir(parents=True, exist_ok=True)
            _fill(staging, {f"{_NEW}/{name}": content for name, content in contents.items()})
            _fill(staging, {_PLAN: json.dumps(plan).encode()})
            try:
                replace_file(folder / INCOMPLETE, f"{_WORDS}{staging.name}\n".encode())
                _place(folder, staging, plan["names"])
            except BaseException:
                _undo(folder, staging)
                raise
        finally:
            # where undoing was stopped too, the earlier files are still in there
            if not os.path.lexists(folder / INCOMPLETE):
                shutil.rmtree(staging, ignore_errors=True)


def _planned(folder: Path, names: list[str]) -> dict[str, list[str]]:
    """What renaming will do: files, which of them are there, and folders to be made, deepest first."""
    made = {parent for name in names for parent in (folder / name).parents if not parent.exists()}
    return {
        "names": names,
        "there": [name for name in names if os.path.lexists(folder / name)],
        "folders": [str(path.relative_to(folder)) for path in sorted(made, reverse=True)],
    }


def _place(folder: Path, staging: Path, names: list[str]) -> None:
    """Give the staged files their names; they are results once the file that says otherwise is gone."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(folder / name):
            os.replace(folder / name, staging / _EARLIER / name)
        os.replace(staging / _NEW / name, folder / name)
    for inner in {(folder / name).parent for name in names}:
        sync_folder(inner)
    (folder / INCOMPLETE).unlink()
    sync_folder(folder)


def _undo(folder: Path, staging: Path) -> int:
    """Put the earlier files back and remove the new ones, also when that was begun before; returns their number.

    Raises
    ------
    OSError
        It cannot be done; all that is left to do can still be done.
    """
    plan = _read_plan(staging)
    undone = 0
    for name in plan["names"]:
        earlier, new, place = staging / _EARLIER / name, staging / _NEW / name, folder / name
        if os.path.lexists(earlier):
            os.replace(earlier, place)
        elif name not in plan["there"] and not os.path.lexists(new):
            place.unlink(missing_ok=True)
        else:
            continue
        undone += 1
    for inner in plan["folders"]:
        with suppress(OSError):
            (folder / inner).rmdir()
    sync_folder(folder)
    (folder / INCOMPLETE).unlink(missing_ok=True)
    shutil.rmtree(staging, ignore_errors=True)
    return undone


def _read_plan(staging: Path) -> dict[str, list[str]]:
    """The plan that `_write_into` made; a forged one must not reach outside the folder."""
    try:
        plan = json.loads((staging / _PLAN).read_bytes())
        lists = {key: [str(name) for name in plan[key]] for key in ("names", "there", "folders")}
    except (ValueError, KeyError, TypeError) as fault:
        raise OSError(errno.EINVAL, f"'{staging / _PLAN}' is not a plan that biocal wrote") from fault
    for name in (*lists["names"], *lists["folders"]):
        if os.path.isabs(name) or ".." in Path(name).parts:
            raise OSError(errno.EINVAL, f"'{staging / _PLAN}' is not a plan that biocal wrote")
    return lists
