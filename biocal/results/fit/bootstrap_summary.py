"""The bootstrap's block of a summary: how replicates were drawn, and their intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.results.fit.bootstrap import Bootstrap
from biocal.results.fit.curve import ResponseAxis
from biocal.results.text import exact, number, odds_ratio, paragraph, table

FloatArray = NDArray[np.float64]

#: Exposures shown in a summary.
_SHOWN = 7


def bootstrap_lines(bootstrap: Bootstrap, sandwich: FloatArray | None = None) -> list[str]:
    """The bootstrap's block of a summary.

    Parameters
    ----------
    bootstrap : Bootstrap
    sandwich : ndarray, shape (p,), optional
        Standard errors to show beside the bootstrap's.
    """
    failed = f", {bootstrap.n_failed:,} failed" if bootstrap.n_failed else ""
    drawn = (
        f"Bootstrap: {bootstrap.n + bootstrap.n_failed:,} replicates{failed} (seed {bootstrap.seed}); "
        f"{bootstrap.resampling}"
        f"{'; knots redrawn, reference exposure kept' if bootstrap.knots_redrawn else ''}"
    )
    level = f"{100 * bootstrap.level:g} %"
    limits = bootstrap.coefficient_limits()
    rows = [
        (
            term,
            *([] if sandwich is None else [number(float(sandwich[k]), 3)]),
            number(float(limits.std_error[k]), 3),
            _interval(limits.percentile_low[k], limits.percentile_high[k]),
            _interval(limits.normal_low[k], limits.normal_high[k]),
        )
        for k, term in enumerate(bootstrap.terms)
    ]
    beside = [] if sandwich is None else ["SE sandwich"]
    header = ("term", *beside, "SE bootstrap", f"{level} percentile", f"{level} normal")
    return [paragraph(drawn, indent=0), "", table(header, rows), "", *_curve_lines(bootstrap, level)]


def _curve_lines(bootstrap: Bootstrap, level: str) -> list[str]:
    """Odds ratios with their limits at some exposures, a block a level of the modifier."""
    axis, limits = bootstrap.axis, bootstrap.curve_limits()
    anchor = axis.categories[int(axis.reference)] if axis.categories else exact(axis.reference)
    unit = f" {bootstrap.labels.unit}" if bootstrap.labels.unit else ""
    header = (bootstrap.labels.exposure, "OR", f"{level} percentile", f"{level} normal")
    lines = []
    for k, modifier in enumerate(bootstrap.modifiers):
        rows = []
        for j in _shown(axis):
            shown = axis.categories[j] if axis.categories else number(float(axis.exposure[j]), 4)
            if limits.std_error[k, j] == 0:
                rows.append((shown, "1", "(reference)", ""))
                continue
            percentile = f"{_ratio(limits.percentile_low[k, j])} to {_ratio(limits.percentile_high[k, j])}"
            normal = f"{_ratio(limits.normal_low[k, j])} to {_ratio(limits.normal_high[k, j])}"
            rows.append((shown, _ratio(bootstrap.curve[k, j]), percentile, normal))
        at_level = f", {modifier}" if modifier else ""
        lines += [f"Odds ratio against {anchor}{unit}{at_level}, bootstrap intervals", table(header, rows)]
    return lines


def _shown(axis: ResponseAxis) -> list[int]:
    """Places of some exposures spread over the axis."""
    m = axis.exposure.size
    if axis.categories is not None or m <= 2 * _SHOWN:
        return list(range(m))
    at_reference = np.flatnonzero(axis.exposure == axis.reference)
    return sorted({*np.linspace(0, m - 1, _SHOWN).round().astype(int).tolist(), *at_reference[:1].tolist()})


def _ratio(log_or: float) -> str:
    return f"{odds_ratio(log_or):.2f}"


def _interval(low: float, high: float) -> str:
    return f"{number(float(low), 3)} to {number(float(high), 3)}"
