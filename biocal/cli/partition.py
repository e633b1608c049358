"""``biocal partition``: files of any size into a folder of partitions."""

from __future__ import annotations

from typing import Annotated

import typer

from biocal.cli import columns
from biocal.cli.messages import plain, tell, tell_problems
from biocal.cli.progress import working
from biocal.cli.settings import gather, usage_error


def partition(
    ctx: typer.Context,
    files: columns.Files = None,
    spec: columns.Spec = None,
    out: columns.Out = None,
    rows: Annotated[
        int,
        typer.Option("--rows", metavar="N", min=2, help="About so many rows make a partition."),
    ] = 500_000,
    study: columns.StudyColumn = None,
    set: columns.SetColumn = None,
    case: columns.CaseColumn = None,
    local: columns.LocalColumn = None,
    reference: columns.ReferenceColumn = None,
    person: columns.PersonColumn = None,
    quiet: columns.Quiet = False,
) -> None:
    """Write studies as partitions that hold whole matched sets, for biocal fit --partitioned; read in pieces."""
    from biocal.distributed.partitioning import partition_studies

    ctx.params.pop("rows")
    settings = gather(ctx)
    paths = settings.require("files", "No data: name at least one FILE")
    place = settings.get("out") if "out" in settings.typed else None
    if place is None:
        usage_error("Missing option '--out': name a new folder for the partitions")
    roles = settings.given(("study", "set", "case", "local", "reference", "person"))
    if roles.get("person") == "":
        roles["person"] = None  # every row a person of its own
    with working("partitioning", quiet=settings.quiet):
        written = partition_studies(paths, place, rows=rows, **roles)
    tell_problems(written.problems, quiet=settings.quiet)
    if settings.quiet:
        return
    least, most = min(written.rows), max(written.rows)
    spread = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    n = len(written.rows)
    typer.echo(
        plain(
            f"{sum(written.rows):,} rows in {n:,} partition{'' if n == 1 else 's'} of {spread} rows are in "
            f"{written.folder}"
        )
    )
    tell("note", f"fit them with: biocal fit {written.folder} --partitioned --out DIR")
