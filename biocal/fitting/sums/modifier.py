"""The effect modifier of rows in parts: what each part tells of it, and what is settled from all of them.

Whether a column of the modifier is a main effect of its own, belongs to the calibration beside the covariates, or
has residual variances of its own by level depends on all rows; `prepare` leaves it open for a part of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import FormulaError
from biocal.fitting.problem.modifier import (
    FEW_VALUES,
    is_number,
    level_labels,
    levels_at,
    order_of_levels,
    own_effects_of,
)
from biocal.fitting.problem.prepare import PreparedPool, same_for_everybody
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.problem.units import (
    is_indicator,
    level_codes,
    one_variance_note,
    own_variances,
    own_variances_note,
)
from biocal.model.calibration.rows import CalibrationRows, PersonRows
from biocal.pool.pooled import PooledStudies
from biocal.results.model import ModifierLevels

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: Levels of a modifier that a part tells one by one (our choice): more are a number's values.
MOST_LEVELS = 200


@dataclass(frozen=True, slots=True)
class LevelHere:
    """A level of the modifier in a part: its columns' values, its words, and its persons in the outcome model."""

    values: tuple[float, ...]
    label: str
    persons: int


@dataclass(frozen=True, slots=True)
class StudyLevels:
    """Levels of one local study by their codes: those in the outcome model, and calibration pairs at each."""

    used: tuple[int, ...]
    pairs: Mapping[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class ModifierPart:
    """What a part of the rows tells of the modifier.

    Attributes
    ----------
    names, variables : tuple of str
        Its columns, and the columns of the data that they are made of.
    indicator : bool
        Whether its columns say which of several levels a person has.
    equal_covariates, equal_calibration : tuple of frozenset of str, length km
        What equals each column among the covariates, and among the calibration's other columns.
    levels : tuple of LevelHere, or None
        None for a number with more than MOST_LEVELS values.
    studies : dict of str to StudyLevels
        Local studies; empty unless `indicator`.
    """

    names: tuple[str, ...]
    variables: tuple[str, ...]
    indicator: bool
    equal_covariates: tuple[frozenset[str], ...]
    equal_calibration: tuple[frozenset[str], ...]
    levels: tuple[LevelHere, ...] | None
    studies: Mapping[str, StudyLevels]


@dataclass(frozen=True, slots=True, eq=False)
class Modifier:
    """The modifier as all parts together have it.

    Attributes
    ----------
    names, variables : tuple of str
    main : tuple of int
        Columns that are main effects of their own.
    equals : tuple of tuple of str, length km
        Covariates that equal each column.
    not_calibrating : tuple of str
        Columns that the calibration holds under another name.
    own_variances : dict of str to tuple of int
        Codes of the levels with a residual variance of their own, by local study; absent where there is one alone.
    levels : tuple of LevelHere, or None
        None where they are too many.
    notes : tuple of str
    """

    names: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    main: tuple[int, ...] = ()
    equals: tuple[tuple[str, ...], ...] = ()
    not_calibrating: tuple[str, ...] = ()
    own_variances: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    levels: tuple[LevelHere, ...] | None = ()
    notes: tuple[str, ...] = ()

    @property
    def needs_quantiles(self) -> bool:
        """Whether curves are shown at quantiles of the modifier: it is a number with more than a few values."""
        return is_number(self.names) and (self.levels is None or len(self.levels) > FEW_VALUES)

    def shown_levels(self, formula: str, points: FloatArray | None = None) -> ModifierLevels | None:
        """Levels at which curves are shown; `points` (n_levels,) of a number where they are not its values."""
        if not self.names:
            return None
        if points is not None:
            return levels_at(formula, self.names, points)
        assert self.levels is not None
        values = np.array([one.values for one in self.levels])
        if is_number(self.names):
            return levels_at(formula, self.names, np.sort(values[:, 0]))
        order = order_of_levels(values)
        return ModifierLevels(formula, self.names, tuple(self.levels[k].label for k in order), values[order])

    def effects(self, covariate_names: Sequence[str]) -> tuple[tuple[str, ...], str]:
        """As :func:`~biocal.fitting.problem.modifier.own_effects`."""
        equals = [[name for name in one if name in covariate_names] for one in self.equals]
        return own_effects_of(self.names, self.main, equals, covariate_names, self.variables)

    def calibrates(self, names: Sequence[str]) -> BoolArray:
        """Which of the calibration's columns (1 and W, then those named) it keeps."""
        return np.array([True, True, *(name not in self.not_calibrating for name in names)])

    def variances(self, study: str) -> int:
        """Residual variances of a local study."""
        return 1 + len(self.own_variances.get(study, ()))


#: Of a model without one.
NO_MODIFIER = Modifier()


def modifier_of_part(pool: PooledStudies, prepared: PreparedPool) -> ModifierPart | None:
    """What a part of the rows, prepared apart, tells of the modifier; None without one."""
    design = prepared.modifier_design
    if design is None:
        return None
    problem, indicator = prepared.problem, is_indicator(design.values)
    variables = tuple(design.missing)
    studies = {}
    if indicator:
        codes, of_pairs = _codes_of_persons(problem), _codes_of_pairs(problem, prepared.calibration_names)
        for s, name in enumerate(problem.local_names):
            used = codes[problem.calibration_rows.study == s]
            studies[name] = StudyLevels(
                tuple(np.unique(used).tolist()), _counted(of_pairs[problem.calibrators.rows.study == s])
            )
    return ModifierPart(
        problem.modifier_names,
        variables,
        indicator,
        *prepared.equals,
        _levels_here(pool, prepared, variables),
        studies,
    )


def _levels_here(
    pool: PooledStudies, prepared: PreparedPool, variables: tuple[str, ...]
) -> tuple[LevelHere, ...] | None:
    seen, first, persons = np.unique(
        prepared.problem.modifier.T, axis=0, return_index=True, return_counts=True
    )
    if len(seen) > MOST_LEVELS:
        return None
    labels = level_labels(pool, variables, prepared.outcome_rows.rows[first])
    return tuple(
        LevelHere(tuple(values), label, n)
        for values, label, n in zip(seen.tolist(), labels, persons.tolist(), strict=True)
    )


def _codes_of_persons(problem: PooledProblem) -> IntArray:
    return level_codes(problem.modifier.T).astype(np.intp)


def _codes_of_pairs(problem: PooledProblem, calibration_names: tuple[str, ...]) -> IntArray:
    """Levels of the calibration pairs: the modifier's columns are among those of the calibration."""
    places = [2 + calibration_names.index(name) for name in problem.modifier_names]
    return level_codes(problem.calibrators.rows.columns[places].T).astype(np.intp)


def _counted(codes: IntArray) -> dict[int, int]:
    values, counts = np.unique(codes, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def settle_modifier(
    parts: Sequence[ModifierPart], varies: BoolArray, calibration_names: Sequence[str], locals_: Sequence[str]
) -> Modifier:
    """What holds for all parts together.

    Parameters
    ----------
    parts : sequence of ModifierPart
        Empty for a model without modifier.
    varies : ndarray of bool, shape (km,)
        Columns that vary within some set of some part.
    calibration_names : sequence of str
        The calibration's columns after W.
    locals_ : sequence of str
        Local studies, in the order of the parameters.

    Raises
    ------
    OptionError
        The modifier has the same value for everybody.
    FormulaError
        Parts made other columns of it.
    """
    if not parts:
        return NO_MODIFIER
    first = parts[0]
    for one in parts:
        if one.names != first.names:
            raise FormulaError(
                f"the modifier gives other columns in some parts of the data ({', '.join(one.names)[:200]}) than in "
                f"others ({', '.join(first.names)[:200]}); write the column alike everywhere"
            )
    levels = _all_levels(parts)
    if levels is not None and len(levels) < 2:
        raise same_for_everybody(first.names or first.variables)
    equals = [
        frozenset.intersection(*(one.equal_covariates[k] for one in parts)) for k in range(len(first.names))
    ]
    held = [
        frozenset.intersection(*(one.equal_calibration[k] for one in parts)) for k in range(len(first.names))
    ]
    not_calibrating = tuple(
        name for name, those in zip(first.names, held, strict=True) if those and name not in those
    )
    main = tuple(k for k in range(len(first.names)) if varies[k] and not equals[k])
    own: dict[str, tuple[int, ...]] = {}
    pooled: list[str] = []
    if all(one.indicator for one in parts):
        own, pooled = _own_variances(parts, locals_)
    return Modifier(
        first.names,
        first.variables,
        main,
        tuple(tuple(sorted(one)) for one in equals),
        not_calibrating,
        own,
        levels,
        (*own_variances_note(list(own)), *one_variance_note(pooled)),
    )


def _all_levels(parts: Sequence[ModifierPart]) -> tuple[LevelHere, ...] | None:
    found: dict[tuple[float, ...], LevelHere] = {}
    for part in parts:
        if part.levels is None:
            return None
        for one in part.levels:
            earlier = found.get(one.values)
            found[one.values] = (
                one if earlier is None else replace(one, persons=one.persons + earlier.persons)
            )
    return tuple(found[values] for values in sorted(found))


def _own_variances(
    parts: Sequence[ModifierPart], locals_: Sequence[str]
) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """Levels with a residual variance of their own by study, and studies whose levels share one for want of pairs."""
    own: dict[str, tuple[int, ...]] = {}
    pooled = []
    for name in locals_:
        here = [part.studies[name] for part in parts if name in part.studies]
        used = np.array(sorted({code for one in here for code in one.used}), dtype=float)
        pairs = np.concatenate(
            [np.empty(0), *(np.repeat(float(code), n) for one in here for code, n in one.pairs.items())]
        )
        found = own_variances(used, pairs)
        if found.size:
            own[name] = tuple(int(code) for code in found)
        elif used.size > 1:
            pooled.append(name)
    return own, pooled


def settled_problem(
    problem: PooledProblem,
    calibration_names: tuple[str, ...],
    main: tuple[int, ...],
    own: Mapping[str, tuple[int, ...]],
) -> PooledProblem:
    """A part's problem with main effects and residual variances as they were settled.

    Parameters
    ----------
    problem : PooledProblem
        Prepared apart.
    calibration_names : tuple of str
        Its calibration's columns after W.
    main : tuple of int
    own : mapping of str to tuple of int
        As :class:`Modifier` has them.
    """
    if not problem.modifier_names:
        return problem
    problem = replace(problem, modifier_main=main)
    mine = {s: own[name] for s, name in enumerate(problem.local_names) if own.get(name)}
    if not mine:
        return problem
    of_pairs = _codes_of_pairs(problem, calibration_names)
    persons, pairs = problem.calibration_rows, problem.calibrators.rows
    codes = _codes_of_persons(problem)
    group, pair_group = np.array(persons.group), np.array(pairs.group)
    group_study = list(range(len(problem.local_names)))
    for s, levels in mine.items():
        for level in levels:
            group[(persons.study == s) & (codes == level)] = len(group_study)
            pair_group[(pairs.study == s) & (of_pairs == level)] = len(group_study)
            group_study.append(s)
    rows: PersonRows | CalibrationRows = replace(persons, group=group)
    calibrators = problem.calibrators
    layout = replace(
        calibrators.layout, n_groups=len(group_study), group_study=np.array(group_study, dtype=np.intp)
    )
    return replace(
        problem,
        calibration_rows=rows,
        calibrators=replace(calibrators, rows=replace(pairs, group=pair_group), layout=layout),
    )
