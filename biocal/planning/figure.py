"""The figure of a plan."""

from __future__ import annotations

from typing import Any

import numpy as np

from biocal.planning.results import PlanResults
from biocal.plots.planning import WidthPanel, WidthSeries, draw_widths
from biocal.results.text import exact

#: Points of a curve.
_POINTS = 60
_HOW = {"random": "at random", "deciles": "spread over deciles", "extremes": "from the extremes"}


def draw_plan(found: PlanResults) -> Any:
    """Width against calibrators a study, a panel a way of choosing them; returns the figure."""
    predictor = found.predictor
    known = [n for numbers in found.enough.values() for n in numbers if n is not None]
    most = max([*found.options.calibrators, *(1.2 * n for n in known)])
    most = min(most, max(predictor.pieces.most))
    least = min(10.0, min(found.options.calibrators))
    numbers = np.unique(np.round(np.geomspace(least, max(most, least + 1.0), _POINTS)))
    unit = f" {found.labels.unit}" if found.labels.unit else ""
    panels = []
    for spread, enough in found.enough.items():
        errors = np.array([predictor.std_error(predictor.equal(n), spread) for n in numbers])
        series = [
            WidthSeries(
                f"{exact(float(x))} against {exact(found.reference)}{unit}",
                numbers,
                predictor.width(errors[:, m]),
                float(predictor.width(predictor.floor)[m]),
                None if enough[m] is None else float(max(enough[m] or 0, least)),
            )
            for m, x in enumerate(found.at)
        ]
        panels.append(WidthPanel(f"calibrators {_HOW.get(spread, spread)}", series))
    planned = np.unique(found.planned.calibrators)
    return draw_widths(
        panels,
        level=found.options.level,
        enough=found.options.enough,
        planned=float(planned[0]) if planned.size == 1 else None,
    )
