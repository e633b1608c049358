"""Pages made from files that live elsewhere in the repository, and links that work in both places.

The README of a data set, the changelog and the like are written to be read where they are.  Each of
`PAGES` becomes a page here, with its links turned: to the page of a file that has one, to nothing where the
file is not part of the documentation.  The same is done for the links of the pages in this folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

#: File of the repository -> name of its page.
PAGES = {
    "ARCHITECTURE.md": "project/architecture",
    "CHANGELOG.md": "project/changelog",
    "CONTRIBUTING.md": "project/contributing",
    "R-compat/README.md": "project/r",
    "R-compat/variances.md": "project/r-variances",
    "benchmarks/README.md": "project/benchmarks",
    "data/vitamin_d/README.md": "data/vitamin-d",
    "data/infertility/README.md": "data/infertility",
    "data/planning/README.md": "data/planning",
    "data/simulation/README.md": "data/simulation",
    "data/simulation/PROTOCOL.md": "data/protocol",
    "data/simulation/RESULTS.md": "data/simulation-results",
}
#: Folder of pictures -> the folder they are copied to.
PICTURES = {"benchmarks/figures": "project/figures"}
COMMANDS = ("check", "calibrate", "fit", "simulate", "example", "site", "coordinate")
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", flags=re.MULTILINE | re.DOTALL)


def turn_links(text: str, home: PurePosixPath, page: str) -> str:
    """Turn the relative links of a text that lives in folder `home` of the repository for its page."""

    def turned(link: re.Match[str]) -> str:
        mark, label, target = link.groups()
        path, _, anchor = target.partition("#")
        if not path or "://" in target or target.startswith("mailto:"):
            return link[0]
        file = PurePosixPath(os.path.normpath(home / path))
        if str(file) == "docs/notes":
            file = PurePosixPath("docs/notes/index.md")
        if not (ROOT / file).exists():
            return link[0]  # Sphinx complains of it
        name = PAGES.get(str(file))
        if file.parent == PurePosixPath("vignettes") and file.suffix == ".py":
            name = f"vignettes/{file.stem}"
        if str(file.parent) in PICTURES:
            name = f"{PICTURES[str(file.parent)]}/{file.name}"
        if name is None and file.parts[0] == "docs" and (ROOT / file).is_file():
            name = str(file.relative_to("docs").with_suffix("" if file.suffix == ".md" else file.suffix))
        if name is None:
            return f"`{label.strip('`')}`"
        there = os.path.relpath(name, PurePosixPath(page).parent)
        is_page = str(file.parent) not in PICTURES and not (DOCS / name).is_file()
        suffix = ".md" if is_page else ""
        return f"{mark}[{label}]({there}{suffix}{'#' + anchor if anchor else ''})"

    parts = _CODE.split(text)
    return "".join(part if i % 2 else _LINK.sub(turned, part) for i, part in enumerate(parts))


def write_if_changed(path: Path, text: str) -> None:
    """Leave a file alone that says the same already, so that its page is not built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def help_of(*command: str) -> str:
    """What ``--help`` shows of a command, as plain text."""
    environment = {**os.environ, "COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1", "TERM": "dumb"}
    answer = subprocess.run(
        [sys.executable, "-c", "from biocal.cli.main import run; run()", *command, "--help"],
        capture_output=True,
        encoding="utf-8",
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        check=True,
    )
    return "\n".join(line.rstrip() for line in answer.stdout.strip("\n").splitlines())


def all_commands() -> list[tuple[str, ...]]:
    """Words of every command and subcommand, biocal itself first."""
    from typer.main import get_command

    from biocal.cli.app import app

    def below(command: Any, words: tuple[str, ...]) -> list[tuple[str, ...]]:
        inner = getattr(command, "commands", {})
        return [words, *(found for name, one in inner.items() for found in below(one, (*words, name)))]

    return below(get_command(app), ())


def command_page() -> str:
    """The page of all commands, from their own help."""
    parts = ["# Commands\n\nWhat `--help` shows. Exit codes and files: [](how-to/files-and-exit-codes.md).\n"]
    for command in all_commands():
        parts.append(
            f"## biocal {' '.join(command)}\n\n```text\n{help_of(*command)}\n```\n".replace(" \n", "\n")
        )
    return "\n".join(parts)


def _copy_pictures() -> None:
    for folder, target in PICTURES.items():
        (DOCS / target).mkdir(parents=True, exist_ok=True)
        for picture in sorted((ROOT / folder).iterdir()):
            shutil.copyfile(picture, DOCS / target / picture.name)


def _write_pages(app: Sphinx) -> None:
    _copy_pictures()
    for file, page in PAGES.items():
        home = PurePosixPath(file).parent
        text = (ROOT / file).read_text(encoding="utf-8")
        write_if_changed(DOCS / f"{page}.md", turn_links(text, home, page))
    write_if_changed(DOCS / "commands.md", command_page())


def _turn_links_of_page(app: Sphinx, page: str, source: list[str]) -> None:
    if page not in PAGES.values() and app.env.doc2path(page).suffix == ".md":
        source[0] = turn_links(source[0], PurePosixPath("docs", page).parent, page)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", _write_pages)
    app.connect("source-read", _turn_links_of_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
