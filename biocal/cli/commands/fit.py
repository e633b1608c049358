"""``biocal fit``: from study files to a calibrated dose-response curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biocal.cli.edge.messages import say, tell, tell_problems
from biocal.cli.edge.progress import counting, working
from biocal.cli.files.contents import ALL_FILES, expected_files, fit_contents
from biocal.cli.files.output import OutputFolder
from biocal.cli.options.settings import Settings, read_pools, require_calibration, takes, usage_error
from biocal.cli.options.table import OPTIONS

if TYPE_CHECKING:
    from biocal.pool.pooled import PooledStudies
    from biocal.results.fit.comparison import Comparison


@takes(*OPTIONS)
def fit(settings: Settings) -> None:
    """Fit a calibrated dose-response curve to the pooled studies; tables, figures and fit.json go to --out."""
    if settings.get("partitioned"):
        from biocal.cli.commands.partitioned import fit_partitions

        fit_partitions(settings)
        return
    if settings.get("scheduler"):
        usage_error("--scheduler needs --partitioned, a FOLDER of partitions")
    _run(settings)


def _run(settings: Settings) -> None:
    from biocal.cli.commands.below_limit import below_limit_files, require_sensitivity, require_values_below
    from biocal.cli.options.request import effective_options, fit_arguments, require_methods
    from biocal.report.disclosure import Disclosure

    settings.require("files", "No data: name at least one FILE")
    out = settings.require("out", "Missing option '--out': name a folder for the results")
    options, remarks = effective_options(settings)
    require_sensitivity(settings)
    methods = require_methods(settings, options["method"])
    Disclosure(options.get("suppress", 0))  # refuses a negative number before the work is done
    arguments = fit_arguments(options)
    force = bool(settings.get("force", False))
    folder = OutputFolder(out, force=force, names=expected_files(methods, options), quiet=settings.quiet)
    if not settings.quiet:
        for remark in remarks:
            tell("note", remark)
    with working("reading", quiet=settings.quiet):
        pools = read_pools(settings)
    pool = pools[0]
    tell_problems(pool.problems, quiet=settings.quiet)
    if any(name != "naive" for name in methods):
        require_calibration(pool)
    require_values_below(pool, options)
    comparison = _fitted(pools, arguments, options, quiet=settings.quiet)
    with working("drawing", quiet=settings.quiet):
        contents = fit_contents(comparison, options, pool.problems)
    sensitive, compared = below_limit_files(comparison, pools, arguments, options, quiet=settings.quiet)
    contents |= compared
    folder.write(contents)
    for method, reason in comparison.failures.items():
        tell("error", f"{method} failed and is left out: {reason}")
    if settings.quiet:
        return
    only = next(iter(comparison.values()))
    summary = only.summary() if len(comparison) == 1 and not comparison.failures else comparison.summary()
    say(summary)
    if sensitive:
        say(f"\n{sensitive}")
    tell("note", f"{len(contents)} files are in {folder.path}")
    stale = folder.others(ALL_FILES, contents)
    if stale:
        tell("warning", f"{', '.join(stale)} in {folder.path} belong to an earlier run, not to this one")


def _fitted(
    pools: tuple[PooledStudies, ...], arguments: dict[str, Any], options: dict[str, Any], *, quiet: bool
) -> Comparison:
    import biocal as bc

    pool = pools[0]
    if len(pools) > 1:
        with working(f"fitting {len(pools)} imputations", quiet=quiet):
            combined: Comparison = bc.fit_imputations(
                pools, small_sample=options["small_sample"], **arguments
            )
        return combined
    replicates = arguments.get("bootstrap")
    if replicates is None:
        with working("fitting", quiet=quiet):
            comparison: Comparison = bc.fit(pool, **arguments)
        return comparison
    with counting("fitting and redrawing", replicates, quiet=quiet) as progress:
        comparison = bc.fit(pool, progress=progress, **arguments)
    return comparison
