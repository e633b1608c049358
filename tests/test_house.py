"""The house a newcomer finds: no wide folders, and no import circles but those that are known and left."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "biocal"
MOST_ENTRIES = 12
#: Imports, within functions or for types alone, that close a circle; none may be added.
KNOWN = {
    ("pool.pooled", "pool.assembly"),
    ("pool.checks.limits", "pool.pooled"),
    ("simulation.planning.results", "simulation.planning.summary"),
    ("results.calibration.results", "results.figures"),
    ("results.fit.curve", "results.figures"),
    ("results.fit.fit", "results.fit.summary"),
    ("results.fit.fit", "results.fit.asked.increments"),
    ("results.fit.fit", "results.fit.asked.joint_levels"),
    ("results.fit.fit", "results.fit.asked.curve_models"),
    ("results.fit.fit", "results.fit.bootstrap"),
    ("results.fit.fit", "results.fit.effective_sets"),
    ("results.fit.fit", "results.studies.estimates"),
    ("results.fit.fit", "results.groups.estimates"),
    ("results.fit.comparison", "results.fit.summary"),
    ("results.fit.bootstrap", "results.fit.bootstrap_summary"),
    ("results.groups.estimates", "results.groups.views"),
    ("results.groups.estimates", "results.groups.text"),
}


def modules() -> dict[str, Path]:
    """Files by module, named below the package."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules that a file imports, lazily and for types too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("biocal"):
            base = (node.module or "").removeprefix("biocal").lstrip(".")
            found |= {base} | {f"{base}.{name.name}".lstrip(".") for name in node.names}
    return found & set(known)


def test_no_folder_has_more_entries_than_a_reader_takes_in():
    wide = {}
    for folder in [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir())]:
        entries = [
            one
            for one in folder.iterdir()
            if (one.suffix == ".py" and one.name != "__init__.py") or (one.is_dir() and any(one.glob("*.py")))
        ]
        if len(entries) > MOST_ENTRIES:
            wide[folder.name] = len(entries)
    assert wide == {}


def test_no_module_imports_itself_by_way_of_others():
    known = modules()
    graph = {name: imported(path, known) - {name} for name, path in known.items()}
    for one, other in KNOWN:
        assert other in graph[one], f"{one} no longer imports {other}: take it off the list"
        graph[one].discard(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as fault:
        raise AssertionError(" -> ".join(fault.args[1])) from None
