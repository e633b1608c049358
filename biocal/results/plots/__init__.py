"""Figures drawn from plain arrays: no tables, no fitting, no interactive backend.

Importing this package imports matplotlib; the rest of biocal therefore imports it only when a figure
is asked for.  No module here touches ``matplotlib.pyplot``, so drawing leaves no state behind.
"""

from biocal.results.plots.calibration.calibration import CalibrationPanel, draw_calibration_panels
from biocal.results.plots.categories import CategoryEstimates, draw_category_odds_ratios, draw_category_panels
from biocal.results.plots.dose_response import (
    Curve,
    DoseResponsePanel,
    draw_dose_response,
    draw_dose_response_panels,
)
from biocal.results.plots.forest.forest import ForestRow, ForestSummary, Heterogeneity, draw_forest
from biocal.results.plots.save import figure_bytes, save_figure
from biocal.results.plots.season import SeasonPanel, draw_season_panels

__all__ = [
    "CalibrationPanel",
    "CategoryEstimates",
    "Curve",
    "DoseResponsePanel",
    "ForestRow",
    "ForestSummary",
    "Heterogeneity",
    "SeasonPanel",
    "draw_calibration_panels",
    "draw_category_odds_ratios",
    "draw_category_panels",
    "draw_dose_response",
    "draw_dose_response_panels",
    "draw_forest",
    "draw_season_panels",
    "figure_bytes",
    "save_figure",
]
