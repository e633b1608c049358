"""What summaries tell of tables that were asked for: increments, joint curves, other curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from biocal.results.fit.asked.curve_models import aic_lines
from biocal.results.fit.asked.increments import increment_lines
from biocal.results.text import exact, number, odds_ratio, paragraph, table

if TYPE_CHECKING:
    from biocal.results.fit.curve import DoseResponse
    from biocal.results.fit.fit import Fit

#: Exposures shown of a joint curve that has many.
_SHOWN = 7


def asked_lines(fits: Sequence[Fit]) -> list[str]:
    """All that was asked for, with a blank line before."""
    lines = [*increment_lines(fits), *joint_lines(fits), *aic_lines(fits)]
    return ["", *lines[:-1]] if lines else []


def aic_line(fit: Fit) -> list[str]:
    """AIC of the fit, and of the linear one beside it."""
    if fit.basis.kind == "linear" or fit.linear is None or not np.isfinite(fit.linear.loglik):
        return [f"AIC {fit.aic:.2f}"]
    straight = -2.0 * fit.linear.loglik + 2.0 * fit.linear.n_terms
    return [f"AIC {fit.aic:.2f} (linear exposure: {straight:.2f})"]


def joint_lines(fits: Sequence[Fit]) -> list[str]:
    """Joint odds ratios, a table a method with a column a level."""
    asked = fits[0].info.asked.joint
    if asked is None:
        return []
    lines = [paragraph(f"Joint odds ratios against {joint_reference_words(fits[0])}", indent=0)]
    for fit in fits:
        lines += ["", f"  {fit.method}", *joint_table_lines(fit.joint_responses(asked))]
    return [*lines, ""]


def joint_reference_words(fit: Fit) -> str:
    """Such as "50 nmol/L and sex = f"."""
    curve = fit.joint_responses(fit.info.asked.joint)[0]
    unit = f" {curve.labels.unit}" if curve.labels.unit else ""
    anchor = curve.categories[int(curve.reference)] if curve.categories else exact(curve.reference)
    return f"{anchor}{unit} and {fit.info.modifier} = {fit.info.asked.joint}"


def joint_table_lines(curves: Sequence[DoseResponse]) -> list[str]:
    """One row an exposure, one column a level."""
    first = curves[0]
    rows = [joint_row(curves, k) for k in shown_places(first)]
    return [table((first.labels.exposure, *(curve.modifier for curve in curves)), rows, indent=4)]


def shown_places(curve: DoseResponse) -> list[int]:
    """All exposures when they are few; else some, the reference among them."""
    n = curve.exposure.size
    if curve.categories is not None or n <= 12:
        return list(range(n))
    places = set(np.linspace(0, n - 1, _SHOWN).round().astype(int).tolist())
    return sorted(places | set(np.flatnonzero(curve.exposure == curve.reference).tolist()))


def joint_row(curves: Sequence[DoseResponse], k: int) -> tuple[str, ...]:
    """An exposure and the odds ratio with its interval at each level."""
    first = curves[0]
    name = first.categories[k] if first.categories else number(float(first.exposure[k]))
    return (name, *(_ratio(float(curve.log_or[k]), float(curve.half_width[k])) for curve in curves))


def _ratio(log_or: float, half: float) -> str:
    if half == 0:
        return "1 (reference)"
    low, middle, high = odds_ratio([log_or - half, log_or, log_or + half])
    return f"{middle:.2f}" if np.isnan(half) else f"{middle:.2f} ({low:.2f} to {high:.2f})"
