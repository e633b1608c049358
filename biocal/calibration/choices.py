"""What a user may choose of the calibration model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from biocal.errors import OptionError

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
