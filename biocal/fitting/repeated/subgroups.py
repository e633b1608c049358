"""Fits by the levels of a variable, and the covariance between them.

Every level has its own outcome model; knots, reference exposure and, unless asked otherwise, the calibration are
those of all persons.  Each level's estimate has an influence function over the same independent units (sets,
persons' clusters, calibration persons), so that sums of their outer products give the covariance between levels,
which the common calibration, and controls that serve in two levels, make different from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import BiocalError, FitError, MatchedSetError
from biocal.fitting.assembled import describe_sample
from biocal.fitting.methods.estimate import calibrate_problem
from biocal.fitting.problem.prepare import PreparedPool, prepare
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.problem.units import count_units, units_of_pool
from biocal.fitting.repeated.refit import Analysis, count_persons, counts_of, in_short, part_of_sample, refit
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.outcome.conditional import constant_within_sets
from biocal.pool.checks.notices import counted
from biocal.pool.conditions.selection import Grouping, group_rows
from biocal.pool.pool_rows import take_rows
from biocal.results.fit.fit import Fit
from biocal.results.groups.estimates import Counts, GroupEstimate, Subgroups
from biocal.results.model import Sample

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: With fewer independent units a coefficient a sandwich is too small by a fifth or more (our choice, as two-stage).
_UNITS_PER_COEFFICIENT = 5


@dataclass(frozen=True, slots=True)
class SubgroupVariable:
    """A variable by which to split: a column or condition, and whether it describes the case."""

    name: str
    of_case: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """A level made ready: its persons, calibration, sample, and what makes its units comparable with others'."""

    prepared: PreparedPool
    calibration: CalibrationFit | None
    sample: Sample
    unit_in_pool: IntArray | None
    omitted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _NoLevel:
    """A level that no method can fit: why, and what it holds."""

    reason: str
    counts: Counts


def add_subgroups(
    fits: Mapping[str, Fit],
    analysis: Analysis,
    variables: tuple[SubgroupVariable, ...],
    *,
    calibrate_within: bool = False,
) -> dict[str, Fit]:
    """The fits with theirs by the levels of each variable.

    Parameters
    ----------
    fits : mapping of str to Fit
        By method, of all persons.
    analysis : Analysis
        What they were made from.
    variables : tuple of SubgroupVariable
    calibrate_within : bool
        Whether each level has a calibration of its own.

    Raises
    ------
    ColumnError, OptionError, FormulaError
        A variable that cannot split the pool.
    """
    found: dict[str, list[Subgroups]] = {name: [] for name in fits}
    overall = counts_of(fits, analysis)
    for variable in variables:
        grouping = group_rows(analysis.pool, variable.name, of_case=variable.of_case)
        levels = _levels(analysis, grouping, fits, calibrate_within)
        notes = _losses(analysis, grouping)
        for name, fit in fits.items():
            found[name].append(_subgroups(fit, overall[name], analysis, grouping, levels, notes))
    return {name: replace(fit, subgroups=tuple(found[name])) for name, fit in fits.items()}


def _levels(
    analysis: Analysis, grouping: Grouping, fits: Mapping[str, Fit], calibrate_within: bool
) -> dict[str, _Level | _NoLevel]:
    """Persons and calibration of each level, or why there are none."""
    sample = next(iter(fits.values())).sample
    prepared: dict[str, _Level | _NoLevel] = {}
    for level, rows in zip(grouping.levels, grouping.rows, strict=True):
        try:
            if calibrate_within:
                prepared[level] = _level_within(analysis, rows, fits)
            else:
                persons = np.flatnonzero(rows[analysis.prepared.outcome_rows.rows])
                problem, omitted = _restricted(persons_with_sets(analysis.prepared.problem, persons))
                part = replace(
                    analysis.prepared, problem=problem, omitted=(*analysis.prepared.omitted, *omitted)
                )
                prepared[level] = _Level(
                    part, analysis.calibration, part_of_sample(sample, problem), None, omitted
                )
        except BiocalError as error:
            prepared[level] = _NoLevel(in_short(str(error)), _counts_of_level(analysis, rows))
    return prepared


def _counts_of_level(analysis: Analysis, rows: BoolArray) -> Counts:
    """Sets and persons of a level that cannot be fitted."""
    persons = np.flatnonzero(rows[analysis.prepared.outcome_rows.rows])
    try:
        return _counts(persons_with_sets(analysis.prepared.problem, persons))
    except MatchedSetError:
        return Counts(0, 0, 0)


