"""Writing results: all files or none, nothing overwritten unasked, no litter."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from biocal.cli.edge.messages import tell
from biocal.cli.edge.progress import phase
from biocal.errors import OutputError
from biocal.system.bytes import is_of_the_kernel
from biocal.system.file_set import undo_stopped, write_set
from biocal.system.files import temporary_folder

_NOTHING = "nothing was written"


class OutputFolder:
    """The folder that results go to.

    Parameters
    ----------
    path : str
        Made when absent.
    force : bool
        Replace files of the same names.
    names : iterable of str
        Files that may be written, for a refusal before any work is done.
    quiet : bool, default False
        Do not tell that a run was stopped there while it wrote, and that its files were removed.

    Raises
    ------
    OutputError
        A file is there and `force` is not given, or the folder cannot be written.
    """

    def __init__(self, path: str, *, force: bool, names: Iterable[str], quiet: bool = False) -> None:
        self.path = Path(path)
        self.force = force
        self._require_folder()
        self._undo_stopped(quiet=quiet)
        self._require_absent(names)

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write files, all or none; see :mod:`biocal.system.file_set`.

        Parameters
        ----------
        contents : mapping of str to bytes
            By file name.

        Raises
        ------
        OutputError
            The place cannot be written, or a file is there and may not be replaced.
        """
        self._require_absent(contents)
        try:
            with phase("writing the results"):
                write_set(self.path, contents)
        except OSError as fault:
            raise self._refusal(fault.strerror or str(fault)) from fault

    def others(self, names: Iterable[str], written: Iterable[str]) -> list[str]:
        """Return those of some names that are there without having been written now."""
        absent = set(written)
        return [name for name in names if name not in absent and (self.path / name).exists()]

    def _require_folder(self) -> None:
        """Refuse early what writing would refuse after the work."""
        if "\0" in str(self.path):
            raise self._refusal("a name of a folder holds no NUL character")
        if os.path.islink(self.path) and not os.path.exists(self.path):
            raise self._refusal("it is a link to a place that is not there")
        if is_of_the_kernel(self.path):
            raise self._refusal("that is the kernel's, and no place for files")
        try:
            there = next(folder for folder in (self.path, *self.path.parents) if folder.exists())
        except (OSError, StopIteration) as fault:
            raise self._refusal(str(fault)) from fault
        if not there.is_dir():
            raise self._refusal(f"'{there}' is a file, not a folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise self._refusal(f"'{there}' may not be written to")
        try:  # permissions do not tell of every place, such as /proc
            with temporary_folder(there / self.path.name) as trial:
                trial.rmdir()
        except OSError as fault:
            raise self._refusal(f"'{there}': {fault.strerror or fault}") from fault

    def _undo_stopped(self, *, quiet: bool) -> None:
        try:
            undone = undo_stopped(self.path)
        except OSError as fault:
            raise self._refusal(fault.strerror or str(fault)) from fault
        if undone and not quiet:
            tell(
                "note",
                f"an earlier run was stopped while it wrote to '{self.path}': what it had written there was undone",
            )

    def _require_absent(self, names: Iterable[str]) -> None:
        there = [name for name in names if os.path.lexists(self.path / name)]
        folders = [name for name in there if (self.path / name).is_dir()]
        if folders:
            raise self._refusal(f"'{self.path / folders[0]}' is a folder where a file should go")
        if there and not self.force:
            more = f" and {len(there) - 1} more" if len(there) > 1 else ""
            raise OutputError(
                f"'{self.path / there[0]}'{more} would be overwritten; name another folder, or add --force to "
                "replace the earlier results",
                existing=tuple(str(self.path / name) for name in there),
            )

    def _refusal(self, reason: str) -> OutputError:
        return OutputError(
            f"the results cannot be written to '{self.path}': {reason}; {_NOTHING}", path=str(self.path)
        )
