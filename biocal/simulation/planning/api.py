"""`plan`: what a calibration subset buys, before anybody is measured again."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import CalibrationDesignError, DesignError, FitError, OptionError
from biocal.model.exposure import Basis
from biocal.results.calibration.quality import AMBER_PAIRS
from biocal.results.labels import Labels
from biocal.results.text import count
from biocal.simulation.drawing.estimand import true_log_or
from biocal.simulation.planning.curvature import curvature_of, curve_contrasts
from biocal.simulation.planning.expected import expected_pieces
from biocal.simulation.planning.options import PlanOptions
from biocal.simulation.planning.prediction import (
    Prediction,
    Predictor,
    best_division,
    equal_division,
    powers_of_tests,
)
from biocal.simulation.planning.results import ALIKE, BEST, EQUAL, PLANNED, PlanResults
from biocal.simulation.planning.spec import PlanSpec, read_plan
from biocal.system.bytes import in_a_line

if TYPE_CHECKING:
    from biocal.pool.pooled import PooledStudies

FloatArray = NDArray[np.float64]

#: Largest term of a curve at an exposure (ours): squares of larger ones come near the end of what can be calculated.
_FARTHEST = 1e100


def plan(
    spec: str | PathLike[str] | Mapping[str, Any] | PlanSpec,
    *,
    pool: PooledStudies | None = None,
    **fit_options: Any,
) -> PlanResults:
    """Predict standard errors of full calibration for numbers of calibrators, without replicates.

    Parameters
    ----------
    spec : path, mapping or PlanSpec
        A TOML file or a mapping: the sections of a simulation (what is guessed: exposure, truth, measurement,
        studies, estimand) and ``plan`` (what is asked); see ``biocal example planning``.
    pool : PooledStudies, optional
        Pilot data in place of guesses: the spec then has no section but ``plan`` and ``estimand``.
    **fit_options
        With a pilot: arguments of :func:`biocal.fit` (exposure, covariates, matching, calibration_covariates,
        calibration_coefficients, calibration_variance, reference, at, unit, exposure_name).

    Returns
    -------
    PlanResults
        With tidy(), summary(), plot().

    Raises
    ------
    DesignError
        Everything that is wrong with the spec, by key (attribute ``problems``).
    InputError, FitError
        A pilot that cannot be used or fitted.

    Notes
    -----
    The covariance of METHODS section 6 in expectation: the outcome's part belongs to the sets, that of study s's
    calibration falls as 1 / (calibrators of s).  Expectations are evaluated on one very large study; the expected
    variance is then expanded to second order in the calibration lines.

    Examples
    --------
    >>> import biocal as bc
    >>> found = bc.plan({
    ...     "exposure": {"mean": 60, "sd": 20}, "truth": {"type": "linear", "beta": [-0.02]},
    ...     "fit": {"exposure": "linear"}, "estimand": {"at": [40], "reference": 60},
    ...     "studies": [{"name": "B", "sets": 500, "intercept": 12, "slope": 0.75, "r_squared": 0.7}],
    ...     "plan": {"calibrators": [20, 50, 200]}})
    >>> [round(float(one.std_error[0]), 2) for one in found.predictions[1:4]]
    [0.1, 0.09, 0.08]
    """
    read = spec if isinstance(spec, PlanSpec) else read_plan(_with_pilot(spec, pool))
    if read.scenario is not None:
        if fit_options:
            raise OptionError(
                f"{', '.join(fit_options)}: arguments of a fit belong to a pilot; guesses have their section [fit]"
            )
        return _from_guesses(read)
    if pool is None:
        raise OptionError("a plan from a pilot needs the pilot's data: give pool")
    from biocal.simulation.planning.pilot import pilot_pieces

    pilot = pilot_pieces(pool, read.options, fit_options)
    at, reference = pilot.at, pilot.reference
    if read.estimand is not None:
        at, reference = np.asarray(read.estimand.at, dtype=float), float(read.estimand.reference)
    contrasts = curve_contrasts(
        pilot.basis, pilot.pieces.exposure_positions, pilot.pieces.beta.size, at, reference
    )
    _require_near(read, contrasts)
    predictor = Predictor(pilot.pieces, contrasts, None, read.options.level)
    spreads = read.options.spread or ("as in the pilot",)
    return _results(
        read,
        predictor,
        pilot.basis,
        at,
        reference,
        np.full(at.size, np.nan),
        np.asarray(pilot.calibrators, dtype=float),
        spreads,
        pilot.origin,
        pilot.labels,
        pilot.notes,
        first_spread="as in the pilot",
    )


def _with_pilot(
    spec: str | PathLike[str] | Mapping[str, Any], pool: PooledStudies | None
) -> str | PathLike[str] | Mapping[str, Any]:
    """A mapping that goes with a pool need not say that there is a pilot."""
    if pool is not None and isinstance(spec, Mapping):
        return {"pilot": {"spec": ""}, **spec}
    return spec


def _require_near(read: PlanSpec, contrasts: FloatArray) -> None:
    """Refuse exposures at which variances cannot be calculated."""
    if not (np.abs(contrasts) < _FARTHEST).all():
        raise _refusal(
            read, "estimand.at", f"exposures farther than {_FARTHEST:g} from the reference are none"
        )


def _refusal(read: PlanSpec, key: str, message: str) -> DesignError:
    place = f"{in_a_line(read.source)}: " if read.source else ""
    return DesignError([f"{place}{key}: {message}"], pairs=[(key, message)])


def _from_guesses(read: PlanSpec) -> PlanResults:
    scenario, options = read.scenario, read.options
    assert scenario is not None
    at = np.asarray(scenario.estimand.at, dtype=float)
    reference = float(scenario.estimand.reference)
    try:
        pieces, basis = expected_pieces(scenario, seed=read.seed, extreme_share=options.extreme_share)
    except (CalibrationDesignError, FitError, np.linalg.LinAlgError) as fault:
        raise _refusal(
            read, "studies", f"the guesses cannot be evaluated ({fault}); are all of them meant?"
        ) from fault
    contrasts = curve_contrasts(basis, pieces.exposure_positions, pieces.beta.size, at, reference)
    _require_near(read, contrasts)
    curvature = curvature_of(scenario, pieces, at, reference, read.seed)
    predictor = Predictor(pieces, contrasts, curvature, options.level)
    local = [study for study in scenario.studies if not study.is_reference]
    planned = np.array([float(study.calibrators or 0) for study in local])
    spreads = options.spread or (scenario.measurement.sampling,)
    n_reference = len(scenario.studies) - len(local)
    origin = (
        f"guesses: {count(len(local), 'local study', 'local studies')}, "
        f"{count(n_reference, 'reference study', 'reference studies')}, {count(pieces.n_sets, 'set')}; standard errors "
        f"evaluated to within {100 * max(pieces.numerical_error, 0.001):.1f} %"
    )
    return _results(
        read,
        predictor,
        basis,
        at,
        reference,
        true_log_or(scenario),
        planned,
        spreads,
        origin,
        Labels(),
        read.notes,
        first_spread=spreads[0],
    )


def _results(
    read: PlanSpec,
    predictor: Predictor,
    basis: Basis,
    at: FloatArray,
    reference: float,
    truth: FloatArray,
    planned: FloatArray,
    spreads: tuple[str, ...],
    origin: str,
    labels: Labels,
    notes: tuple[str, ...],
    *,
    first_spread: str,
) -> PlanResults:
    """Every design's prediction, and what follows from them."""
    options, pieces = read.options, predictor.pieces
    predictions = [predictor.predict(PLANNED, planned, first_spread)]
    predictions += [
        predictor.predict(EQUAL, predictor.equal(number), spread)
        for spread in spreads
        for number in sorted(set(options.calibrators))
    ]
    budget = int(planned.sum()) if options.budget is None else options.budget
    if planned.size > 1:
        alike = equal_division(pieces.most, budget)
        best = best_division(predictor, budget, first_spread, options.least)
        predictions += [
            predictor.predict(ALIKE, alike, first_spread),
            predictor.predict(BEST, best, first_spread),
        ]
    powers = {
        k: powers_of_tests(pieces, one.calibrators, one.spread, alpha=options.alpha, wanted=options.power)
        for k, one in enumerate(predictions)
    }
    needed: list[int | None] = []
    if options.width is not None:
        needed = predictor.sets_for_width(planned, first_spread, options.width)
    return PlanResults(
        title=read.title,
        origin=origin,
        curve=basis.describe(labels.unit),
        options=options,
        predictor=predictor,
        at=at,
        reference=reference,
        log_or=predictor.contrasts.T @ pieces.beta,
        true_log_or=truth,
        predictions=tuple(predictions),
        enough={spread: predictor.enough(spread, options.enough, options.least) for spread in spreads},
        powers=powers,
        sets_needed=needed,
        labels=labels,
        notes=(*notes, *_told(predictor, predictions, options, read, budget)),
    )


