"""The bootstrap: matched sets redrawn, calibrated and fitted again, for any method.

Several methods share the resamples, so that their differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from biocal.errors import BiocalError, FitError, OptionError
from biocal.fitting.methods.estimate import EstimationOptions, calibrate_problem, estimate_coefficients
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.problem.scale import learn_basis
from biocal.fitting.repeated.resampling import ResamplingDesign, design_resampling, redraw
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis, ExposureSpecification
from biocal.results.fit.bootstrap import Bootstrap, FailedReplicate
from biocal.results.fit.curve import ResponseAxis, response_axis, response_contrasts
from biocal.results.fit.fit import Fit
from biocal.system.processes import LostProcessError, results_from_processes

FloatArray = NDArray[np.float64]

#: Told how many replicates are done, and of how many.
Progress = Callable[[int, int], None]

#: Replicates handed to a process at a time: enough to hide what a task costs, few enough to see progress.
_PER_TASK = 20
#: Ours: more than anyone has time or processors for.
MOST_REPLICATES, MOST_JOBS = 1_000_000, 1_024


@dataclass(frozen=True, slots=True)
class BootstrapOptions:
    """How to draw.

    Attributes
    ----------
    replicates : int
    seed : int or None
        None draws one, which the result records.
    jobs : int
        Processes; -1 for one a processor.
    strata : str
        See :func:`biocal.fitting.repeated.resampling.design_resampling`.
    progress : callable, optional
        Called with (replicates done, replicates).
    """

    replicates: int
    seed: int | None = None
    jobs: int = 1
    strata: str = "calibrators"
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if _is_count(self.replicates) and self.replicates > MOST_REPLICATES:
            raise OptionError(
                f"bootstrap is {MOST_REPLICATES:,} replicates at most, not {self.replicates:,}",
                replicates=self.replicates,
            )
        if not _is_count(self.replicates) or self.replicates < 2:
            raise OptionError(
                f"bootstrap is the number of replicates, 2 or more (1,000 for percentile limits), not "
                f"{self.replicates!r}",
                replicates=self.replicates,
            )
        if self.seed is not None and (not _is_count(self.seed) or self.seed < 0):
            raise OptionError(f"a seed is a whole number from 0, not {self.seed!r}", seed=self.seed)
        if not _is_count(self.jobs) or not (1 <= self.jobs <= MOST_JOBS or self.jobs == -1):
            raise OptionError(
                f"jobs is a number of processes up to {MOST_JOBS:,}, or -1 for all, not {self.jobs!r}",
                jobs=self.jobs,
            )


@dataclass(frozen=True, slots=True, eq=False)
class MethodPlan:
    """One method as every replicate fits it.

    Attributes
    ----------
    method : str
    terms : tuple of str, length p
    basis : ExposureBasis
        Of the data; its knots are kept where they were given.
    axis : ResponseAxis
        Exposures of the curve and the reference, fixed.
    multipliers : ndarray, shape (n_levels, 1 + km)
        1 and the modifier's columns, at each level shown.
    left_out : frozenset of str
        Two-stage: studies that could not be fitted in the data.
    """

    method: str
    terms: tuple[str, ...]
    basis: Basis
    axis: ResponseAxis
    multipliers: FloatArray
    left_out: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class BootstrapPlan:
    """What a process needs to draw any replicate by its number.

    Attributes
    ----------
    design : ResamplingDesign
    methods : tuple of MethodPlan
    specification : ExposureSpecification
    knot_rule : str
    estimation : EstimationOptions
        Choices of single methods.
    calibrated : bool
        Whether the data were calibrated (not when naive alone was asked and it could not be done).
    n_omitted : int
        Covariate columns that the data's own calibration leaves out as collinear.
    seed : int
    """

    design: ResamplingDesign
    methods: tuple[MethodPlan, ...]
    specification: ExposureSpecification
    knot_rule: str
    estimation: EstimationOptions
    calibrated: bool
    n_omitted: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Replicate:
    """One method on one resample.

    Attributes
    ----------
    coefficients : ndarray, shape (p,)
    curves : ndarray, shape (n_levels, m)
        Log odds ratios.
    omitted : bool
        The calibration lost covariate columns that the data's has.
    fewer_studies : bool
        Two-stage left out a study that it fits in the data.
    """

    coefficients: FloatArray
    curves: FloatArray
    omitted: bool
    fewer_studies: bool


def bootstrap_fits(
    fits: Mapping[str, Fit],
    problem: PooledProblem,
    specification: ExposureSpecification,
    calibration: CalibrationFit | None,
    estimation: EstimationOptions,
    options: BootstrapOptions,
) -> dict[str, Fit]:
    """The fits with their bootstrap.

    Parameters
    ----------
    fits : mapping of str to Fit
        Methods that could be fitted to the data.
    problem : PooledProblem
        What they were fitted to.
    specification : ExposureSpecification
        Whether knots are redrawn.
    calibration : CalibrationFit or None
        Of the data.
    estimation : EstimationOptions
        Choices of single methods.
    options : BootstrapOptions

    Returns
    -------
    dict of str to Fit
        With ``bootstrap`` set, and its notes beside their own.

    Notes
    -----
    Replicates redraw units within strata, calibrate, place quantile knots by the same rule, and fit; the
    reference exposure and the exposures of the curve stay those of the data, so that a log odds ratio is
    the same quantity in every replicate.  A replicate in which a method fails is counted for that method.
    """
    if not fits:
        return {}
    seed = options.seed
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    plan = BootstrapPlan(
        design_resampling(problem, options.strata),
        tuple(_plan_method(fit) for fit in fits.values()),
        specification,
        next(iter(fits.values())).info.knot_rule,
        estimation,
        calibration is not None,
        len(calibration.dropped) if calibration is not None else 0,
        seed,
    )
    draws = list(draw_all(plan, options))
    return {
        name: _with_bootstrap(fit, plan, [draw[k] for draw in draws])
        for k, (name, fit) in enumerate(fits.items())
    }


def draw_all(
    plan: BootstrapPlan, options: BootstrapOptions
) -> Iterable[tuple[Replicate | FailedReplicate, ...]]:
    """All replicates in the order of their numbers, each a tuple over the methods."""
    total = options.replicates
    tasks = [range(first, min(first + _PER_TASK, total)) for first in range(0, total, _PER_TASK)]
    done = 0
    for results in _run(plan, tasks, options.jobs):
        yield from results
        done += len(results)
        if options.progress is not None:
            options.progress(done, total)


def _run(
    plan: BootstrapPlan, tasks: list[range], jobs: int
) -> Iterable[list[tuple[Replicate | FailedReplicate, ...]]]:
    """Results of the tasks in their order, here or in processes with one BLAS thread each."""
    if jobs == 1 or len(tasks) == 1:
        yield from (draw_task(plan, task) for task in tasks)
        return
    try:
        yield from results_from_processes(draw_task, ((plan, task) for task in tasks), jobs, in_order=True)
    except LostProcessError as fault:
        raise FitError(
            "a process of the bootstrap was killed, perhaps for lack of memory: give it fewer --jobs"
        ) from fault


def draw_task(plan: BootstrapPlan, numbers: range) -> list[tuple[Replicate | FailedReplicate, ...]]:
    """Some replicates, by their numbers.

    On one BLAS thread, here as in a process: the number of threads changes the last bit of a sum, and small
    matrices gain nothing by more.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        return [draw_replicate(plan, number) for number in numbers]


