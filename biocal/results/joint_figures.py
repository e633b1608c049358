"""Figures of joint curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from biocal.plots.categories import draw_category_panels
from biocal.plots.dose_response import DoseResponsePanel, draw_dose_response_panels
from biocal.results.figures import category_estimates, curve_of

if TYPE_CHECKING:
    from biocal.results.fits import Fit


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