def _counts(problem: PooledProblem) -> Counts:
    return Counts(problem.n_sets, int(problem.is_case.sum()), int(problem.is_control.sum()))


def persons_with_sets(problem: PooledProblem, persons: IntArray) -> PooledProblem:
    """Some persons of a problem, in those of their sets that keep a case and a control.

    Raises
    ------
    MatchedSetError
        None does.
    """
    code, is_case = problem.set_code[persons], problem.is_case[persons]
    cases = np.bincount(code[is_case], minlength=problem.n_sets)
    controls = np.bincount(code[~is_case], minlength=problem.n_sets)
    kept = persons[((cases > 0) & (controls > 0))[code]]
    if kept.size == 0:
        raise MatchedSetError("no matched set with a case and a control", set_ids=())
    sets, set_code = np.unique(problem.set_code[kept], return_inverse=True)
    return problem.take_persons(kept, set_code.astype(np.intp), problem.set_unit[sets], problem.n_units)


def _restricted(problem: PooledProblem) -> tuple[PooledProblem, tuple[str, ...]]:
    """Leave out columns on which the sets of a level say nothing.

    Raises
    ------
    FitError
        The effect modifier is the same for everybody in the level.
    """
    for name, values in zip(problem.modifier_names, problem.modifier, strict=True):
        if np.ptp(values) == 0:
            raise FitError(f"{name} is the same for everybody in it, so that it cannot modify the effect")
    constant = constant_within_sets(problem.layout, problem.covariates)
    main = np.asarray(problem.modifier_main, dtype=np.intp)
    varying = ~constant_within_sets(problem.layout, problem.modifier[main])
    names = np.asarray(problem.covariate_names, dtype=object)
    smaller = replace(
        problem,
        covariates=np.ascontiguousarray(problem.covariates[~constant]),
        covariate_names=tuple(names[~constant]),
        modifier_main=tuple(int(k) for k in main[varying]),
    )
    return smaller, tuple(names[constant])


def _level_within(analysis: Analysis, rows: BoolArray, fits: Mapping[str, Fit]) -> _Level:
    """A level as if its rows alone had been read: its own calibration too."""
    chosen = np.flatnonzero(rows)
    pool = take_rows(analysis.pool, chosen)
    prepared = prepare(pool, analysis.formulas)
    calibration = calibrate_problem(prepared.problem) if set(fits) != {"naive"} else _or_none(prepared)
    omitted = tuple(name for name in prepared.omitted if name not in analysis.prepared.omitted)
    units = np.empty(prepared.problem.n_units, dtype=np.intp)
    whole = units_of_pool(analysis.pool)[chosen]
    units[prepared.problem.calibrators.unit] = whole[prepared.calibration_pool_rows]
    outcome = prepared.outcome_rows
    units[prepared.problem.set_unit[outcome.set_code]] = whole[outcome.rows]
    return _Level(prepared, calibration, describe_sample(pool, prepared), units, omitted)


def _or_none(prepared: PreparedPool) -> CalibrationFit | None:
    try:
        return calibrate_problem(prepared.problem)
    except BiocalError:
        return None


def _subgroups(
    fit: Fit,
    counts: Counts,
    analysis: Analysis,
    grouping: Grouping,
    levels: Mapping[str, _Level | _NoLevel],
    notes: tuple[str, ...],
) -> Subgroups:
    groups = tuple(_estimate(fit, analysis, name, level) for name, level in levels.items())
    told = [*notes]
    for group in groups:
        if group.fit is None:
            told.append(f"{grouping.variable} {group.name} could not be fitted: {group.reason}")
            continue
        own = (*group.fit.warnings, *group.fit.info.notes)
        told += [f"{grouping.variable} {group.name}: {note}" for note in own if note not in fit.warnings]
    return Subgroups(
        grouping.variable,
        bool(grouping.of_case.any()),
        groups,
        fit,
        counts,
        _joint_covariance([group for group in groups if group.fit is not None]),
        tuple(told),
    )


