"""Source tables into one checked pool: every problem is collected before anything is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.pool.checks.cells.conversion import (
    case_status,
    concentrations,
    stacked_ids,
    studies,
    within_study,
)
from biocal.pool.checks.cells.missing_codes import tell_missing_codes
from biocal.pool.checks.columns import DEFAULT_PERSON, ColumnRoles, check_columns, refuse_stacked_imputations
from biocal.pool.checks.limits import below_limit_problems, with_below_limit
from biocal.pool.checks.notices import ProblemLog, counted
from biocal.pool.checks.options import PoolOptions, require_known_studies
from biocal.pool.checks.repeated_blocks import tell_repeated_blocks
from biocal.pool.checks.repeated_rows import repeated_rows, tell_shared_persons
from biocal.pool.checks.rows import AssayRows, factors_of_rows, limits_of_rows, use_measurements
from biocal.pool.checks.studies import AssayPresence, study_kinds
from biocal.pool.formulas.frame import NumberBlock, covariate_column
from biocal.pool.pool_rows import take_rows
from biocal.pool.pooled import PooledStudies
from biocal.pool.tables.cells import Codes
from biocal.pool.tables.table import InputFile, SourceTable, TableStack


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
    if roles.person == DEFAULT_PERSON and DEFAULT_PERSON not in stack.column_names():
        roles = replace(roles, person=None)
    check_columns(stack, roles, log)
    refuse_stacked_imputations(stack, roles, log)
    if stack.n_rows == 0:
        log.add("error", "header-only", "there are no data rows")
        log.require_no_errors()
    study, study_names = studies(stack, roles.study, log)
    set_id, set_words = stacked_ids(stack, roles.set, log)
    set_code, id_of_code = within_study(study, set_id, len(set_words))
    is_case = case_status(stack, roles.case, log)
    declared_rows = np.isin(study, [i for i, n in enumerate(study_names) if n in options.reference_study])
    local, has_local, local_cells = concentrations(stack, roles.local, log, unneeded=declared_rows)
    reference, has_reference, reference_cells = concentrations(
        stack, roles.reference, log, unneeded=np.zeros(stack.n_rows, dtype=np.bool_)
    )
    limits = limits_of_rows(
        stack, roles, options.limits, (study, study_names), (local_cells, reference_cells), log
    )
    local, has_local = limits.local.fill(local, has_local)
    reference, has_reference = limits.reference.fill(reference, has_reference)
    for column in (roles.study, roles.set, roles.case, roles.local, roles.reference):
        stack.release(column)
    presence = AssayPresence(study, has_local, has_reference)
    is_reference = np.zeros(len(study_names), dtype=np.bool_)
    assays = (roles.study, roles.local, roles.reference)
    if not any(problem.code == "missing-column" and problem.column in assays for problem in log.errors):
        declared = (options.reference_study, options.local_study)
        is_reference = study_kinds(stack, roles, study_names, presence, declared, log, options.settled)
    if not any(problem.column == roles.study for problem in log.errors):
        require_known_studies(options, study_names, log)
    log.require_no_errors()

    person_code, person_id, person_words = _persons(stack, roles, study, log)
    log.require_no_errors()
    if roles.person is not None:
        stack.release(roles.person)
    if person_code is not None and (person_code < 0).any():
        n_blank = int((person_code < 0).sum())
        message = f"{counted(n_blank, 'row')} with a blank person; each counts as a person of its own"
        log.add("note", "person-blank", message, column=roles.person, count=n_blank)
    if person_code is not None:
        tell_shared_persons(roles, set_code, person_code, log)
    parts: dict[str, pd.Series[Any]] = {
        roles.study: _labelled(study, study_names),
        roles.set: _labelled(set_id, set_words),
        roles.case: pd.Series(is_case.astype(np.int64)),
        roles.local: pd.Series(local, copy=False),
        roles.reference: pd.Series(reference, copy=False),
    }
    if roles.person is not None:
        parts[roles.person] = _labelled(person_id, person_words)
    frame = _frame(stack, parts, log)
    # before local values are scaled: a code is as the file has it
    ids = {roles.study, roles.set, roles.case, roles.person}
    tell_missing_codes(stack, {name: frame[name] for name in frame.columns if name not in ids}, study, log)
    rows = AssayRows(study, set_code, is_case, local, reference)
    local, reference, in_calibration = use_measurements(
        stack, roles, options, study_names, rows, is_reference, log
    )
    pool_files = tuple(InputFile(t.name, t.sha256, t.n_rows) for t in tables if t.stem is not None)
    doubled = repeated_rows(
        stack, frame, roles, (set_code, study, person_code), (local, reference), options.duplicates, log
    )
    tell_repeated_blocks(stack, roles, study_names, (study, set_code, is_case), (local, reference), log)
    limits.tell_measured_below((local, reference), study_names, options, rows, log)
    pool = PooledStudies(
        frame=frame,
        roles=roles,
        study_names=study_names,
        study=study.astype(np.intp),
        set_code=set_code,
        set_labels=tuple(map(set_words.__getitem__, id_of_code.tolist())),
        is_case=is_case,
        local_assay=local,
        reference_assay=reference,
        is_reference_study=is_reference,
        in_calibration=in_calibration,
        person_code=person_code,
        files=pool_files,
        file_index=stack.file_index() if pool_files else np.broadcast_to(np.int32(-1), (stack.n_rows,)),
        line=stack.line(),
        problems=log.require_no_errors(),
        below_limit=limits.of_pool(local, reference, factors_of_rows(options, study, study_names)),
    )
    if doubled.size:
        kept = np.ones(pool.n_rows, dtype=np.bool_)
        kept[doubled] = False
        pool = take_rows(pool, np.flatnonzero(kept))
    if pool.below_limit is None or options.limits.below_limit is None:
        return pool
    pool = with_below_limit(pool, options.limits.below_limit)
    return replace(pool, problems=(*pool.problems, *below_limit_problems(pool)))


def _persons(
    stack: TableStack, roles: ColumnRoles, study: Codes, log: ProblemLog
) -> tuple[NDArray[np.intp] | None, Codes, tuple[str, ...]]:
    if roles.person is None:
        return None, np.empty(0, dtype=np.int32), ()
    ids, words = stacked_ids(stack, roles.person, log)
    codes, _ = within_study(study, ids, len(words))
    return codes, ids, words


def _labelled(codes: Codes, labels: tuple[str, ...]) -> pd.Series[Any]:
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(list(labels), dtype=object)))


def _frame(stack: TableStack, parts: Mapping[str, pd.Series[Any]], log: ProblemLog) -> pd.DataFrame:
    """All columns in the order of the files; those with a part that no file has come last."""
    names = stack.column_names()
    block = NumberBlock(sum(name not in parts for name in names), stack.n_rows)
    columns: dict[str, pd.Series[Any]] = {}
    for name in names:
        columns[name] = parts[name] if name in parts else block.place(covariate_column(stack, name, log))
        stack.release(name)
    columns |= {name: column for name, column in parts.items() if name not in columns}
    return pd.DataFrame(columns, copy=False)
