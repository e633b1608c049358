"""What is told of covariates that are missing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.pool.checks.notices import counted
from biocal.pool.formulas.missing_indicator import MISSING_RULES
from biocal.pool.matched_sets import OutcomeRows
from biocal.pool.pooled import PooledStudies

_BIAS = (
    "missing indicators keep matched sets, but persons without the value are not adjusted for it: the odds ratio is "
    "biased where the covariate confounds, even when values are missing at random; compare with complete cases or "
    "multiple imputation"
)


def missing_rule(missing: str) -> str:
    """Return the rule; raise OptionError for one that does not exist."""
    if missing not in MISSING_RULES:
        raise OptionError(
            f"missing covariates are treated as {' or '.join(MISSING_RULES)}, not {missing!r}",
            allowed=MISSING_RULES,
        )
    return missing


def filled_notes(
    pool: PooledStudies, chosen: OutcomeRows, filled: Mapping[str, tuple[NDArray[np.bool_], str]]
) -> tuple[str, ...]:
    """Say by variable and study how many values of the outcome model were filled, and with what."""
    notes = []
    for name, (gaps, words) in filled.items():
        lost = np.bincount(chosen.study[gaps[chosen.rows]], minlength=pool.n_studies)
        if lost.any():
            studies = ", ".join(f"{s} {n:,}" for s, n in zip(pool.study_names, lost, strict=True) if n)
            notes.append(
                f"{name} is missing in {counted(int(lost.sum()), 'row')} of the outcome model ({studies}): filled with "
                f"{words}"
            )
    return (*notes, _BIAS) if notes else ()
