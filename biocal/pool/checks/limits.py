"""Values below their detection limit: which they are, and the rule by which each is used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ConvergenceError, OptionError
from biocal.kernels.normal_laws import CensoredLaw, fit_censored_law
from biocal.pool.checks.notices import Problem

if TYPE_CHECKING:
    from biocal.pool.pooled import PooledStudies

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

#: What a value below its limit is taken to be, as a share of the limit; "censored" has no such share.
SHARES = {"lod": 1.0, "lod/2": 0.5, "lod/sqrt2": 1 / math.sqrt(2)}
RULES = (*SHARES, "censored")
#: Fewest different measured values for a law of its own (our choice).
_LEAST_VALUES = 10


@dataclass(frozen=True, slots=True)
class StudyLaw:
    """The law from which a study's mean value below the limit was taken."""

    study: str
    assay: str
    law: CensoredLaw
    n_controls: int


@dataclass(frozen=True, slots=True, eq=False)
class BelowLimit:
    """Which values of a pool are below their detection limit.

    Attributes
    ----------
    rule : str
        One of RULES.
    local, reference : ndarray of bool, shape (n,)
    local_limit, reference_limit : ndarray, shape (n,)
        In the units of the pool's assays (``scale_local`` applied); NaN for other rows.
    laws : tuple of StudyLaw
        Under "censored".
    """

    rule: str
    local: BoolArray
    reference: BoolArray
    local_limit: FloatArray
    reference_limit: FloatArray
    laws: tuple[StudyLaw, ...] = ()

    def take(self, rows: IntArray) -> BelowLimit:
        """The same for some rows."""
        return replace(
            self,
            local=self.local[rows],
            reference=self.reference[rows],
            local_limit=self.local_limit[rows],
            reference_limit=self.reference_limit[rows],
        )


def require_rule(rule: str) -> None:
    """Raise OptionError, listing the rules, for one that there is not."""
    if rule not in RULES:
        raise OptionError(
            f"values below the detection limit are taken as {', '.join(RULES)}, not {rule!r}", allowed=RULES
        )


def with_below_limit(pool: PooledStudies, rule: str) -> PooledStudies:
    """The pool with values below their detection limit taken by a rule.

    Parameters
    ----------
    pool : PooledStudies
    rule : {"lod", "lod/2", "lod/sqrt2", "censored"}
        The limit, a half of it, its share 1 / sqrt 2; or "censored": a local value (and a reference value of a
        reference study) becomes its mean E[W | W < limit] under a normal or lognormal law fitted to the study's
        controls by censored maximum likelihood, and a calibrator's reference value stays censored, so that the
        calibration is fitted by censored regression.

    Returns
    -------
    PooledStudies
        The same pool where no value is below its limit.

    Raises
    ------
    OptionError
        Another rule, or "censored" in a study with too few measured values for a law.

    Notes
    -----
    a + b E[W | W < limit] is E[X | W < limit] under a straight calibration whose errors do not depend on W:
    exact for the calibration's own moments, and for the other forms a good approximation as long as the
    calibration is nearly straight below the limit.  The law ignores covariates, and its parameters count as
    known in the sandwich: they rest on all controls of a study, not on its calibrators.
    """
    require_rule(rule)
    held = pool.below_limit
    if held is None:
        return pool
    laws: list[StudyLaw] = []
    in_local = ~pool.is_reference_study[pool.study]
    local = _taken(pool, rule, "local", pool.local_assay, held.local, held.local_limit, laws)
    exposures = held.reference & ~in_local
    reference = _taken(pool, rule, "reference", pool.reference_assay, exposures, held.reference_limit, laws)
    calibrators = held.reference & in_local
    share = SHARES.get(rule, 1.0)  # censored: the limit, and the regression is told
    reference = np.where(calibrators, share * held.reference_limit, reference)
    frame = pool.frame.copy()
    for column, before, after, below in (
        (pool.roles.local, pool.local_assay, local, held.local),
        (pool.roles.reference, pool.reference_assay, reference, held.reference),
    ):
        # the frame is in the unit of the file, before scale_local
        values = frame[column].to_numpy(dtype=np.float64, copy=True)
        values[below] *= after[below] / before[below]
        frame[column] = values
    changed = replace(held, rule=rule, laws=tuple(laws))
    return replace(pool, frame=frame, local_assay=local, reference_assay=reference, below_limit=changed)


