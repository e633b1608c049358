"""A logarithmic axis for odds ratios whose ticks are the numbers people say: .5, .7, 1, 1.5, 2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, Locator, NullLocator

FloatArray = npt.NDArray[np.float64]

#: Leading digits within a decade, from dense to sparse; each ladder is tried before the next.
_LADDERS: tuple[tuple[float, ...], ...] = (
    (1, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9),
    (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9),
    (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8),
    (1, 1.5, 2, 3, 5, 7),
    (1, 2, 5),
    (1, 3),
    (1,),
)
#: Ticks nearer than this share of the axis would touch at print size (ours, by eye).
_LEAST_GAP = 0.055
_MOST_TICKS = 7
#: Intervals reach at most this factor beyond the highest and lowest estimate; then they are cut (ours).
_MOST_INTERVAL_FACTOR = 4.0
#: exp of more would overflow; such a value lies far beyond any axis that can be read.
_LARGEST_LOG = 600.0


class OddsRatioLocator(Locator):
    """Ticks for odds ratios on a log axis, chosen anew whenever the limits change."""

    def __call__(self) -> Sequence[float]:
        low, high = self.axis.get_view_interval()  # type: ignore[union-attr]
        return self.tick_values(float(low), float(high))

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Return the ticks between two odds ratios."""
        return odds_ratio_ticks(min(vmin, vmax), max(vmin, vmax))


def odds_ratio_ticks(low: float, high: float) -> list[float]:
    """Return readable ticks between two odds ratios, at most seven, none closer than can be read.

    Parameters
    ----------
    low, high : float
        Odds ratios, 0 < low < high.

    Returns
    -------
    list of float
        Ascending; contains 1 whenever the limits do.

    Examples
    --------
    >>> odds_ratio_ticks(0.45, 2.2)
    [0.5, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0]
    """
    if not 0 < low < high < np.inf:
        return [1.0]
    if high / low < 1.7:  # so narrow that even steps look even on a log axis
        return _even_ticks(low, high)
    decades = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    for ladder in _LADDERS:
        ticks = [float(f"{digit}e{decade}") for decade in decades for digit in ladder]
        ticks = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if _readable(ticks, low, high):
            return ticks
    stride = int(np.ceil(len(ticks) / _MOST_TICKS))
    return [tick for tick in ticks if round(np.log10(tick)) % stride == 0]


def _even_ticks(low: float, high: float) -> list[float]:
    """Return multiples of the finest readable step among 1, 2, 5 times a power of ten."""
    finest = 10.0 ** np.floor(np.log10((high - low) / 10))
    for step in (finest, 2 * finest, 5 * finest, 10 * finest, 20 * finest):
        first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
        ticks = [float(f"{multiple * step:.12g}") for multiple in range(first, last + 1)]
        if _readable(ticks, low, high):
            break
    return ticks


def _readable(ticks: list[float], low: float, high: float) -> bool:
    """Tell whether the ticks are few enough and far enough apart."""
    if len(ticks) > _MOST_TICKS:
        return False
    gaps = np.diff(np.log(ticks)) / np.log(high / low)
    return bool(np.all(gaps >= _LEAST_GAP))


def odds_ratio_limits(
    estimates: FloatArray, low: FloatArray, high: FloatArray, *, least_factor: float = 1.15
) -> tuple[float, float, bool]:
    """Return the limits of an axis that shows all estimates, and as much of their intervals as helps.

    Parameters
    ----------
    estimates, low, high : ndarray, shape (m,)
        Log odds ratios and the ends of their intervals; what is not finite is passed over.
    least_factor : float, default 1.15
        The axis reaches at least from 1/factor to factor, so that a flat curve looks flat.

    Returns
    -------
    lower, upper : float
        Odds ratios.
    cut : bool
        True when an interval reaches beyond the limits; the figure should say so.
    """
    least = np.log(least_factor)
    finite = estimates[np.isfinite(estimates)]
    lowest, highest = min(-least, *finite), max(least, *finite)
    reach = np.log(_MOST_INTERVAL_FACTOR)
    lower = max(min(lowest, np.nanmin(low, initial=lowest)), lowest - reach)
    upper = min(max(highest, np.nanmax(high, initial=highest)), highest + reach)
    cut = bool(np.any(low < lower - 1e-12) or np.any(high > upper + 1e-12))
    margin = 0.04 * (upper - lower)
    return float(odds_ratio(lower - margin)), float(odds_ratio(upper + margin)), cut


def odds_ratio(log_odds_ratio: float | FloatArray) -> FloatArray:
    """Return exp, held inside the range of floating point, for drawing only."""
    return np.asarray(np.exp(np.clip(log_odds_ratio, -_LARGEST_LOG, _LARGEST_LOG)), dtype=np.float64)


def use_odds_ratio_ticks(axis: Axis) -> None:
    """Give a log axis ticks at readable odds ratios, printed in plain digits."""
    axis.set_major_locator(OddsRatioLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
