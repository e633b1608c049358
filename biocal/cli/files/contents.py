"""The result files of a fit, whether its rows were in memory, in partitions or at their sites."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from biocal.pool.checks.notices import Problem
    from biocal.results.fit.comparison import Comparison
    from biocal.results.fit.fit import Fit
    from biocal.results.model import Sample


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
    if options.get("only_tables"):
        return [name for name in names if name.endswith((".csv", ".json"))]
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
        Those of the fit; ``suppress`` hides small counts of the report, ``only_tables`` leaves out figures and report.
    problems : sequence of Problem
        Told of the data.
    **of_the_run : mapping
        How the numbers came about, as sections of fit.json.
    """
    from biocal.results.fit.tables import csv_bytes, fit_tables

    tables = fit_tables(comparison)
    contents = {f"{name}.csv": csv_bytes(table) for name, table in tables.items()}
    contents["fit.json"] = json_bytes(fit_record(comparison, tables, options, problems) | of_the_run)
    if options.get("only_tables"):
        return contents
    from biocal.cli.files.figures import fit_figures
    from biocal.report.api import report_html

    figures = fit_figures(comparison)
    page = report_html(
        comparison,
        suppress=options.get("suppress", 0),
        problems=problems,
        options=options,
        drawn=figures,
    )
    return contents | figures | {"report.html": page.encode(errors="backslashreplace")}


_PACKAGES = ("numpy", "scipy", "pandas", "patsy")


def fit_record(
    comparison: Comparison,
    tables: Mapping[str, pd.DataFrame],
    options: Mapping[str, Any],
    problems: Sequence[Problem],
) -> dict[str, Any]:
    """Return the content of fit.json.

    Parameters
    ----------
    comparison : Comparison
        At least one fit.
    tables : mapping of str to DataFrame
        All tables of the result files.
    options : mapping
        Every option, defaults included.
    problems : sequence of Problem
        Warnings and notes of reading.
    """
    from biocal.results.fit.asked.increments import exposure_sd

    first = next(iter(comparison.values()))
    info, scale = first.info, first.info.scale
    return {
        "biocal": _biocal_version(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "options": dict(options),
        "files": [asdict(file) for file in first.sample.files],
        "counts": _counts(first.sample),
        "flow": [asdict(flow) for flow in first.sample.flow],
        "dropped_sets": [asdict(dropped) for dropped in first.sample.dropped_sets],
        "model": {
            "exposure_reference": scale.reference,
            "exposure_reference_rule": scale.reference_rule,
            "exposure_percentile_1": scale.low,
            "exposure_percentile_99": scale.high,
            "exposure_sd": exposure_sd(first),
            "calibration_covariates": list(info.calibration_names),
            "omitted_constant_within_sets": list(info.omitted),
            "factors": [asdict(factor) for factor in info.factors],
            "season": None if info.season is None else info.season.record(),
        },
        "methods": {method: _method(fit) for method, fit in comparison.items()},
        "failures": dict(comparison.failures),
        "warnings": {
            "data": [problem.to_dict() for problem in problems],
            "analysis": list(info.notes),
        },
        "tables": {name: _rows(table) for name, table in tables.items()},
    }


def json_bytes(record: Mapping[str, Any]) -> bytes:
    """Return a record as JSON in UTF-8: shortest digits that read back exactly, null for what is absent.

    A file's name that is not UTF-8 stands as JSON's escapes, which read back as the name.
    """
    text = json.dumps(_plain(record), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")


def _biocal_version() -> str:
    import biocal

    return biocal.__version__


def _counts(sample: Sample) -> dict[str, Any]:
    return {
        "studies": sample.n_studies,
        "reference_studies": sample.n_reference_studies,
        "sets": sample.n_sets,
        "cases": sample.n_cases,
        "controls": sample.n_controls,
        "calibrators": sample.n_calibrators,
        "local_controls": sample.local_controls,
        "calibrated_controls": sample.calibrated_controls,
        "set_shapes": {f"{cases}:{controls}": n for (cases, controls), n in sample.set_shapes.items()},
    }


def _method(fit: Fit) -> dict[str, Any]:
    status = asdict(fit.status) if fit.status is not None else None
    knots = getattr(fit.basis, "knots", None)
    return {
        "terms": list(fit.terms),
        "curve": fit.basis.describe(fit.info.labels.unit),
        "knots": None if knots is None else list(knots),
        "standard_errors": fit.variance,
        "loglik": fit.loglik,
        "loglik_null": fit.loglik_null,
        "aic": fit.aic,
        "linear": _linear(fit),
        "effective_sets": None if fit.effective_sets is None else fit.effective_sets.record(),
        "curves_compared": [asdict(model) | {"aic": model.aic} for model in fit.curve_models],
        "convergence": status,
        "covariance": fit.vcov,
        "covariance_uncorrected": fit.vcov_uncorrected,
        "bootstrap": None if fit.bootstrap is None else fit.bootstrap.as_record(),
        "warnings": [*fit.warnings, *fit.notes],
    }


def _linear(fit: Fit) -> dict[str, Any] | None:
    """The linear fit beside the curve."""
    if fit.linear is None:
        return None
    trend = fit.linear
    return {
        "estimates": trend.estimates,
        "vcov": trend.vcov,
        "loglik": trend.loglik,
        "n_terms": trend.n_terms,
        "aic": -2.0 * trend.loglik + 2.0 * trend.n_terms,
    }


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as a list of rows."""
    columns = [table[name].tolist() for name in table.columns]
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain(value: Any) -> Any:
    """Lists and mappings of plain numbers and texts; null for numbers that JSON does not know."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
