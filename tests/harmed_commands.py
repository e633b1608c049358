"""What is done to a command that `limited_commands.py` runs: kills, and limits of files.

A harm is a dictionary with any of: ``after``, seconds until it is killed; ``appears``, killed when a temporary file
does; ``step``, killed just before so manieth change of files in its folder; ``count``, a file for the number of these
changes; ``plain``, figures and reports are made in no time; ``temporary``, the folder for temporary files;
``file_size``, bytes.
"""

from __future__ import annotations

import glob
import os
import signal
import sys
import tempfile
from typing import Any

#: Changes of files that Python tells of before it makes them.
_CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def is_due(harm: dict[str, Any], seconds: float, folder: str) -> bool:
    """Whether the time has come to kill the command from outside."""
    if "after" in harm and seconds >= harm["after"]:
        return True
    return "appears" in harm and bool(glob.glob(f"{glob.escape(folder)}/**/.biocal-new-*", recursive=True))


def inflict(harm: dict[str, Any], folder: str) -> None:
    """In the process of the command, before it begins."""
    if harm.get("plain"):
        _draw_plainly()
    if "temporary" in harm:
        os.environ["TMPDIR"] = tempfile.tempdir = harm["temporary"]
    if "step" in harm or "count" in harm:
        _count_changes(harm, folder)
    if "file_size" in harm:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (harm["file_size"], harm["file_size"]))


def _count_changes(harm: dict[str, Any], folder: str) -> None:
    inside = os.path.realpath(folder) + os.sep
    changes = [0]

    def change() -> None:
        changes[0] += 1
        if changes[0] == harm.get("step"):
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _CHANGES and not (event == "open" and (arguments[2] or 0) & _WRITING):
            return
        place = arguments[0]
        if isinstance(place, str | os.PathLike) and os.path.abspath(place).startswith(inside):
            change()

    sync = os.fsync

    def counted_sync(descriptor: int) -> None:
        change()
        sync(descriptor)

    os.fsync = counted_sync
    sys.addaudithook(hook)
    if "count" in harm:

        def tell() -> None:
            with open(harm["count"], "w", encoding="utf-8") as file:
                file.write(str(changes[0]))

        harm["tell"] = tell


def _draw_plainly() -> None:
    """Figures and reports take most of the time, and are bytes like others to what writes them."""
    import matplotlib.figure

    import biocal.cli.files.figures
    import biocal.report.api
    import biocal.results.plots.save
    import biocal.simulation.api

    def drawn(figure: Any, file_format: str = "png") -> bytes:
        return file_format.encode() * 4_000

    names = ("bias", "coverage", "curves", "zip_0")
    biocal.results.plots.save.figure_bytes = drawn
    biocal.simulation.api._figures = lambda results, design: [
        (name, matplotlib.figure.Figure) for name in names
    ]
    biocal.cli.files.figures.fit_figures = lambda comparison: {
        f"{name}.{ending}": drawn(None, ending)
        for name in ("dose_response", "calibration")
        for ending in ("png", "svg")
    }
    biocal.report.api.report_html = lambda results, **options: "<!DOCTYPE html>" + " " * 50_000
