"""The analysis without each study in turn: its sets and its calibration pairs are gone, knots and reference stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from biocal.errors import BiocalError, OptionError
from biocal.fitting.assembled import describe_sample
from biocal.fitting.calibration_step import calibrate_or_explain
from biocal.fitting.problem.prepare import prepare
from biocal.fitting.repeated.refit import Analysis, count_persons, counts_of, in_short, refit
from biocal.fitting.repeated.subgroups import SubgroupVariable, add_subgroups
from biocal.pool.pool_rows import take_rows
from biocal.results.fit.fit import Fit
from biocal.results.groups.estimates import Counts, GroupEstimate, LeaveOneOut


def add_leave_one_out(
    fits: Mapping[str, Fit],
    analysis: Analysis,
    variables: tuple[SubgroupVariable, ...] = (),
    *,
    calibrate_within: bool = False,
) -> dict[str, Fit]:
    """The fits with those without each study.

    Parameters
    ----------
    fits : mapping of str to Fit
        By method, of all studies.
    analysis : Analysis
        What they were made from.
    variables : tuple of SubgroupVariable
        Subgroups that are fitted without each study too.
    calibrate_within : bool
        For the subgroups.

    Raises
    ------
    OptionError
        Fewer than two studies.
    """
    pool = analysis.pool
    if pool.n_studies < 2:
        raise OptionError("leaving out one study needs two studies or more")
    overall = counts_of(fits, analysis)
    groups: dict[str, list[GroupEstimate]] = {name: [] for name in fits}
    for study, name in enumerate(pool.study_names):
        rest = _without(fits, analysis, study, variables, calibrate_within=calibrate_within)
        for method in fits:
            groups[method].append(replace(rest[method], name=name))
    return {
        name: replace(fit, left_out=LeaveOneOut(tuple(groups[name]), fit, overall[name]))
        for name, fit in fits.items()
    }


def _without(
    fits: Mapping[str, Fit],
    analysis: Analysis,
    study: int,
    variables: tuple[SubgroupVariable, ...],
    *,
    calibrate_within: bool,
) -> dict[str, GroupEstimate]:
    """All methods without one study; a method that then fails says why."""
    try:
        pool = take_rows(analysis.pool, np.flatnonzero(analysis.pool.study != study))
        prepared = prepare(pool, analysis.formulas)
        calibration, _ = calibrate_or_explain(prepared, tuple(fits))
    except BiocalError as error:
        return {name: GroupEstimate("", Counts(0, 0, 0), None, in_short(str(error))) for name in fits}
    smaller = Analysis(pool, analysis.formulas, prepared, calibration, analysis.options)
    problem, sample = prepared.problem, describe_sample(pool, prepared)
    n_pairs = int(problem.calibrators.response.size)
    found: dict[str, GroupEstimate] = {}
    refitted: dict[str, Fit] = {}
    for name, fit in fits.items():
        counts = Counts(0, 0, 0)
        try:
            counts = count_persons(problem, fit, calibration)
            refitted[name] = refit(fit, prepared, calibration, analysis.options, sample)
            found[name] = GroupEstimate("", counts, refitted[name], "", n_pairs)
        except BiocalError as error:
            found[name] = GroupEstimate("", counts, None, in_short(str(error)), n_pairs)
    if variables and refitted:
        try:
            refitted = add_subgroups(refitted, smaller, variables, calibrate_within=calibrate_within)
        except OptionError:  # without this study the variable has one level: there are no subgroups
            return found
    return {name: replace(estimate, fit=refitted.get(name, estimate.fit)) for name, estimate in found.items()}
