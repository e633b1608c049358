"""Figures of results: results are turned into plain arrays for :mod:`biocal.results.plots` here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from biocal.results.plots.calibration.agreement import LevelPanel, LevelWords, draw_level_panels
from biocal.results.plots.calibration.calibration import CalibrationPanel, draw_calibration_panels
from biocal.results.plots.categories import CategoryEstimates, draw_category_odds_ratios, draw_category_panels
from biocal.results.plots.dose_response import (
    Curve,
    DoseResponsePanel,
    draw_dose_response,
    draw_dose_response_panels,
)
from biocal.results.plots.style import with_unit

if TYPE_CHECKING:
    from biocal.results.calibration.results import CalibrationResults
    from biocal.results.fit.curve import DoseResponse
    from biocal.results.fit.fit import Fit


def draw_dose_responses(
    responses: Sequence[DoseResponse], *, knots: Sequence[float] | None = None, ax: Any = None
) -> Any:
    """Overlay curves of several methods (one level of a modifier, or none); returns the axes."""
    first = responses[0]
    labels = first.labels
    common: dict[str, Any] = {
        "exposure_name": labels.exposure,
        "unit": labels.unit,
        "outcome_name": labels.outcome,
        "level": first.level,
        "ax": ax,
    }
    if first.categories is not None:
        return draw_category_odds_ratios(
            [category_estimates(response) for response in responses],
            categories=first.categories,
            reference_category=first.categories[int(first.reference)],
            **common,
        )
    return draw_dose_response(
        [curve_of(response) for response in responses],
        reference=first.reference,
        control_exposure=first.control_exposure,
        knots=knots,
        **common,
    )


def draw_modified_responses(
    by_level: Sequence[Sequence[DoseResponse]], *, knots: Sequence[float] | None = None
) -> Any:
    """One panel of curves for each level of the modifier; returns the figure."""
    first = by_level[0][0]
    labels = first.labels
    if first.categories is not None:
        return draw_category_panels(
            [(level[0].modifier, [category_estimates(r) for r in level]) for level in by_level],
            categories=first.categories,
            reference_category=first.categories[int(first.reference)],
            exposure_name=labels.exposure,
            unit=labels.unit,
            outcome_name=labels.outcome,
            level=first.level,
        )
    panels = [
        DoseResponsePanel(level[0].modifier, [curve_of(r) for r in level], first.control_exposure, None)
        for level in by_level
    ]
    return draw_dose_response_panels(
        panels,
        reference=first.reference,
        exposure_name=labels.exposure,
        unit=labels.unit,
        outcome_name=labels.outcome,
        level=first.level,
        knots=knots,
    )


def draw_calibrations(calibration: CalibrationResults) -> Any:
    """Calibration panels of the local studies; returns the figure."""
    panels = [
        CalibrationPanel(
            s.study,
            s.pairs_local,
            s.pairs_reference,
            s.intercept_at_mean,
            s.slope,
            s.r_squared,
            s.residual_sd,
            (s.local_min, s.local_max),
            s.curve,
        )
        for s in calibration.studies
        if s.kind == "local"
    ]
    unit = calibration.labels.unit
    return draw_calibration_panels(
        panels, local_unit=unit, reference_unit=unit, adjusted=bool(calibration.covariate_names)
    )


def category_estimates(response: DoseResponse, label: str | None = None) -> CategoryEstimates:
    """A response by category as arrays to draw, under its method's name or another label."""
    half = response.half_width
    name = response.method if label is None else label
    return CategoryEstimates(name, response.log_or, response.log_or - half, response.log_or + half)


def curve_of(response: DoseResponse, label: str | None = None) -> Curve:
    """A curve as arrays to draw, under its method's name or another label."""
    name = response.method if label is None else label
    response = response.drawn or response
    half = response.half_width
    return Curve(name, response.exposure, response.log_or, response.log_or - half, response.log_or + half)


def draw_agreements(calibration: CalibrationResults) -> Any:
    """Bland and Altman's plot of each local study; returns the figure."""
    panels = []
    for quality in calibration.quality:
        mean = (quality.local + quality.reference) / 2
        low, high = quality.agreement.low, quality.agreement.high
        panels.append(
            LevelPanel(
                quality.study,
                mean,
                quality.reference - quality.local,
                quality.agreement.bias,
                ((float(mean.min()), float(mean.max()), low, high),),
                facts=f"bias {quality.agreement.bias:.3g}, limits {low:.3g} to {high:.3g}",
            )
        )
    unit = calibration.labels.unit
    words = LevelWords(
        with_unit("Mean of the two laboratories", unit),
        with_unit("Reference minus local", unit),
        "pair",
        "bias",
        "95 % limits of agreement",
    )
    return draw_level_panels(panels, words)


def draw_calibration_residuals(calibration: CalibrationResults) -> Any:
    """Residuals against local values with their SD by thirds, influential pairs marked; returns the figure."""
    panels = []
    for quality in calibration.quality:
        order = np.argsort(quality.local, kind="stable")
        bands = []
        for part, sd in zip(np.array_split(order, 3), quality.sd_by_third, strict=True):
            if part.size and np.isfinite(sd):
                across = quality.local[part]
                bands.append((float(across.min()), float(across.max()), -sd, sd))
        wild = {(pair.local, pair.reference) for pair in quality.influential}
        pairs = zip(quality.local.tolist(), quality.reference.tolist(), strict=True)
        marked = np.array([pair in wild for pair in pairs], dtype=np.bool_)
        facts = f"{quality.light}; SD {quality.residual_sd:.3g}"
        panels.append(
            LevelPanel(quality.study, quality.local, quality.residuals, 0.0, tuple(bands), marked, facts)
        )
    unit = calibration.labels.unit
    logarithmic = calibration.form == "log-log"
    words = LevelWords(
        with_unit("Local laboratory", unit),
        "Residual between logarithms" if logarithmic else with_unit("Residual of the calibration", unit),
        "pair",
        "",
        "SD in each third of the local values",
        "moves the slope by more than its SE",
    )
    return draw_level_panels(panels, words)


def draw_joint(fits: Sequence[Fit]) -> Any:
    """A panel a method, the levels of the modifier over one another; returns the figure."""
    asked = fits[0].info.asked.joint
    by_method = [fit.joint_responses(asked) for fit in fits]
    first = by_method[0][0]
    labels = first.labels
    common: dict[str, Any] = {
        "exposure_name": labels.exposure,
        "unit": labels.unit,
        "outcome_name": labels.outcome,
        "level": first.level,
        "reference_group": f"{fits[0].info.modifier} = {asked}",
        "width_mm": 120.0 if len(fits) == 1 else 180.0,
    }
    if first.categories is not None:
        return draw_category_panels(
            [
                (fit.method, [category_estimates(one, one.modifier) for one in curves])
                for fit, curves in zip(fits, by_method, strict=True)
            ],
            categories=first.categories,
            reference_category=first.categories[int(first.reference)],
            **common,
        )
    panels = [
        DoseResponsePanel(
            fit.method, [curve_of(one, one.modifier) for one in curves], first.control_exposure, None
        )
        for fit, curves in zip(fits, by_method, strict=True)
    ]
    return draw_dose_response_panels(panels, reference=first.reference, **common)
