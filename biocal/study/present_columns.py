"""Whether the columns that are needed are there, and what a missing one may have been called."""

from __future__ import annotations

from biocal.study.cells import as_ids
from biocal.study.columns import DEFAULT_PERSON, ColumnRoles, columns_there, near_names, same_but_for_spelling
from biocal.study.notices import ProblemLog
from biocal.study.source_table import SourceTable
from biocal.study.table_stack import TableStack

_DEFAULTS = ColumnRoles()


def check_columns(stack: TableStack, roles: ColumnRoles, log: ProblemLog) -> None:
    """Record missing columns.

    Set and case (and person, under another than its default name) must be in every file.  Study,
    local and reference may be absent where they are not needed; a column that differs from them only
    in spelling is then told, and a name that the caller chose himself must be in some file.
    """
    everywhere = [roles.set, roles.case]
    if roles.person is not None and roles.person != DEFAULT_PERSON:
        everywhere.append(roles.person)
    for table in stack.tables:
        for column in everywhere:
            if column not in table.columns:
                _tell_missing(table, column, roles, log)
        if roles.study not in table.columns and table.stem is None:
            _tell_missing(table, roles.study, roles, log)
    for part in ("study", "local", "reference"):
        column = getattr(roles, part)
        without = [table for table in stack.tables if column not in table.columns]
        chosen = column != getattr(_DEFAULTS, part)
        if chosen and len(without) == len(stack.tables):
            for table in without:
                _tell_missing(table, column, roles, log)
        else:
            for table in without:
                _tell_misspelt(table, part, column, roles, log)


def _free(table: SourceTable, roles: ColumnRoles) -> list[str]:
    """Columns that have no part yet."""
    return [name for name in table.columns if name not in roles.named]


def _tell_missing(table: SourceTable, column: str, roles: ColumnRoles, log: ProblemLog) -> None:
    names = _free(table, roles) or list(table.columns)
    message = f"there is no such column{columns_there(column, names)}"
    log.add("error", "missing-column", message, file=table.name or None, line=None, column=column)


def _tell_misspelt(table: SourceTable, part: str, column: str, roles: ColumnRoles, log: ProblemLog) -> None:
    for name in near_names(column, _free(table, roles)):
        if same_but_for_spelling(column, name):
            message = f"there is no such column, but there is '{name}'; --{part} '{name}' would use it"
            log.add("warning", "near-column", message, file=table.name or None, column=column)


#: Names under which biocal, R's mice and Stata's mi number completed data sets.
_IMPUTATION_NUMBERS = ("_imputation", ".imp", "_mi_m")


def refuse_stacked_imputations(stack: TableStack, roles: ColumnRoles, log: ProblemLog) -> None:
    """Record a column that numbers several completed data sets, which would be taken for so many persons more."""
    for column in _IMPUTATION_NUMBERS:
        if column in roles.named:
            continue
        numbers: set[str] = set()
        for table in stack.tables:
            if column in table.columns:
                numbers |= set(as_ids(table.columns[column]).words)
        if len(numbers) > 1:
            message = (
                f"numbers {len(numbers)} data sets one below the other, as multiple imputation makes them; fit them "
                f"with --imputation {column} (biocal.read_imputations in Python), or keep the rows of one"
            )
            log.add("error", "stacked-imputations", message, column=column)
