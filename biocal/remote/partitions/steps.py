"""What is computed from one partition in each round; only counts and sums go back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from biocal.errors import FormulaError
from biocal.fitting.problem.scale import common_exposure
from biocal.fitting.problem.units import count_units
from biocal.fitting.soundness.digits import Extent, extent_names, outcome_extents
from biocal.fitting.sums.modifier import ModifierPart
from biocal.fitting.sums.parts import PartModel, part_model, sandwich_at, scores_at
from biocal.fitting.sums.records import (
    CalibrationMoments,
    ResidualSums,
    SandwichAnswer,
    Scores,
    Task,
    task_basis,
)
from biocal.fitting.sums.rows import moments_of_pairs, pairs_of, residual_sums_of, spreads_within_sets
from biocal.kernels.sets.likelihood import CONSTANT_WITHIN_SETS
from biocal.model.exposure import SplineBasis
from biocal.pool.checks.notices import Problem
from biocal.pool.formulas.levels import ColumnKind, column_kinds
from biocal.pool.matched_sets import DroppedSet, StudyFlow
from biocal.pool.tables.table import InputFile
from biocal.remote.partitions.prepared_part import (
    calibration_of,
    complete_rows,
    gaps_of,
    lay_out,
    prepared_part,
    problem_of,
    read_pool,
)
from biocal.remote.partitions.quantiles import DigitCounts, count_digits, ordered_keys
from biocal.remote.partitions.running.session import PartSource, Session

FloatArray = NDArray[np.float64]
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class ReadPart:
    """A partition whose rows are in order.

    Attributes
    ----------
    file : InputFile
    problems : tuple of Problem
        Warnings and notes.
    kinds : dict of str to tuple of ColumnKind
        By part of the model; absent where no row has all columns of the formula.
    """

    file: InputFile
    problems: tuple[Problem, ...]
    kinds: Mapping[str, tuple[ColumnKind, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class LocalStudyPart:
    """One local study's share in a partition.

    Attributes
    ----------
    measured : int
        Rows with a local value.
    low, high : float
        Least and largest of them; NaN where there is none.
    moments : CalibrationMoments or None
        Of its calibration pairs; None where there is none.
    pair_low, pair_high : float
        Least and largest local value of the pairs.
    """

    measured: int
    low: float
    high: float
    moments: CalibrationMoments | None
    pair_low: float
    pair_high: float


@dataclass(frozen=True, slots=True, eq=False)
class LaidOutPart:
    """A partition laid out: who is in it, and the moments of its calibration pairs.

    Attributes
    ----------
    flow : tuple of StudyFlow
    set_shapes : dict
    dropped_sets : tuple of DroppedSet
    local : dict of str to LocalStudyPart
    reference : dict of str to int
        Rows with a reference value, by reference study.
    n_units : int
        Independent units that its sets make.
    calibrated_controls, local_controls : int
    covariate_names, calibration_names : tuple of str
        Blank where no set can be used.
    spread, largest : ndarray, shape (number of columns of covariates and modifier,)
        Widest range within a set, and largest size, of each column.
    modifier : ModifierPart or None
    pair_extents, outcome_extents : tuple of Extent
        Of the calibration covariates among the pairs, and of the outcome model's measurements and covariates.
    """

    flow: tuple[StudyFlow, ...]
    set_shapes: Mapping[tuple[int, int], int]
    dropped_sets: tuple[DroppedSet, ...]
    local: Mapping[str, LocalStudyPart]
    reference: Mapping[str, int]
    usable: bool
    n_units: int
    calibrated_controls: int
    local_controls: int
    covariate_names: tuple[str, ...]
    calibration_names: tuple[str, ...]
    spread: FloatArray
    largest: FloatArray
    modifier: ModifierPart | None = None
    pair_extents: tuple[Extent, ...] = ()
    outcome_extents: tuple[Extent, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ExposurePart:
    """A partition's controls, calibrated.

    Attributes
    ----------
    residuals : dict of str to ResidualSums
        By local study.
    outside : dict of str to int
        Local values outside the range of the study's pairs.
    n, mean, square : int, float, float
        Number of controls, mean of their exposure, sum of squares about it.
    """

    residuals: Mapping[str, ResidualSums]
    outside: Mapping[str, int]
    n: int
    mean: float
    square: float


def read_part(session: Session, source: PartSource) -> ReadPart:
    """Read and check a partition; raises as :func:`~biocal.remote.partitions.prepared_part.read_pool`."""
    pool = read_pool(session, source)
    kinds = {}
    for part, text in session.texts.items():
        if complete_rows(gaps_of(session, pool, part).values(), pool.n_rows).any():
            kinds[part] = column_kinds(pool, text)
        else:
            column_kinds(pool, text)  # names that no column has are told all the same
    return ReadPart(pool.files[0], pool.problems, kinds)


def lay_out_part(session: Session, source: PartSource) -> LaidOutPart:
    """Lay a partition out; raises as :func:`~biocal.remote.partitions.prepared_part.lay_out`."""
    laid = lay_out(session, source)
    pool, part = laid.pool, laid.part
    reference = {
        name: int(np.isfinite(pool.reference_assay[pool.study == s]).sum())
        for s, name in enumerate(pool.study_names)
        if pool.is_reference_study[s]
    }
    local: dict[str, LocalStudyPart] = {}
    for name, values in part.local_values.items():
        low, high = _range(values)
        local[name] = LocalStudyPart(values.size, low, high, None, np.nan, np.nan)
    problem, rows = part.problem, laid.rows
    nothing = np.empty(0)
    if problem is None or rows is None:
        none: dict[tuple[int, int], int] = {}
        return LaidOutPart(laid.flow, none, (), local, reference, False, 0, 0, 0, (), (), nothing, nothing)
    for k, name in enumerate(problem.local_names):
        columns, response = pairs_of(problem, k)
        if response.size:
            one = local[name]
            moments = moments_of_pairs(columns, response)
            local[name] = LocalStudyPart(one.measured, one.low, one.high, moments, *_range(columns[0]))
    controls = problem.is_control & ~problem.is_reference
    columns = np.vstack([problem.covariates, problem.modifier])
    return LaidOutPart(
        laid.flow,
        rows.set_shapes,
        rows.dropped_sets,
        local,
        reference,
        True,
        count_units(problem.set_unit),
        int((problem.in_calibration & controls).sum()),
        int(controls.sum()),
        part.covariate_names,
        part.calibration_names,
        spreads_within_sets(problem, columns).max(axis=1),
        np.abs(columns).max(axis=1),
        laid.modifier,
        tuple(
            Extent.of(name, values)
            for name, values in zip(
                extent_names((), part.calibration_names), problem.calibrators.rows.columns[2:], strict=True
            )
        ),
        outcome_extents(problem),
    )


def _range(values: FloatArray) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if values.size else (np.nan, np.nan)


def varies(spread: FloatArray, largest: FloatArray) -> NDArray[np.bool_]:
    """Columns that vary within some set, judged over all partitions."""
    return np.asarray(spread > CONSTANT_WITHIN_SETS * largest)


def expose_part(session: Session, source: PartSource) -> ExposurePart:
    """Residual sums at the calibration, and moments of the controls' exposure."""
    problem = problem_of(session, source)
    outside = prepared_part(session, source).outside(session.ranges)
    if problem is None:
        return ExposurePart({}, outside, 0, 0.0, 0.0)
    calibration = calibration_of(session, problem)
    residuals = {}
    if calibration is not None:
        for s, name in enumerate(problem.local_names):
            residuals[name] = residual_sums_of(calibration, problem, s)
    exposure = common_exposure(problem, calibration)[0][problem.is_control]
    mean = float(exposure.mean())
    return ExposurePart(residuals, outside, exposure.size, mean, float(((exposure - mean) ** 2).sum()))


