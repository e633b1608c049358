"""Is what sums gave sound?  The refusals and remarks of a fit in memory, as far as they can be had without persons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import FitError
from biocal.fitting.problem.model_columns import ModelColumns
from biocal.fitting.soundness.digits import ApproximateExtent, extent_names
from biocal.fitting.soundness.fits import covariance_notes, require_not_steeper, require_variance
from biocal.fitting.soundness.integrals import MOST_LOOKED_AT, notes_of_law
from biocal.fitting.sums.calibration import SummedCalibration
from biocal.fitting.sums.records import CalibrationMoments, SandwichAnswer, Task, start_of, task_basis
from biocal.kernels.newton import Optimum
from biocal.kernels.sandwich import SandwichCovariance
from biocal.model.exposure import Basis
from biocal.model.outcome.induced_law import ExposureLaw
from biocal.model.outcome.induced_risk import DEFAULT_NODES

FloatArray = NDArray[np.float64]

#: Exposures between the controls' extremes at which slopes of a curve are looked at.
_LOOKED_AT = 501


@dataclass(frozen=True, slots=True, eq=False)
class WhereControlsAre:
    """Exposures, and levels of the modifier, that stand for the persons of a fit.

    Attributes
    ----------
    exposures : ndarray, shape (m,), increasing
        The controls', or as many quantiles of theirs.
    levels : ndarray, shape (n_levels, km)
        One level without columns where there is no modifier.
    """

    exposures: FloatArray
    levels: FloatArray


def require_moderate_slopes(
    optima: Mapping[Task, Optimum],
    shown: Sequence[Task],
    model_of: Callable[[Task], ModelColumns],
    basis: Basis,
    calibration: SummedCalibration | None,
    where: WhereControlsAre,
) -> None:
    """Raise FitError where one residual SD of the calibration would be a log odds ratio beyond reason.

    As :func:`~biocal.fitting.soundness.fits.require_moderate_slope`, with the range of the controls in place of all
    persons: of induced it is full calibration's estimate, from which it starts.
    """
    if calibration is None:
        return
    spread = float(np.sqrt(calibration.variance.max()))
    slopes = calibration.coefficients()[:, 1]
    for task in shown:
        origin = start_of(task) if task.method == "induced" else task
        if task.method == "naive" or origin not in optima:
            continue
        steepest = spread * _steepest(
            model_of(origin), task_basis(task, basis), optima[origin].point[0], where
        )
        try:
            require_not_steeper(steepest, calibration.names, slopes)
        except FitError as failure:
            failure.add_note(f"method {task.name}")
            raise


def _steepest(model: ModelColumns, basis: Basis, beta: FloatArray, where: WhereControlsAre) -> float:
    """Largest slope of the log odds by the exposure, over the controls' range and the modifier's levels."""
    low, high = float(where.exposures[0]), float(where.exposures[-1])
    grid = np.unique(np.concatenate([np.linspace(low, high, _LOOKED_AT), getattr(basis, "knots", ())]))
    slopes = basis.slopes(grid)
    multipliers = np.column_stack([np.ones(len(where.levels)), where.levels])
    own = multipliers @ beta[model.exposure_positions]
    return float(np.abs(own @ slopes).max(initial=0.0))


def sandwich_notes(
    covariance: SandwichCovariance, parts: Sequence[SandwichAnswer], model: ModelColumns
) -> tuple[str, ...]:
    """Refuse standard errors that are rounding; tell of few sets and near-collinear columns.

    Raises
    ------
    FitError
        As :func:`~biocal.fitting.soundness.fits.require_variance`.
    """
    units = sum(part.units for part in parts)
    require_variance(covariance, model, units)
    information = np.sum([part.information for part in parts], axis=0)
    return covariance_notes(covariance, information, model, units)


def integral_notes(
    basis: Basis,
    calibration: SummedCalibration | None,
    model: ModelColumns,
    beta: FloatArray,
    where: WhereControlsAre,
) -> tuple[str, ...]:
    """As :func:`~biocal.fitting.soundness.integrals.quadrature_notes`, at exposures of the controls."""
    if calibration is None or basis.kind != "rcs":
        return ()
    n_each = max(MOST_LOOKED_AT // (calibration.variance.size * len(where.levels)), 10)
    places = np.linspace(0, where.exposures.size - 1, n_each).astype(int)
    means, groups = where.exposures[places], np.arange(calibration.variance.size)
    mean, group, level = (
        one.ravel() for one in np.meshgrid(means, groups, np.arange(len(where.levels)), indexing="ij")
    )
    law = ExposureLaw(mean, group, calibration.variance)
    return notes_of_law(law, basis, model, beta, where.levels[level].T, DEFAULT_NODES)


def extents_of_moments(
    studies: Mapping[str, CalibrationMoments], names: Sequence[str]
) -> tuple[ApproximateExtent, ...]:
    """About where the pairs' local values lie by study, and the calibration covariates: least and largest are unknown.

    Two standard deviations to each side of the mean stand for them.
    """
    found = [
        _about(name, one.n, one.means[:1], one.products[:1, :1])
        for name, one in zip(extent_names(tuple(studies), ()), studies.values(), strict=True)
    ]
    if not studies:
        return ()
    sizes = np.array([one.n for one in studies.values()], dtype=float)
    places = np.array([one.means[1:] for one in studies.values()])
    means = sizes @ places / sizes.sum()
    squares = np.sum([np.diagonal(one.products)[1:] for one in studies.values()], axis=0)
    squares = squares + sizes @ (places - means) ** 2
    for k, name in enumerate(extent_names((), names)):
        found.append(_about(name, sizes.sum(), means[k : k + 1], squares[k : k + 1, None]))
    return tuple(found)


def _about(name: str, n: float, mean: FloatArray, square: FloatArray) -> ApproximateExtent:
    spread = 2.0 * float(np.sqrt(square[0, 0] / n))
    return ApproximateExtent(name, float(mean[0]) - spread, float(mean[0]) + spread)
