"""Is what was estimated sound?  What rounding, too few sets or an empty calibration leaves is refused or told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from biocal.errors import FitError
from biocal.fitting.problem.model_columns import ModelColumns
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.problem.units import count_units
from biocal.kernels.sandwich import SandwichCovariance
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis, SplineBasis
from biocal.model.outcome.conditional import OutcomeFit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: A sandwich variance below this share of the model-based one, in any direction, is rounding: a standard error a
#: ten-thousandth of the other (our choice; sandwiches of sound fits lie between a fifth and five times).
NO_VARIANCE = 1e-8
#: Fewer informative units a coefficient are told; two-stage asks as many of each study (our choice).
_UNITS_PER_COEFFICIENT = 5
#: 1 - R^2 of a column on the others, within the sets, below which it is told: standard errors keep about eight
#: digits there, and the coefficient says nothing alone (our choice).
_NEARLY_COLLINEAR = 1e-7
#: log OR that one residual SD of the calibration may make at most.  Sound fits stay below 5; exp(50) is no odds
#: ratio, and comes of calibrated values that hardly differ (our choice).
STEEPEST = 50.0
#: Share of the largest value that counts as none.
_ROUNDING = 1e-12
#: The power of two of 0, below that of any number.
_NOTHING = -20_000
#: Persons looked at at a time; their columns stay in a core's cache.
_CHUNK = 16_384


def require_variance(covariance: SandwichCovariance, model: ModelColumns, units: int) -> None:
    """Raise FitError where the sandwich has no variance of its own along some direction.

    Parameters
    ----------
    covariance : SandwichCovariance
    model : ModelColumns
        Terms, for the message.
    units : int
        Independent units that say something; see :func:`informative_units`.
    """
    scale = np.sqrt(np.diagonal(covariance.vcov_uncorrected))
    outer = np.outer(scale, scale)
    root = np.linalg.cholesky(covariance.vcov_uncorrected / outer)
    half = np.linalg.solve(root, covariance.vcov / outer)
    against = np.linalg.solve(root, half.T)
    sizes, directions = np.linalg.eigh((against + against.T) / 2)
    if sizes[0] > NO_VARIANCE:
        return
    along = np.abs(np.linalg.solve(root.T, directions[:, 0]))
    terms = tuple(name for name, part in zip(model.terms, along, strict=True) if part > 0.05 * along.max())
    raise FitError(
        f"the standard errors along {', '.join(terms)} cannot be estimated: the independent matched sets that say "
        f"something about the coefficients are too few or too alike ({units} sets, {model.n_terms} "
        f"coefficient{'s' if model.n_terms > 1 else ''}), and their scores cancel; use fewer terms, or more sets",
        terms=terms,
        units=units,
    )


class InformativeSets:
    """Sets in which some column varies, from the slopes of blocks that pass by.

    Slopes are held as powers of two, by column and set.
    """

    def __init__(self, n_terms: int, n_sets: int) -> None:
        self._power = np.full((n_terms, n_sets), _NOTHING, dtype=np.int16)

    def add(self, sets: IntArray, largest: FloatArray) -> None:
        """Take in the largest absolute slopes (p, m) of some sets (m,)."""
        power = np.frexp(largest)[1].astype(np.int16)
        self._power[:, sets] = np.where(largest > 0, power, _NOTHING)

    def found(self) -> NDArray[np.bool_]:
        """Sets with a slope above rounding, shape (n_sets,)."""
        top = self._power.max(axis=1, keepdims=True, initial=_NOTHING)
        power = self._power.astype(np.int32)
        tells = (power > top + np.frexp(_ROUNDING)[1]) & (power > _NOTHING)
        return np.asarray(tells.any(axis=0))


def informative_units(problem: PooledProblem, outcome: OutcomeFit) -> int:
    """Independent units with a set in which some column varies."""
    if outcome.informative is not None:
        return count_units(problem.set_unit[outcome.informative])
    size = np.abs(outcome.slope)
    tells = (size > _ROUNDING * size.max(axis=1, keepdims=True, initial=1e-300)).any(axis=0)
    return count_units(problem.set_unit[problem.set_code[tells]])


def covariance_notes(
    covariance: SandwichCovariance, information: FloatArray, model: ModelColumns, units: int
) -> tuple[str, ...]:
    """Few sets, and columns that are nearly combinations of others, in words; `information` is (p, p)."""
    notes = []
    if units < _UNITS_PER_COEFFICIENT * model.n_terms:
        notes.append(
            f"only {units} independent matched sets say something about the {model.n_terms} "
            f"coefficient{'s' if model.n_terms > 1 else ''}, fewer than {_UNITS_PER_COEFFICIENT} a coefficient: "
            "sandwich standard errors are too small then, and intervals too narrow"
        )
    apart = 1.0 / (np.diagonal(information) * np.diagonal(covariance.vcov_uncorrected))
    close = [name for name, part in zip(model.terms, apart, strict=True) if part < _NEARLY_COLLINEAR]
    if close:
        notes.append(
            f"{', '.join(close)}: nearly combinations of other columns within the matched sets (1 - R2 down to "
            f"{apart.min():.1g}); their coefficients say little one by one, and the standard errors have about "
            f"{max(0, int(np.floor(-np.log10(2e-15 / apart.min()))))} digits"
        )
    return tuple(notes)


def require_moderate_slope(
    model: ModelColumns,
    basis: Basis,
    beta: FloatArray,
    value: FloatArray,
    calibrated: NDArray[np.bool_],
    problem: PooledProblem,
    calibration: CalibrationFit,
) -> None:
    """Raise FitError where one residual SD of the calibration would be a log odds ratio beyond reason.

    Parameters
    ----------
    model : ModelColumns
    basis : Basis
    beta : ndarray, shape (p,)
    value : ndarray, shape (n,)
        Exposures.
    calibrated : ndarray of bool, shape (n,)
        Persons whose exposure is a calibrated mean.
    problem : PooledProblem
    calibration : CalibrationFit

    Notes
    -----
    So it is where the slopes of the calibration are not told from 0: calibrated values then differ by next to
    nothing, and the coefficient that makes them matter is noise divided by next to nothing.
    """
    steepest, spread = 0.0, np.sqrt(calibration.variance)
    for start in range(0, value.size, _CHUNK):
        mine = start + np.flatnonzero(calibrated[start : start + _CHUNK])
        slopes = beta @ model.exposure_part(basis.slopes(value[mine]), problem.modifier[:, mine])
        error = spread[problem.calibration_rows.group[mine]]
        if calibration.form.logarithmic:
            error = error * np.abs(value[mine])
        steepest = max(steepest, float((np.abs(slopes) * error).max(initial=0.0)))
    require_not_steeper(steepest, problem.local_names, calibration.coefficients()[:, 1])


def require_not_steeper(steepest: float, local_names: Sequence[str], slopes: FloatArray) -> None:
    """Raise FitError for a log odds ratio of one residual SD beyond reason.

    Parameters
    ----------
    steepest : float
        The largest of all persons.
    local_names : sequence of str, length L
    slopes : ndarray, shape (L,)
        Of the calibration lines.
    """
    if not steepest > STEEPEST:
        return
    lines = ", ".join(f"{name} {slope:.2g}" for name, slope in zip(local_names, slopes, strict=True))
    raise FitError(
        f"the calibrated values hardly differ: the exposure's coefficient makes one residual SD of the calibration a "
        f"log odds ratio of {steepest:.3g}; is a calibration slope not told from 0 (slopes: {lines})? Leave "
        "out studies whose local values do not predict the reference values",
        steepness=steepest,
    )


def knot_notes(basis: Basis, exposure: FloatArray) -> tuple[str, ...]:
    """Neighbouring knots with nobody between them: the curve there is the spline's own.

    Parameters
    ----------
    basis : Basis
    exposure : ndarray, shape (n,)
        Of all persons of the fit.
    """
    if not isinstance(basis, SplineBasis):
        return ()
    return empty_knot_notes(basis.knots, np.histogram(exposure, np.asarray(basis.knots))[0])


def empty_knot_notes(knots: Sequence[float], persons: IntArray) -> tuple[str, ...]:
    """The same from the numbers of persons between neighbouring knots, one fewer than knots."""
    empty = [
        f"{low:.8g} and {high:.8g}"
        for low, high, n in zip(knots[:-1], knots[1:], persons, strict=True)
        if n == 0
    ]
    if not empty:
        return ()
    return (
        f"nobody has an exposure between the knots {'; '.join(empty)}: the curve there is drawn by the spline and not "
        "by data, and its coefficients are large and uncertain; place knots where persons are",
    )
