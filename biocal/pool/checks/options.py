"""What the caller decides about studies: their kind and the unit of their local values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from biocal.errors import OptionError
from biocal.pool.checks.columns import did_you_mean
from biocal.pool.checks.limits import require_rule
from biocal.pool.checks.notices import ProblemLog
from biocal.pool.tables.cells import id_text
from biocal.pool.tables.spelling import one_spelling


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """Limits, the rule, and columns that flag values below them.

    Attributes
    ----------
    detection_limit : mapping of study to limit
        Of the local laboratories, in the unit of the file (before ``scale_local``).
    reference_detection_limit : float or None
    below_limit : str or None
        One of :data:`biocal.pool.checks.limits.RULES`.
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


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """What the caller decided about studies; names are ids as `id_text` spells them.

    `settled` holds the reference studies when the pool is a part of a larger one, which decided; None otherwise.
    """

    reference_study: frozenset[str] = frozenset()
    local_study: frozenset[str] = frozenset()
    scale_local: Mapping[str, float] = field(default_factory=dict)
    calibrate_with_cases: bool = False
    limits: LimitOptions = field(default_factory=LimitOptions)
    settled: frozenset[str] | None = None
    duplicates: str = "refuse"

    @classmethod
    def of(
        cls,
        reference_study: str | Sequence[str],
        local_study: str | Sequence[str],
        scale_local: Mapping[str, float] | None,
        calibrate_with_cases: bool,
        limits: LimitOptions | None = None,
        duplicates: str = "refuse",
    ) -> PoolOptions:
        """Check what can be checked without data.

        Raises
        ------
        OptionError
            A study declared both reference and local, or a factor that is not a positive number.
        """
        if duplicates not in ("refuse", "first"):
            raise OptionError(
                f"duplicates is 'refuse' or 'first', not {duplicates!r}", allowed=("refuse", "first")
            )
        as_reference, as_local = _names(reference_study), _names(local_study)
        both = sorted(as_reference & as_local)
        if both:
            raise OptionError(
                f"declared both reference and local: {', '.join(both)}; choose one", studies=both
            )
        factors: dict[str, float] = {}
        for name, factor in (scale_local or {}).items():
            if isinstance(factor, bool) or not isinstance(factor, int | float | np.integer | np.floating):
                raise OptionError(
                    f"scale_local of study '{name}' must be a number, not {factor!r}", study=name
                )
            if not (math.isfinite(factor) and factor > 0):
                message = f"scale_local of study '{name}' must be finite and above 0, not {factor}"
                raise OptionError(message, study=name)
            factors[id_text(str(name))] = float(factor)
        return cls(
            as_reference,
            as_local,
            factors,
            bool(calibrate_with_cases),
            limits or LimitOptions(),
            None,
            duplicates,
        )


def options_of_part(
    options: PoolOptions, present: frozenset[str], reference_studies: frozenset[str]
) -> PoolOptions:
    """The options for a part of a pool: for the studies that it holds, their kinds as the whole pool decided.

    Parameters
    ----------
    options : PoolOptions
    present : frozenset of str
        Studies of the part.
    reference_studies : frozenset of str
        Of the whole pool.
    """
    return replace(
        options,
        reference_study=options.reference_study & present,
        local_study=options.local_study & present,
        scale_local={name: factor for name, factor in options.scale_local.items() if name in present},
        settled=reference_studies & present,
    )


def _names(studies_given: str | Sequence[str]) -> frozenset[str]:
    given = [studies_given] if isinstance(studies_given, str | int | float) else studies_given
    return frozenset(id_text(str(name)) for name in given)


def require_known_studies(options: PoolOptions, study_names: tuple[str, ...], log: ProblemLog) -> None:
    """Raise for an option that names no study, or log it beside the data's own errors."""
    for option, names in (
        ("reference_study", options.reference_study),
        ("local_study", options.local_study),
        ("scale_local", options.scale_local),
        ("detection_limit", options.limits.detection_limit),
    ):
        for name in sorted(set(names) - set(study_names)):
            shown = ", ".join(study_names[:12]) + (", ..." if len(study_names) > 12 else "")
            message = f"{option} names study '{name}', which is not in the data"
            message += (did_you_mean(name, study_names) or ";") + f" the studies are {shown}"
            if not log.errors:
                raise OptionError(message, option=option, study=name, allowed=study_names)
            log.add("error", "unknown-study", message, study=name)
