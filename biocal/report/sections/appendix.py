"""The appendix of a report: coefficients, options, versions, input files, tables to take away."""

from __future__ import annotations

import base64
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from biocal.report.disclosure import Disclosure
from biocal.report.page import ReportTable
from biocal.report.sections.calibration import outside_text
from biocal.report.sections.participants import Participants
from biocal.report.sections.parts import COUNT_COLUMNS
from biocal.results.fit.bootstrap import Bootstrap
from biocal.results.fit.fit import Fit
from biocal.results.fit.tables import fit_tables
from biocal.results.text import count, csv_bytes, exact, number, odds_ratio, p_value

if TYPE_CHECKING:
    import pandas as pd

    from biocal.results.fit.comparison import Comparison

_PACKAGES = ("numpy", "scipy", "pandas", "patsy", "matplotlib", "jinja2")
#: Options that say where things are, not what was done.
_PLACES = ("files", "out", "force", "quiet", "jobs", "spec")
#: Columns of calibration.csv that are single persons' values.
_EXTREMES = ["local_min", "local_max", "calibration_min", "calibration_max"]


@dataclass(frozen=True, slots=True)
class Download:
    """A table to take away: file name, what it holds, and its content as a data URI."""

    name: str
    what: str
    size: str
    address: Markup


def coefficient_tables(fits: Sequence[Fit]) -> list[ReportTable]:
    """Coefficients of each method."""
    tables = []
    for fit in fits:
        tidy = fit.tidy()
        columns = ["estimate", "std_error", "p_value", "conf_low", "conf_high", "std_error_uncorrected"]
        values = tidy[columns].to_numpy(dtype=float).tolist()
        rows = [
            (
                term,
                number(estimate, 4),
                number(error, 3),
                p_value(p),
                f"{number(low, 3)} to {number(high, 3)}" if np.isfinite(error) else "",
                number(uncorrected, 3),
            )
            for term, (estimate, error, p, low, high, uncorrected) in zip(fit.terms, values, strict=True)
        ]
        header = ("Term", "log OR", "SE", "p", f"{100 * fit.info.level:g} % interval", "SE uncorrected")
        note = f"Standard errors: {fit.variance}. Uncorrected: the calibration taken as known."
        if np.isfinite(fit.loglik):
            note += f" Log-likelihood {fit.loglik:.4f} (all coefficients 0: {fit.loglik_null:.4f})."
        tables.append(ReportTable(f"Coefficients, method {fit.method}", header, rows, note=note))
    return tables


def bootstrap_table(fits: Sequence[Fit]) -> ReportTable | None:
    """Percentile intervals of the odds ratios beside those of the sandwich."""
    some = [fit.bootstrap for fit in fits if fit.bootstrap is not None]
    if not some:
        return None
    first = some[0]
    places = _spread(first)
    rows = []
    for j, name in enumerate(first.modifiers):
        for k in places:
            shown = (
                first.axis.categories[k] if first.axis.categories else exact(float(first.axis.exposure[k]), 4)
            )
            rows.append((f"{shown}, {name}" if name else shown, *(_percentiles(one, j, k) for one in some)))
    level = f"{100 * first.level:g} %"
    failed = sum(one.n_failed for one in some)
    note = f"{first.n + first.n_failed:,} replicates, seed {first.seed}; {first.resampling}."
    note += f" Failed: {failed:,}." if failed else " None failed."
    caption = f"Bootstrap: odds ratios with {level} percentile intervals"
    return ReportTable(
        caption, (first.labels.exposure_with_unit, *(one.method for one in some)), rows, note=note
    )


def _spread(bootstrap: Bootstrap) -> list[int]:
    n = bootstrap.axis.exposure.size
    return list(range(n)) if n <= 12 else np.linspace(0, n - 1, 7).round().astype(int).tolist()


def _percentiles(bootstrap: Bootstrap, j: int, k: int) -> str:
    limits = bootstrap.curve_limits()
    if limits.std_error[j, k] == 0:
        return "1 (reference)"
    with np.errstate(over="ignore"):
        values = odds_ratio(
            [bootstrap.curve[j, k], limits.percentile_low[j, k], limits.percentile_high[j, k]]
        )
    return f"{values[0]:.2f} ({values[1]:.2f} to {values[2]:.2f})"


def option_table(options: Mapping[str, Any]) -> ReportTable | None:
    """Options of the run, defaults included; not the places of files."""
    rows = [(key, _written(value)) for key, value in options.items() if key not in _PLACES]
    return ReportTable("Options", ("Option", "Value"), rows, left=2) if rows else None