def draw_replicate(plan: BootstrapPlan, number: int) -> tuple[Replicate | FailedReplicate, ...]:
    """One replicate of every method, drawn by its number alone."""
    rng = np.random.default_rng(np.random.SeedSequence(plan.seed, spawn_key=(number,)))
    problem = redraw(plan.design, rng)
    calibration, obstacle = None, None
    if plan.calibrated:
        try:
            calibration = calibrate_problem(problem)
        except (BiocalError, np.linalg.LinAlgError) as error:
            obstacle = error
    results: list[Replicate | FailedReplicate] = []
    for method in plan.methods:
        try:
            if obstacle is not None and _needs_calibration(plan, method):
                raise obstacle
            results.append(_fit_replicate(plan, method, problem, calibration))
        except (BiocalError, np.linalg.LinAlgError) as error:
            results.append(FailedReplicate(number, type(error).__name__, str(error)))
    return tuple(results)


def _fit_replicate(
    plan: BootstrapPlan, method: MethodPlan, problem: PooledProblem, calibration: CalibrationFit | None
) -> Replicate:
    basis = method.basis
    if plan.specification.needs_data:
        basis = learn_basis(plan.specification, problem, method.method, calibration, knot_rule=plan.knot_rule)
    found = estimate_coefficients(problem, method.method, basis, calibration, plan.estimation)
    if found.model.terms != method.terms:
        lost = [term for term in method.terms if term not in found.model.terms]
        raise FitError(f"the resample does not estimate {', '.join(lost)}", terms=tuple(lost))
    positions, p = found.model.exposure_positions, len(method.terms)
    curves = np.stack(
        [
            response_contrasts(basis, positions, p, method.axis, multiplier).T @ found.beta
            for multiplier in method.multipliers
        ]
    )
    omitted = calibration is not None and len(calibration.dropped) > plan.n_omitted
    return Replicate(
        found.beta,
        curves,
        omitted and method.method != "naive",
        not method.left_out.issuperset(found.left_out),
    )


