"""The rounds of a fit from partitions: each asks all of them one question and puts their answers together in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import CalibrationDesignError, DataProblemsError, InputError, MatchedSetError
from biocal.fitting.problem.model_columns import ModelColumns
from biocal.fitting.problem.modifier import QUANTILES, require_joint_level
from biocal.fitting.soundness.digits import Extent, digit_notes, require_digits_of
from biocal.fitting.soundness.sums import WhereControlsAre, require_moderate_slopes
from biocal.fitting.sums.ascent import AnsweredPoints, run_ascents
from biocal.fitting.sums.calibration import SummedCalibration, solve_calibration
from biocal.fitting.sums.fits import SummedFits
from biocal.fitting.sums.modifier import Modifier, settle_modifier
from biocal.fitting.sums.records import SandwichAnswer, Task, shown_tasks, start_of, task_model, tasks_to_run
from biocal.kernels.newton import Optimum
from biocal.kernels.splines import require_knots
from biocal.model.exposure import Basis, ExposureSpecification, SplineBasis
from biocal.pool.checks.columns import ColumnRoles
from biocal.remote.partitions.census import PartitionCensus, RowOfId, rows_of_ids, take_census
from biocal.remote.partitions.found_sums import FoundExposure, FoundSums
from biocal.remote.partitions.merging import (
    LocalStudy,
    agreed_levels,
    calibration_extents,
    kept_extents,
    merged_exposure,
    merged_factors,
    merged_local,
    merged_outside,
    merged_residuals,
    merged_sandwich,
)
from biocal.remote.partitions.partitions import PartitionedStudies, sources_of
from biocal.remote.partitions.quantiles import exact_quantiles
from biocal.remote.partitions.running.runners import Computed, Runner, Step, values_of
from biocal.remote.partitions.running.session import PartSource, Session
from biocal.remote.partitions.steps import (
    ExposurePart,
    LaidOutPart,
    ReadPart,
    count_part,
    expose_part,
    lay_out_part,
    read_part,
    require_same_names,
    sandwich_part,
    score_part,
    varies,
)
from biocal.results.model import ModifierLevels

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Quantiles by which the controls' exposure is drawn, evenly spread from the least to the largest value.
DRAWN_PROBABILITIES = tuple(np.linspace(0.0, 1.0, 1_001).tolist())
#: Those, and the quantiles that the axis is laid out by.
SCALE_PROBABILITIES = (0.01, 0.5, 0.99, *DRAWN_PROBABILITIES)


@dataclass(slots=True)
class Rounds:
    """Asks the partitions, and keeps count.

    Attributes
    ----------
    runner : Runner
    paths : tuple of str
    told : callable
        Called with the name of each round.
    n_rounds : int
    peaks : dict of str to int
        Most memory of each process that computed, in bytes.
    """

    runner: Runner
    paths: tuple[str, ...]
    told: Callable[[str], None]
    n_rounds: int = 0
    peaks: dict[str, int] = field(default_factory=dict)

    def ask(self, words: str, step: Step, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Answers of all partitions, in order; raises what a partition raises, its file named."""
        self.told(words)
        self.n_rounds += 1
        found: list[Computed] = self.runner.map(step, arguments)
        for one in found:
            self.peaks[one.process] = max(self.peaks.get(one.process, 0), one.peak)
        return values_of(found, self.paths)


def begin(rounds: Rounds, pool: PartitionedStudies) -> tuple[ColumnRoles, tuple[PartSource, ...], int]:
    """Count the partitions: studies' kinds, sets and persons in several of them.

    Returns
    -------
    roles : ColumnRoles
    sources : tuple of PartSource
    n_rows : int

    Raises
    ------
    DataProblemsError, OptionError
        As :func:`~biocal.remote.partitions.partitions.sources_of`.
    """
    arguments = [(path, pool.roles) for path in rounds.paths]
    try:
        found: list[PartitionCensus] = rounds.ask("counting", take_census, arguments)
    except DataProblemsError as error:
        absent = {problem.file for problem in error.problems if problem.code == "no-file"}  # type: ignore[attr-defined]
        here = [path for path in rounds.paths if path in absent and os.path.isfile(path)]
        if here:
            raise InputError(
                f"{here[0]}: not found by whoever computes; the partitions must lie where all workers can read them",
                path=here[0],
            ) from error
        raise

    def rows_of(
        holders: Sequence[int], column: str, hashes: NDArray[np.uint64]
    ) -> list[Mapping[int, RowOfId]]:
        return [rows_of_ids(rounds.paths[k], pool.roles, column, hashes) for k in holders]

    roles, sources = sources_of(pool, found, rows_of)
    return roles, sources, sum(one.n_rows for one in found)


