"""Run the code cells of a percent script as a person would, and tell what each one showed.

Called as ``python run_cells.py CELLS.json SHOWN.json`` in the folder to work in.  CELLS.json is a list of
sources.  SHOWN.json gets a list of lists of ``[kind, content]``: "text" (what was printed), "html" (a table),
"svg" (a figure); the last expression of a cell is shown, as in a notebook.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

Shown = list[tuple[str, str]]


def shown_value(value: Any) -> Shown:
    """How the value of a cell's last expression is shown."""
    if value is None:
        return []
    figure = getattr(value, "figure", None) or value
    if hasattr(figure, "savefig"):
        drawn = io.StringIO()
        # no date in the file: the same numbers give the same page
        figure.savefig(drawn, format="svg", bbox_inches="tight", metadata={"Date": None})
        return [("svg", drawn.getvalue())]
    if hasattr(value, "to_html"):
        frame = value.to_frame() if value.ndim == 1 else value
        plain = frame.index.name is None and list(frame.index) == list(range(len(frame)))
        return [("html", frame.to_html(border=0, index=not plain, justify="right"))]
    return [("text", f"{value!r}\n")]


def run_cell(source: str, namespace: dict[str, Any], name: str) -> Shown:
    """Run one cell in the namespace of all."""
    tree = ast.parse(source, filename=name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    value = None
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        exec(compile(tree, name, "exec"), namespace)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)
    text: Shown = [("text", printed.getvalue())] if printed.getvalue() else []
    return text + shown_value(value)


def main() -> None:
    cells, answer = map(Path, sys.argv[1:])
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "biocal"
    namespace: dict[str, Any] = {"__name__": "__main__"}
    shown = [
        run_cell(source, namespace, f"cell {number}")
        for number, source in enumerate(json.loads(cells.read_text(encoding="utf-8")), start=1)
    ]
    answer.write_text(json.dumps(shown), encoding="utf-8")


if __name__ == "__main__":
    main()
