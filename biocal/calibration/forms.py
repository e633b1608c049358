"""How the calibrated mean depends on the local value: a line, a line between logarithms, or a spline.

Every form stays linear in its parameters, so that one least-squares fit, one set of scores and one bread
serve all of them; only the columns made from W differ, and between logarithms the way back to the unit of
the reference laboratory, ``E[X | W] = exp(mu + sigma^2 / 2)``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from biocal.calibration.choices import FormKind
from biocal.kernels.rcs import spline_columns

if TYPE_CHECKING:
    from biocal.calibration.rows import CalibrationRows

FloatArray = NDArray[np.float64]

FORMS: tuple[str, ...] = get_args(FormKind)


@dataclass(frozen=True, slots=True)
class CalibrationForm:
    """A form with what it learned from data.

    Attributes
    ----------
    kind : {"linear", "log-log", "rcs"}
    knots : tuple of tuple of float, length L
        Knots of each local study in its local unit; empty unless the form is "rcs".
    """

    kind: FormKind = "linear"
    knots: tuple[tuple[float, ...], ...] = ()

    @property
    def logarithmic(self) -> bool:
        """Whether the model holds between logarithms."""
        return self.kind == "log-log"

    @property
    def n_own(self) -> int:
        """Columns made from 1 and W, whose coefficients are each study's own."""
        return len(self.knots[0]) if self.knots else 2

    def columns(self, rows: CalibrationRows) -> CalibrationRows:
        """Rows with the form's columns of W in the place of W.

        Parameters
        ----------
        rows : CalibrationRows
            Columns 1, W and the covariates, W in the local unit.
        """
        if self.kind == "linear":
            return rows
        if self.kind == "log-log":
            changed = rows.columns.copy()
            changed[1] = np.log(changed[1])
            return replace(rows, columns=changed)
        bent = np.full((self.n_own - 2, rows.study.size), np.nan)
        for s, knots in enumerate(self.knots):
            mine = rows.study == s
            bent[:, mine] = spline_columns(rows.columns[1, mine], knots)[1:]
        return replace(rows, columns=np.concatenate([rows.columns[:2], bent, rows.columns[2:]]))

    def response(self, reference_assay: FloatArray) -> FloatArray:
        """Reference values as the model sees them."""
        return np.log(reference_assay) if self.logarithmic else reference_assay

    def of_study(self, study: int) -> CalibrationForm:
        """The form of one local study alone."""
        return replace(self, knots=(self.knots[study],)) if self.knots else self

    def own_terms(self, local: str) -> tuple[str, ...]:
        """Names of the columns beyond 1 and W: local', local'', ..."""
        return tuple(local + "'" * j for j in range(1, self.n_own - 1))


LINEAR_FORM = CalibrationForm()
