"""``biocal coordinate``: the centre of a federated fit; it is sent sums."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biocal.cli.edge.messages import say, tell
from biocal.cli.edge.progress import working
from biocal.cli.files.contents import expected_files, fit_contents
from biocal.cli.options import table as columns

if TYPE_CHECKING:
    from biocal.remote.sites.centre.coordinator import Progress

coordinate = typer.Typer(
    help="Lead a federated fit: write requests, take in the sites' answers, fit in the end.",
    no_args_is_help=True,
)

CentreFolder = Annotated[
    str,
    typer.Option("--dir", metavar="DIR", help="The centre's folder: requests and the answers taken in."),
]


@coordinate.command(epilog="Example: biocal coordinate init analysis.toml --dir centre")
def init(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC.toml", help='The analysis as for biocal fit, and the sites: sites = ["a", "b"].'
        ),
    ],
    folder: CentreFolder,
    quiet: columns.Quiet = False,
) -> None:
    """Begin a session: write the first request, for all sites."""
    from biocal.cli.commands.site import secret_path
    from biocal.cli.options.spec import read_spec
    from biocal.remote.sites.centre.coordinator import begin_session
    from biocal.remote.sites.plan import plan_of

    values = read_spec(spec, more=("sites", "secret_file", "modifier_at"))
    path = begin_session(Path(folder), plan_of(values), secret_path(spec, values))
    if not quiet:
        say(f"{path}: send it to {', '.join(values['sites'])}")
        tell("note", f"when they have answered: biocal coordinate step ANSWER.json ... --dir {folder}")


@coordinate.command(epilog="Example: biocal coordinate step answer_*_000.json --dir centre")
def step(
    answers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ANSWER.json",
            help="Answers of the sites, all at once or as they come.",
            show_default=False,
        ),
    ] = None,
    folder: CentreFolder = ".",
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder for the results, when this step ends the session (default: results in --dir).",
            show_default=False,
        ),
    ] = None,
    force: columns.Force = False,
    quiet: columns.Quiet = False,
) -> None:
    """Take in answers; when all sites have answered, write the next request or the results."""
    from biocal.remote.sites.centre.coordinator import take_answers

    with working("fitting", quiet=quiet):
        progress = take_answers(Path(folder), answers or [])
    if progress.repeated and not quiet:
        tell("note", "these answers were taken in before; the session goes on from there")
    if progress.comparison is not None:
        _write_results(progress, out or str(Path(folder) / "results"), force=force, quiet=quiet)
        return
    if quiet:
        return
    if progress.new_request is not None:
        sites = ", ".join(progress.missing)
        say(f"{progress.new_request}: round {progress.request.round}, {_WORDS[progress.request.step]}")
        say(f"send it to {sites}")
    else:
        say(_waiting(progress))


@coordinate.command(epilog="Example: biocal coordinate status --dir centre")
def status(folder: CentreFolder = ".") -> None:
    """Tell where a session stands and who has not answered."""
    from biocal.remote.sites.centre.centre_result import describe_session
    from biocal.remote.sites.centre.coordinator import session_progress
    from biocal.remote.sites.site.site import title_of

    progress = session_progress(Path(folder))
    say(f"session {progress.request.session}: {title_of(progress.plan)}")
    for line in describe_session(progress.centre):
        say(line)
    say(f"round {progress.request.round}: {_WORDS[progress.request.step]} ({progress.request_path})")
    if progress.comparison is not None:
        say("over: the results can be written (again) with: biocal coordinate step")
    else:
        say(_waiting(progress))


_WORDS = {
    "inventory": "counts by study, levels of categories",
    "calibration": "calibration sums",
    "residuals": "residual sums, distribution of the exposure",
    "scores": "scores and information of the likelihoods",
    "sandwich": "the parts of the sandwich: the last round",
}


def _waiting(progress: Progress) -> str:
    answered = ", ".join(progress.answered) or "nobody"
    if not progress.missing:
        return f"answered: {answered}; all have: biocal coordinate step --dir {progress.folder}"
    return f"answered: {answered}; not yet: {', '.join(progress.missing)}"


def _write_results(progress: Progress, out: str, *, force: bool, quiet: bool) -> None:
    from biocal.cli.files.output import OutputFolder

    assert progress.comparison is not None
    options = progress.plan.to_message()
    names = expected_files(tuple(progress.comparison), options)
    folder = OutputFolder(out, force=force, names=names, quiet=quiet)
    with working("drawing", quiet=quiet):
        contents = fit_contents(progress.comparison, options, federated=_of_the_session(progress))
    folder.write(contents)
    if quiet:
        return
    fits = list(progress.comparison.values())
    say(fits[0].summary() if len(fits) == 1 else progress.comparison.summary())
    tell("note", f"{len(contents)} files are in {folder.path}")


def _of_the_session(progress: Progress) -> dict[str, Any]:
    return {
        "session": progress.request.session,
        "rounds": progress.request.round + 1,
        "last_request": progress.request.digest,
        "studies": {one.name: site for site, one in progress.centre.studies},
    }
