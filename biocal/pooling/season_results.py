"""The season of a fit in the words of its studies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from biocal.calibration.regression import CalibrationFit
from biocal.exposure.terms import ExposureSpecification
from biocal.kernels.harmonic import swing
from biocal.pooling.plug_in import plug_in_exposure
from biocal.pooling.prepare import PreparedPool
from biocal.pooling.problem import PooledProblem
from biocal.pooling.season import SeasonFit, season_covariance
from biocal.results.labels import Labels
from biocal.results.season import SeasonResults, StudySeason, shape_note
from biocal.study.season_dates import day_in_words

FloatArray = NDArray[np.float64]


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
