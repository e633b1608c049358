"""The dose-response curve: log odds ratios against a reference exposure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.contrasts import interval_quantile
from biocal.results.labels import Labels
from biocal.results.model import ExposureBasis
from biocal.results.text import odds_ratio

if TYPE_CHECKING:
    import pandas as pd


FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DoseResponse:
    """Log odds ratios of exposures against one reference exposure.

    Attributes
    ----------
    method : str
    exposure : ndarray, shape (m,)
        In the unit of the reference laboratory; positions 0..m-1 for categories.
    categories : tuple of str or None
        Labels when the exposure is categorised.
    reference : float
        Reference exposure; position of the reference category for categories.
    log_or, std_error : ndarray, shape (m,)
        Exactly 0 at the reference.
    shares : ndarray, shape (m, L)
        Share of the variance of each log OR that each local study's calibration adds; NaN at the
        reference.  Cross terms are apart, so that shares need not add to 1.
    local_names : tuple of str, length L
    modifier : str
        Modifier and its level, "" without.
    level : float
        Confidence level of the intervals.
    labels : Labels
    control_exposure : ndarray
        Exposure of the controls, for the figure.
    drawn : DoseResponse or None
        The same curve at exposures close enough to be joined by straight lines, for the figure; None
        when this one is drawn as it is.
    df : ndarray, shape (m,), or None
        Degrees of freedom of the intervals after multiple imputation; None for normal ones.

    Examples
    --------
    >>> import biocal as bc
    >>> pool = bc.PooledStudies.from_frame(bc.datasets.load_infertility(), reference="spontaneous")

    >>> fit = bc.fit(pool, exposure=bc.linear(), covariates="induced")
    >>> curve = fit.dose_response(at=[0, 1], reference=0)
    >>> curve.tidy()["or"].round(2).tolist()
    [1.0, 7.29]
    """

    method: str
    exposure: FloatArray
    categories: tuple[str, ...] | None
    reference: float
    log_or: FloatArray
    std_error: FloatArray
    shares: FloatArray
    local_names: tuple[str, ...]
    modifier: str
    level: float
    labels: Labels
    control_exposure: FloatArray
    drawn: DoseResponse | None = None
    df: FloatArray | None = None

    @property
    def half_width(self) -> FloatArray:
        """Half the width of the interval of the log OR, shape (m,)."""
        return interval_quantile(self.level, self.df) * self.std_error

    def tidy(self) -> pd.DataFrame:
        """One row an exposure.

        Returns
        -------
        DataFrame
            method, (modifier,) exposure, reference_exposure, log_or, std_error, or, or_low, or_high.
        """
        import pandas as pd

        exposure: Any = self.exposure
        reference: Any = self.reference
        if self.categories is not None:
            exposure = list(self.categories)
            reference = self.categories[int(self.reference)]
        frame: dict[str, Any] = {"method": self.method}
        if self.modifier:
            frame["modifier"] = self.modifier
        with np.errstate(over="ignore"):
            frame |= {
                "exposure": exposure,
                "reference_exposure": reference,
                "log_or": self.log_or,
                "std_error": self.std_error,
                "or": odds_ratio(self.log_or),
                "or_low": odds_ratio(self.log_or - self.half_width),
                "or_high": odds_ratio(self.log_or + self.half_width),
            }
        return pd.DataFrame(frame)

    def variance_shares(self) -> pd.DataFrame:
        """Share of Var(log OR) that each study's calibration adds; no row at the reference exposure.

        Returns
        -------
        DataFrame
            method, (modifier,) exposure, study, share.
        """
        import pandas as pd

        kept = self.std_error > 0
        exposure: Any = self.exposure[kept]
        if self.categories is not None:
            exposure = np.asarray(self.categories, dtype=object)[kept]
        n_studies = len(self.local_names)
        modifier = {"modifier": self.modifier} if self.modifier else {}
        return pd.DataFrame(
            {
                "method": self.method,
                **modifier,
                "exposure": np.repeat(exposure, n_studies),
                "study": list(self.local_names) * int(kept.sum()),
                "share": self.shares[kept].ravel(),
            }
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw the curve (odds ratio on a log axis) with its band.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib Axes
        """
        from biocal.results.figures import draw_dose_responses

        return draw_dose_responses([self], ax=ax)


IntArray = NDArray[np.intp]

#: Points of a curve that is drawn: as many as the default grid of a fit (our choice).
_DRAWN_POINTS = 101


@dataclass(frozen=True, slots=True, eq=False)
class ResponseAxis:
    """Exposures of a curve and the one they are compared with.

    Attributes
    ----------
    exposure : ndarray, shape (m,)
        In the unit of the reference laboratory; positions 0..m-1 for categories.
    reference : float
        Reference exposure, or the position of the reference category.
    categories : tuple of str or None
        Labels when the exposure is categorised.
    """

    exposure: FloatArray
    reference: float
    categories: tuple[str, ...] | None


def response_axis(basis: ExposureBasis, exposure: FloatArray, reference: float) -> ResponseAxis:
    """The axis of a curve: the exposures given, or every category of a categorised exposure."""
    if basis.kind != "categories":
        return ResponseAxis(exposure, reference, None)
    labels: tuple[str, ...] = basis.labels  # type: ignore[attr-defined]
    position: int = basis.reference  # type: ignore[attr-defined]
    return ResponseAxis(np.arange(len(labels), dtype=float), float(position), labels)


def drawing_axis(basis: ExposureBasis, axis: ResponseAxis) -> ResponseAxis | None:
    """Exposures at which a curve is drawn when few were asked for; None when the axis will do.

    Straight lines between a handful of exposures would show corners that a spline does not have, and a
    band that does not close at the reference.
    """
    if basis.kind == "categories" or not 0 < axis.exposure.size < _DRAWN_POINTS:
        return None
    ends = np.append(axis.exposure, axis.reference)
    between = np.linspace(ends.min(), ends.max(), _DRAWN_POINTS)
    return ResponseAxis(np.union1d(between, ends), axis.reference, None)


def response_contrasts(
    basis: ExposureBasis,
    positions: IntArray,
    n_terms: int,
    axis: ResponseAxis,
    multipliers: Sequence[float] | FloatArray,
) -> FloatArray:
    """Contrasts l with log OR = l'beta.

    Parameters
    ----------
    basis : ExposureBasis
    positions : ndarray of int, shape (1 + km, K)
        Positions of the exposure terms, and of their products with each column of the modifier.
    n_terms : int
        p.
    axis : ResponseAxis
    multipliers : sequence of float, length 1 + km
        1 and the modifier's columns at the level shown.

    Returns
    -------
    ndarray, shape (p, m)
        Exactly 0 at the reference.
    """
    if axis.categories is not None:
        others = np.delete(axis.exposure, int(axis.reference))
        difference = (axis.exposure[None, :] == others[:, None]).astype(float)
    else:
        difference = basis.columns(axis.exposure) - basis.columns(np.array([axis.reference]))
    contrasts = np.zeros((n_terms, axis.exposure.size))
    for row, multiplier in zip(positions, multipliers, strict=True):
        contrasts[row] = multiplier * difference
    return contrasts
