"""From sums to the fits that users know from the analysis of rows in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.calibrate import covariate_coefficients, dropped_notes
from biocal.fitting.methods.estimate import PLAIN_SANDWICH, STACKED_SANDWICH, plug_in_notes
from biocal.fitting.problem.model_columns import ModelColumns
from biocal.fitting.soundness.fits import empty_knot_notes, knot_notes
from biocal.fitting.soundness.sums import WhereControlsAre, integral_notes, sandwich_notes
from biocal.fitting.sums.calibration import SummedCalibration
from biocal.fitting.sums.modifier import NO_MODIFIER, Modifier
from biocal.fitting.sums.records import SandwichAnswer, Task, task_model
from biocal.fitting.sums.sandwich import few_set_words, sandwich_of_parts
from biocal.kernels.contrasts import WaldTest, wald_test
from biocal.kernels.newton import Optimum
from biocal.kernels.sandwich import SandwichCovariance
from biocal.kernels.sets.spread import merged_spread
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis
from biocal.results.calibration.results import CalibrationResults, StudyCalibration, calibration_notes
from biocal.results.fit.asked.increments import LinearTrend
from biocal.results.fit.comparison import Comparison
from biocal.results.fit.effective_sets import with_effective_sets
from biocal.results.fit.fit import Fit, FitStatus
from biocal.results.labels import Labels
from biocal.results.model import ModelInfo, Sample

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SummedFits:
    """What the rounds of sums have found.

    Attributes
    ----------
    methods : tuple of str
    basis : Basis
    covariate_names : tuple of str
        Covariate columns of the outcome model.
    calibration : SummedCalibration or None
    optima : mapping of Task to Optimum
    sandwiches : mapping of Task to sequence of SandwichAnswer
        At each task's maximum, a part of the rows each.
    loglik_null : mapping of Task to float
        With all coefficients 0, by plug-in task.
    calibrated_share : float
        Of the local studies' controls in the calibration subset.
    modifier : Modifier
    where : WhereControlsAre
    """

    methods: tuple[str, ...]
    basis: Basis
    covariate_names: tuple[str, ...]
    calibration: SummedCalibration | None
    optima: Mapping[Task, Optimum]
    sandwiches: Mapping[Task, Sequence[SandwichAnswer]]
    loglik_null: Mapping[Task, float]
    calibrated_share: float
    where: WhereControlsAre
    modifier: Modifier = NO_MODIFIER

    @property
    def local_names(self) -> tuple[str, ...]:
        """Local studies, in the order of the calibration's parameters."""
        return () if self.calibration is None else self.calibration.names

    def terms(self, task: Task) -> tuple[str, ...]:
        """Names of a task's coefficients."""
        return self.model(task).terms

    def model(self, task: Task) -> ModelColumns:
        """Where each column of a task stands."""
        return task_model(task, self.basis, self.covariate_names, self.modifier)

    def knot_notes(self, task: Task) -> tuple[str, ...]:
        """As :func:`~biocal.fitting.soundness.fits.knot_notes`: persons counted by the parts, or else the controls."""
        counts = [part.between for part in self.sandwiches[task] if part.between is not None]
        if not counts:
            return knot_notes(self.basis, self.where.exposures)
        return empty_knot_notes(getattr(self.basis, "knots", ()), np.sum(counts, axis=0))

    def loglik(self, task: Task) -> float:
        """Log-likelihood of a task at its maximum."""
        return float(sum(part.loglik for part in self.sandwiches[task]))


def comparison_of_sums(
    found: SummedFits, info: ModelInfo, sample: Sample, shown: CalibrationResults
) -> Comparison:
    """The fits of all methods."""
    fits = {method: _fit(found, method, info, sample, shown) for method in found.methods}
    return Comparison(fits, {})


def _fit(found: SummedFits, method: str, info: ModelInfo, sample: Sample, shown: CalibrationResults) -> Fit:
    main, straight = Task(method), Task(method, straight=True)
    covariance, stacked = sandwich_of_parts(found.sandwiches[main], found.calibration)
    trend: tuple[WaldTest, ...] = ()
    along = straight if straight in found.sandwiches else main
    line = sandwich_of_parts(found.sandwiches[along], found.calibration)[0]
    sandwich_notes(line, found.sandwiches[along], found.model(along))
    optimum = found.optima[along]
    beta, positions = optimum.point[0], found.model(along).exposure_positions
    slopes = positions[:, 0]
    linear = LinearTrend(beta[slopes], line.vcov[np.ix_(slopes, slopes)], found.loglik(along), beta.size)
    if along is straight:
        trend = (wald_test("trend", beta, line.vcov, positions.ravel()),)
    model = found.model(main)
    origin = Task("full") if method == "induced" else main
    told = () if method == "induced" else _plug_in_notes(found, method)
    told += sandwich_notes(covariance, found.sandwiches[main], model)
    if method == "induced":
        point = found.optima[main].point[0]
        told += integral_notes(found.basis, found.calibration, model, point, found.where)
    told += found.knot_notes(main)
    fit = Fit(
        method=method,
        terms=model.terms,
        estimates=found.optima[main].point[0],
        vcov=covariance.vcov,
        vcov_uncorrected=covariance.vcov_uncorrected,
        calibration_parts=_parts(covariance, len(found.local_names), model.n_terms),
        exposure_positions=model.exposure_positions,
        loglik=found.loglik(main),
        loglik_null=found.loglik_null[origin],
        basis=found.basis,
        info=info,
        sample=sample,
        calibration=shown,
        local_names=found.local_names,
        status=FitStatus(int(found.optima[main].iterations[0]), float(found.optima[main].decrement[0])),
        variance=STACKED_SANDWICH if stacked else PLAIN_SANDWICH,
        extra_tests=trend,
        linear=linear,
        warnings=few_set_words(found.sandwiches[main], found.calibration)
        if stacked and found.calibration is not None
        else (),
        notes=told,
    )
    spreads = [part.spread for part in found.sandwiches[main] if part.spread is not None]
    return with_effective_sets(fit, merged_spread(spreads) if spreads else None)


