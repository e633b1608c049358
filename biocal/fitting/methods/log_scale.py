"""Exposure terms as functions of the logarithm of the exposure, for a calibration between logarithms.

There log X given (W, V) is normal, so that Gauss-Hermite nodes and category limits live on the log scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.model.exposure import Basis, CategoryBasis

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LogScaleBasis:
    """f(exp(u)) and its derivative in u.

    Attributes
    ----------
    basis : Basis
        f, of the exposure in its unit.
    """

    basis: Basis

    @property
    def kind(self) -> str:
        """Not "linear": the closed form of a normal exposure does not hold."""
        return f"{self.basis.kind} on the log scale"

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the terms."""
        return self.basis.names

    @property
    def knots(self) -> tuple[float, ...]:
        """Where the third derivative jumps."""
        return tuple(float(np.log(knot)) for knot in getattr(self.basis, "knots", ()) if knot > 0)

    def columns(self, exposure: FloatArray) -> FloatArray:
        """Columns, shape (K, n), from log exposures (n,)."""
        return self.basis.columns(np.exp(exposure))

    def slopes(self, exposure: FloatArray) -> FloatArray:
        """Derivatives with respect to the log exposure, shape (K, n)."""
        dose = np.exp(exposure)
        return np.asarray(self.basis.slopes(dose) * dose)


@dataclass(frozen=True, slots=True)
class LogScaleCategories:
    """Categories cut on the log scale.

    Attributes
    ----------
    basis : CategoryBasis
    """

    basis: CategoryBasis

    @property
    def kind(self) -> str:
        """As every basis of categories."""
        return self.basis.kind

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the categories."""
        return self.basis.names

    @property
    def cuts(self) -> tuple[float, ...]:
        """Logarithms of the cut points; one at 0 or below is below every logarithm."""
        return tuple(float(np.log(max(cut, 1e-300))) for cut in self.basis.cuts)

    @property
    def reference(self) -> int:
        """Category whose coefficient is 0."""
        return self.basis.reference

    def columns(self, exposure: FloatArray) -> FloatArray:
        """Indicators, shape (K, n), from log exposures (n,)."""
        return self.basis.columns(np.exp(exposure))

    def slopes(self, exposure: FloatArray) -> FloatArray:
        """Zeros, shape (K, n)."""
        return self.basis.slopes(np.exp(exposure))


def on_log_scale(basis: Basis) -> LogScaleBasis | LogScaleCategories:
    """The same terms as functions of the log exposure."""
    return LogScaleCategories(basis) if isinstance(basis, CategoryBasis) else LogScaleBasis(basis)
