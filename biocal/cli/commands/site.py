"""``biocal site``: one cohort's part in a federated fit; it sends sums, from which a chosen formula can tell rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biocal.cli.edge.messages import say, tell, tell_problems
from biocal.cli.edge.progress import working
from biocal.cli.options import table as columns
from biocal.cli.options.settings import Settings, read_pool
from biocal.cli.options.table import READING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from biocal.pool.pooled import PooledStudies

site = typer.Typer(
    help="Take part in a federated fit: answer the centre's requests with sums. A centre that chooses the formula can "
    "learn single persons' values: read and approve each plan.",
    no_args_is_help=True,
)

SiteFolder = Annotated[
    str,
    typer.Option("--dir", metavar="DIR", help="The site's folder: its settings, key and ledger."),
]


@site.command(epilog="Example: biocal site init --spec site.toml --dir site_a")
def init(
    spec: Annotated[
        str,
        typer.Option(
            "--spec",
            metavar="FILE.toml",
            help="The site's name (site), its files and columns, the least number of persons in any sum "
            "(minimum, default 5), the most rounds of a session (rounds, default 40).",
        ),
    ],
    folder: SiteFolder,
    force: columns.Force = False,
    quiet: columns.Quiet = False,
) -> None:
    """Make a site's folder: read and check the data, note the settings, draw a key of its own."""
    from biocal.cli.options.spec import read_spec
    from biocal.errors import OptionError
    from biocal.remote.sites.site.guard import DEFAULT_MINIMUM
    from biocal.remote.sites.site.site import DEFAULT_ROUNDS, SiteSettings, create_site

    values = read_spec(spec, more=("site", "minimum", "rounds", "secret_file"))
    if "site" not in values:
        raise OptionError(f'{spec}: a site needs its name, as the centre calls it: site = "north"')
    with working("reading", quiet=quiet):
        pool = read_pool(Settings(values, frozenset(), spec))
    tell_problems(pool.problems, quiet=quiet)
    reading = {key: values[key] for key in READING if key in values}
    settings = SiteSettings(
        values["site"],
        values.get("minimum", DEFAULT_MINIMUM),
        values.get("rounds", DEFAULT_ROUNDS),
        reading | {"files": [os.path.abspath(name) for name in values["files"]]},
        secret_path(spec, values),
    )
    create_site(Path(folder), settings, force=force)
    if not quiet:
        sets, studies = len(pool.set_labels), ", ".join(pool.study_names)
        say(f"site {settings.name}: {studies}; {pool.n_rows:,} rows, {sets:,} matched sets")
        say(f"every sum that leaves it will be over {settings.minimum} persons or more")
        say("a centre that chooses the formula can learn single persons' values: read and approve each plan")
        tell("note", f"ready in {folder}; next: biocal site answer request_000.json --dir {folder}")


@site.command(epilog="Example: biocal site answer request_000.json --dir site_a --out answer_a_000.json")
def answer(
    request: Annotated[str, typer.Argument(metavar="REQUEST.json", help="The centre's request.")],
    folder: SiteFolder = ".",
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="FILE.json",
            help="The answer (default: answer_SITE_ROUND.json in the working folder).",
            show_default=False,
        ),
    ] = None,
    force: columns.Force = False,
    quiet: columns.Quiet = False,
) -> None:
    """Answer a request with sums over enough persons, or refuse; a refusal writes nothing."""
    from biocal.errors import OutputError
    from biocal.remote.sites.messages.messages import message_bytes
    from biocal.remote.sites.site.site import enter_answer, prepare_answer
    from biocal.system.files import replace_file

    if out is not None:
        _require_free(Path(out), force=force)
    with working("answering", quiet=quiet):
        prepared = prepare_answer(Path(folder), request, _read)
    found = prepared.answer
    place = Path(out or f"answer_{found.site}_{found.round:03d}.json")
    _require_free(place, force=force)
    content = message_bytes(prepared.message)
    enter_answer(Path(folder), prepared)
    try:
        replace_file(place, content)
    except OSError as fault:
        raise OutputError(
            f"'{place}' cannot be written ({fault.strerror or fault}); the same request may be answered again",
            path=str(place),
        ) from fault
    for note in () if quiet else prepared.notes:
        tell("warning", note)
    if not quiet:
        say(f"{place}: round {found.round}, {prepared.words} ({len(content):,} bytes)")
        say("read the plan and this answer, then send it to the centre")


@site.command(epilog="Example: biocal site ledger --dir site_a")
def ledger(folder: SiteFolder = ".") -> None:
    """Tell what this site has answered."""
    from biocal.pool.checks.notices import counted
    from biocal.remote.sites.site.ledger import read_ledger
    from biocal.remote.sites.site.site import LEDGER, read_settings

    settings = read_settings(Path(folder))
    found = read_ledger(Path(folder) / LEDGER)
    say(f"site {settings.name}: {counted(len(found.sessions), 'session')} answered")
    for one in found.sessions:
        rows = sum(
            len(members) for place, members in one.population.items() if place.endswith("outcome model")
        )
        say(f"  {one.session}: {len(one.requests)} rounds, {rows:,} rows; {one.title}")


def secret_path(spec: str, values: dict[str, Any]) -> str:
    """The file of the secret that a spec names, seen from anywhere; blank for none."""
    name = values.get("secret_file", "")
    return os.path.abspath(os.path.join(os.path.dirname(spec), name)) if name else ""


def _require_free(place: Path, *, force: bool) -> None:
    from biocal.errors import OutputError

    if os.path.isdir(place):
        raise OutputError(f"'{place}' is a folder; name a file for the answer", path=str(place))
    if not os.path.isdir(place.parent):
        raise OutputError(
            f"'{place}' cannot be written: there is no folder '{place.parent}'", path=str(place)
        )
    try:
        there = place.lstat() is not None
    except FileNotFoundError:
        there = False
    except OSError as fault:
        raise OutputError(
            f"'{place}' cannot be written: {fault.strerror or fault}", path=str(place)
        ) from fault
    if there and not force:
        raise OutputError(
            f"'{place}' would be overwritten; name another file, or add --force", existing=(str(place),)
        )


def _read(reading: Mapping[str, Any]) -> PooledStudies:
    return read_pool(Settings(dict(reading), frozenset()))
