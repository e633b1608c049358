"""The true dose-response curve of a simulation scenario."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.rcs import spline_columns

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Truth:
    """The true dose-response curve.

    Attributes
    ----------
    type : {"rcs", "linear", "expression"}
    beta : tuple of float
        Log odds ratios per unit of each column of a spline; one for a line.
    knots : tuple of float
        Of a spline, on the reference scale.
    formula : str
        Log risk as an expression in ``x``, such as ``-0.01*x + 0.3*(x < 30)``.
    heterogeneity : float
        SD between studies of what `heterogeneity_of` names; drawn anew in every replicate.
    heterogeneity_of : {"multiplier", "slope"}
        A study's curve is (1 + d) times the true one, or the true one plus d times the exposure.
    """

    type: str
    beta: tuple[float, ...] = ()
    knots: tuple[float, ...] = ()
    formula: str = ""
    heterogeneity: float = 0.0
    heterogeneity_of: str = "multiplier"

    def __post_init__(self) -> None:
        # Lists of a Python caller become tuples, so that the record can be hashed.
        object.__setattr__(self, "beta", tuple(self.beta))
        object.__setattr__(self, "knots", tuple(self.knots))

    def log_risk(self, exposure: FloatArray) -> FloatArray:
        """Log risk up to a constant, of the average study.

        Parameters
        ----------
        exposure : ndarray, shape (n,)
            In the unit of the exposure.

        Returns
        -------
        ndarray, shape (n,)
        """
        values = np.asarray(exposure, dtype=float)
        if self.type == "linear":
            return self.beta[0] * values
        if self.type == "rcs":
            risk: FloatArray = np.asarray(self.beta) @ spline_columns(values, self.knots)
            return risk
        from biocal.simulation.truth_formula import evaluate_formula

        return evaluate_formula(self.formula, values)
