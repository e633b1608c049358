"""Redrawing the independent units of a pooled problem within strata.

A unit is a matched set with the calibrators in it, a calibrator outside any used set, or, with a person
column, a cluster of sets that share a person.  Whether a set holds calibrators was decided by the design,
not by chance, so that units with and without calibrators are redrawn apart (METHODS section 6).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.fitting.problem.problem import PooledProblem

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: "calibrators": study, and whether a unit holds calibrators.  "deciles": those that do also by the decile
#: of the local value, for subsets that were spread over the deciles.
STRATA = ("calibrators", "deciles")


@dataclass(frozen=True, slots=True)
class Members:
    """Members of each of a number of groups, side by side.

    Attributes
    ----------
    member : ndarray of int, shape (n_members,)
        Members, group after group.
    start, size : ndarray of int, shape (n_groups,)
        Where each group begins, and how many members it has.
    """

    member: IntArray
    start: IntArray
    size: IntArray

    def of(self, groups: IntArray) -> tuple[IntArray, IntArray]:
        """Members of the groups in turn, a group as often as it is named; and the place of each one's group."""
        size = self.size[groups]
        place = np.repeat(np.arange(groups.size), size)
        within = np.arange(place.size) - np.repeat(np.cumsum(size) - size, size)
        return self.member[self.start[groups][place] + within], place


def members_by_group(group: IntArray, n_groups: int) -> Members:
    """Group the positions 0..n-1 by their code (n,), in their order within a group."""
    size = np.bincount(group, minlength=n_groups)
    return Members(np.argsort(group, kind="stable"), np.cumsum(size) - size, size)


@dataclass(frozen=True, slots=True)
class ResamplingDesign:
    """A problem made ready to be redrawn.

    Attributes
    ----------
    problem : PooledProblem
        Persons in the order of their sets, cases first, so that laying out a resample needs no sorting.
    strata : str
        One of STRATA.
    units : Members
        Units of each stratum.
    overdispersed : ndarray of bool, shape (n_strata,)
        Strata redrawn by :func:`urn_counts`, being small.
    sets, pairs, persons : Members
        Sets of each unit, calibrators of each unit, persons of each set.
    n_alone : int
        Units that are alone in their stratum and so always drawn.
    """

    problem: PooledProblem
    strata: str
    units: Members
    overdispersed: NDArray[np.bool_]
    sets: Members
    pairs: Members
    persons: Members
    n_alone: int

    def describe(self) -> str:
        """How units are redrawn, in words."""
        text = "matched sets redrawn within study"
        if self.problem.calibrators.response.size:
            text += ", those holding calibrators apart from the others"
        if self.strata == "deciles":
            text += " and within deciles of their calibrator's local value"
        return text


def design_resampling(problem: PooledProblem, strata: str = "calibrators") -> ResamplingDesign:
    """Find the strata.

    Parameters
    ----------
    problem : PooledProblem
    strata : {"calibrators", "deciles"}
        "calibrators": within study, sets that hold calibrators, other sets, and calibrators outside any
        used set each by themselves.  "deciles": units with calibrators also by the decile of the
        calibrator's local value among the study's controls.

    Raises
    ------
    OptionError
        Other strata.

    Notes
    -----
    A stratum of one unit with calibrators has no variance: it joins its neighbour, the next decile or
    the other calibrators of its study.
    """
    if strata not in STRATA:
        raise OptionError(f"strata are one of {', '.join(STRATA)}, not {strata!r}", allowed=STRATA)
    order = np.lexsort((~problem.is_case, problem.set_code))
    problem = problem.take_persons(order, problem.set_code[order], problem.set_unit, problem.n_units)
    holds = np.zeros(problem.n_units, dtype=bool)
    holds[problem.calibrators.unit] = True
    code = _strata_codes(problem, holds, strata)
    units = members_by_group(code, int(code.max()) + 1)
    with_calibrators = holds[units.member[units.start]]
    return ResamplingDesign(
        problem,
        strata,
        units,
        with_calibrators & (strata == "deciles"),
        members_by_group(problem.set_unit, problem.n_units),
        members_by_group(problem.calibrators.unit, problem.n_units),
        members_by_group(problem.set_code, problem.n_sets),
        int((units.size == 1).sum()),
    )


def redraw(design: ResamplingDesign, rng: np.random.Generator) -> PooledProblem:
    """A resampled problem: every unit drawn is a unit of its own, with its sets and calibrators."""
    problem, calibrators = design.problem, design.problem.calibrators
    drawn = np.repeat(np.arange(problem.n_units), draw_counts(design, rng))
    sets, set_unit = design.sets.of(drawn)
    persons, set_code = design.persons.of(sets)
    pairs, pair_unit = design.pairs.of(drawn)
    redrawn = problem.take_persons(persons, set_code, set_unit, drawn.size)
    return replace(
        redrawn,
        # leverage scores matter to the sandwich alone, which a replicate has not
        calibrators=replace(calibrators.take(pairs, pair_unit), leverage_scores=False),
    )


