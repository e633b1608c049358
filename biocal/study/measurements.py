"""Which measurements an analysis may use; everything scaled, ignored or suspicious is counted and told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.study.cells import Codes
from biocal.study.columns import ColumnRoles
from biocal.study.notices import Level, ProblemLog
from biocal.study.pool_options import PoolOptions
from biocal.study.table_stack import TableStack

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
