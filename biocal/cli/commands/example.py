"""``biocal example``: copy bundled data with a spec to run."""

from __future__ import annotations

from typing import Annotated

import typer

from biocal.cli.edge.messages import say
from biocal.cli.options import table as columns


def example(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Which one; without a name they are listed.", show_default=False),
    ] = None,
    folder: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR", help="Where to; default a folder of the example's name.", show_default=False
        ),
    ] = None,
    force: columns.Force = False,
    quiet: columns.Quiet = False,
) -> None:
    """Copy a bundled example (data, spec, README) to run and change."""
    from biocal.datasets import copy_example, data_root, example_names

    if name is None:
        for known in example_names():
            readme = data_root() / known.replace("-", "_") / "README.md"
            title = readme.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
            say(f"{known:<14} {title}")
        return
    written = copy_example(name, folder, force=force)
    if quiet:
        return
    target = folder or name
    say(f"{len(written)} files copied to {target}; read {target}/README.md")
    if any(path.name == "analysis.toml" for path in written):
        say(f"run: biocal fit --spec {target}/analysis.toml --out {target}/results")
