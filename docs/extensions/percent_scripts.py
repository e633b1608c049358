"""Vignettes: percent scripts of ``vignettes/``, run when the pages are built, as pages with what they showed.

A cell begins with ``# %%``.  ``# %% [markdown]`` is text.  ``# %% tags=["text"]`` is code that is not shown and
prints Markdown: sentences whose numbers are computed.  ``alt="..."`` describes the figure that a cell draws.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from repository_pages import DOCS, ROOT, turn_links, write_if_changed

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SCRIPTS = ROOT / "vignettes"
RUNNER = Path(__file__).with_name("run_cells.py")
_MARKER = re.compile(r"^# %%(.*)$", flags=re.MULTILINE)
_ALT = re.compile(r'\balt="([^"]*)"')


@dataclass(frozen=True)
class Cell:
    """A cell of a script: its marker line's words, and its source."""

    marker: str
    source: str

    @property
    def is_text(self) -> bool:
        return "[markdown]" in self.marker

    @property
    def prints_text(self) -> bool:
        return 'tags=["text"]' in self.marker


def cells_of(script: str) -> list[Cell]:
    """Split a script at its markers; what stands before the first is not shown."""
    parts = _MARKER.split(script)[1:]
    return [
        Cell(marker.strip(), source.strip("\n"))
        for marker, source in zip(parts[::2], parts[1::2], strict=True)
    ]


def uncommented(source: str) -> str:
    """The Markdown of a text cell."""
    return "\n".join(re.sub(r"^# ?", "", line) for line in source.splitlines())


def run(script: Path, cells: list[Cell]) -> list[list[list[str]]]:
    """Run the code cells in an empty folder, with the commands of this Python in reach."""
    with tempfile.TemporaryDirectory() as place:
        inside, asked, shown = Path(place, "work"), Path(place, "cells.json"), Path(place, "shown.json")
        inside.mkdir()
        sources = [cell.source for cell in cells if not cell.is_text]
        asked.write_text(json.dumps(sources), encoding="utf-8")
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        answer = subprocess.run(
            [sys.executable, str(RUNNER), str(asked), str(shown)],
            cwd=inside,
            env={**os.environ, "PATH": path, "COLUMNS": "100"},
            capture_output=True,
            encoding="utf-8",
        )
        if answer.returncode:
            raise RuntimeError(f"{script.name} failed:\n{answer.stderr}")
        return json.loads(shown.read_text(encoding="utf-8"))


def fenced(language: str, text: str) -> str:
    """A block of code, fenced by more backticks than it holds."""
    return f"````{{code-block}} {language}\n{text.rstrip()}\n````\n"


def page_of(script: Path) -> tuple[str, dict[str, str]]:
    """The page of a script as MyST Markdown, and its figures by file name."""
    cells = cells_of(script.read_text(encoding="utf-8"))
    shown = iter(run(script, cells))
    parts: list[str] = []
    figures: dict[str, str] = {}
    for cell in cells:
        if cell.is_text:
            text = turn_links(
                uncommented(cell.source), PurePosixPath("vignettes"), f"vignettes/{script.stem}"
            )
            parts.append(text + "\n")
            continue
        if not cell.prints_text and cell.source:
            parts.append(fenced("python", cell.source))
        for kind, content in next(shown):
            if kind == "svg":
                name = f"{script.stem}-{len(figures) + 1}.svg"
                figures[name] = content
                alt = _ALT.search(cell.marker)
                if alt is None:
                    raise RuntimeError(
                        f'{script.name}: a figure has no alt="..." in its cell:\n{cell.source}'
                    )
                parts.append(f"![{alt[1]}]({name})\n")
            elif kind == "html":
                parts.append(f'````{{raw}} html\n<div class="shown">{content}</div>\n````\n')
            elif cell.prints_text:
                parts.append(
                    turn_links(content, PurePosixPath("vignettes"), f"vignettes/{script.stem}") + "\n"
                )
            else:
                parts.append(f"````{{code-block}} text\n:class: shown\n{content.rstrip()}\n````\n")
    source = f"*This page is [{script.name}]({script.name}), run when the pages were built.*\n"
    return "\n".join([*parts, source]), figures


def _write_pages(app: Sphinx) -> None:
    folder = DOCS / "vignettes"
    scripts = sorted(SCRIPTS.glob("*.py"))
    # the scripts run in processes of their own; two at a time
    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(page_of, scripts))
    for script, (page, figures) in zip(scripts, made, strict=True):
        write_if_changed(folder / script.name, script.read_text(encoding="utf-8"))
        for figure, content in figures.items():
            write_if_changed(folder / figure, content)
        write_if_changed(folder / f"{script.stem}.md", page)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", _write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
