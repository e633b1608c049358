"""What the caller decided about values below the detection limit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from biocal.errors import OptionError
from biocal.study.below_limit import require_rule
from biocal.study.cells import id_text
from biocal.study.spelling import one_spelling


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """Limits, the rule, and columns that flag values below them.

    Attributes
    ----------
    detection_limit : mapping of study to limit
        Of the local laboratories, in the unit of the file (before ``scale_local``).
    reference_detection_limit : float or None
    below_limit : str or None
        One of :data:`biocal.study.below_limit.RULES`.
    local_flag, reference_flag : str or None
        Columns with 1 where the local (reference) value is below its limit.
    """

    detection_limit: Mapping[str, float] = field(default_factory=dict)
    reference_detection_limit: float | None = None
    below_limit: str | None = None
    local_flag: str | None = None
    reference_flag: str | None = None

    @classmethod
    def of(
        cls,
        detection_limit: Mapping[str, float] | None,
        reference_detection_limit: float | None,
        below_limit: str | None,
        local_flag: str | None,
        reference_flag: str | None,
    ) -> LimitOptions:
        """Check what can be checked without data.

        Raises
        ------
        OptionError
            A limit that is not a positive number, or a rule that there is not.
        """
        if below_limit is not None:
            require_rule(below_limit)
        limits = {
            id_text(str(study)): _positive(limit, f"detection_limit of study '{study}'")
            for study, limit in (detection_limit or {}).items()
        }
        own = reference_detection_limit
        if own is not None:
            own = _positive(own, "reference_detection_limit")
        flags = [flag if flag is None else one_spelling(flag) for flag in (local_flag, reference_flag)]
        return cls(limits, own, below_limit, *flags)


def _positive(value: float, what: str) -> float:
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not (math.isfinite(value) and value > 0):
        raise OptionError(f"{what} must be a number above 0, not {value!r}")
    return float(value)
