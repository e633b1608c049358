"""Which measurements an analysis may use; everything scaled, ignored or suspicious is counted and told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.pool.checks.cells.censored_cells import CensoredCells, flagged_rows, settle_limits
from biocal.pool.checks.columns import ColumnRoles
from biocal.pool.checks.limits import BelowLimit
from biocal.pool.checks.notices import Level, ProblemLog
from biocal.pool.checks.options import LimitOptions, PoolOptions
from biocal.pool.tables.cells import Codes, no_numbers
from biocal.pool.tables.table import TableStack

# Cubes of these, as splines take them, and products of such sums are still finite and not 0.
LARGEST, SMALLEST = 1e50, 1e-50


@dataclass(frozen=True, slots=True)
class AssayRows:
    """Arrays of shape (n,) that go together."""

    study: Codes
    set_code: NDArray[np.intp]
    is_case: NDArray[np.bool_]
    local: NDArray[np.float64]
    reference: NDArray[np.float64]


def use_measurements(
    stack: TableStack,
    roles: ColumnRoles,
    options: PoolOptions,
    study_names: tuple[str, ...],
    rows: AssayRows,
    is_reference: NDArray[np.bool_],
    log: ProblemLog,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Scale local values, hide what is not used, find the calibration subset; everything counted.

    Returns
    -------
    local_assay, reference_assay, in_calibration : ndarrays of shape (n,)
        The assays are those of ``rows`` where nothing is scaled or hidden.
    """
    local, reference = rows.local, rows.reference
    if options.scale_local:
        local = local.copy()
    for name, factor in options.scale_local.items():
        mine = rows.study == study_names.index(name)
        with np.errstate(over="ignore"):  # told below
            local[mine] *= factor
        if np.isnan(local[mine]).all():
            log.add(
                "warning",
                "nothing-to-scale",
                f"study '{name}' has no local values, so scale_local {name} = {factor:g} changes nothing; "
                "is another study meant? Reference values are never scaled",
                column=roles.local,
                study=name,
            )
    require_usable_sizes(stack, roles, local, reference, log)
    in_local_study = ~is_reference[rows.study]
    no_local, no_reference = np.isnan(local), np.isnan(reference)
    by_study = _TellByStudy(stack, study_names, rows.study, log)
    by_study(
        ~in_local_study & ~no_local,
        "note",
        "local-ignored",
        "local values in a reference study are not used",
        roles.local,
    )
    by_study(local < 0, "warning", "negative-value", "negative values, used as they are", roles.local)
    by_study(reference < 0, "warning", "negative-value", "negative values, used as they are", roles.reference)
    by_study(
        in_local_study & no_local,
        "warning",
        "without-local",
        "rows of a local study without a local value, dropped in every method",
        roles.local,
    )
    by_study(
        (rows.set_code < 0) & rows.is_case,
        "warning",
        "case-without-set",
        "cases with a blank set, which enter no outcome model",
        roles.set,
    )
    pair = in_local_study & ~no_local & ~no_reference
    by_study(
        (rows.set_code < 0) & ~pair,
        "warning",
        "unused-row",
        "rows with a blank set (for calibration only) that are no calibration pair, not used",
        roles.set,
    )
    measured_cases = in_local_study & rows.is_case & ~no_reference
    if options.calibrate_with_cases:
        words = "cases of a local study with a reference value, used as calibrators as asked"
        by_study(measured_cases, "note", "case-with-reference", words, roles.reference)
    else:
        words = (
            "cases of a local study with a reference value, which is ignored "
            "(--calibrate-with-cases uses them as calibrators)"
        )
        by_study(measured_cases, "warning", "case-with-reference", words, roles.reference)
        if measured_cases.any():
            reference = np.where(measured_cases, np.nan, reference)
    in_calibration = in_local_study & ~np.isnan(local) & ~np.isnan(reference)
    return local, reference, in_calibration


def require_usable_sizes(
    stack: TableStack,
    roles: ColumnRoles,
    local: NDArray[np.float64],
    reference: NDArray[np.float64],
    log: ProblemLog,
) -> None:
    """Note as errors values whose cubes leave what a computer holds: a slip, or a unit no laboratory has."""
    for column, values in ((roles.local, local), (roles.reference, reference)):
        with np.errstate(invalid="ignore"):
            small = (values < SMALLEST) & (values > -SMALLEST) & (values != 0)
            rows = np.flatnonzero((values > LARGEST) | (values < -LARGEST) | small)
        stack.tell_rows(
            log,
            "error",
            "beyond-arithmetic",
            rows,
            lambda k, values=values, rows=rows: (  # type: ignore[misc]
                f"{values[rows[k]]:g} is beyond what can be calculated with ({SMALLEST:g} to {LARGEST:g}, or 0); "
                "is it a slip? Otherwise change the unit"
            ),
            column=column,
        )


@dataclass(frozen=True, slots=True)
class _TellByStudy:
    """Counts marked rows by study and tells them with the first place."""

    stack: TableStack
    study_names: tuple[str, ...]
    study: Codes
    log: ProblemLog

    def __call__(self, marked: NDArray[np.bool_], level: Level, code: str, words: str, column: str) -> None:
        rows = np.flatnonzero(marked)
        for s in np.unique(self.study[rows]):
            mine = rows[self.study[rows] == s]
            name = self.study_names[s]
            place = self.stack.place(int(mine[0]))
            first = "" if mine.size == 1 else ", the first in this line"
            message = f"study '{name}': {words}: {mine.size:,}{first}"
            self.log.add(level, code, message, column=column, study=name, count=int(mine.size), **place)


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
