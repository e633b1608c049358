"""Choices of `fit` that are words: checked, and turned into what estimators take."""

from __future__ import annotations

from biocal.errors import OptionError
from biocal.fitting.methods.estimate import EstimationOptions


def wants_leverage_scores(calibration_variance: str) -> bool:
    """Whether the calibration block of the sandwich is HC3-like; raises OptionError for an unknown word."""
    if calibration_variance not in ("robust", "hc3"):
        raise OptionError(
            f"the calibration variance is robust or hc3, not {calibration_variance!r}",
            allowed=("robust", "hc3"),
        )
    return calibration_variance == "hc3"


def estimation_options(residual_law: str) -> EstimationOptions:
    """Choices of single methods; raises OptionError for an unknown residual law."""
    if residual_law not in ("normal", "smearing"):
        raise OptionError(
            f"the residual law is normal or smearing, not {residual_law!r}", allowed=("normal", "smearing")
        )
    return EstimationOptions(residual_law="normal" if residual_law == "normal" else "smearing")
