"""Names that stand for no ordinary file, and files that are the same."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from corpus.hostile_input import (
    FINE,
    FIT,
    HostileInput,
    beside_pool,
    content,
    pool_frame,
    pool_lines,
    pool_text,
)


def _fit(name: str) -> tuple[str, ...]:
    return ("fit", name, "--exposure", "linear", "--out", "out")


def _socket(folder: Path) -> None:
    here = os.getcwd()
    os.chdir(folder)  # the path of a socket may not be long
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("pool.csv")
    finally:
        os.chdir(here)


def _link(name: str, target: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).symlink_to(target)


def _two_studies_of_one_name(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
        frame = pool_frame().drop(columns="study")
        (folder / name / "pool.csv").write_text(
            frame.to_csv(index=False) + "\n" * (name == "b"), encoding="utf-8"
        )


def _ids_shared_by_files(folder: Path) -> None:
    header, *rows = pool_lines()
    (folder / "pool.csv").write_text(pool_text(), encoding="utf-8")
    (folder / "again.csv").write_text("\n".join([header, *rows[:40]]) + "\n", encoding="utf-8")


def _copies(folder: Path) -> None:
    for name in ("pool.csv", "copy.csv"):
        (folder / name).write_text(pool_text(), encoding="utf-8")


def _other_columns(folder: Path) -> None:
    (folder / "pool.csv").write_text(pool_text(), encoding="utf-8")
    (folder / "other.csv").write_text(
        pool_text().replace("reference", "lcms", 1).replace("North", "East"), encoding="utf-8"
    )


# fmt: off
PLACES = (
    HostileInput("no such file", content(b"", "other.csv"), ("pool.csv", "no such file")),
    HostileInput("a name that is blank", beside_pool(), ("''", "blank"), _fit("")),
    HostileInput("a name longer than any file has", beside_pool(), ("cannot be read",), _fit("x" * 5000)),
    HostileInput("a folder", lambda folder: (folder / "pool.csv").mkdir(), ("pool.csv", "folder")),
    HostileInput("a named pipe", lambda folder: os.mkfifo(folder / "pool.csv"), ("pool.csv", "pipe")),
    HostileInput("a socket", _socket, ("pool.csv",)),
    HostileInput("a device without end", beside_pool(), ("/dev/zero", "device"), _fit("/dev/zero")),
    HostileInput("a device of noise", beside_pool(), ("/dev/urandom", "device"), _fit("/dev/urandom")),
    HostileInput("a device that is empty", beside_pool(), ("/dev/null",), _fit("/dev/null")),
    HostileInput("a link to a device without end", _link("pool.csv", "/dev/zero"), ("pool.csv", "device")),
    HostileInput("a link to nowhere", _link("pool.csv", "nowhere"), ("pool.csv", "no such file")),
    HostileInput("a link to itself", _link("pool.csv", "pool.csv"), ("pool.csv",)),
    HostileInput("a link to a file given too", beside_pool(_link("link.csv", "pool.csv")), ("link.csv", "same file"), ("fit", "pool.csv", "link.csv", "--out", "out")),
    HostileInput("a hard link to a file given too", beside_pool(lambda folder: os.link(folder / "pool.csv", folder / "link.csv")), ("link.csv", "pool.csv"), ("fit", "pool.csv", "link.csv", "--out", "out")),
    HostileInput("a file and its copy", _copies, ("copy.csv", "byte for byte"), ("fit", "pool.csv", "copy.csv", "--out", "out")),
    HostileInput("ids shared by files", _ids_shared_by_files, ("again.csv", "pool.csv"), ("check", "pool.csv", "again.csv"), FINE),
    HostileInput("two files that would be one study", _two_studies_of_one_name, ("b/pool.csv", "a/pool.csv", "study 'pool'"), ("fit", "a/pool.csv", "b/pool.csv", "--out", "out")),
    HostileInput("files whose columns differ", _other_columns, ("other.csv", "reference"), ("fit", "pool.csv", "other.csv", "--out", "out")),
    HostileInput("a path with a space and a line break", lambda folder: (folder / "my\npool .csv").write_text("study\n1\n"), ("my pool .csv:",), _fit("my\npool .csv")),
    HostileInput("a path with a terminal's escape", lambda folder: (folder / "\x1b[2Jpool.csv").write_text("study\n1\n"), ("\\x1b[2Jpool.csv",), _fit("\x1b[2Jpool.csv")),
    HostileInput("a path that is no UTF-8", lambda folder: (folder / os.fsdecode(b"p\xffol.csv")).write_text("study\n1\n"), ("ol.csv",), _fit(os.fsdecode(b"p\xffol.csv"))),
    HostileInput("a file of the kernel", beside_pool(), ("/proc/self/status", "kernel"), _fit("/proc/self/status")),
    HostileInput("a link to a file of the kernel", beside_pool(_link("link.csv", "/proc/self/maps")), ("link.csv", "kernel"), _fit("link.csv")),
    HostileInput("a pattern that matches nothing", beside_pool(), ("*.dat",), _fit("*.dat")),
    HostileInput("a pattern with an open bracket", beside_pool(), ("[pool.csv",), _fit("[pool.csv")),
    HostileInput("results below a file", beside_pool(), ("pool.csv", "nothing was written"), (*FIT[:-1], "pool.csv/out")),
    HostileInput("results to a pipe", beside_pool(lambda folder: os.mkfifo(folder / "out")), ("out",), FIT),
    HostileInput("results to a link to nowhere", beside_pool(_link("out", "nowhere/deep")), ("out", "link to a place"), FIT),
    HostileInput("results to a device", beside_pool(), ("/dev/null",), (*FIT[:-1], "/dev/null")),
    HostileInput("results to a name longer than any", beside_pool(), ("nothing was written",), (*FIT[:-1], "x" * 5000)),
    HostileInput("results to the kernel's files", beside_pool(), ("/proc/out", "nothing was written"), (*FIT[:-1], "/proc/out")),
    HostileInput("an example to a pipe", beside_pool(lambda folder: os.mkfifo(folder / "out")), ("out",), ("example", "infertility", "out")),
)
# fmt: on
