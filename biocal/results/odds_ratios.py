"""From log odds ratios to odds ratios."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def odds_ratio(log_odds_ratio: ArrayLike) -> Any:
    """exp; what a computer cannot hold is infinite, without a warning: limits of an interval may be that far out.

    Parameters
    ----------
    log_odds_ratio : array_like, shape (...)

    Returns
    -------
    ndarray or float, shape (...)

    Examples
    --------
    >>> float(odds_ratio(800.0))
    inf
    """
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(log_odds_ratio)
