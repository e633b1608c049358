"""Source tables into one checked pool: every problem is collected before anything is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.study.cells import id_text
from biocal.study.columns import ColumnRoles, did_you_mean
from biocal.study.conversion import case_status, concentrations, stacked_ids, studies, within_study
from biocal.study.covariate_frame import covariate_column
from biocal.study.notices import ProblemLog
from biocal.study.pooled import PooledStudies
from biocal.study.present_columns import check_columns
from biocal.study.repeated_rows import tell_repeated_rows
from biocal.study.source_table import InputFile, SourceTable
from biocal.study.study_kinds import AssayPresence, study_kinds
from biocal.study.table_stack import TableStack


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """What the caller decided about studies; names are ids as `id_text` spells them."""

    reference_study: frozenset[str] = frozenset()
    local_study: frozenset[str] = frozenset()
    scale_local: Mapping[str, float] = field(default_factory=dict)
    calibrate_with_cases: bool = False

    @classmethod
    def of(
        cls,
        reference_study: str | Sequence[str],
        local_study: str | Sequence[str],
        scale_local: Mapping[str, float] | None,
        calibrate_with_cases: bool,
    ) -> PoolOptions:
        """Check what can be checked without data.

        Raises
        ------
        OptionError
            A study declared both reference and local, or a factor that is not a positive number.
        """
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
        return cls(as_reference, as_local, factors, bool(calibrate_with_cases))


def _names(studies_given: str | Sequence[str]) -> frozenset[str]:
    given = [studies_given] if isinstance(studies_given, str | int | float) else studies_given
    return frozenset(id_text(str(name)) for name in given)


def assemble(
    tables: Sequence[SourceTable], roles: ColumnRoles, options: PoolOptions, log: ProblemLog | None = None
) -> PooledStudies:
    """Make the pool.

    Parameters
    ----------
    tables : sequence of SourceTable
    roles : ColumnRoles
    options : PoolOptions
    log : ProblemLog, optional
        With what was found while reading.

    Returns
    -------
    PooledStudies

    Raises
    ------
    DataProblemsError
        The data cannot be used; ``problems`` lists everything found.
    OptionError
        An option names a study that is not there (and the data themselves are fine).
    """
    log = ProblemLog() if log is None else log
    stack = TableStack.of(tables)
    check_columns(stack, roles, log)
    study, study_names = studies(stack, roles.study, log)
    set_id, set_words = stacked_ids(stack, roles.set)
    set_code, id_of_code = within_study(study, set_id, len(set_words))
    is_case = case_status(stack, roles.case, log)
    declared_rows = np.isin(study, [i for i, n in enumerate(study_names) if n in options.reference_study])
    local, has_local = concentrations(stack, roles.local, log, unneeded=declared_rows)
    reference, has_reference = concentrations(
        stack, roles.reference, log, unneeded=np.zeros(stack.n_rows, dtype=np.bool_)
    )
    presence = AssayPresence(study, has_local, has_reference)
    is_reference = np.zeros(len(study_names), dtype=np.bool_)
    if not any(problem.code == "missing-column" for problem in log.errors):
        declared = (options.reference_study, options.local_study)
        is_reference = study_kinds(stack, roles, study_names, presence, declared, log)
    if not any(problem.column == roles.study for problem in log.errors):
        _require_known_studies(options, study_names, log)
    log.require_no_errors()

    person_code, person_id, person_words = _persons(stack, roles, study)
    parts: dict[str, pd.Series[Any]] = {
        roles.study: _labelled(study, study_names),
        roles.set: _labelled(set_id, set_words),
        roles.case: pd.Series(is_case.astype(np.int64)),
        roles.local: pd.Series(local),
        roles.reference: pd.Series(reference),
    }
    if roles.person is not None:
        parts[roles.person] = _labelled(person_id, person_words)
    frame = _frame(stack, parts, log)
    measured = _use_measurements(
        stack,
        roles,
        options,
        study_names,
        _Rows(study, set_code, is_case, local.copy(), reference),
        is_reference,
        log,
    )
    local, reference, in_calibration = measured
    pool_files = tuple(InputFile(t.name, t.sha256, t.n_rows) for t in tables if t.stem is not None)
    tell_repeated_rows(stack, frame, roles, set_code, person_code, (local, reference), log)
    return PooledStudies(
        frame=frame,
        roles=roles,
        study_names=study_names,
        study=study,
        set_code=set_code,
        set_labels=tuple(set_words[i] for i in id_of_code),
        is_case=is_case,
        local_assay=local,
        reference_assay=reference,
        is_reference_study=is_reference,
        in_calibration=in_calibration,
        person_code=person_code,
        files=pool_files,
        file_index=stack.file_index() if pool_files else np.full(stack.n_rows, -1, dtype=np.intp),
        line=stack.line(),
        problems=log.require_no_errors(),
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """Arrays of shape (n,) that go together."""

    study: NDArray[np.intp]
    set_code: NDArray[np.intp]
    is_case: NDArray[np.bool_]
    local: NDArray[np.float64]
    reference: NDArray[np.float64]


def _use_measurements(
    stack: TableStack,
    roles: ColumnRoles,
    options: PoolOptions,
    study_names: tuple[str, ...],
    rows: _Rows,
    is_reference: NDArray[np.bool_],
    log: ProblemLog,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Scale local values, hide what is not used, find the calibration subset; everything counted.

    Returns
    -------
    local_assay, reference_assay, in_calibration : ndarrays of shape (n,)
    """
    local, reference = rows.local, rows.reference.copy()
    for name, factor in options.scale_local.items():
        local[rows.study == study_names.index(name)] *= factor
    in_local_study = ~is_reference[rows.study]
    by_study = _TellByStudy(stack, study_names, rows.study, log)
    by_study(
        ~in_local_study & ~np.isnan(local),
        "note",
        "local-ignored",
        "local values in a reference study are not used",
        roles.local,
    )
    by_study(local < 0, "warning", "negative-value", "negative values; used as they are", roles.local)
    by_study(reference < 0, "warning", "negative-value", "negative values; used as they are", roles.reference)
    by_study(
        in_local_study & np.isnan(local),
        "warning",
        "without-local",
        "rows of a local study without a local value; dropped in every method",
        roles.local,
    )
    by_study(
        (rows.set_code < 0) & rows.is_case,
        "warning",
        "case-without-set",
        "cases with a blank set; they enter no outcome model",
        roles.set,
    )
    measured_cases = in_local_study & rows.is_case & ~np.isnan(reference)
    if options.calibrate_with_cases:
        words = "cases of a local study with a reference value; used as calibrators, as asked"
        by_study(measured_cases, "note", "case-with-reference", words, roles.reference)
    else:
        words = (
            "cases of a local study with a reference value; the value is ignored "
            "(--calibrate-with-cases uses it as a calibrator)"
        )
        by_study(measured_cases, "warning", "case-with-reference", words, roles.reference)
        reference[measured_cases] = np.nan
    in_calibration = in_local_study & ~np.isnan(local) & ~np.isnan(reference)
    return local, reference, in_calibration


