"""``biocal check``: every problem of the data in one run, and what the data hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biocal.cli.edge.messages import say, tell_problems
from biocal.cli.edge.progress import working
from biocal.cli.options.settings import Settings, read_pool, reading_options, takes
from biocal.cli.options.table import READING

if TYPE_CHECKING:
    from biocal.errors import DataProblemsError


@takes("files", "spec", *READING, "quiet")
def check(settings: Settings) -> None:
    """Tell every problem of the data in one run, and what studies, sets and persons they hold."""
    from biocal.errors import DataProblemsError
    from biocal.pool.checks.report import check_pool

    with working("reading", quiet=settings.quiet):
        try:
            report = check_pool(read_pool(settings))
        except DataProblemsError as error:
            raise _with_the_rest(error, settings) from None
    say(report.to_text())
    if report.errors:
        shown = report.errors if settings.quiet else report.problems
        raise DataProblemsError(shown)
    tell_problems(report.problems, quiet=settings.quiet)


def _with_the_rest(error: DataProblemsError, settings: Settings) -> DataProblemsError:
    """The errors with what is wrong besides, after a summary of the lines that have none."""
    from biocal.errors import DataProblemsError
    from biocal.pool.checks.second_look import look_again

    files, options = reading_options(settings)
    rest = look_again(files, error, **options)
    if rest is None:
        return error
    if rest.report is not None:
        lines: dict[str | None, set[int]] = error.lines  # type: ignore[attr-defined]
        n_lines = sum(len(one) for one in lines.values())
        left = "1 line that has errors" if n_lines == 1 else f"{n_lines:,} lines that have errors"
        say(f"without {left}:\n{rest.report.to_text()}")
    found = [*error.problems, *rest.problems]  # type: ignore[attr-defined]
    return DataProblemsError([p for p in found if p.level == "error" or not settings.quiet])
