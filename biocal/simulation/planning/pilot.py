"""Variance pieces of a pilot: data that hold some calibrators already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import CalibrationDesignError, OptionError
from biocal.fitting.calibrate import require_coefficients
from biocal.fitting.fit_choices import wants_leverage_scores
from biocal.fitting.methods.estimate import calibrate_problem
from biocal.fitting.methods.plug_in import fit_plug_in, plug_in_exposure
from biocal.fitting.problem.prepare import ModelFormulas, prepare
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.problem.scale import lay_out_scale, learn_basis
from biocal.kernels.sandwich import stacked_covariance
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis, rcs
from biocal.pool.pooled import PooledStudies
from biocal.results.labels import Labels
from biocal.simulation.planning.options import PlanOptions
from biocal.simulation.planning.variance import (
    SPREADS,
    CalibratorLaw,
    VariancePieces,
    calibrator_law,
    solve_scaled,
    spread_weights,
)

FloatArray = NDArray[np.float64]

#: The pilot's own way of choosing calibrators, whatever it was.
AS_IN_PILOT = "as in the pilot"
#: Exposures when none are asked for: these percentiles of the controls, against the median.
_PERCENTILES = (0.1, 0.25, 0.75, 0.9)
_KNOWN = (
    *("exposure", "covariates", "matching", "where", "calibration_covariates", "calibration_coefficients"),
    *("calibration_variance", "reference", "at", "exposure_name", "unit", "outcome_name", "knot_rule"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Pilot:
    """What a pilot says.

    Attributes
    ----------
    pieces : VariancePieces
    basis : Basis
    at : ndarray, shape (m,)
    reference : float
    calibrators : tuple of int, length L
        Those it has.
    origin : str
        In words.
    labels : Labels
    notes : tuple of str
    """

    pieces: VariancePieces
    basis: Basis
    at: FloatArray
    reference: float
    calibrators: tuple[int, ...]
    origin: str
    labels: Labels
    notes: tuple[str, ...]


def pilot_pieces(pool: PooledStudies, options: PlanOptions, fit_options: Mapping[str, Any]) -> Pilot:
    """Fit full calibration to the pilot and take its covariance apart.

    With the pilot's own numbers and way of choosing calibrators the predicted covariance is the fitted one.

    Parameters
    ----------
    pool : PooledStudies
    options : PlanOptions
    fit_options : mapping
        Arguments of :func:`biocal.fit`.

    Raises
    ------
    OptionError, CalibrationDesignError, FitError
        An argument that a plan has no use for; no local study; a fit that fails.
    """
    unknown = [key for key in fit_options if key not in _KNOWN]
    if unknown:
        raise OptionError(
            f"{', '.join(unknown)}: a plan from a pilot takes {', '.join(_KNOWN)}", allowed=_KNOWN
        )
    given = dict(fit_options)
    formulas = ModelFormulas(
        given.get("covariates"),
        given.get("matching"),
        None,
        given.get("calibration_covariates", "outcome"),
        require_coefficients(given.get("calibration_coefficients", "common")),
        wants_leverage_scores(given.get("calibration_variance", "robust")),
        given.get("where"),
    )
    problem = prepare(pool, formulas).problem
    calibration = calibrate_problem(problem)
    if calibration is None:
        raise CalibrationDesignError(
            "the pilot has no local study: there is nothing to calibrate", studies=()
        )
    specification = given.get("exposure") or rcs(4)
    rule = given.get("knot_rule", "common")
    basis = learn_basis(specification, problem, "full", calibration, knot_rule=rule)
    if basis.kind == "categories":
        raise OptionError("a plan is for a linear exposure or a spline, not for categories")
    pieces, numbers = _take_apart(problem, basis, calibration, options)
    scale = lay_out_scale(problem, calibration, given.get("reference"), given.get("at"))
    at = scale.grid
    if given.get("at") is None:
        at = np.quantile(scale.control_exposure, _PERCENTILES)
    labels = Labels(
        given.get("exposure_name", "exposure"), given.get("unit", ""), given.get("outcome_name", "")
    )
    origin = (
        f"a pilot: {pieces.n_sets:,} sets, {sum(numbers):,} calibrators in {len(numbers)} local studies; its fitted "
        "variance, rescaled"
    )
    notes = (
        "from a pilot: the odds ratios and residual variances are the pilot's estimates, and the other ways of "
        "choosing calibrators take one residual variance a study, whatever the local value",
        "power at the pilot's own estimates says no more than their p-values do; for the power to find an effect that "
        "matters, plan from guesses",
    )
    return Pilot(pieces, basis, at[at != scale.reference], scale.reference, numbers, origin, labels, notes)


def _take_apart(
    problem: PooledProblem, basis: Basis, calibration: CalibrationFit, options: PlanOptions
) -> tuple[VariancePieces, tuple[int, ...]]:
    """The pilot's variance pieces, and how many calibrators each study has."""
    exposure = plug_in_exposure(problem, "full", calibration)
    model, outcome, stacked = fit_plug_in(problem, exposure, basis, calibration)
    found = stacked_covariance(stacked, len(problem.local_names))
    inverse = solve_scaled(stacked.information, np.eye(outcome.beta.size))
    assert stacked.cross is not None
    rows = problem.calibrators.rows
    numbers = np.bincount(rows.study, minlength=len(problem.local_names))
    controls = problem.is_control & ~problem.is_reference
    most = np.bincount(problem.calibration_rows.study[controls], minlength=numbers.size)
    pieces = VariancePieces(
        terms=model.terms,
        exposure_positions=model.exposure_positions[0],
        beta=outcome.beta,
        outcome=found.vcov - found.calibration_parts.sum(axis=0),
        transfer=inverse @ stacked.cross,
        laws=_laws(problem, calibration, options.extreme_share),
        study_names=problem.local_names,
        n_sets=problem.n_sets,
        most=tuple(int(n) for n in np.maximum(most, numbers)),
        hc3=problem.calibrators.leverage_scores,
    )
    return pieces, tuple(int(n) for n in numbers)