def run_rounds(
    rounds: Rounds,
    session: Session,
    sources: Sequence[PartSource],
    specification: ExposureSpecification,
    methods: tuple[str, ...],
    joint: str | None = None,
) -> FoundSums:
    """Read, calibrate, climb, and gather the sandwich.

    Parameters
    ----------
    rounds : Rounds
    session : Session
    sources : sequence of PartSource
    specification : ExposureSpecification
    methods : tuple of str
    joint : str, optional
        Level of the modifier against which joint curves are wanted.

    Raises
    ------
    InputError
        Rows that cannot be used; partitions that do not fit together.
    FitError
        A model that cannot be fitted, of the first method that fails.
    """

    def ask(words: str, step: Step, *more: Any) -> list[Any]:
        return rounds.ask(words, step, [(session, source, *more) for source in sources])

    read: list[ReadPart] = ask("reading", read_part)
    session = replace(session, levels=agreed_levels(rounds.paths, read, session.texts))
    laid: list[LaidOutPart] = ask("laying out", lay_out_part)
    usable = {path: part for path, part in zip(rounds.paths, laid, strict=True) if part.usable}
    if not usable:
        raise MatchedSetError("no partition holds a matched set with a case and a control that could be used")
    require_same_names(usable)
    first = next(iter(usable.values()))
    kept, varying = _varying_columns(tuple(usable.values()))
    names = tuple(n for n, k in zip(first.covariate_names, kept, strict=True) if k)
    omitted = tuple(n for n in first.covariate_names if n not in names)
    local = merged_local(laid, 1 + len(first.calibration_names))
    of_parts = [part.modifier for part in usable.values() if part.modifier is not None]
    modifier = settle_modifier(of_parts, varying, first.calibration_names, tuple(local))
    session = replace(session, modifier=modifier)
    levels = _modifier_levels(ask, session, sum(one.controls for part in laid for one in part.flow))
    require_joint_level(joint, levels, modifier.effects(names)[1], session.formulas.modifier)
    columns = modifier.calibrates(first.calibration_names)
    calibration_names = tuple(n for n, kept in zip(first.calibration_names, columns[2:], strict=True) if kept)
    extents = calibration_extents(usable.values(), local, calibration_names)
    calibration, told = _solved(
        local, methods, columns, modifier, extents, by_study=session.formulas.by_study
    )
    ranges = {name: (one.pair_low, one.pair_high) for name, one in local.items() if one.moments.n}
    session = replace(
        session, kept=kept, lines=None if calibration is None else calibration.lines(), ranges=ranges
    )
    exposed: list[ExposurePart] = ask("calibrating", expose_part)
    if calibration is not None:
        calibration = calibration.with_residual_sums(merged_residuals(exposed))
        session = replace(session, lines=calibration.lines())
    n, _, sd = merged_exposure(exposed)

    def count(prefixes: tuple[int, ...], shift: int) -> list[Any]:
        return ask("placing quantiles", count_part, prefixes, shift)

    probabilities = (*SCALE_PROBABILITIES, *(getattr(specification, "probabilities", None) or ()))
    quantiles = dict(zip(probabilities, exact_quantiles(n, probabilities, count).tolist(), strict=True))
    basis = _basis(specification, quantiles)
    session = replace(session, basis=basis)
    shown_levels = np.empty((1, 0)) if levels is None else levels.values
    drawn = np.array([quantiles[probability] for probability in DRAWN_PROBABILITIES])
    where = WhereControlsAre(drawn, shown_levels)
    fits = _fits(ask, methods, basis, names, calibration, modifier, where, _calibrated_share(laid))
    return FoundSums(
        tuple(read),
        tuple(laid),
        local,
        merged_outside(exposed),
        names,
        calibration_names,
        omitted,
        calibration,
        told,
        digit_notes(kept_extents(usable.values(), names)),
        FoundExposure(n, sd, quantiles),
        fits,
        modifier,
        levels,
        merged_factors(read, session.texts, session.levels or {}),
    )


def _varying_columns(parts: Sequence[LaidOutPart]) -> tuple[BoolArray, BoolArray]:
    """Which covariates, and which columns of the modifier, vary within a set of some partition."""
    found = varies(
        np.max([part.spread for part in parts], axis=0), np.max([part.largest for part in parts], axis=0)
    )
    n_covariates = len(parts[0].covariate_names)
    return found[:n_covariates], found[n_covariates:]