@dataclass(frozen=True, slots=True)
class _TellByStudy:
    """Counts marked rows by study and tells them with the first place."""

    stack: TableStack
    study_names: tuple[str, ...]
    study: NDArray[np.intp]
    log: ProblemLog

    def __call__(self, marked: NDArray[np.bool_], level: Any, code: str, words: str, column: str) -> None:
        rows = np.flatnonzero(marked)
        for s in np.unique(self.study[rows]):
            mine = rows[self.study[rows] == s]
            name = self.study_names[s]
            place = self.stack.place(int(mine[0]))
            first = "" if mine.size == 1 else " (first in this line)"
            message = f"study '{name}': {mine.size:,} {words}{first}"
            self.log.add(level, code, message, column=column, study=name, count=int(mine.size), **place)


def _require_known_studies(options: PoolOptions, study_names: tuple[str, ...], log: ProblemLog) -> None:
    """Raise for an option that names no study, or log it beside the data's own errors."""
    for option, names in (
        ("reference_study", options.reference_study),
        ("local_study", options.local_study),
        ("scale_local", options.scale_local),
    ):
        for name in sorted(set(names) - set(study_names)):
            shown = ", ".join(study_names[:12]) + (", ..." if len(study_names) > 12 else "")
            message = f"{option} names study '{name}', which is not in the data"
            message += (did_you_mean(name, study_names) or ";") + f" the studies are {shown}"
            if not log.errors:
                raise OptionError(message, option=option, study=name, allowed=study_names)
            log.add("error", "unknown-study", message, study=name)


def _persons(
    stack: TableStack, roles: ColumnRoles, study: NDArray[np.intp]
) -> tuple[NDArray[np.intp] | None, NDArray[np.intp], tuple[str, ...]]:
    if roles.person is None:
        return None, np.empty(0, dtype=np.intp), ()
    ids, words = stacked_ids(stack, roles.person)
    codes, _ = within_study(study, ids, len(words))
    return codes, ids, words


def _labelled(codes: NDArray[np.intp], labels: tuple[str, ...]) -> pd.Series[Any]:
    return pd.Series(pd.Categorical.from_codes(codes, list(labels)))


def _frame(stack: TableStack, parts: Mapping[str, pd.Series[Any]], log: ProblemLog) -> pd.DataFrame:
    """All columns in the order of the files; those with a part that no file has come last."""
    names = stack.column_names()
    columns = {name: parts[name] if name in parts else covariate_column(stack, name, log) for name in names}
    columns |= {name: column for name, column in parts.items() if name not in columns}
    return pd.DataFrame(columns, copy=False)