def _needs_calibration(plan: BootstrapPlan, method: MethodPlan) -> bool:
    """Whether a method cannot do without: naive can, unless its knots are those of full calibration."""
    if method.method != "naive":
        return True
    return plan.specification.needs_data and plan.knot_rule == "common"


def _plan_method(fit: Fit) -> MethodPlan:
    basis, levels = cast(Basis, fit.basis), fit.info.modifier_levels
    axis = response_axis(basis, fit.info.scale.grid, fit.info.scale.reference)
    values = np.empty((1, 0)) if levels is None else levels.values
    multipliers = np.column_stack([np.ones(values.shape[0]), values])
    left_out = frozenset() if fit.studies is None else frozenset(fit.studies.left_out)
    return MethodPlan(fit.method, fit.terms, basis, axis, multipliers, left_out)


def _with_bootstrap(fit: Fit, plan: BootstrapPlan, draws: list[Replicate | FailedReplicate]) -> Fit:
    """The fit with its record of the replicates."""
    curves = fit.dose_responses()
    done = [(number, draw) for number, draw in enumerate(draws) if isinstance(draw, Replicate)]
    axis = response_axis(fit.basis, fit.info.scale.grid, fit.info.scale.reference)
    again = "calibrated anew each time" if plan.calibrated and fit.method != "naive" else ""
    record = Bootstrap(
        method=fit.method,
        terms=fit.terms,
        estimates=fit.estimates,
        coefficients=np.array([d.coefficients for _, d in done]).reshape(-1, len(fit.terms)),
        axis=axis,
        modifiers=tuple(curve.modifier for curve in curves),
        curve=np.stack([curve.log_or for curve in curves]),
        curves=np.array([d.curves for _, d in done]).reshape(-1, len(curves), axis.exposure.size),
        replicates=np.array([number for number, _ in done], dtype=np.intp),
        failures=tuple(draw for draw in draws if isinstance(draw, FailedReplicate)),
        seed=plan.seed,
        resampling=plan.design.describe() + (f"; {again}" if again else ""),
        knots_redrawn=plan.specification.needs_data,
        n_omitted=sum(d.omitted for _, d in done),
        n_fewer_studies=sum(d.fewer_studies for _, d in done),
        n_alone=plan.design.n_alone,
        level=fit.info.level,
        labels=fit.info.labels,
    )
    info = replace(fit.info, notes=(*fit.info.notes, *record.common_notes()))
    return replace(fit, bootstrap=record, info=info, notes=(*fit.notes, *record.notes()))


def _is_count(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
