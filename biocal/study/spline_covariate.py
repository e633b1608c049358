"""`rcs()` for covariate formulas: a patsy transform that keeps the knots it was built with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from patsy import stateful_transform

from biocal.errors import FormulaError
from biocal.kernels.rcs import default_probabilities, quantile_knots, require_knots, spline_columns


class RestrictedCubicSpline:
    """Restricted cubic spline columns of a covariate (see `biocal.kernels.rcs`).

    Called in formulas as ``rcs(x, 4)`` (number of knots, at Harrell's quantiles) or
    ``rcs(x, knots=[20, 25, 30])`` (their places, in the unit of x).
    """

    def __init__(self) -> None:
        self._parts: list[NDArray[np.float64]] = []
        self._knots: NDArray[np.float64] | None = None

    def memorize_chunk(self, x: Any, knots: int | Sequence[float] = 4) -> None:
        """Collect values (patsy passes the data in chunks)."""
        self._parts.append(_numeric(x))
        if not isinstance(knots, int):
            self._knots = require_knots([float(knot) for knot in knots])
        self._n_knots = knots

    def memorize_finish(self) -> None:
        """Place the knots."""
        if self._knots is None:
            assert isinstance(self._n_knots, int)
            self._knots = quantile_knots(np.concatenate(self._parts), default_probabilities(self._n_knots))
        self._parts = []

    def transform(self, x: Any, knots: int | Sequence[float] = 4) -> NDArray[np.float64]:
        """Return the columns, shape (n, K - 1)."""
        assert self._knots is not None
        return np.ascontiguousarray(spline_columns(_numeric(x), self._knots).T)


def _numeric(x: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as failure:
        raise FormulaError("rcs() needs a numeric column", name="rcs") from failure


rcs = stateful_transform(RestrictedCubicSpline)
