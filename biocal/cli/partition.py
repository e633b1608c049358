"""``biocal partition``: files of any size into a folder of partitions."""

from __future__ import annotations

from biocal.cli.messages import say, tell, tell_problems
from biocal.cli.option_table import ROLES
from biocal.cli.options import Kind, Option
from biocal.cli.progress import working
from biocal.cli.settings import Settings, takes, usage_error

_ROWS = Option(
    "rows", Kind.WHOLE, "N", help="About so many rows make a partition (default: 500000).", least=2
)


@takes("files", "spec", "out", _ROWS, *ROLES, "quiet")
def partition(settings: Settings) -> None:
    """Write studies as partitions that hold whole matched sets, for biocal fit --partitioned; read in pieces."""
    from biocal.distributed.partitioning import partition_studies

    paths = settings.require("files", "No data: name at least one FILE")
    place = settings.get("out") if "out" in settings.typed else None
    if place is None:
        usage_error("Missing option '--out': name a new folder for the partitions")
    with working("partitioning", quiet=settings.quiet):
        written = partition_studies(
            paths, place, rows=settings.get("rows", 500_000), **settings.reading(ROLES)
        )
    tell_problems(written.problems, quiet=settings.quiet)
    if settings.quiet:
        return
    least, most = min(written.rows), max(written.rows)
    spread = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    n = len(written.rows)
    say(
        f"{sum(written.rows):,} rows in {n:,} partition{'' if n == 1 else 's'} of {spread} rows are in "
        f"{written.folder}"
    )
    tell("note", f"fit them with: biocal fit {written.folder} --partitioned --out DIR")