def _taken(
    pool: PooledStudies,
    rule: str,
    assay: str,
    values: FloatArray,
    below: BoolArray,
    limit: FloatArray,
    laws: list[StudyLaw],
) -> FloatArray:
    """Values with those below their limit taken by the rule; appends the laws that were needed."""
    if rule in SHARES:
        return np.where(below, SHARES[rule] * limit, values)
    taken = values.copy()
    for s in np.unique(pool.study[below]):
        mine = (pool.study == s) & ~pool.is_case & np.isfinite(values)
        measured, censored = values[mine & ~below], limit[mine & below]
        name = pool.study_names[s]
        if np.unique(measured).size < _LEAST_VALUES:
            raise OptionError(
                f"study {name}: {np.unique(measured).size} different measured {assay} values in controls are too few "
                f"for a law of those below the detection limit (at least {_LEAST_VALUES}); use --below-limit lod/2",
                study=name,
            )
        try:
            law = fit_censored_law(measured, censored)
        except ConvergenceError as error:
            raise OptionError(f"study {name}: {error}; use --below-limit lod/2", study=name) from error
        laws.append(StudyLaw(name, assay, law, int(mine.sum())))
        rows = below & (pool.study == s)
        taken[rows] = law.mean_below(limit[rows])
    return taken


_WORDS = {
    "lod": "taken as the limit",
    "lod/2": "taken as half the limit",
    "lod/sqrt2": "taken as the limit over sqrt 2",
}


def below_limit_problems(pool: PooledStudies) -> Iterator[Problem]:
    """A note a study and assay: how many values are below the limit, among cases and controls, and the rule."""
    held = pool.below_limit
    if held is None:
        return
    for column, assay, below, limit, values in (
        (pool.roles.local, "local", held.local, held.local_limit, pool.local_assay),
        (pool.roles.reference, "reference", held.reference, held.reference_limit, pool.reference_assay),
    ):
        for s in np.unique(pool.study[below]):
            mine = pool.study == s
            name = pool.study_names[s]
            chosen = below & mine
            present = int((mine & np.isfinite(values)).sum())
            limits = np.unique(limit[chosen])
            shown = ", ".join(f"{one:.4g}" for one in limits[:3]) + (", ..." if limits.size > 3 else "")
            cases = int((chosen & pool.is_case).sum())
            n = int(chosen.sum())
            message = (
                f"study '{name}': {assay} values of {n:,} of {present:,} rows ({100 * n / present:.1f} %; cases "
                f"{cases:,}, controls {n - cases:,}) are below the detection limit {shown}, {_how(held, name, assay)}"
            )
            yield Problem("note", "below-limit", message, column=column, study=name, count=n)


def below_limit_notes(pool: PooledStudies, methods: Sequence[str]) -> tuple[str, ...]:
    """How many values are below their limit, study by study, and what the methods leave out."""
    told = tuple(problem.message for problem in below_limit_problems(pool))
    held = pool.below_limit
    if held is None or not told:
        return ()
    if held.rule == "censored" and held.laws:
        told += (
            "the laws of values below the limit count as known in the standard errors, and ignore covariates",
        )
        if "induced" in methods and held.local.any():
            told += (
                "induced takes the calibration's residual SD for persons below the limit too, without the spread of "
                "their local value below it",
            )
    return told


def _how(held: BelowLimit, study: str, assay: str) -> str:
    if held.rule != "censored":
        return _WORDS[held.rule]
    for one in held.laws:
        if (one.study, one.assay) == (study, assay):
            law = one.law
            of = "" if law.kind == "normal" else " of the logarithm"
            return (
                f"taken as their mean under a {law.kind} law (mean {law.mean:.3g}, SD {law.sd:.3g}{of}) fitted to "
                f"{one.n_controls:,} controls"
            )
    return "censored in the calibration"
