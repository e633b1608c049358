"""``biocal check``: every problem of the data in one run, and what the data hold."""

from __future__ import annotations

import typer

from biocal.cli import columns
from biocal.cli.messages import plain, tell_problems
from biocal.cli.progress import working
from biocal.cli.settings import gather, read_pool


def check(
    ctx: typer.Context,
    files: columns.Files = None,
    spec: columns.Spec = None,
    study: columns.StudyColumn = None,
    set: columns.SetColumn = None,
    case: columns.CaseColumn = None,
    local: columns.LocalColumn = None,
    reference: columns.ReferenceColumn = None,
    person: columns.PersonColumn = None,
    reference_study: columns.ReferenceStudy = None,
    local_study: columns.LocalStudy = None,
    scale_local: columns.ScaleLocal = None,
    calibrate_with_cases: columns.CalibrateWithCases = False,
    detection_limit: columns.DetectionLimit = None,
    reference_detection_limit: columns.ReferenceDetectionLimit = None,
    below_limit: columns.BelowLimit = None,
    local_flag: columns.LocalFlag = None,
    reference_flag: columns.ReferenceFlag = None,
    quiet: columns.Quiet = False,
) -> None:
    """Tell every problem of the data in one run, and what studies, sets and persons they hold."""
    settings = gather(ctx)
    from biocal.errors import DataProblemsError
    from biocal.study.checks import check_pool

    with working("reading", quiet=settings.quiet):
        report = check_pool(read_pool(settings))
    typer.echo(plain(report.to_text()))
    if report.errors:
        shown = report.errors if settings.quiet else report.problems
        raise DataProblemsError(shown)
    tell_problems(report.problems, quiet=settings.quiet)
