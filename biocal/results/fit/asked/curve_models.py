"""Curves of other shapes fitted to the same persons: which one describes them best, by AIC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from biocal.results.text import paragraph, table

if TYPE_CHECKING:
    import pandas as pd

    from biocal.results.fit.fit import Fit

#: What AIC of these fits can and cannot tell.
AIC_NOTE = (
    "AIC compares curves within a method, on the same persons, not one method with another. It takes the calibration "
    "as known (its uncertainty is in the standard errors, not in the likelihood) and does not count knots placed at "
    "quantiles; differences below about 2 decide nothing."
)
INDUCED_NOTE = "For induced the likelihood is that of the local measurements."


@dataclass(frozen=True, slots=True)
class CurveModel:
    """A shape of the curve and how well it describes the data.

    Attributes
    ----------
    curve : str
        Such as "linear" or "rcs, 4 knots".
    knots : tuple of float
        Empty unless a spline.
    n_terms : int
        Coefficients, covariates included.
    loglik : float
        NaN when the fit failed.
    chosen : bool
        Whether it is the curve that the fit shows.
    failure : str
        Why there is no fit; "" when there is.
    """

    curve: str
    knots: tuple[float, ...]
    n_terms: int
    loglik: float
    chosen: bool = False
    failure: str = ""

    @property
    def aic(self) -> float:
        """-2 loglik + 2 n_terms."""
        return -2.0 * self.loglik + 2.0 * self.n_terms


def aic_table(method: str, models: Sequence[CurveModel]) -> pd.DataFrame:
    """One row a curve.

    Returns
    -------
    DataFrame
        method, curve, knots, n_terms, loglik, aic, delta_aic (against the smallest), chosen, error.
    """
    import pandas as pd

    values = np.array([model.aic for model in models])
    smallest = np.nanmin(values) if np.isfinite(values).any() else np.nan
    return pd.DataFrame(
        {
            "method": method,
            "curve": [model.curve for model in models],
            "knots": [" ".join(repr(knot) for knot in model.knots) for model in models],
            "n_terms": [model.n_terms for model in models],
            "loglik": [model.loglik for model in models],
            "aic": values,
            "delta_aic": values - smallest,
            "chosen": [model.chosen for model in models],
            "error": [model.failure for model in models],
        }
    )


def aic_note(fits: Sequence[Fit]) -> str:
    """What the numbers mean, and which methods have none."""
    parts = [AIC_NOTE]
    if any(fit.method == "induced" for fit in fits):
        parts.append(INDUCED_NOTE)
    parts += [f"{fit.method} has no likelihood of its own." for fit in fits if not fit.curve_models]
    return " ".join(parts)


def aic_cells(fits: Sequence[Fit]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of a table with the curves down and the methods across."""
    some = [fit for fit in fits if fit.curve_models]
    header = ("curve", "coefficients", *(fit.method for fit in some))
    rows = []
    for k, model in enumerate(some[0].curve_models if some else ()):
        cells = []
        for fit in some:
            one = fit.curve_models[k]
            values = [other.aic for other in fit.curve_models]
            best = np.nanmin(values) if np.isfinite(values).any() else np.nan
            cells.append("failed" if one.failure else f"{one.aic:.2f} (+{one.aic - best:.2f})")
        name = f"{model.curve}, shown" if model.chosen else model.curve
        rows.append((name, str(model.n_terms) if model.n_terms else "", *cells))
    return header, rows


def aic_failures(fits: Sequence[Fit]) -> list[str]:
    """Curves that could not be fitted, and why."""
    failed = {
        f"{model.curve}: {model.failure}": None for fit in fits for model in fit.curve_models if model.failure
    }
    return list(failed)


def aic_lines(fits: Sequence[Fit]) -> list[str]:
    """Text table for summaries; nothing unless it was asked for."""
    if not any(fit.curve_models for fit in fits):
        return []
    header, rows = aic_cells(fits)
    return [
        "AIC of other curves, and what each lies above the smallest",
        table(header, rows),
        *(paragraph(f"not fitted: {why}") for why in aic_failures(fits)),
        paragraph(aic_note(fits)),
        "",
    ]
