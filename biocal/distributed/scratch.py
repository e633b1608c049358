"""A folder for prepared partitions that is gone when its fit is, at the latest when the next one begins."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from biocal.disk.temporary_names import remove_abandoned, temporary_folder
from biocal.errors import OutputError

_NAME = "biocal-partitions"


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A new folder in the system's place for temporary files, the user's alone, removed with the block.

    A fit that was killed leaves its folder, which nobody holds any more: the next fit removes it.

    Raises
    ------
    OutputError
        There is no place.
    """
    with ExitStack() as held:
        try:
            place = Path(tempfile.gettempdir(), _NAME)
            remove_abandoned(place.parent, place.name)
            folder = held.enter_context(temporary_folder(place, mode=0o700))
        except OSError as fault:
            raise OutputError(
                f"there is no place for prepared partitions ({fault.strerror or fault}); name one with TMPDIR"
            ) from fault
        try:
            yield str(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
