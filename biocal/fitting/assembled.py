"""From what a method found to the `Fit` that users hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.methods.estimate import MethodEstimate
from biocal.fitting.methods.plug_in import plug_in_exposure
from biocal.fitting.methods.season import SeasonFit, season_covariance
from biocal.fitting.problem.prepare import PreparedPool
from biocal.fitting.problem.problem import PooledProblem
from biocal.kernels.contrasts import WaldTest, wald_test
from biocal.kernels.splines import swing
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import ExposureSpecification
from biocal.pool.checks.notices import counted
from biocal.pool.pooled import PooledStudies
from biocal.pool.season_dates import day_in_words
from biocal.results.calibration.results import CalibrationResults
from biocal.results.fit.effective_sets import with_effective_sets
from biocal.results.fit.fit import Fit, FitStatus
from biocal.results.labels import Labels
from biocal.results.model import ExposureBasis, ModelInfo, Sample
from biocal.results.season import SeasonResults, StudySeason, shape_note

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: A fit keeps its units' influences up to this many numbers (32 MB), as for 350,000 sets and 12 coefficients.
MOST_INFLUENCES = 4_194_304


def trend_test(straight: MethodEstimate) -> tuple[WaldTest, ...]:
    """Linear trend: the Wald test of the linear fit by the same method."""
    positions = straight.model.exposure_positions.ravel()
    return (wald_test("trend", straight.outcome.beta, straight.covariance.vcov, positions),)


def assemble_fit(
    found: MethodEstimate,
    basis: ExposureBasis,
    info: ModelInfo,
    sample: Sample,
    shown: CalibrationResults | None,
    local_names: tuple[str, ...],
    trend: tuple[WaldTest, ...],
    name_sets: Callable[[IntArray], tuple[tuple[str, str], ...]] | None = None,
) -> Fit:
    """The fit of one method, with what all methods of the call share; `name_sets` gives study and set id of units."""
    spread = found.outcome.spread
    if spread is not None and name_sets is not None:
        spread = replace(spread, names=name_sets(spread.units))
    fit = Fit(
        method=found.method,
        terms=found.model.terms,
        estimates=found.outcome.beta,
        vcov=found.covariance.vcov,
        vcov_uncorrected=found.covariance.vcov_uncorrected,
        calibration_parts=found.covariance.calibration_parts,
        exposure_positions=found.model.exposure_positions,
        loglik=found.outcome.loglik,
        loglik_null=found.outcome.loglik_null,
        basis=basis,
        info=info,
        sample=sample,
        calibration=shown,
        local_names=local_names,
        status=FitStatus(found.outcome.iterations, found.outcome.decrement),
        variance=found.variance,
        extra_tests=(*trend, *found.tests),
        notes=found.notes,
        warnings=found.warnings,
        influence=found.covariance.influence if found.covariance.influence.size else None,
        studies=None if found.studies is None else replace(found.studies, info=info),
    )
    return with_effective_sets(fit, spread)


def set_namer(
    pool: PooledStudies, prepared: PreparedPool
) -> Callable[[IntArray], tuple[tuple[str, str], ...]]:
    """What gives study and set id of independent units; of several sets that share persons, the first's."""
    problem, rows = prepared.problem, prepared.outcome_rows.rows

    def name(unit: int) -> tuple[str, str]:
        sets = np.flatnonzero(problem.set_unit == unit)
        row = int(rows[int((problem.set_code == sets[0]).argmax())])
        label = pool.set_labels[int(pool.set_code[row])]
        more = f" and {counted(sets.size - 1, 'set')} that share persons" if sets.size > 1 else ""
        return pool.study_names[int(pool.study[row])], f"{label}{more}"

    return lambda units: tuple(name(int(unit)) for unit in units)


def with_few_influences(found: MethodEstimate) -> MethodEstimate:
    """The estimate without its units' influences where they are more than a fit keeps."""
    if found.covariance.influence.size <= MOST_INFLUENCES:
        return found
    return replace(found, covariance=found.covariance.without_influence())