def _plug_in_notes(found: SummedFits, method: str) -> tuple[str, ...]:
    calibrated = bool(found.local_names)
    return plug_in_notes(method, found.basis, share=found.calibrated_share, calibrated=calibrated)


def _parts(covariance: SandwichCovariance, n_local: int, p: int) -> FloatArray:
    found = covariance.calibration_parts
    return found if found.shape[0] else np.zeros((n_local, p, p))


@dataclass(frozen=True, slots=True)
class CountedStudy:
    """What the table of calibrations says of a study beside its line.

    Attributes
    ----------
    name : str
    kind : {"local", "reference"}
    n : int
        Rows with the measurement that the analysis uses.
    local_min, local_max, calibration_min, calibration_max, outside : float
        Local values of the study, and of its pairs; share of the former outside the latter's range.  NaN
        where they are single persons' values that are not told.
    """

    name: str
    kind: str
    n: int
    local_min: float = float("nan")
    local_max: float = float("nan")
    calibration_min: float = float("nan")
    calibration_max: float = float("nan")
    outside: float = float("nan")


def calibration_of_sums(
    studies: Sequence[CountedStudy], fitted: SummedCalibration | None, names: tuple[str, ...], labels: Labels
) -> CalibrationResults:
    """The calibration in the words of its studies, without pairs.

    Parameters
    ----------
    studies : sequence of CountedStudy
    fitted : SummedCalibration or None
    names : tuple of str
        Calibration covariates, in the order of the columns after 1 and W.
    labels : Labels
    """
    errors = None if fitted is None else np.sqrt(np.diagonal(fitted.covariance()))
    rows = tuple(_study_calibration(one, fitted, errors) for one in studies)
    notes = calibration_notes(rows)
    if fitted is None or errors is None:
        return CalibrationResults(rows, (), names, notes, labels)
    as_fit = _without_persons(fitted)
    covariates = covariate_coefficients(as_fit, errors, names, fitted.names)
    notes += dropped_notes(as_fit, names, fitted.names)
    return CalibrationResults(rows, covariates, names, notes, labels)


def _without_persons(fitted: SummedCalibration) -> CalibrationFit:
    nobody = np.empty(0)
    return CalibrationFit(
        fitted.gamma,
        nobody,
        nobody,
        fitted.inverse_bread,
        np.empty((0, fitted.gamma.size)),
        fitted.variance,
        fitted.freedom,
        fitted.layout,
        fitted.dropped,
        np.empty(0, dtype=np.intp),
    )


def _study_calibration(
    one: CountedStudy, fitted: SummedCalibration | None, errors: FloatArray | None
) -> StudyCalibration:
    nan, nobody = float("nan"), np.empty(0)
    if one.kind == "reference" or fitted is None or errors is None:
        unknown = (nan, nan, nan, nan, nan, nobody, nobody)
        return StudyCalibration(one.name, "reference", one.n, 0, 0.0, 1.0, nan, nan, nan, nan, *unknown, nan)
    s = fitted.names.index(one.name)
    moments, coefficients = fitted.moments[s], fitted.coefficients()[s]
    position = fitted.layout.position[s]
    groups = fitted.groups(s)
    rss = float((fitted.variance[groups] * fitted.freedom[groups]).sum())
    square = moments.response_square
    return StudyCalibration(
        one.name,
        "local",
        one.n,
        moments.n,
        float(coefficients[0]),
        float(coefficients[1]),
        float(errors[position[0]]),
        float(errors[position[1]]),
        float(np.sqrt(fitted.variance_of(s))),
        1.0 - rss / square if square > 0 else nan,
        one.local_min,
        one.local_max,
        one.calibration_min,
        one.calibration_max,
        one.outside,
        nobody,
        nobody,
        intercept_at_mean=float(coefficients[0] + coefficients[2:] @ moments.means[1:]),
    )
