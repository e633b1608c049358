"""Tables of whole analyses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from biocal.results.text import csv_bytes

__all__ = ["calibration_tables", "csv_bytes", "fit_tables", "stacked"]

if TYPE_CHECKING:
    import pandas as pd

    from biocal.results.calibration.results import CalibrationResults
    from biocal.results.fit.comparison import Comparison
    from biocal.results.fit.fit import Fit
    from biocal.results.groups.estimates import Subgroups


def fit_tables(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """Return the tables of ``biocal fit`` by name; those that do not apply are absent.

    Parameters
    ----------
    comparison : Comparison
        At least one fit.
    """
    fits = list(comparison.values())
    curves = [curve for fit in fits for curve in fit.dose_responses()]
    tables = {
        "coefficients": comparison.tidy(),
        "covariance": stacked([_covariance(fit) for fit in fits]),
        "dose_response": comparison.dose_response(),
        "tests": stacked([_tests(fit) for fit in fits]),
        "variance_shares": stacked([curve.variance_shares() for curve in curves]),
    }
    studies = [fit.studies.tidy() for fit in fits if fit.studies is not None]
    if studies:
        tables["studies"] = stacked(studies)
    bootstraps = [fit.bootstrap.tidy() for fit in fits if fit.bootstrap is not None]
    if bootstraps:
        tables["bootstrap"] = stacked(bootstraps)
    tables |= asked_tables(fits)
    if fits[0].info.season is not None:
        tables["season"] = fits[0].info.season.tidy()
    tables |= _group_tables(fits)
    calibration = fits[0].calibration
    if calibration is not None:
        tables |= calibration_tables(calibration)
    return tables


def asked_tables(fits: Sequence[Fit]) -> dict[str, pd.DataFrame]:
    """Return the tables that were asked for beyond the usual ones: increments, joint curves, other curves."""
    from biocal.results.fit.asked.curve_models import aic_table
    from biocal.results.fit.asked.increments import increment_odds_ratios, increment_table, increments_of
    from biocal.results.fit.asked.joint_levels import joint_table

    asked, tables = fits[0].info.asked, {}
    if asked.per or asked.per_sd:
        rows = [
            row
            for fit in fits
            for row in increment_odds_ratios(fit, increments_of(fit, asked.per, per_sd=asked.per_sd))
        ]
        tables["per_unit"] = increment_table(rows)
    if asked.joint is not None:
        tables["joint"] = stacked([joint_table(fit, asked.joint) for fit in fits])
    compared = [aic_table(fit.method, fit.curve_models) for fit in fits if fit.curve_models]
    if compared:
        tables["aic"] = stacked(compared)
    return tables


def _group_tables(fits: Sequence[Fit]) -> dict[str, pd.DataFrame]:
    """Tables of subgroups and of leaving out one study at a time; those that were asked for."""
    tables = {}
    subgroups = [one for fit in fits for one in fit.subgroups]
    if subgroups:
        tables["subgroups"] = stacked([one.tidy() for one in subgroups])
        tables["subgroup_tests"] = stacked([one.tests() for one in subgroups])
        per_unit = [_per_unit_by_level(one) for one in subgroups if _asks_increments(one.overall)]
        if per_unit:
            tables["subgroups_per_unit"] = stacked(per_unit)
    left_out = [fit.left_out for fit in fits if fit.left_out is not None]
    if left_out:
        tables["leave_one_out"] = stacked([one.tidy() for one in left_out])
    return tables


def _asks_increments(fit: Fit) -> bool:
    return bool(fit.info.asked.per or fit.info.asked.per_sd)


def _per_unit_by_level(subgroups: Subgroups) -> pd.DataFrame:
    """Odds ratios per increment in each level, with what they rest on; increments are those of all persons."""
    from biocal.results.fit.asked.increments import increment_odds_ratios, increment_table, increments_of

    asked = subgroups.overall.info.asked
    increments = increments_of(subgroups.overall, asked.per, per_sd=asked.per_sd)
    tables = []
    for group in subgroups.fitted:
        assert group.fit is not None
        table = increment_table(list(increment_odds_ratios(group.fit, increments)))
        table.insert(1, "variable", subgroups.variable)
        table.insert(2, "level", group.name)
        counts = group.counts
        tables.append(table.assign(sets=counts.sets, cases=counts.cases, controls=counts.controls))
    return stacked(tables)


def calibration_tables(calibration: CalibrationResults) -> dict[str, pd.DataFrame]:
    """Return the tables of a calibration; those of covariates and batches only when it has some."""
    tables = {"calibration": calibration.tidy()}
    if calibration.covariates:
        tables["calibration_covariates"] = calibration.tidy_covariates()
    if calibration.quality:
        tables["calibration_quality"] = calibration.tidy_quality()
    if any(quality.batches for quality in calibration.quality):
        tables["calibration_batches"] = calibration.tidy_batches()
    return tables


def stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables one below the other; empty ones only matter when all are."""
    import pandas as pd

    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def _covariance(fit: Fit) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    terms, n = list(fit.terms), len(fit.terms)
    return pd.DataFrame(
        {
            "method": fit.method,
            "row": [term for term in terms for _ in range(n)],
            "column": terms * n,
            "value": np.ravel(fit.vcov),
        }
    )


def _tests(fit: Fit) -> pd.DataFrame:
    import pandas as pd

    tests = fit.tests()
    columns: tuple[str, ...] = ("test", "statistic", "df", "p_value")
    if fit.imputation is not None:
        columns = (*columns, "df_denominator")
    values = {name: [getattr(test, name) for test in tests] for name in columns}
    return pd.DataFrame({"method": [fit.method] * len(tests), **values})
