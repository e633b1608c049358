"""The page of the benchmarks, README.md, from results.json and the words of page.md.jinja.

    python benchmarks/page.py [FOLDER]

writes FOLDER/README.md and FOLDER/figures from FOLDER/results.json (default: this folder) and measures nothing.
Every number of the page comes from there, so that the page and the numbers cannot part.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import page_tables
from page_figures import FIGURES, panels_of, write_figures

HERE = Path(__file__).resolve().parent
TEMPLATE = "page.md.jinja"
#: Part -> how its table is made.
TABLES = {
    "engine": page_tables.engine_table,
    "growth": page_tables.growth_table,
    "fit": page_tables.fit_table,
    "induced": page_tables.induced_table,
    "simulate": page_tables.simulate_table,
    "federated": page_tables.federated_table,
    "distributed": page_tables.distributed_table,
    "distributed_large": page_tables.distributed_table,
}


def page_text(results: dict[str, Any]) -> str:
    """The page as Markdown.

    Parameters
    ----------
    results : dict
        What run.py stored: ``parts`` by name, each with what was found, when, where and with which versions.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    parts = results["parts"]
    environment = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE).render(
        parts=parts,
        tables={name: TABLES[name](part["found"]) for name, part in parts.items() if "found" in part},
        figures={name: figure_link(name) for name in FIGURES if panels_of(name, parts)},
        runs=runs_table(parts),
        machines=machines_table(parts),
        words=page_tables,
    )


def figure_link(name: str) -> str:
    """The picture and the way to its SVG."""
    return f"![{FIGURES[name][2]}](figures/{name}.png)\n\n[The same as SVG](figures/{name}.svg)"


def runs_table(parts: dict[str, Any]) -> str:
    """When each part was run, at which commit, how busy the machine was, and how long it took."""
    rows = []
    for name, part in parts.items():
        loads = " to ".join(
            "?" if part[key] is None else f"{part[key][0]:.1f}" for key in ("load_before", "load_after")
        )
        kind = "quick" if part["quick"] else "full"
        told = part.get("failed", f"{part['seconds']:.0f} s")
        rows.append([f"`{name}`", part["date"], part["commit"] or "?", kind, loads, told])
    return page_tables.table(("part", "date", "commit", "run", "load", "took"), rows)


def machines_table(parts: dict[str, Any]) -> str:
    """The machine and versions; parts run on another stand in a column of their own."""
    kinds: dict[str, list[str]] = {}
    for name, part in parts.items():
        kinds.setdefault(json.dumps([part["machine"], part["versions"]]), []).append(name)
    columns = [{**machine, **versions} for machine, versions in map(json.loads, kinds)]
    head = [""] + ([", ".join(names) for names in kinds.values()] if len(kinds) > 1 else ["all parts"])
    keys = list(dict.fromkeys(key for column in columns for key in column))
    rows = [
        [key.replace("_GB", ", GB"), *(str(column.get(key) or "not installed") for column in columns)]
        for key in keys
    ]
    return page_tables.table(head, rows)


def write_page(folder: Path) -> None:
    """Write the page and its figures from the results stored in a folder."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    write_figures(folder / "figures", results["parts"])
    (folder / "README.md").write_text(page_text(results), encoding="utf-8")


if __name__ == "__main__":
    write_page(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
