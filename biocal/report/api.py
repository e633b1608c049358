"""`write_report`: one self-contained HTML page of a fit or a simulation study."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biocal.errors import OptionError, OutputError
from biocal.pool.checks.notices import Problem
from biocal.results.fit.comparison import Comparison
from biocal.results.fit.fit import Fit
from biocal.system.files import replace_file

if TYPE_CHECKING:
    from biocal.simulation.results import SimulationResults

__all__ = ["report_html", "write_report"]


def write_report(
    results: Fit | Comparison | SimulationResults,
    path: str | os.PathLike[str],
    *,
    suppress: int = 0,
    problems: Sequence[Problem] = (),
    options: Mapping[str, Any] | None = None,
    title: str = "",
    force: bool = False,
    drawn: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a report for people who decide: one HTML page that needs nothing but itself.

    Parameters
    ----------
    results : Fit, Comparison or SimulationResults
    path : path
        The file to write, such as ``report.html``.
    suppress : int, default 0
        Counts of persons, sets and pairs from 1 to `suppress` - 1 are shown as ``<suppress``, and others from
        which they would follow by subtraction are withheld.  No row of data is shown in any case.
    problems : sequence of Problem
        What reading found: ``pool.problems``.
    options : mapping, optional
        Options for the appendix (for a simulation: the design as a mapping); default what the results know.
    title : str
        Default: made of exposure and outcome, or the design's title.
    force : bool, default False
        Replace a file that is there.
    drawn : mapping of str to bytes, optional
        Files of figures that a command drew of the same results, by name; those are not drawn again.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    OutputError
        The file is there and `force` is not given, or the place cannot be written.
    OptionError
        Results of another kind, a negative `suppress`.

    Notes
    -----
    The same results give the same page, byte for byte: it bears no date.

    Examples
    --------
    >>> import tempfile
    >>> import biocal as bc
    >>> pool = bc.PooledStudies.from_frame(bc.datasets.load_infertility(), reference="spontaneous")
    >>> fit = bc.fit(pool, exposure=bc.linear(), covariates="induced")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bc.write_report(fit, f"{folder}/report.html", suppress=5).name
    'report.html'
    """
    place = Path(path)
    if os.path.lexists(place) and not force:
        raise OutputError(
            f"'{place}' would be overwritten; name another file, or give force=True", existing=(str(place),)
        )
    page = report_html(
        results, suppress=suppress, problems=problems, options=options, title=title, drawn=drawn
    )
    try:
        replace_file(place, page.encode(errors="backslashreplace"))
    except OSError as fault:
        raise OutputError(
            f"'{place}' cannot be written: {fault.strerror or fault}", path=str(place)
        ) from fault
    return place


def report_html(
    results: Fit | Comparison | SimulationResults,
    *,
    suppress: int = 0,
    problems: Sequence[Problem] = (),
    options: Mapping[str, Any] | None = None,
    title: str = "",
    drawn: Mapping[str, bytes] | None = None,
) -> str:
    """Return the page that `write_report` writes; arguments as there.

    `drawn` holds files of figures of the same results by name, SVG (of zip plots PNG): those are not drawn again.
    """
    if isinstance(results, Fit):
        results = Comparison({results.method: results}, {})
    if isinstance(results, Comparison):
        from biocal.report.fit_report import fit_page

        return fit_page(
            results, suppress=suppress, options=options, problems=problems, title=title, drawn=drawn
        )
    from biocal.simulation.results import SimulationResults

    if isinstance(results, SimulationResults):
        from biocal.report.simulation_report import simulation_page

        return simulation_page(results, design=options, title=title, drawn=drawn)
    raise OptionError(
        f"a report is made of a fit, a comparison or a simulation's results, not of {type(results).__name__}"
    )
