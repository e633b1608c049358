"""Figures of results: results are turned into plain arrays for :mod:`biocal.plots` here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from biocal.plots.calibration import CalibrationPanel, draw_calibration_panels
from biocal.plots.categories import CategoryEstimates, draw_category_odds_ratios, draw_category_panels
from biocal.plots.dose_response import (
    Curve,
    DoseResponsePanel,
    draw_dose_response,
    draw_dose_response_panels,
)

if TYPE_CHECKING:
    from biocal.results.calibration import CalibrationResults
    from biocal.results.dose_response import DoseResponse


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
