"""Joint curves: exposure and level of a modifier together, against one common reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.kernels.contrasts import contrast_errors
from biocal.results.fit.curve import (
    DoseResponse,
    ResponseAxis,
    drawing_axis,
    response_axis,
    response_contrasts,
)

if TYPE_CHECKING:
    import pandas as pd

    from biocal.results.fit.fit import Fit

FloatArray = NDArray[np.float64]


def joint_responses(
    fit: Fit,
    modifier_reference: str | None = None,
    at: Sequence[float] | FloatArray | None = None,
    reference: float | None = None,
    level: float | None = None,
) -> tuple[DoseResponse, ...]:
    """Log odds ratios of (exposure, level) against (reference exposure, reference level), a curve a level.

    log OR = {f(x), m f(x)}'beta - {f(x0), m0 f(x0)}'beta + (m - m0)'beta_m, m the modifier's columns.

    Parameters
    ----------
    fit : Fit
    modifier_reference : str, optional
        Label of the common reference level; default the first.
    at, reference, level
        As in :meth:`Fit.dose_response`.

    Raises
    ------
    OptionError
        No modifier; an unknown level; levels whose own odds ratio is not estimated.
    """
    levels = fit.info.modifier_levels
    if levels is None:
        raise OptionError("a joint curve needs an effect modifier")
    if fit.info.joint_obstacle:
        raise OptionError(fit.info.joint_obstacle)
    base_label = levels.labels[0] if modifier_reference is None else modifier_reference
    if base_label not in levels.labels:
        raise OptionError(
            f"{base_label!r} is not a level of {levels.name}; levels: {', '.join(levels.labels)}",
            allowed=levels.labels,
        )
    base = levels.values[levels.labels.index(base_label)]
    scale = fit.info.scale
    exposure = np.asarray(scale.grid if at is None else list(at), dtype=float)
    anchor = scale.reference if reference is None else float(reference)
    axis = response_axis(fit.basis, exposure, anchor)
    finer = drawing_axis(fit.basis, axis)
    confidence = fit.info.level if level is None else level
    curves = []
    for label, values in zip(levels.labels, levels.values, strict=True):
        name = f"{levels.name} = {label}"
        curve = _response(fit, axis, values, base, name, confidence)
        if finer is not None:
            curve = replace(curve, drawn=_response(fit, finer, values, base, name, confidence))
        curves.append(curve)
    return tuple(curves)


def _response(
    fit: Fit, axis: ResponseAxis, values: FloatArray, base: FloatArray, label: str, level: float
) -> DoseResponse:
    contrasts = joint_contrasts(fit, axis, values, base)
    errors = contrast_errors(contrasts, fit.vcov)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.einsum("pm,spq,qm->ms", contrasts, fit.calibration_parts, contrasts)
        shares = parts / (errors * errors)[:, None]
    return DoseResponse(
        method=fit.method,
        exposure=axis.exposure,
        categories=axis.categories,
        reference=axis.reference,
        log_or=contrasts.T @ fit.estimates,
        std_error=errors,
        shares=shares,
        local_names=fit.local_names,
        modifier=label,
        level=level,
        labels=fit.info.labels,
        control_exposure=fit.info.scale.control_exposure,
        df=None if fit.imputation is None else fit.imputation.df(contrasts),
    )


def joint_contrasts(fit: Fit, axis: ResponseAxis, values: FloatArray, base: FloatArray) -> FloatArray:
    """Contrasts, shape (p, m): the curve at a level, and the step from the reference level at x0."""
    p = len(fit.terms)
    along = response_contrasts(fit.basis, fit.exposure_positions, p, axis, (1.0, *values))
    step = np.zeros(p)
    anchor = np.array([axis.reference])
    if axis.categories is not None:
        at_reference = np.zeros(
            fit.exposure_positions.shape[1]
        )  # indicators vanish in the reference category
    else:
        at_reference = fit.basis.columns(anchor)[:, 0]
    for row, change in zip(fit.exposure_positions[1:], values - base, strict=True):
        step[row] = change * at_reference
    step[[fit.terms.index(term) for term in fit.info.modifier_effects]] += values - base
    return along + step[:, None]


def joint_table(fit: Fit, modifier_reference: str | None = None) -> pd.DataFrame:
    """One row a level and exposure.

    Returns
    -------
    DataFrame
        method, modifier, exposure, reference_modifier, reference_exposure, log_or, std_error, or, or_low,
        or_high.
    """
    import pandas as pd

    levels = fit.info.modifier_levels
    assert levels is not None
    base = levels.labels[0] if modifier_reference is None else modifier_reference
    frame = pd.concat([curve.tidy() for curve in joint_responses(fit, modifier_reference)], ignore_index=True)
    place = list(frame.columns).index("reference_exposure")
    frame.insert(place, "reference_modifier", f"{levels.name} = {base}")
    return frame
