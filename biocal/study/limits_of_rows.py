"""Detection limits of the rows of all tables, from cells, flags and options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.study.below_limit import BelowLimit
from biocal.study.cells import no_numbers
from biocal.study.censored_cells import CensoredCells, flagged_rows, settle_limits
from biocal.study.columns import ColumnRoles
from biocal.study.limit_options import LimitOptions
from biocal.study.measurements import AssayRows
from biocal.study.notices import ProblemLog
from biocal.study.pool_options import PoolOptions
from biocal.study.table_stack import TableStack

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True)
class AssayLimits:
    """Limits of one assay; arrays of shape (n_rows,).

    Attributes
    ----------
    limit : ndarray
        Of values below it, NaN elsewhere; in the unit of the file.
    below : ndarray of bool
    stated : ndarray
        Limit that an option states for the row's study, NaN without.
    """

    limit: FloatArray
    below: BoolArray
    stated: FloatArray

    def fill(self, values: FloatArray, present: BoolArray) -> tuple[FloatArray, BoolArray]:
        """Values with the limit in the place of those below it, and where there is a value."""
        if not self.below.any():
            return values, present
        return np.where(self.below, self.limit, values), present | self.below


@dataclass(frozen=True, slots=True)
class RowLimits:
    """Limits of both assays."""

    local: AssayLimits
    reference: AssayLimits

    def of_pool(self, local: FloatArray, reference: FloatArray, factor: FloatArray) -> BelowLimit | None:
        """What the pool keeps, in its units; None when no value that is used is below its limit."""
        below_local = self.local.below & np.isfinite(local)
        below_reference = self.reference.below & np.isfinite(reference)
        if not below_local.any() and not below_reference.any():
            return None
        return BelowLimit(
            "lod",
            below_local,
            below_reference,
            np.where(below_local, self.local.limit * factor, np.nan),
            np.where(below_reference, self.reference.limit, np.nan),
        )

    def tell_measured_below(
        self,
        values: tuple[FloatArray, FloatArray],
        study_names: tuple[str, ...],
        options: PoolOptions,
        rows: AssayRows,
        log: ProblemLog,
    ) -> None:
        """Note numbers below a limit that was stated: they are used as they were measured."""
        if not (np.isfinite(self.local.stated).any() or np.isfinite(self.reference.stated).any()):
            return
        factor = factors_of_rows(options, rows.study, study_names)
        for assay, own, stated, below in (
            ("local", values[0], self.local.stated * factor, self.local.below),
            ("reference", values[1], self.reference.stated, self.reference.below),
        ):
            under = ~below & (own < stated)
            for s in np.unique(rows.study[under]):
                n = int((under & (rows.study == s)).sum())
                numbers = "values are numbers" if n > 1 else "value is a number"
                message = (
                    f"study '{study_names[s]}': {n:,} {assay} {numbers} below the detection limit that was stated; "
                    "used as measured (a flag column would have them taken by the rule)"
                )
                log.add("note", "measured-below-limit", message, study=study_names[s], count=n)


def limits_of_rows(
    stack: TableStack,
    roles: ColumnRoles,
    options: LimitOptions,
    studies: tuple[IntArray, tuple[str, ...]],
    cells: tuple[CensoredCells, CensoredCells],
    log: ProblemLog,
) -> RowLimits:
    """Find every value below its limit, and the limit.

    Parameters
    ----------
    stack : TableStack
    roles : ColumnRoles
    options : LimitOptions
    studies : tuple of ndarray (n_rows,) and tuple of str
        Study of each row (-1 unknown) and the studies' names.
    cells : pair of CensoredCells
        Of the local and the reference column.
    log : ProblemLog
        Told of values without a rule or without a limit, and of flags that cannot be read.
    """
    study, names = studies
    by_study = np.array([*(options.detection_limit.get(name, np.nan) for name in names), np.nan])
    of_local = by_study[study] if np.isfinite(by_study).any() else no_numbers(stack.n_rows)
    reference = np.float64(
        np.nan if options.reference_detection_limit is None else options.reference_detection_limit
    )
    found = []
    for column, own, flag, stated, option in (
        (roles.local, cells[0], options.local_flag, of_local, "--detection-limit STUDY=5"),
        (
            roles.reference,
            cells[1],
            options.reference_flag,
            np.broadcast_to(reference, (stack.n_rows,)),
            "--reference-detection-limit 5",
        ),
    ):
        flagged = flagged_rows(stack, flag, log)
        limit = settle_limits(
            stack, column, own, flagged, stated, rule=options.below_limit, option=option, log=log
        )
        found.append(AssayLimits(limit, own.below | flagged, stated))
    return RowLimits(found[0], found[1])


def factors_of_rows(options: PoolOptions, study: IntArray, study_names: tuple[str, ...]) -> FloatArray:
    """Factor of ``scale_local`` that applies to each row."""
    if not options.scale_local:
        return np.broadcast_to(np.float64(1.0), study.shape)
    factors = np.array([options.scale_local.get(name, 1.0) for name in study_names])
    return np.asarray(factors[study])
