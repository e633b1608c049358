"""Which rows enter the outcome model, in sets that hold a case and a control; all losses counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MatchedSetError
from biocal.pool.checks.notices import LISTED_PLACES, Problem, ProblemLog, counted
from biocal.pool.conditions.selection import RowSelection
from biocal.pool.pooled import PooledStudies

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class StudyFlow:
    """What became of a study's rows, in the order in which they are left out.

    Attributes
    ----------
    study : str
    rows_read : int
    calibration_only : int
        Rows with a blank set.
    without_local : int
        Rows in a set, of a local study, without a local value.
    missing_covariate : int
        Of the rows then left, those with a missing covariate.
    missing_by_variable : dict of str to int
        The same by variable; a row that misses two is counted in both.
    sets_without_case, sets_without_control : int
        Sets that then hold only controls, or only cases.
    rows_in_dropped_sets : int
        Rows of those sets.
    sets, cases, controls : int
        Used by the outcome model.
    calibration_pairs : int
        Rows of the study's calibration subset, whatever their set and covariates.
    not_selected : int
        Rows in a set that the condition asked for does not hold; they leave right after those with a blank set.
    selection_unknown : int
        Of these, rows for which it is neither true nor false, a value being missing.
    """

    study: str
    rows_read: int
    calibration_only: int
    without_local: int
    missing_covariate: int
    missing_by_variable: dict[str, int]
    sets_without_case: int
    sets_without_control: int
    rows_in_dropped_sets: int
    sets: int
    cases: int
    controls: int
    calibration_pairs: int
    not_selected: int = 0
    selection_unknown: int = 0


@dataclass(frozen=True, slots=True)
class DroppedSet:
    """A matched set of the data that the outcome model does not use.

    Attributes
    ----------
    study, set : str
        As in the data.
    reason : str
        What its rows, after those left out for want of a value, lack.
    """

    study: str
    set: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeRows:
    """Rows of the pool that enter the outcome model.

    Attributes
    ----------
    rows : ndarray of int, shape (n_used,)
        Row numbers of the pool, by set; within a set in the order of the files.
    set_code : ndarray of int, shape (n_used,)
        0 to n_sets - 1, not decreasing.
    study : ndarray of int, shape (n_used,)
        Index into the pool's ``study_names``.
    is_case : ndarray of bool, shape (n_used,)
    flow : tuple of StudyFlow
        One a study, in the order of ``study_names``.
    set_shapes : dict
        (cases, controls) to the number of sets used.
    problems : tuple of Problem
        Rows and sets left out.
    dropped_sets : tuple of DroppedSet
        Every set left out, in the order of the pool's set codes.
    """

    rows: IntArray
    set_code: IntArray
    study: IntArray
    is_case: BoolArray
    flow: tuple[StudyFlow, ...]
    set_shapes: dict[tuple[int, int], int]
    problems: tuple[Problem, ...]
    dropped_sets: tuple[DroppedSet, ...]

    @property
    def n_sets(self) -> int:
        """Matched sets used."""
        return int(self.set_code[-1]) + 1 if self.set_code.size else 0


@dataclass(frozen=True, slots=True)
class _SetCounts:
    """Cases and controls of every set of the pool after rows were left out; arrays (n_sets_in_pool,).

    `selected` counts the rows before any was left out for want of a value.
    """

    cases: IntArray
    controls: IntArray
    study: IntArray
    selected: IntArray

    @property
    def without_case(self) -> BoolArray:
        chosen: BoolArray = np.logical_and(self.cases == 0, self.controls > 0)
        return chosen

    @property
    def without_control(self) -> BoolArray:
        chosen: BoolArray = np.logical_and(self.cases > 0, self.controls == 0)
        return chosen

    @property
    def used(self) -> BoolArray:
        chosen: BoolArray = np.logical_and(self.cases > 0, self.controls > 0)
        return chosen


def select_outcome_rows(
    pool: PooledStudies, missing: Mapping[str, BoolArray], selection: RowSelection | None = None
) -> OutcomeRows:
    """Choose the rows of the outcome model, the same for every method.

    Rows leave in this order: a blank set, not selected, no local value in a local study, a missing covariate;
    then sets left without a case or without a control.

    Parameters
    ----------
    pool : PooledStudies
    missing : mapping of str to ndarray of bool, shape (n,)
        For each variable of the model, the rows of the pool in which it is missing.
    selection : RowSelection, optional
        Rows to which the analysis is restricted.

    Returns
    -------
    OutcomeRows

    Raises
    ------
    MatchedSetError
        No set has both a case and a control (attributes ``set_ids``, pairs of study and set, and
        ``flow``).
    """
    in_set = pool.set_code >= 0
    not_selected = np.zeros(pool.n_rows, dtype=np.bool_)
    if selection is not None:
        not_selected = in_set & ~selection.selected
        in_set &= selection.selected
    no_local = in_set & ~pool.is_reference_study[pool.study] & np.isnan(pool.local_assay)
    candidate = in_set & ~no_local
    complete = candidate.copy()
    for mask in missing.values():
        complete &= ~mask
    counts = _set_counts(pool, complete, in_set)
    used = complete & _of_rows(pool, counts.used)
    flow = _flow(pool, (no_local, candidate, complete, used), counts, missing)
    if selection is not None:
        flow = _with_selection(pool, flow, not_selected, selection)
    if not used.any():
        raise MatchedSetError(_nothing_left(pool, flow), set_ids=_set_names(pool, counts), flow=flow)
    rows = np.flatnonzero(used)
    every = slice(None) if rows.size == pool.n_rows else rows
    codes = pool.set_code[every]
    if (codes[1:] < codes[:-1]).any():
        rows = rows[np.argsort(codes, kind="stable")]
        every, codes = rows, pool.set_code[rows]
    return OutcomeRows(
        rows=rows,
        set_code=_contiguous(codes),
        study=pool.study[every],
        is_case=pool.is_case[every],
        flow=flow,
        set_shapes=count_shapes(counts.cases[counts.used], counts.controls[counts.used]),
        problems=_problems(pool, missing, candidate, complete, counts),
        dropped_sets=_dropped_sets(pool, counts),
    )


def count_shapes(cases: IntArray, controls: IntArray) -> dict[tuple[int, int], int]:
    """Count sets by (cases, controls).

    Parameters
    ----------
    cases, controls : ndarray of int, shape (n_sets,)
    """
    width = int(controls.max(initial=0)) + 1
    shapes, how_many = np.unique(cases * width + controls, return_counts=True)
    return {(int(k // width), int(k % width)): int(n) for k, n in zip(shapes, how_many, strict=True)}


def _dropped_sets(pool: PooledStudies, counts: _SetCounts) -> tuple[DroppedSet, ...]:
    dropped = np.flatnonzero(~counts.used)
    cases, controls = counts.cases[dropped] > 0, counts.controls[dropped] > 0
    reasons = np.where(controls, "no case left", np.where(cases, "no control left", "no row left"))
    reasons = np.where(counts.selected[dropped] == 0, "not selected", reasons)
    return tuple(
        DroppedSet(pool.study_names[counts.study[code]], pool.set_labels[code], reason)
        for code, reason in zip(dropped, reasons.tolist(), strict=True)
    )


def _contiguous(sorted_codes: IntArray) -> IntArray:
    """Number the distinct values of non-decreasing codes 0, 1, ..."""
    if sorted_codes.size and sorted_codes[0] == 0 and sorted_codes[-1] == _steps(sorted_codes).sum():
        return sorted_codes  # no set was dropped
    found = np.zeros(sorted_codes.size, dtype=np.intp)
    np.cumsum(_steps(sorted_codes), out=found[1:])
    return found


def _steps(sorted_codes: IntArray) -> BoolArray:
    """Where a code differs from the one before, shape (n - 1,)."""
    steps: BoolArray = sorted_codes[1:] != sorted_codes[:-1]
    return steps


def _of_rows(pool: PooledStudies, of_sets: BoolArray) -> BoolArray:
    """What holds for the set of each row, shape (n,); false where the set is blank."""
    return np.append(of_sets, False)[pool.set_code]


def _set_counts(pool: PooledStudies, kept: BoolArray, selected: BoolArray) -> _SetCounts:
    n_sets = len(pool.set_labels)
    cases = _counted(pool.set_code, kept & pool.is_case, n_sets)
    controls = _counted(pool.set_code, kept & ~pool.is_case, n_sets)
    study = np.zeros(n_sets + 1, dtype=np.intp)
    study[pool.set_code] = pool.study  # the last takes the rows with a blank set
    return _SetCounts(cases, controls, study[:-1], _counted(pool.set_code, selected, n_sets))


def _counted(codes: IntArray, mask: BoolArray, n_codes: int) -> IntArray:
    """Rows of a mask at each code, shape (n_codes,)."""
    marked = codes if mask.all() else codes[mask]
    return np.bincount(marked, minlength=n_codes).astype(np.intp, copy=False)


def _with_selection(
    pool: PooledStudies, flow: tuple[StudyFlow, ...], not_selected: BoolArray, selection: RowSelection
) -> tuple[StudyFlow, ...]:
    lost = np.bincount(pool.study[not_selected], minlength=pool.n_studies)
    unknown = np.bincount(pool.study[not_selected & selection.unknown], minlength=pool.n_studies)
    return tuple(
        replace(one, not_selected=int(lost[s]), selection_unknown=int(unknown[s]))
        for s, one in enumerate(flow)
    )


def _flow(
    pool: PooledStudies,
    steps: tuple[BoolArray, BoolArray, BoolArray, BoolArray],
    counts: _SetCounts,
    missing: Mapping[str, BoolArray],
) -> tuple[StudyFlow, ...]:
    no_local, candidate, complete, used = steps

    def rowscounted(mask: BoolArray) -> IntArray:
        return _counted(pool.study, mask, pool.n_studies)

    def setscounted(mask: BoolArray) -> IntArray:
        return np.bincount(counts.study[mask], minlength=pool.n_studies)

    read, blank = rowscounted(np.ones_like(used)), rowscounted(pool.set_code < 0)
    without_local, incomplete = rowscounted(no_local), rowscounted(candidate & ~complete)
    by_variable = {name: rowscounted(candidate & mask) for name, mask in missing.items()}
    only_controls, only_cases = setscounted(counts.without_case), setscounted(counts.without_control)
    dropped, n_sets = rowscounted(complete & ~used), setscounted(counts.used)
    cases, controls = rowscounted(used & pool.is_case), rowscounted(used & ~pool.is_case)
    pairs = rowscounted(pool.in_calibration)
    return tuple(
        StudyFlow(
            study=name,
            rows_read=int(read[s]),
            calibration_only=int(blank[s]),
            without_local=int(without_local[s]),
            missing_covariate=int(incomplete[s]),
            missing_by_variable={variable: int(n[s]) for variable, n in by_variable.items() if n[s]},
            sets_without_case=int(only_controls[s]),
            sets_without_control=int(only_cases[s]),
            rows_in_dropped_sets=int(dropped[s]),
            sets=int(n_sets[s]),
            cases=int(cases[s]),
            controls=int(controls[s]),
            calibration_pairs=int(pairs[s]),
        )
        for s, name in enumerate(pool.study_names)
    )


def _problems(
    pool: PooledStudies,
    missing: Mapping[str, BoolArray],
    candidate: BoolArray,
    complete: BoolArray,
    counts: _SetCounts,
) -> tuple[Problem, ...]:
    """What was left out for the covariates and for want of a case or control, by study."""
    log = ProblemLog()
    for variable, mask in missing.items():
        if not mask.any():
            continue
        lost = candidate & mask
        for s in np.unique(pool.study[lost]):
            rows = np.flatnonzero(lost & (pool.study == s))
            name = pool.study_names[s]
            first = "" if rows.size == 1 else " (first in this line)"
            lost_rows = counted(rows.size, "row")
            message = f"study '{name}': {lost_rows} without a value left out of the outcome model{first}"
            place = pool.place(int(rows[0]))
            log.add(
                "warning", "missing-covariate", message, column=variable, study=name, count=rows.size, **place
            )
    _tell_sets(pool, counts.without_case, complete, "set-without-case", "hold only controls", log)
    _tell_sets(pool, counts.without_control, complete, "set-without-control", "hold only cases", log)
    return tuple(log.found)


def _tell_sets(
    pool: PooledStudies, one_sided: BoolArray, complete: BoolArray, code: str, words: str, log: ProblemLog
) -> None:
    if not one_sided.any():
        return
    in_one_sided = complete & _of_rows(pool, one_sided)
    for s in np.unique(pool.study[in_one_sided]):
        rows = np.flatnonzero(in_one_sided & (pool.study == s))
        codes = np.unique(pool.set_code[rows])
        labels = ", ".join(pool.set_labels[c] for c in codes[:LISTED_PLACES])
        more = ", ..." if codes.size > LISTED_PLACES else ""
        verb = words if codes.size > 1 else words.replace("hold", "holds")
        name = pool.study_names[s]
        message = f"study '{name}': {counted(codes.size, 'matched set')} {verb}; dropped ({labels}{more})"
        place = pool.place(int(rows[0]))
        log.add("warning", code, message, column=pool.roles.set, study=name, count=codes.size, **place)


def _nothing_left(pool: PooledStudies, flow: tuple[StudyFlow, ...]) -> str:
    """Say why no set is left."""
    n_sets = len(pool.set_labels)
    if n_sets == 0:
        return f"column '{pool.roles.set}' is blank in every row, so there is no matched set"
    only_controls = sum(one.sets_without_case for one in flow)
    only_cases = sum(one.sets_without_control for one in flow)
    message = f"none of the {counted(n_sets, 'matched set')} has both a case and a control"
    message += f": {only_controls:,} with controls only, {only_cases:,} with cases only"
    no_local, incomplete = sum(o.without_local for o in flow), sum(o.missing_covariate for o in flow)
    not_selected = sum(one.not_selected for one in flow)
    if not_selected:
        message += f"; {not_selected:,} rows were not selected by the condition"
    if no_local or incomplete:
        message += (
            f"; before that {no_local:,} rows were left out for want of a local value and "
            f"{incomplete:,} for missing covariates"
        )
    return f"{message}; are columns '{pool.roles.set}' and '{pool.roles.case}' the right ones?"


def _set_names(pool: PooledStudies, counts: _SetCounts) -> tuple[tuple[str, str], ...]:
    return tuple((pool.study_names[s], label) for s, label in zip(counts.study, pool.set_labels, strict=True))
