"""How the calibrated mean depends on the local value: a line, a line between logarithms, or a spline.

Every form stays linear in its parameters, so that one least-squares fit, one set of scores and one bread
serve all of them; only the columns made from W differ, and between logarithms the way back to the unit of
the reference laboratory, ``E[X | W] = exp(mu + sigma^2 / 2)``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.kernels.splines import spline_columns

if TYPE_CHECKING:
    from biocal.model.calibration.rows import CalibrationRows


#: "linear": X on W.  "log-log": log X on log W.  "rcs": X on a restricted cubic spline of W.
FormKind = Literal["linear", "log-log", "rcs"]
#: "least-squares", or Huber's M-estimate with his proposal 2 for the scale, for gross errors.
Estimator = Literal["least-squares", "huber"]

#: Knots that a calibration subset can carry: 3 bend the line once or twice, 4 need some 50 pairs (our choice).
KNOTS = (3, 4)


@dataclass(frozen=True, slots=True)
class CalibrationModel:
    """Form and estimator.

    Attributes
    ----------
    form : {"linear", "log-log", "rcs"}
    estimator : {"least-squares", "huber"}
    knots : int
        Of "rcs", 3 or 4, at Harrell's quantiles of each study's calibrated local values.
    """

    form: FormKind = "linear"
    estimator: Estimator = "least-squares"
    knots: int = 3

    @classmethod
    def of(cls, form: str, estimator: str, knots: int | None = None) -> CalibrationModel:
        """Check what a user asked for.

        Raises
        ------
        OptionError
            A form, estimator or number of knots that there is not, or knots without a spline.
        """
        _require("form", form, get_args(FormKind))
        _require("estimator", estimator, get_args(Estimator))
        if knots is not None and form != "rcs":
            raise OptionError(
                f"calibration knots belong to the calibration form rcs, and the form is {form}",
                calibration_knots=knots,
            )
        if knots is not None and (isinstance(knots, bool) or knots not in KNOTS):
            raise OptionError(
                f"a calibration spline has 3 or 4 knots, not {knots!r}: calibration subsets carry no more",
                allowed=KNOTS,
            )
        chosen: dict[str, Any] = {
            "form": form,
            "estimator": estimator,
            "knots": 3 if knots is None else knots,
        }
        return cls(**chosen)


LINEAR_LEAST_SQUARES = CalibrationModel()


def _require(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise OptionError(
            f"the calibration {what} is one of {', '.join(allowed)}, not {value!r}", allowed=allowed
        )


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