def _estimate(fit: Fit, analysis: Analysis, name: str, level: _Level | _NoLevel) -> GroupEstimate:
    """One method in one level."""
    if not isinstance(level, _Level):
        return GroupEstimate(name, level.counts, None, level.reason)
    problem = level.prepared.problem
    counts = _counts(problem)
    n_pairs = int(problem.calibrators.response.size)
    try:
        counts = count_persons(problem, fit, level.calibration)
        other = refit(fit, level.prepared, level.calibration, analysis.options, level.sample)
    except BiocalError as error:
        return GroupEstimate(name, counts, None, in_short(str(error)), n_pairs)
    n_units = count_units(problem.set_unit)
    notes = [*other.info.notes]
    notes += (
        [f"{', '.join(level.omitted)} omitted: constant within every matched set"] if level.omitted else []
    )
    if n_units < _UNITS_PER_COEFFICIENT * len(other.terms):
        notes.append(
            f"only {counted(n_units, 'set')} for {len(other.terms)} coefficients: standard errors are too small"
        )
    other = replace(other, info=replace(other.info, notes=tuple(notes)))
    return GroupEstimate(name, counts, other, "", n_pairs, _influence(other, level, analysis))


def _influence(fit: Fit, level: _Level, analysis: Analysis) -> FloatArray | None:
    """Influence of the whole pool's units on the exposure coefficients of a level."""
    if fit.influence is None or fit.influence.shape[0] != level.prepared.problem.n_units:
        return None
    part = fit.influence[:, fit.exposure_positions.ravel()]
    if level.unit_in_pool is None:
        return part
    whole = np.zeros((analysis.pool.n_rows, part.shape[1]))
    np.add.at(whole, level.unit_in_pool, part)
    return whole


def _joint_covariance(groups: list[GroupEstimate]) -> FloatArray | None:
    """Covariance of the levels' exposure coefficients, level after level; None where it is unknown."""
    if not groups or any(group.influence is None for group in groups):
        return None
    influences = [group.influence for group in groups if group.influence is not None]
    stacked = np.hstack(influences)
    joint = stacked.T @ stacked
    start = 0
    for group, part in zip(groups, influences, strict=True):
        assert group.fit is not None
        columns = group.fit.exposure_positions.ravel()
        block = slice(start, start + part.shape[1])
        # two-stage: its own covariance has the spread between studies too
        joint[block, block] = group.fit.vcov[np.ix_(columns, columns)]
        start += part.shape[1]
    return np.asarray(joint)


def _losses(analysis: Analysis, grouping: Grouping) -> tuple[str, ...]:
    """Sets and persons of the analysis without a part in any level, or with one in several."""
    problem, rows = analysis.prepared.problem, analysis.prepared.outcome_rows.rows
    member, known = grouping.rows[:, rows], grouping.known[rows]
    n_sets = problem.n_sets
    in_level = np.array([np.bincount(problem.set_code[m], minlength=n_sets) > 0 for m in member])
    used = np.zeros(problem.is_case.size, dtype=np.bool_)
    for mask in member:
        code = problem.set_code
        cases = np.bincount(code[mask & problem.is_case], minlength=n_sets)
        controls = np.bincount(code[mask & ~problem.is_case], minlength=n_sets)
        used |= mask & ((cases > 0) & (controls > 0))[code]
    notes = list(grouping.notes)
    mixed = in_level.sum(axis=0) > 1
    if mixed.any():
        who, how = "members", "in each level with its members of that level"
        if grouping.of_case.any():
            who, how = "cases", "in each level with its cases of that level and all its controls"
        notes.append(
            f"{counted(int(mixed.sum()), 'matched set')} with {who} of several levels of {grouping.variable}: {how}"
            f"{_by_study(problem, mixed)}"
        )
    blank = problem.is_case & ~known
    if blank.any():
        notes.append(
            f"{counted(int(blank.sum()), 'case')} without a value of {grouping.variable} in no level, their sets "
            f"neither{_by_study(problem, np.bincount(problem.set_code[blank], minlength=n_sets) > 0)}"
        )
    lost = problem.is_case & known & ~used
    if lost.any():
        notes.append(
            f"{counted(int(lost.sum()), 'case')} without a control of the same level of {grouping.variable} in the "
            "set: in no level"
        )
    return tuple(notes)


def _by_study(problem: PooledProblem, sets: BoolArray) -> str:
    """Numbers of sets by study, in parentheses."""
    study_of_set = np.empty(problem.n_sets, dtype=np.intp)
    study_of_set[problem.set_code] = problem.study
    n = np.bincount(study_of_set[sets], minlength=len(problem.study_names))
    some = [f"{name} {k:,}" for name, k in zip(problem.study_names, n, strict=True) if k]
    return f" ({', '.join(some)})" if some else ""
