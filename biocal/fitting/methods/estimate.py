"""One method on one problem, arrays in and arrays out: what `fit`, the bootstrap and simulations call."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.methods.induced import ResidualLaw, fit_induced, induced_coefficients
from biocal.fitting.methods.plug_in import (
    PLUG_IN_METHODS,
    fit_plug_in,
    plug_in_coefficients,
    plug_in_exposure,
)
from biocal.fitting.methods.two_stage import TWO_STAGE_VARIANCE, fit_two_stage
from biocal.fitting.problem.model_columns import ModelColumns
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.soundness.fits import covariance_notes, informative_units, require_variance
from biocal.fitting.soundness.integrals import quadrature_notes
from biocal.kernels.contrasts import WaldTest
from biocal.kernels.sandwich import SandwichCovariance, StackedScores, stacked_covariance
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis
from biocal.model.outcome.conditional import OutcomeFit
from biocal.model.outcome.induced_risk import DEFAULT_NODES
from biocal.results.studies.estimates import StudyEstimates

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

PLAIN_SANDWICH = "sandwich over matched sets"
STACKED_SANDWICH = "stacked sandwich over matched sets: the calibration's uncertainty is carried"
SEASON_SANDWICH = "stacked sandwich over matched sets: the season's uncertainty is carried"
BOTH_SANDWICH = (
    "stacked sandwich over matched sets: the calibration's and the season's uncertainty is carried"
)
NO_SANDWICH = "none: with smearing residuals only the bootstrap gives standard errors"


@dataclass(frozen=True, slots=True)
class EstimationOptions:
    """Choices that some methods have.

    Attributes
    ----------
    residual_law : {"normal", "smearing"}
        induced: law of the reference value about its calibrated mean.
    nodes : int
        induced: Gauss-Hermite nodes of a spline.
    """

    residual_law: ResidualLaw = "normal"
    nodes: int = DEFAULT_NODES


DEFAULT_OPTIONS = EstimationOptions()


@dataclass(frozen=True, slots=True, eq=False)
class MethodEstimate:
    """What a method found.

    Attributes
    ----------
    method : str
    model : ModelColumns
        Terms and their places.
    outcome : OutcomeFit
        beta, log-likelihood, scores; two-stage has no likelihood of its own: NaN, and empty scores.
    covariance : SandwichCovariance
    variance : str
        Kind of the standard errors, in words.
    tests : tuple of WaldTest
        Tests beyond those of the coefficients.
    notes : tuple of str
    studies : StudyEstimates or None
        Two-stage: estimates by study.
    warnings : tuple of str
        What must be read before the numbers.
    """

    method: str
    model: ModelColumns
    outcome: OutcomeFit
    covariance: SandwichCovariance
    variance: str
    tests: tuple[WaldTest, ...] = ()
    notes: tuple[str, ...] = ()
    studies: StudyEstimates | None = None
    warnings: tuple[str, ...] = ()

    def with_told(
        self, tests: tuple[WaldTest, ...], notes: tuple[str, ...], warnings: tuple[str, ...] = ()
    ) -> MethodEstimate:
        """The same with further tests, notes and warnings."""
        return replace(
            self,
            tests=(*self.tests, *tests),
            notes=(*self.notes, *notes),
            warnings=(*self.warnings, *warnings),
        )


@dataclass(frozen=True, slots=True, eq=False)
class PointEstimate:
    """Coefficients without their covariance.

    Attributes
    ----------
    model : ModelColumns
        Terms and their places.
    beta : ndarray, shape (p,)
    left_out : tuple of str
        Two-stage: studies that could not be fitted.
    """

    model: ModelColumns
    beta: FloatArray
    left_out: tuple[str, ...] = ()


def calibrate_problem(problem: PooledProblem) -> CalibrationFit | None:
    """The calibration of a problem; None when all its studies are reference studies."""
    if not problem.local_names:
        return None
    return problem.calibrators.fit(problem.local_names)


def estimate_method(
    problem: PooledProblem,
    method: str,
    basis: Basis,
    calibration: CalibrationFit | None,
    options: EstimationOptions = DEFAULT_OPTIONS,
) -> MethodEstimate:
    """Fit one method.

    Parameters
    ----------
    problem : PooledProblem
    method : str
        One of :data:`~biocal.fitting.method_names.METHODS`.
    basis : Basis
        Exposure terms, knots placed.
    calibration : CalibrationFit or None
        Not needed by naive.
    options : EstimationOptions
        Choices of single methods.

    Raises
    ------
    FitError
        Collinear columns, separation, no convergence: by name.
    """
    if method == "induced":
        return _estimate_induced(problem, basis, calibration, options)
    if method == "two-stage":
        return estimate_two_stage(problem, basis, calibration)
    assert method in PLUG_IN_METHODS
    exposure = plug_in_exposure(problem, method, calibration)
    model, outcome, stacked = fit_plug_in(problem, exposure, basis, calibration)
    covariance = stacked_covariance(stacked, len(problem.local_names))
    notes = _plug_in_notes(problem, method, basis) + _sound_notes(problem, model, outcome, covariance)
    return MethodEstimate(method, model, outcome, covariance, sandwich_words(stacked), notes=notes)


def sandwich_words(stacked: StackedScores) -> str:
    """Kind of the standard errors: what is estimated first, and so carried."""
    if stacked.calibration_study is None:
        return PLAIN_SANDWICH
    for_season = stacked.calibration_study < 0
    if not for_season.any():
        return STACKED_SANDWICH
    return SEASON_SANDWICH if for_season.all() else BOTH_SANDWICH


def estimate_coefficients(
    problem: PooledProblem,
    method: str,
    basis: Basis,
    calibration: CalibrationFit | None,
    options: EstimationOptions = DEFAULT_OPTIONS,
) -> PointEstimate:
    """Terms and coefficients alone, as :func:`estimate_method` finds them: what a bootstrap replicate needs."""
    if method in PLUG_IN_METHODS:
        exposure = plug_in_exposure(problem, method, calibration)
        return PointEstimate(*plug_in_coefficients(problem, exposure, basis))
    if method == "induced":
        law, nodes = options.residual_law, options.nodes
        return PointEstimate(
            *induced_coefficients(problem, basis, calibration, residual_law=law, nodes=nodes)
        )
    found = estimate_method(problem, method, basis, calibration, options)
    left_out = () if found.studies is None else tuple(found.studies.left_out)
    return PointEstimate(found.model, found.outcome.beta, left_out)


def _estimate_induced(
    problem: PooledProblem, basis: Basis, calibration: CalibrationFit | None, options: EstimationOptions
) -> MethodEstimate:
    model, outcome, stacked = fit_induced(
        problem, basis, calibration, residual_law=options.residual_law, nodes=options.nodes
    )
    if stacked is None:
        p = outcome.beta.size
        unknown = np.full((p, p), np.nan)
        covariance = SandwichCovariance(
            unknown, unknown, np.full((len(problem.local_names), p, p), np.nan), np.full((0, p), np.nan)
        )
        return MethodEstimate("induced", model, outcome, covariance, NO_SANDWICH)
    covariance = stacked_covariance(stacked, len(problem.local_names))
    notes = _sound_notes(problem, model, outcome, covariance)
    notes += quadrature_notes(problem, basis, calibration, model, outcome.beta, options.nodes)
    return MethodEstimate("induced", model, outcome, covariance, sandwich_words(stacked), notes=notes)


def _sound_notes(
    problem: PooledProblem, model: ModelColumns, outcome: OutcomeFit, covariance: SandwichCovariance
) -> tuple[str, ...]:
    """Refuse standard errors that are rounding; tell of few sets and near-collinear columns."""
    units = informative_units(problem, outcome)
    require_variance(covariance, model, units)
    return covariance_notes(covariance, outcome.information, model, units)


def estimate_two_stage(
    problem: PooledProblem, basis: Basis, calibration: CalibrationFit | None, only: IntArray | None = None
) -> MethodEstimate:
    """Two-stage, of all studies that can be fitted or of some; see :func:`fit_two_stage`."""
    found = fit_two_stage(problem, basis, calibration, only)
    nan, nothing = float("nan"), np.empty((0, 0))
    outcome = OutcomeFit(
        beta=found.beta,
        loglik=nan,
        loglik_null=nan,
        information=nothing,
        set_scores=nothing,
        residual=np.empty(0),
        slope=nothing,
        iterations=found.iterations,
        decrement=found.decrement,
    )
    return MethodEstimate(
        "two-stage",
        found.model,
        outcome,
        found.covariance,
        TWO_STAGE_VARIANCE,
        found.tests,
        found.notes,
        found.studies,
        found.warnings,
    )


def _plug_in_notes(problem: PooledProblem, method: str, basis: Basis) -> tuple[str, ...]:
    local_controls = problem.is_control & ~problem.is_reference
    share = float(problem.in_calibration[local_controls].mean()) if local_controls.any() else 0.0
    return plug_in_notes(method, basis, share=share, calibrated=bool(problem.local_names))


def plug_in_notes(method: str, basis: Basis, *, share: float, calibrated: bool) -> tuple[str, ...]:
    """What a reader should know before trusting a plug-in method here.

    Parameters
    ----------
    method : str
    basis : Basis
    share : float
        Of the local studies' controls in the calibration subset.
    calibrated : bool
        Whether there are local studies.
    """
    notes = []
    if method == "naive" and calibrated:
        notes.append(
            "naive takes local values as if all laboratories agreed; it is shown for comparison only"
        )
    if method == "internalized" and share > 0.1:
        notes.append(
            f"internalized puts the reference value of {100 * share:.0f} % of the local studies' controls, but of "
            "no case, into the model: the error then differs between cases and controls and the curve is biased, "
            "the more so the larger the calibration subset; prefer full or induced"
        )
    if basis.kind == "categories" and calibrated:
        notes.append(
            f"{method}: categories of the plugged-in exposure are taken as fixed by the sandwich; the bootstrap "
            "redraws them, and induced uses category probabilities instead"
        )
    return tuple(notes)
