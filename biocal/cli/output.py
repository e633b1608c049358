"""Writing results: all files or none, nothing overwritten unasked, no litter."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from biocal.errors import OutputError
from biocal.study.file_bytes import is_of_the_kernel

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

    Raises
    ------
    OutputError
        A file is there and `force` is not given, or the folder cannot be written.
    """

    def __init__(self, path: str, *, force: bool, names: Iterable[str]) -> None:
        self.path = Path(path)
        self.force = force
        self._require_folder()
        self._require_absent(names)

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write files, all or none.

        Everything is written and synced in a hidden folder beside its final place first; then files are
        renamed one by one, and put back when that stops half-way.

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
            made = self._make()
            try:
                self._write(contents)
                made = []
            finally:
                for folder in made:  # still listed only when nothing was written
                    with contextlib.suppress(OSError):
                        folder.rmdir()
        except OSError as fault:
            raise self._refusal(fault.strerror or str(fault)) from fault

    def others(self, names: Iterable[str], written: Iterable[str]) -> list[str]:
        """Return those of some names that are there without having been written now."""
        absent = set(written)
        return [name for name in names if name not in absent and (self.path / name).exists()]

    def _write(self, contents: Mapping[str, bytes]) -> None:
        # inside the folder, so that renaming never crosses a file system
        staging = Path(tempfile.mkdtemp(prefix=".biocal-", dir=self.path))
        try:
            for name, content in contents.items():
                with open(staging / name, "xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            self._rename(staging, list(contents))
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _rename(self, staging: Path, names: list[str]) -> None:
        earlier = staging / "earlier"
        earlier.mkdir()
        moved: list[str] = []
        try:
            for name in names:
                moved.append(name)
                if (self.path / name).exists():
                    os.replace(self.path / name, earlier / name)
                os.replace(staging / name, self.path / name)
        except BaseException:
            for name in moved:
                self._put_back(earlier / name, self.path / name, unborn=(staging / name).exists())
            raise

    @staticmethod
    def _put_back(earlier: Path, place: Path, *, unborn: bool) -> None:
        """Undo one renaming: the earlier file returns, or the new one goes."""
        if earlier.exists():
            os.replace(earlier, place)
        elif not unborn:
            place.unlink(missing_ok=True)

    def _make(self) -> list[Path]:
        """Make the folder with its parents; return those that were made, deepest first."""
        missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        return missing

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