def draw_counts(design: ResamplingDesign, rng: np.random.Generator) -> IntArray:
    """How often each unit is drawn, shape (n_units,); every stratum keeps its size."""
    units = design.units
    plain = np.flatnonzero(~design.overdispersed)
    size = np.repeat(units.size[plain], units.size[plain])
    start = np.repeat(units.start[plain], units.size[plain])
    drawn = units.member[start + rng.integers(0, size)]
    counts = np.bincount(drawn, minlength=units.member.size)
    for stratum in np.flatnonzero(design.overdispersed):
        start, n = units.start[stratum], int(units.size[stratum])
        counts[units.member[start : start + n]] = urn_counts(n, rng)
    return counts


def urn_counts(n: int, rng: np.random.Generator) -> IntArray:
    """How often each of n units is drawn when the stratum is small.

    Plain redrawing of n units understates the variance of their sum by the factor (n - 1) / n, a third
    at the three calibrators a decile that are usual.  Counts from Polya's urn with n - 2 balls a unit still
    sum to n, and their covariance n / (n - 1) (I - 11'/n) makes the variance right (our choice).
    """
    if n == 1:
        return np.ones(1, dtype=np.intp)
    if n == 2:  # the urn's limit: the first ball drawn decides
        return np.array([2, 0] if rng.integers(2) else [0, 2], dtype=np.intp)
    return rng.multinomial(n, rng.dirichlet(np.full(n, n - 2.0))).astype(np.intp)


def _strata_codes(problem: PooledProblem, holds: NDArray[np.bool_], strata: str) -> IntArray:
    """Stratum of each unit, shape (n_units,)."""
    n_units, calibrators = problem.n_units, problem.calibrators
    in_set = np.zeros(n_units, dtype=bool)
    in_set[problem.set_unit] = True
    study_of_local = np.array(
        [problem.study_names.index(name) for name in problem.local_names], dtype=np.intp
    )
    study = np.empty(n_units, dtype=np.intp)
    study[calibrators.unit] = study_of_local[calibrators.rows.study]
    study[problem.set_unit[problem.set_code]] = problem.study
    decile = np.zeros(n_units, dtype=np.intp)
    if strata == "deciles":
        pair_decile = _deciles(problem, study_of_local)
        decile[calibrators.unit[::-1]] = pair_decile[::-1]  # of several in a unit the first
    keys = np.column_stack([study, holds, decile, ~in_set])
    cells, cell = np.unique(keys, axis=0, return_inverse=True)
    cell = cell.ravel()
    stratum: IntArray = _joined_cells(cells, np.bincount(cell))[cell]
    return stratum


def _joined_cells(cells: IntArray, size: IntArray) -> IntArray:
    """Stratum of each cell (study, holds calibrators, decile, outside sets), in that order."""
    families: dict[tuple[int, int], list[int]] = {}
    for k, (study, holds) in enumerate(cells[:, :2].tolist()):
        families.setdefault((study, holds), []).append(k)
    stratum = np.empty(size.size, dtype=np.intp)
    n_strata = 0
    for (_, holds), family in families.items():
        for group in _no_singles(family, size) if holds else [family]:
            stratum[group] = n_strata
            n_strata += 1
    return stratum


def _no_singles(cells: list[int], size: IntArray) -> Iterator[list[int]]:
    """Neighbouring cells joined until each group has two units, a last single one with those before it."""
    group: list[int] = []
    waiting: list[int] = []
    for cell in cells:
        waiting.append(cell)
        if size[waiting].sum() >= 2:
            if group:
                yield group
            group, waiting = waiting, []
    yield group + waiting


def _deciles(problem: PooledProblem, study_of_local: IntArray) -> IntArray:
    """Decile 0..9 of each calibrator's local value among the controls of its study, shape (n_pairs,)."""
    rows = problem.calibrators.rows
    decile = np.zeros(rows.study.size, dtype=np.intp)
    for local, study in enumerate(study_of_local):
        controls = problem.local_assay[problem.is_control & (problem.study == study)]
        mine = rows.study == local
        if controls.size:
            edges: FloatArray = np.quantile(controls, np.linspace(0.1, 0.9, 9))
            decile[mine] = np.searchsorted(edges, rows.columns[1, mine], side="right")
    return decile
