"""The result files of a fit, whether its rows were in memory, in partitions or at their sites."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biocal.results.comparison import Comparison
    from biocal.study.notices import Problem

_ALWAYS = (
    *("coefficients.csv", "covariance.csv", "dose_response.csv", "tests.csv", "variance_shares.csv"),
    *("calibration.csv", "fit.json", "dose_response.png", "dose_response.svg", "report.html"),
)
_OF_TWO_STAGE = ("studies.csv", "forest.png", "forest.svg")
_OF_BOOTSTRAP = ("bootstrap.csv",)
_OF_CALIBRATION = (
    *("calibration_covariates.csv", "calibration.png", "calibration.svg"),
    *("calibration_quality.csv", "calibration_batches.csv"),
)
_OF_JOINT = ("joint.csv", "joint.png", "joint.svg")
_OF_SEASON = ("season.csv", "season.png", "season.svg")
_ASKED = ("per_unit.csv", "aic.csv", "detection_limits.csv", *_OF_JOINT)
_OF_SUBGROUPS = ("subgroups.csv", "subgroup_tests.csv")
_OF_SUBGROUP_INCREMENTS = ("subgroups_per_unit.csv",)
_OF_LEAVE_ONE_OUT = ("leave_one_out.csv",)
_OF_PARTS = ("subgroups.png", "subgroups.svg", "leave_one_out.png", "leave_one_out.svg")
ALL_FILES = (
    *(*_ALWAYS, *_OF_TWO_STAGE, *_OF_BOOTSTRAP, *_OF_CALIBRATION, *_OF_SEASON, *_ASKED),
    *(*_OF_SUBGROUPS, *_OF_LEAVE_ONE_OUT, *_OF_PARTS, *_OF_SUBGROUP_INCREMENTS),
)


def expected_files(methods: Collection[str], options: Mapping[str, Any]) -> list[str]:
    """Files that a fit with these options surely writes."""
    names = [*_ALWAYS]
    names += _OF_TWO_STAGE if "two-stage" in methods else ()
    names += _OF_BOOTSTRAP if options.get("bootstrap") else ()
    names += ("per_unit.csv",) if options.get("per") or options.get("per_sd") else ()
    names += _OF_JOINT if options.get("joint") else ()
    names += _OF_SEASON if options.get("season") else ()
    names += _OF_SUBGROUPS if options.get("by") or options.get("subsite") else ()
    names += _OF_LEAVE_ONE_OUT if options.get("leave_one_out") else ()
    names += ("detection_limits.csv",) if options.get("sensitivity") else ()
    return names


def fit_contents(
    comparison: Comparison,
    options: Mapping[str, Any],
    problems: Sequence[Problem] = (),
    **of_the_run: Mapping[str, Any],
) -> dict[str, bytes]:
    """All result files, by name.

    Parameters
    ----------
    comparison : Comparison
    options : mapping
        Those of the fit; ``suppress`` hides small counts of the report.
    problems : sequence of Problem
        Told of the data.
    **of_the_run : mapping
        How the numbers came about, as sections of fit.json.
    """
    from biocal.cli.figures import fit_figures
    from biocal.cli.record import fit_record, json_bytes
    from biocal.report.api import report_html
    from biocal.results.tables import csv_bytes, fit_tables

    tables = fit_tables(comparison)
    contents = {f"{name}.csv": csv_bytes(table) for name, table in tables.items()}
    contents["fit.json"] = json_bytes(fit_record(comparison, tables, options, problems) | of_the_run)
    figures = fit_figures(comparison)
    page = report_html(
        comparison,
        suppress=options.get("suppress", 0),
        problems=problems,
        options=options,
        drawn=figures,
    )
    return contents | figures | {"report.html": page.encode(errors="backslashreplace")}
