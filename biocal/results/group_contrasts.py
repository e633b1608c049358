"""Exposures at which subgroups and studies are compared in text and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from biocal.results.text import exact

if TYPE_CHECKING:
    from biocal.results.fits import Fit

#: Percentiles of the controls' exposure that are compared when many exposures are tabulated.
_PERCENTILES = (0.10, 0.90)
#: More exposures than this are spread out; figures have no room for more.
_MOST = 4

#: An exposure or a category, at a level of the modifier ("" without).
Place = tuple[Any, str]


def chosen_contrasts(fit: Fit, at: Any = None) -> list[tuple[str, Place]]:
    """A few exposures against the reference: label and place of each.

    Parameters
    ----------
    fit : Fit
    at : sequence of float, optional
        Default: the exposures of the fit's grid when they are few, else the 10th and 90th percentile of the
        controls.  For categories all but the reference, or the extremes of many.  With an effect modifier, at its
        first and last level.
    """
    levels = fit.info.modifier_levels
    shown = [""] if levels is None else [levels.labels[0], levels.labels[-1]]
    curve = fit.dose_response()
    unit = f" {fit.info.labels.unit}" if fit.info.labels.unit else ""
    if curve.categories is not None:
        base = curve.categories[int(curve.reference)]
        others = [label for label in curve.categories if label != base]
        places = _spread(others, _MOST // len(shown))
        found = [(f"{label} against {base}{unit}", label) for label in places]
    else:
        anchor = fit.info.scale.reference
        points = _points(fit, at, _MOST // len(shown))
        found = [(f"{exact(x, 4)} against {exact(anchor, 4)}{unit}", x) for x in points]
    if levels is None:
        return [(label, (x, "")) for label, x in found]
    return [(f"{label}, {levels.name} = {name}", (x, name)) for label, x in found for name in shown]


def interval_of(fit: Fit, place: Place) -> tuple[float, float, float]:
    """Log odds ratio and its interval."""
    x, name = place
    curve = fit.dose_response(None if isinstance(x, str) else [x], modifier_level=name or None)
    k = curve.categories.index(x) if curve.categories is not None else 0
    half = float(curve.half_width[k])
    return float(curve.log_or[k]), float(curve.log_or[k]) - half, float(curve.log_or[k]) + half


def _points(fit: Fit, at: Any, most: int) -> list[float]:
    scale = fit.info.scale
    if at is None:
        grid = scale.grid[scale.grid != scale.reference]
        if 0 < grid.size <= 12:
            return _spread(grid.tolist(), most)
        quantiles = np.quantile(scale.control_exposure, _PERCENTILES)
        return [float(x) for x in quantiles if x != scale.reference]
    return [float(x) for x in at if float(x) != scale.reference]


def _spread(items: list[Any], most: int) -> list[Any]:
    """All of a few, else some from the first to the last."""
    if len(items) <= most:
        return items
    places = np.linspace(0, len(items) - 1, max(most, 1)).round().astype(int)
    return [items[k] for k in dict.fromkeys(places.tolist())]