def describe_sample(pool: PooledStudies, prepared: PreparedPool) -> Sample:
    """Who is in the analysis, and what was left out."""
    problem = prepared.problem
    local_controls = problem.is_control & ~problem.is_reference
    return Sample(
        n_studies=pool.n_studies,
        n_reference_studies=int(pool.is_reference_study.sum()),
        n_sets=problem.n_sets,
        n_cases=int(problem.is_case.sum()),
        n_controls=int(problem.is_control.sum()),
        n_calibrators=problem.calibrators.response.size,
        calibrated_controls=int((problem.in_calibration & local_controls).sum()),
        local_controls=int(local_controls.sum()),
        flow=prepared.outcome_rows.flow,
        set_shapes=prepared.outcome_rows.set_shapes,
        files=pool.files,
        dropped_sets=prepared.outcome_rows.dropped_sets,
    )


def season_results(
    prepared: PreparedPool, calibration: CalibrationFit | None, methods: Sequence[str], labels: Labels
) -> SeasonResults | None:
    """Describe the season of full calibration's exposure; naive's own when nothing else is fitted.

    Parameters
    ----------
    prepared : PreparedPool
    calibration : CalibrationFit or None
    methods : sequence of str
    labels : Labels

    Returns
    -------
    SeasonResults or None
        None without season standardisation.

    Raises
    ------
    SeasonDesignError
        A study's controls do not tell its season.
    """
    problem, design = prepared.problem, prepared.season
    if design is None or problem.season is None:
        return None
    naive = bool(problem.local_names) and (calibration is None or set(methods) == {"naive"})
    found = plug_in_exposure(problem, "naive" if naive else "full", calibration)
    season = found.season
    assert season is not None
    day = found.value + season.shift
    noise = np.zeros(day.size)
    if not naive and calibration is not None:
        noise[found.calibrated] = calibration.variance[problem.calibration_rows.group[found.calibrated]]
        if calibration.form.logarithmic:  # lognormal about its mean
            noise = day * day * np.expm1(noise)
    covariance = season_covariance(problem, season, None if naive else calibration)
    dates = prepared.outcome_rows.rows
    times = (design.dates.day[dates], design.dates.month[dates])
    studies = tuple(
        _study_season(prepared, season, s, day, noise, covariance[s], times)
        for s in range(season.studies.size)
    )
    request = design.request
    return SeasonResults(
        column=request.column,
        read_as=design.dates.read_as,
        reference_day=request.reference,
        reference="the annual mean" if request.reference is None else day_in_words(request.reference),
        exposure="the naive exposure" if naive else "full calibration's exposure",
        studies=studies,
        labels=labels,
        controls=request.controls,
    )


def season_remarks(season: SeasonResults | None, specification: ExposureSpecification) -> tuple[str, ...]:
    """Seasons that rest on little, and what the reference date means for the curve."""
    if season is None:
        return ()
    note = shape_note(specification.kind, season)
    return (*season.notes(), *((note,) if note else ()))


def _study_season(
    prepared: PreparedPool,
    season: SeasonFit,
    s: int,
    exposure: FloatArray,
    noise: FloatArray,
    covariance: FloatArray,
    times: tuple[FloatArray, NDArray[np.intp]],
) -> StudySeason:
    problem = prepared.problem
    assert problem.season is not None
    mine = np.flatnonzero((season.code == s) & problem.is_control)
    coefficients, errors = season.coefficients[s], np.sqrt(np.diagonal(covariance))
    wave = coefficients[1:] @ problem.season.harmonics[:, mine]
    half_swing, peak_day = swing(coefficients[1:])
    day, month = times[0][mine], times[1][mine]
    months = np.unique(month)
    by_month = [month == m for m in months]
    return StudySeason(
        study=problem.study_names[int(season.studies[s])],
        n_controls=int(mine.size),
        mean=float(coefficients[0]),
        se_mean=float(errors[0]),
        coefficients=coefficients[1:],
        std_errors=errors[1:],
        half_swing=half_swing,
        peak_day=peak_day,
        peak=day_in_words(peak_day),
        share_of_variance=float(wave.var() / (exposure[mine].var() + noise[mine].mean())),
        month=months,
        month_day=np.array([day[here].mean() for here in by_month]),
        month_mean=np.array([exposure[mine][here].mean() for here in by_month]),
        month_count=np.array([int(here.sum()) for here in by_month], dtype=np.intp),
        n_own_season=0 if problem.season.with_own_set else _n_keeping_their_part(problem, season, mine),
    )


def _n_keeping_their_part(problem: PooledProblem, season: SeasonFit, controls: NDArray[np.intp]) -> int:
    """Matched sets of some controls of which their study's season cannot do without."""
    sets = problem.set_code[controls]
    return int(np.unique(sets[season.of_sets.keeps_part[sets]]).size)