def count_part(
    session: Session, source: PartSource, prefixes: tuple[int, ...], shift: int, of: str = "exposure"
) -> DigitCounts:
    """Counts of the next digits of the controls' exposure, or of their modifier's one column.

    See :mod:`biocal.remote.partitions.quantiles`.
    """
    problem = problem_of(session, source)
    if problem is None:
        return {}
    if of == "modifier":
        values = problem.modifier[0]
    else:
        values = common_exposure(problem, calibration_of(session, problem))[0]
    return count_digits(np.sort(ordered_keys(values[problem.is_control])), prefixes, shift)


def score_part(
    session: Session, source: PartSource, tasks: tuple[tuple[Task, FloatArray], ...]
) -> list[Scores] | None:
    """Log-likelihood, score and information of tasks at their points; None where no set can be used."""
    return _of_tasks(scores_at, session, source, tasks)


def sandwich_part(
    session: Session, source: PartSource, tasks: tuple[tuple[Task, FloatArray, FloatArray], ...]
) -> list[SandwichAnswer] | None:
    """Parts of the sandwich of tasks at their maxima, with the information there; None where no set can be used."""
    information = {task: there for task, _, there in tasks}
    found = _of_tasks(
        lambda one, beta: sandwich_at(one, beta, information[one.task]),
        session,
        source,
        tuple((task, beta) for task, beta, _ in tasks),
    )
    problem, basis = problem_of(session, source), session.basis
    if found is None or problem is None or not isinstance(basis, SplineBasis):
        return found
    exposure = common_exposure(problem, calibration_of(session, problem))[0]
    between = np.histogram(exposure, np.asarray(basis.knots))[0].astype(np.intp)
    return [replace(one, between=between) for one in found]


def _of_tasks(
    answer: Callable[[PartModel, FloatArray], _Answer],
    session: Session,
    source: PartSource,
    tasks: tuple[tuple[Task, FloatArray], ...],
) -> list[_Answer] | None:
    problem = problem_of(session, source)
    if problem is None:
        return None
    assert session.basis is not None
    calibration = calibration_of(session, problem)
    return [
        answer(part_model(problem, calibration, task_basis(task, session.basis), task), beta)
        for task, beta in tasks
    ]


def require_same_names(parts: Mapping[str, LaidOutPart]) -> None:
    """Refuse partitions whose formulas gave different columns.

    Parameters
    ----------
    parts : mapping of path to LaidOutPart
        Those with usable sets.

    Raises
    ------
    FormulaError
    """
    first_path, first = next(iter(parts.items()))
    for path, part in parts.items():
        for names, expected in (
            (part.covariate_names, first.covariate_names),
            (part.calibration_names, first.calibration_names),
        ):
            if names != expected:
                raise FormulaError(
                    f"{path}: the formulas give other columns ({', '.join(names)[:200]}) than {first_path} "
                    f"({', '.join(expected)[:200]}); are the columns written alike in all partitions?"
                )