def _laws(
    problem: PooledProblem, calibration: CalibrationFit, extreme_share: float
) -> dict[str, tuple[CalibratorLaw, ...]]:
    """A calibrator as the pilot's were, and as chosen otherwise from the study's controls."""
    own, everybody = problem.calibrators.rows, problem.calibration_rows
    eligible = problem.is_control & ~problem.is_reference
    laws: dict[str, list[CalibratorLaw]] = {spread: [] for spread in (AS_IN_PILOT, *SPREADS)}
    for study in range(len(problem.local_names)):
        mine = np.flatnonzero(own.study == study)
        laws[AS_IN_PILOT].append(_law_of_pilot(problem, calibration, study, mine))
        controls = everybody.take(np.flatnonzero(eligible & (everybody.study == study)))
        # of the study's groups of residual variance, when there are several, the mean
        groups = np.flatnonzero(calibration.layout.group_study == study)
        residual = float(calibration.variance[groups].mean())
        squared = np.full(controls.study.size, residual)
        for spread in SPREADS:
            weights = spread_weights(controls.columns[1], spread, extreme_share)
            laws[spread].append(
                calibrator_law(
                    controls, calibration.layout, squared, study, weights, random=spread == "random"
                )
            )
    return {spread: tuple(each) for spread, each in laws.items()}


def _law_of_pilot(
    problem: PooledProblem, calibration: CalibrationFit, study: int, mine: NDArray[np.intp]
) -> CalibratorLaw:
    """Means over the pilot's calibrators of one study, scores summed within independent units."""
    own = problem.calibrators.rows.take(mine)
    n = mine.size
    law = calibrator_law(own, calibration.layout, np.zeros(n), study, np.full(n, 1.0 / n), random=False)
    _, place = np.unique(problem.calibrators.unit[mine], return_inverse=True)
    by_unit = np.zeros((place.max(initial=-1) + 1, law.gram.shape[0]))
    np.add.at(by_unit, place, calibration.scores[mine])
    meat = by_unit.T @ by_unit / n
    return CalibratorLaw(law.gram, meat, np.zeros_like(meat), law.line, law.local_mean, False)