#: A slope known no better than this (coefficient of variation) makes the second-order terms themselves rough.
_ROUGH_SLOPE = 0.12


def _told(
    predictor: Predictor, predictions: list[Prediction], options: PlanOptions, read: PlanSpec, budget: int
) -> list[str]:
    """What a reader should know before trusting the numbers."""
    pieces = predictor.pieces
    notes = []
    planned = predictions[0]
    rough = _rough_slopes(predictor, planned, read)
    if rough:
        notes.append(
            f"calibration slopes would have a standard error of {', '.join(rough)} of themselves as planned: with so "
            "poor a line the prediction is itself rough, and more likely too small than too large"
        )
    few = [
        f"{name} ({round(float(n))})"
        for name, n in zip(pieces.study_names, planned.calibrators, strict=True)
        if n < AMBER_PAIRS
    ]
    if few or min(options.calibrators) < AMBER_PAIRS:
        planned_few = f" (as planned: {', '.join(few)})" if few else ""
        notes.append(
            f"below {AMBER_PAIRS} calibrators a study{planned_few} the quality gate of a calibration is not green, "
            "odds ratios are biased by an uncertain slope, and the widths here may be too small: predictions were "
            "checked with 30 to 60 calibrators a study only; use biocal simulate on the same guesses"
        )
    short = [
        f"{name} ({most})"
        for name, most in zip(pieces.study_names, pieces.most, strict=True)
        if most < max(options.calibrators)
    ]
    if short:
        notes.append(
            f"fewer controls than the largest number compared: {', '.join(short)}; all of them are taken there"
        )
    if any(one.spread == "extremes" for one in predictions):
        notes.append(
            "extremes: the narrowest intervals if the calibration is a straight line, and nothing to tell when it is "
            "not: no calibrator lies between; deciles keep that check at little cost"
        )
    if budget > sum(pieces.most):
        notes.append(f"the budget of {budget:,} exceeds the {sum(pieces.most):,} controls; all are taken")
    return notes


def _rough_slopes(predictor: Predictor, planned: Prediction, read: PlanSpec) -> list[str]:
    """Relative standard errors of slopes that are poorly known as planned, with the study."""
    if read.scenario is None:
        return []
    covariance = predictor.pieces.calibration_covariance(planned.calibrators, planned.spread)
    local = [study for study in read.scenario.studies if not study.is_reference]
    laws = predictor.pieces.laws[planned.spread]
    errors = [
        covariance[law.line[1], law.line[1]] ** 0.5 / abs(study.slope or 1.0)
        for study, law in zip(local, laws, strict=True)
    ]
    return [
        f"{100 * error:.0f} % ({study.name})"
        for study, error in zip(local, errors, strict=True)
        if error > _ROUGH_SLOPE
    ]
