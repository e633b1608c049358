"""Headless Chromium for tests: a page is served from this machine, measured in a frame, printed, pictured."""

from __future__ import annotations

import functools
import html
import http.server
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

#: Seconds that a browser may take on a busy machine.
PATIENCE = 120.0
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)
_MEASURE = Path(__file__).with_name("measure_page.js")


def find_chromium() -> str | None:
    """The browser of this machine, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, names) if path), None)


@dataclass
class Visit:
    """What a browser did with a page: measures, console messages, and every path that it asked for."""

    measures: dict
    console: list[str]
    asked: list[str] = field(default_factory=list)


class Browser:
    """Runs Chromium on pages of a folder, each time with a new profile."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder

    def visit(self, page: str, width: int, height: int = 900) -> Visit:
        """Load a page of the folder in a frame of that width and measure it there."""
        frame = (
            f'<iframe id="page" src="{html.escape(page)}" width="{width}" height="{height}" style="border:0">'
        )
        script = _MEASURE.read_text(encoding="utf-8")
        (self.folder / "frame.html").write_text(
            f'<!DOCTYPE html><link rel="icon" href="data:,"><body style="margin:0">{frame}</iframe>'
            f'<pre id="found"></pre><script>{script}</script>',
            encoding="utf-8",
        )
        with _served(self.folder) as (address, asked):
            answer = self._run(
                *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=20000", "--dump-dom"),
                f"{address}/frame.html",
            )
        found = re.search(r'<pre id="found">(.*?)</pre>', answer.stdout, re.DOTALL)
        assert found is not None, answer.stderr[-2000:]
        assert found[1], f"the page was not measured: {answer.stderr[-2000:]}"
        console = [line for line in answer.stderr.splitlines() if ":CONSOLE" in line]
        return Visit(json.loads(html.unescape(found[1])), console, asked)

    def picture(self, page: str, width: int, height: int, path: Path) -> bytes:
        """A PNG of the upper part of a page in a frame of that width."""
        (self.folder / "picture.html").write_text(
            f'<!DOCTYPE html><body style="margin:0"><iframe src="{html.escape(page)}" width="{width}" '
            f'height="{height}" style="border:0"></iframe>',
            encoding="utf-8",
        )
        with _served(self.folder) as (address, _):
            # a window is never narrower than 500 pixels, a frame may be
            size = f"--window-size={max(width, 500)},{height}"
            self._run(size, f"--screenshot={path}", f"{address}/picture.html")
        return path.read_bytes()

    def printed(self, page: str, path: Path) -> bytes:
        """The PDF that printing a page gives."""
        with _served(self.folder) as (address, _):
            self._run("--no-pdf-header-footer", f"--print-to-pdf={path}", f"{address}/{page}")
        return path.read_bytes()

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            return subprocess.run(
                [self.program, *_QUIET, f"--user-data-dir={profile}", *arguments],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=True,
                env={**os.environ, "HOME": profile},
            )


@contextmanager
def _served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder on this machine; yields its address and the list of paths asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, form: str, *values: object) -> None:
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()
