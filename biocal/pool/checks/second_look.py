"""What else is wrong with data in which single lines have errors: the other lines, looked at as if alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import DataProblemsError, InputError, MatchedSetError
from biocal.pool.assembly import assemble
from biocal.pool.checks.cells.conversion import stacked_ids, studies
from biocal.pool.checks.notices import Problem, ProblemLog
from biocal.pool.checks.report import MIN_CALIBRATION_PAIRS, CheckReport, calibration_problems, check_pool
from biocal.pool.matched_sets import select_outcome_rows
from biocal.pool.pool_rows import take_rows
from biocal.pool.pooled import PooledStudies
from biocal.pool.reading import PathLike, read_tables, roles_and_options
from biocal.pool.tables.table import SourceTable, TableStack


@dataclass(frozen=True, slots=True)
class SecondLook:
    """What the lines without errors hold.

    Attributes
    ----------
    report : CheckReport or None
        Of these lines; None where they make no pool.
    problems : tuple of Problem
        Found among them and not before: none that the lines with errors may have caused.
    """

    report: CheckReport | None
    problems: tuple[Problem, ...]


def look_again(
    files: PathLike | Iterable[PathLike], error: DataProblemsError, **options: Any
) -> SecondLook | None:
    """Read once more without the lines that have errors, so that one run tells every problem.

    Parameters
    ----------
    files, **options
        As :func:`biocal.read_studies` took them.
    error : DataProblemsError
        What it raised.

    Returns
    -------
    SecondLook or None
        None when an error concerns more than lines, such as a missing column, and the rest cannot be judged.
    """
    first: tuple[Problem, ...] = error.problems  # type: ignore[attr-defined]
    lines: Mapping[str | None, Set[int]] | None = error.lines  # type: ignore[attr-defined]
    if not lines:
        return None
    roles, asked = roles_and_options(**options)
    try:
        tables = read_tables(files, roles, ProblemLog())
        spoiled = _spoiled(tables, lines, roles.study, roles.set)
        pool = assemble(
            [table.without(lines.get(table.name or None, frozenset())) for table in tables], roles, asked
        )
    except DataProblemsError as other:
        return SecondLook(None, _new(other.problems, first))  # type: ignore[attr-defined]
    except InputError:  # of a study that had no other lines
        return None
    found = [*_of_calibration(pool, spoiled), *pool.problems, *_of_sets(pool, spoiled)]
    return SecondLook(replace(check_pool(pool), problems=()), _new(found, first))


@dataclass(frozen=True, slots=True)
class _Spoiled:
    """Study and set of each line with an error; a blank study may be any."""

    studies: tuple[str | None, ...]
    sets: tuple[str | None, ...]

    def may_lie_in(self, study: str) -> int:
        """How many of them may belong to a study."""
        return sum(name in (study, None) for name in self.studies)

    def touches(self, pool: PooledStudies) -> NDArray[np.bool_]:
        """Whether a row's set may have lost a member to them, shape (n,)."""
        hit = set(zip(self.studies, self.sets, strict=True))
        owner = np.zeros(len(pool.set_labels) + 1, dtype=np.intp)
        owner[pool.set_code] = pool.study
        of_sets = [
            (pool.study_names[s], label) in hit or (None, label) in hit
            for s, label in zip(owner[:-1], pool.set_labels, strict=True)
        ]
        return np.array([*of_sets, False], dtype=np.bool_)[pool.set_code]


def _spoiled(
    tables: list[SourceTable], lines: Mapping[str | None, Set[int]], study: str, set_column: str
) -> _Spoiled:
    stack = TableStack.of(tables)
    marked = np.concatenate([np.isin(t.line, [*lines.get(t.name or None, ())]) for t in tables])
    study_codes, names = studies(stack, study, ProblemLog())
    set_codes, labels = stacked_ids(stack, set_column, ProblemLog())
    rows = np.flatnonzero(marked)
    return _Spoiled(
        tuple(names[code] if code >= 0 else None for code in study_codes[rows]),
        tuple(labels[code] if code >= 0 else None for code in set_codes[rows]),
    )


def _of_calibration(pool: PooledStudies, spoiled: _Spoiled) -> list[Problem]:
    """Studies that cannot be calibrated, whatever the lines with errors turn out to hold."""
    found = []
    for problem in calibration_problems(pool):
        hidden = spoiled.may_lie_in(problem.study or "")
        few = problem.code == "too-few-pairs" and (problem.count or 0) + hidden < MIN_CALIBRATION_PAIRS
        if few or not hidden:
            found.append(problem)
    return found


def _of_sets(pool: PooledStudies, spoiled: _Spoiled) -> tuple[Problem, ...]:
    """One-sided sets among those that lost nobody."""
    try:
        whole = take_rows(pool, np.flatnonzero(~spoiled.touches(pool)))
        return select_outcome_rows(whole, {}).problems
    except MatchedSetError:  # too little is left to tell
        return ()


def _new(found: Iterable[Problem], known: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems of kinds that were not told before, errors first."""
    kinds = {(problem.code, problem.file, problem.column, problem.study) for problem in known}
    new = [p for p in found if (p.code, p.file, p.column, p.study) not in kinds]
    return tuple(sorted(new, key=lambda problem: problem.level != "error"))
