"""The exposure axis of a call: knots, reference exposure and grid, the same for all methods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.fitting.methods.plug_in import plug_in_exposure
from biocal.fitting.problem.problem import PooledProblem
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis, ExposureSpecification
from biocal.results.model import ExposureScale

FloatArray = NDArray[np.float64]

KNOT_RULES = ("common", "published")
GRID_POINTS = 101
#: Cubes of exposures, as splines take them, must stay far from what a computer holds.
LARGEST_EXPOSURE = 1e50
#: Ours: a table longer than this is no curve.
MOST_EXPOSURES = 10_000


def common_exposure(problem: PooledProblem, calibration: CalibrationFit | None) -> tuple[FloatArray, str]:
    """The one exposure that knots and axes are taken from, (n,), and its name.

    Full calibration's; the naive one when nothing could be calibrated.
    """
    if calibration is None and problem.local_names:
        return plug_in_exposure(problem, "naive", None).value, "naive exposure"
    return plug_in_exposure(problem, "full", calibration).value, "full calibration's exposure"


def learn_basis(
    specification: ExposureSpecification,
    problem: PooledProblem,
    method: str,
    calibration: CalibrationFit | None,
    *,
    knot_rule: str,
) -> Basis:
    """Place the knots.

    Parameters
    ----------
    specification : ExposureSpecification
    problem : PooledProblem
    method : str
    calibration : CalibrationFit or None
    knot_rule : {"common", "published"}
        "common": quantiles of full calibration's exposure over the controls of the fit, the same for every
        method.  "published" (Wu et al. 2022): of each estimator's own exposure, cases and controls.
    """
    if knot_rule not in KNOT_RULES:
        raise OptionError(f"the knot rule is common or published, not {knot_rule!r}", allowed=KNOT_RULES)
    if knot_rule == "published" and specification.needs_data:
        own = method if method in ("naive", "internalized", "full") else "full"
        return specification.learn(plug_in_exposure(problem, own, calibration).value)
    exposure, _ = common_exposure(problem, calibration)
    return specification.learn(exposure[problem.is_control])


def lay_out_scale(
    problem: PooledProblem,
    calibration: CalibrationFit | None,
    reference: float | None,
    at: Sequence[float] | None,
) -> ExposureScale:
    """Reference exposure and grid.

    Parameters
    ----------
    reference : float, optional
        Default: the median over the controls of the fit.
    at : sequence of float, optional
        Default: 101 points between the 1st and 99th percentile over those controls, and the reference.

    Raises
    ------
    OptionError
        Values that are not finite.
    """
    exposure, name = common_exposure(problem, calibration)
    controls = exposure[problem.is_control]
    low, median, high = (float(q) for q in np.quantile(controls, [0.01, 0.5, 0.99]))
    rule = "as asked" if reference is not None else f"median of {name} in controls"
    anchor = median if reference is None else float(reference)
    if at is None:
        grid = np.unique(np.append(np.linspace(low, high, GRID_POINTS), anchor))
    else:
        grid = np.asarray(list(at), dtype=float)
        if grid.size > MOST_EXPOSURES:
            raise OptionError(
                f"a curve is tabulated at {MOST_EXPOSURES:,} exposures at most, not {grid.size:,}", at=at
            )
    largest = max(abs(anchor), np.abs(grid).max(initial=0.0))
    if not largest <= LARGEST_EXPOSURE or grid.size == 0:
        raise OptionError("the reference exposure and the exposures asked for must be finite numbers", at=at)
    return ExposureScale(anchor, rule, grid, low, high, controls)


def scale_notes(scale: ExposureScale, unit: str) -> tuple[str, ...]:
    """Exposures asked for that few or no controls have."""
    tail = f" {unit}" if unit else ""
    lowest, highest = float(scale.control_exposure.min()), float(scale.control_exposure.max())
    notes = []
    if not scale.low <= scale.reference <= scale.high:
        notes.append(
            f"the reference exposure {scale.reference:g}{tail} lies outside the 1st to 99th percentile of the "
            f"controls, {scale.low:.4g} to {scale.high:.4g}{tail}"
        )
    beyond = scale.grid[(scale.grid < lowest) | (scale.grid > highest)]
    if beyond.size:
        shown = ", ".join(f"{value:g}" for value in beyond[:5])
        notes.append(
            f"no control has an exposure as extreme as {shown}{tail} (range {lowest:.4g} to {highest:.4g}{tail}): "
            "extrapolated"
        )
    return tuple(notes)