def _fits(
    ask: Callable[..., list[Any]],
    methods: tuple[str, ...],
    basis: Basis,
    names: tuple[str, ...],
    calibration: SummedCalibration | None,
    modifier: Modifier,
    where: WhereControlsAre,
    calibrated_share: float,
) -> SummedFits:
    """Climb all likelihoods, and gather the sandwich where they have arrived."""
    wanted = shown_tasks(methods, basis)
    points, optima = _climb(
        ask,
        basis,
        lambda task: task_model(task, basis, names, modifier),
        methods,
        lambda found, model_of: require_moderate_slopes(found, wanted, model_of, basis, calibration, where),
    )
    sandwiches = _sandwiches(ask, wanted, optima)
    origins = {Task("full" if method == "induced" else method) for method in methods}
    start = np.zeros(len(task_model(Task("full"), basis, names, modifier).terms))
    return SummedFits(
        methods,
        basis,
        names,
        calibration,
        optima,
        {task: [sums] for task, sums in sandwiches.items()},
        {task: points[task].at(start).loglik for task in origins},
        calibrated_share,
        where,
        modifier,
    )


def _modifier_levels(
    ask: Callable[..., list[Any]], session: Session, n_controls: int
) -> ModifierLevels | None:
    """Levels of the modifier at which curves are shown; those of a number are quantiles in all controls."""
    modifier, points = session.modifier, None

    def count(prefixes: tuple[int, ...], shift: int) -> list[Any]:
        return ask("placing the modifier's levels", count_part, prefixes, shift, "modifier")

    if modifier.needs_quantiles:
        points = np.unique(exact_quantiles(n_controls, QUANTILES, count))
    return modifier.shown_levels(session.formulas.modifier or "", points)


def _solved(
    local: Mapping[str, LocalStudy],
    methods: tuple[str, ...],
    columns: BoolArray,
    modifier: Modifier,
    extents: Sequence[Extent],
    *,
    by_study: bool,
) -> tuple[SummedCalibration | None, str]:
    """The calibration, and what is to be told of it; when only naive is asked, an obstacle is told, not raised."""
    moments = {name: one.moments for name, one in local.items()}
    variances = {name: modifier.variances(name) for name in local}
    try:
        told = "; ".join(require_digits_of(extents))
        return solve_calibration(moments, by_study=by_study, columns=columns, variances=variances), told
    except CalibrationDesignError as error:
        if set(methods) != {"naive"}:
            raise
        return None, f"no calibration was possible ({error}); knots and axes are those of the naive exposure"


def _basis(specification: ExposureSpecification, quantiles: Mapping[float, float]) -> Basis:
    """Exposure terms, knots placed as :meth:`learn` places them from all values."""
    probabilities = getattr(specification, "probabilities", None)
    if specification.needs_data and probabilities is not None:
        knots = require_knots([quantiles[probability] for probability in probabilities])
        return SplineBasis(tuple(float(knot) for knot in knots))
    return specification.learn(np.array([quantiles[0.0], quantiles[1.0]]))


def _climb(
    ask: Callable[..., list[Any]],
    basis: Basis,
    model_of: Callable[[Task], ModelColumns],
    methods: tuple[str, ...],
    require_sound: Callable[[Mapping[Task, Optimum], Callable[[Task], ModelColumns]], None],
) -> tuple[dict[Task, AnsweredPoints], Mapping[Task, Optimum]]:
    """Maximise all likelihoods together: each round evaluates every one that has not arrived."""
    wanted = shown_tasks(methods, basis)
    terms = {task: model_of(task).terms for task in tasks_to_run(wanted)}
    points = {task: AnsweredPoints(len(own)) for task, own in terms.items()}
    starts = {task: start_of(task) for task in points if task.method == "induced"}
    while True:
        ascents = run_ascents(terms, points, starts)
        require_sound(ascents.optima, model_of)
        for task, failure in ascents.failures.items():
            if task in wanted:
                failure.add_note(f"method {task.name}")
                raise failure
        if not ascents.needed:
            return points, ascents.optima
        needed = tuple(ascents.needed.items())
        answers = [answer for answer in ask("climbing", score_part, needed) if answer is not None]
        for k, (task, point) in enumerate(needed):
            points[task].add(point, [answer[k] for answer in answers])


def _sandwiches(
    ask: Callable[..., list[Any]], wanted: Sequence[Task], optima: Mapping[Task, Optimum]
) -> dict[Task, SandwichAnswer]:
    arrived = tuple((task, optima[task].point[0], optima[task].information[0]) for task in wanted)
    answers = [one for one in ask("gathering the sandwich", sandwich_part, arrived) if one is not None]
    return {task: merged_sandwich([one[k] for one in answers]) for k, (task, *_) in enumerate(arrived)}


def _calibrated_share(laid: Sequence[LaidOutPart]) -> float:
    controls = sum(part.local_controls for part in laid)
    return sum(part.calibrated_controls for part in laid) / controls if controls else 0.0
