"""Where a promise of tests/trust/promises.toml is kept, and the source with that place changed.

A promise names a function, a class or a constant of the package, wherever its file lies, and an expression or
statement in it with what replaces it.  Spaces and line breaks do not count, so that neither a move nor a new layout
of the code breaks the list.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """Part of a source file, from one character to another."""

    file: Path
    start: int
    end: int


@cache
def named_parts(package: Path) -> dict[str, list[Place]]:
    """Functions, classes (their parts as ``Class.function``) and constants of a package, by name."""
    parts: dict[str, list[Place]] = {}
    for file in sorted(package.rglob("*.py")):
        source = file.read_text(encoding="utf-8")
        starts = [0]
        for line in source.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        for name, first, last in _names(ast.parse(source).body, ""):
            parts.setdefault(name, []).append(Place(file, starts[first - 1], starts[last]))
    return parts


def _names(body: list[ast.stmt], outer: str) -> Iterator[tuple[str, int, int]]:
    """Names bound in a module or a class with their first and last lines."""
    for node in body:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                yield outer + node.name, first, node.end_lineno or first
                if isinstance(node, ast.ClassDef):
                    yield from _names(node.body, f"{outer}{node.name}.")
            case ast.Assign(targets=targets):
                yield from ((outer + ast.unparse(one), node.lineno, node.end_lineno or 0) for one in targets)
            case ast.AnnAssign(target=target):
                yield outer + ast.unparse(target), node.lineno, node.end_lineno or 0


def changed_source(root: Path, promise: Mapping[str, str]) -> tuple[Path, str]:
    """The file that keeps a promise, and its text when the promise is broken.

    Raises
    ------
    LookupError
        The text to change is not there exactly once.
    """
    if "file" in promise:  # no Python: a template, a spec
        file = root / promise["file"]
        places = [Place(file, 0, len(file.read_text(encoding="utf-8")))]
    else:
        places = named_parts(root / "biocal").get(promise["name"], [])
    pattern = re.compile(r"\s+".join(map(re.escape, promise["replace"].split())))
    found = [
        (place.file, source, match)
        for place in places
        for source in [place.file.read_text(encoding="utf-8")]
        for match in pattern.finditer(source, place.start, place.end)
    ]
    if len(found) != 1:
        name = promise.get("name") or promise["file"]
        raise LookupError(f"the text to change occurs {len(found)} times in {name}")
    file, source, match = found[0]
    line_start = source.rfind("\n", 0, match.start()) + 1
    margin = source[line_start : match.start()]
    indent = margin if not margin.strip() else margin[: len(margin) - len(margin.lstrip())]
    by = promise["by"].replace("\n", "\n" + indent)
    return file, source[: match.start()] + by + source[match.end() :]