def options_of_fit(fits: Sequence[Fit]) -> dict[str, Any]:
    """What the fits themselves know of the options, for reports made from Python."""
    info = fits[0].info
    return {
        "method": [fit.method for fit in fits],
        "exposure": fits[0].basis.describe(info.labels.unit),
        "covariates": info.covariates,
        "matching": info.matching,
        "modifier": info.modifier,
        "season": info.season.words() if info.season else "",
        "calibration_covariates": info.calibration_covariates,
        "calibration_coefficients": info.calibration_coefficients,
        "knot_rule": info.knot_rule,
        "ref": info.scale.reference,
        "level": info.level,
    }


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_written(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_written(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return exact(value)
    return str(value) if value not in ("", None) else "none"


def version_table() -> ReportTable:
    """Versions of what made the numbers and the page."""
    import biocal

    rows = [("biocal", biocal.__version__), ("Python", platform.python_version())]
    rows += [(name, version(name)) for name in _PACKAGES]
    return ReportTable("Versions", ("Software", "Version"), rows, left=2)


def file_table(fits: Sequence[Fit], disclosure: Disclosure) -> ReportTable | None:
    """Input files by name and hash; their rows only when nothing is hidden, for they are counts by study."""
    files = fits[0].sample.files
    if not files:
        return None
    with_rows = not disclosure.active
    header = ("File", "SHA-256", *(("Rows",) if with_rows else ()))
    rows = [
        (PurePath(file.path).name, file.sha256, *((f"{file.n_rows:,}",) if with_rows else ()))
        for file in files
    ]
    return ReportTable("Input files", header, rows, left=2)


_WHAT = {
    "coefficients": "coefficients of all methods",
    "covariance": "their covariance matrices",
    "dose_response": "log odds ratios along the curve",
    "tests": "tests",
    "variance_shares": "share of the variance due to each study's calibration",
    "studies": "estimates by study and pooled",
    "subgroups": "odds ratios by subgroup",
    "subgroup_tests": "tests of heterogeneity between subgroups",
    "subgroups_per_unit": "odds ratios per increment by subgroup",
    "leave_one_out": "odds ratios without each study",
    "bootstrap": "bootstrap standard errors and limits",
    "per_unit": "odds ratios per increment of the exposure",
    "joint": "curves of all levels of the modifier against one of them",
    "aic": "other curves by AIC",
    "season": "season by study",
    "calibration": "calibration lines; without the extremes, which are single persons' values",
    "calibration_covariates": "coefficients of the calibration covariates",
}


def fit_downloads(
    comparison: Comparison, participants: Participants, disclosure: Disclosure
) -> list[Download]:
    """The tables of a fit in full precision, counts under the rule of disclosure."""
    tables = fit_tables(comparison)
    fits = list(comparison.values())
    calibration = fits[0].calibration
    if calibration is not None:
        tables["calibration"] = tables["calibration"].drop(columns=_EXTREMES)
        if disclosure.active:
            # the text of the page's own table, so that nothing is told here that is hidden there
            shown = [one for one in calibration.studies if one.kind == "local"]
            apart = {one.study: outside_text(one, disclosure) for one in shown}
            tables["calibration"] = tables["calibration"].drop(columns=["n", "n_calibration", "outside"])
            names = tables["calibration"]["study"].tolist()
            tables["calibration"]["outside"] = [apart.get(name, "") for name in names]
    if disclosure.active:
        for name in ("subgroups", "subgroup_tests", "subgroups_per_unit", "leave_one_out"):
            if name in tables:
                counts = [column for column in COUNT_COLUMNS if column in tables[name].columns]
                tables[name] = tables[name].drop(columns=[*counts, *({"note"} & set(tables[name].columns))])
    if disclosure.active and "studies" in tables:
        tables["studies"] = tables["studies"].drop(columns=["sets", "cases"])
    if disclosure.active and "season" in tables:
        tables["season"] = tables["season"].drop(columns="n_controls")
    downloads = [download(f"{name}.csv", _WHAT.get(name, ""), table) for name, table in tables.items()]
    flow = participants.table()
    return [download("participants.csv", "the flow of participants by study", _frame(flow)), *downloads]


def _frame(table: ReportTable) -> pd.DataFrame:
    import pandas as pd

    rows = [*table.rows, table.foot] if table.foot else list(table.rows)
    return pd.DataFrame([list(row) for row in rows], columns=list(table.header))


def download(name: str, what: str, table: pd.DataFrame) -> Download:
    """A data frame as a CSV file within the page."""
    content = csv_bytes(table)
    encoded = base64.b64encode(content).decode("ascii")
    size = f"{max(1, round(len(content) / 1024)):,} kB"
    address = Markup(f"data:text/csv;charset=utf-8;base64,{encoded}")  # base64 has no markup
    return Download(name, what, f"{count(len(table), 'line')}, {size}", address)
