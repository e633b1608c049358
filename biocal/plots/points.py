"""Which points of a large cloud are drawn: so many that it looks the same, and every outlier."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Most points of a panel (our choice): more overlap at a journal's width, and make files of many megabytes.
MOST_POINTS = 4_000


def shown_points(across: FloatArray, off: FloatArray) -> npt.NDArray[np.intp]:
    """Positions of the points to draw, in order.

    All up to `MOST_POINTS`.  Of more, a tenth of that number are those farthest off, and the others are spread
    evenly over the order of the values across, both ends among them.

    Parameters
    ----------
    across : ndarray, shape (n,)
        Where the points stand across.
    off : ndarray, shape (n,)
        How far they lie from the line.

    Returns
    -------
    ndarray of int, shape (m,)
    """
    n = across.size
    if n <= MOST_POINTS:
        return np.arange(n)
    outermost = MOST_POINTS // 10
    far = np.argpartition(-np.abs(off), outermost)[:outermost]
    places = np.linspace(0, n - 1, MOST_POINTS - outermost).round().astype(np.intp)
    return np.union1d(far, np.argsort(across, kind="stable")[places])


def drawn_words(n: int, drawn: int) -> str:
    """What is said of points that are not drawn; nothing where all are."""
    return f" ({drawn:,} drawn)" if drawn < n else ""
