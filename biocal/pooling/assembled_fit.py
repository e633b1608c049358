"""From what a method found to the `Fit` that users hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.delta import WaldTest, wald_test
from biocal.pooling.estimate import MethodEstimate
from biocal.pooling.prepare import PreparedPool
from biocal.results.calibration import CalibrationResults
from biocal.results.effective_sets import with_effective_sets
from biocal.results.fits import Fit, FitStatus
from biocal.results.model import ExposureBasis, ModelInfo, Sample
from biocal.study.notices import counted
from biocal.study.pooled import PooledStudies

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
