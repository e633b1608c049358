"""Which studies were measured at the reference laboratory, and whether the others can be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.study.columns import ColumnRoles, near_names
from biocal.study.notices import ProblemLog
from biocal.study.table_stack import TableStack


@dataclass(frozen=True, slots=True)
class AssayPresence:
    """Where each assay's cells hold something, with the study of every row; arrays of shape (n_rows,)."""

    study: NDArray[np.intp]
    local: NDArray[np.bool_]
    reference: NDArray[np.bool_]


def study_kinds(
    stack: TableStack,
    roles: ColumnRoles,
    study_names: tuple[str, ...],
    presence: AssayPresence,
    declared: tuple[frozenset[str], frozenset[str]],
    log: ProblemLog,
) -> NDArray[np.bool_]:
    """Decide for each study whether it is a reference study.

    Parameters
    ----------
    declared : pair of frozenset of str
        Studies that the caller declared to be reference studies, and to be local ones.
    log : ProblemLog
        Told of studies that cannot be either, or could be both.

    Returns
    -------
    ndarray of bool, shape (n_studies,)

    Notes
    -----
    Undeclared: reference values for all rows and local values for none make a reference study;
    reference values for all and local values for some or all are refused, because both readings are
    possible; every other study is local.
    """
    n_studies = len(study_names)
    known = presence.study >= 0
    n_rows = np.bincount(presence.study[known], minlength=n_studies)
    n_local = np.bincount(presence.study[known & presence.local], minlength=n_studies)
    n_reference = np.bincount(presence.study[known & presence.reference], minlength=n_studies)
    declared_reference, declared_local = declared
    is_reference = np.zeros(n_studies, dtype=np.bool_)
    for s, name in enumerate(study_names):
        counts = (int(n_rows[s]), int(n_local[s]), int(n_reference[s]))
        if counts[1] == 0 and counts[2] == 0:
            log.add(
                "error", "no-measurements", _nothing_measured(stack, roles, presence, s, name), study=name
            )
        elif name in declared_reference:
            is_reference[s] = True
            _require_all_reference(stack, roles, presence, s, name, log)
        elif name in declared_local:
            if counts[1] == 0:
                message = f"study '{name}' is declared local but has no local values (column '{roles.local}')"
                log.add("error", "local-study-without-local", message, study=name, column=roles.local)
        else:
            is_reference[s] = _undeclared_kind(roles, name, counts, log, stack, presence, s)
    return is_reference


def _undeclared_kind(
    roles: ColumnRoles,
    name: str,
    counts: tuple[int, int, int],
    log: ProblemLog,
    stack: TableStack,
    presence: AssayPresence,
    s: int,
) -> bool:
    n_rows, n_local, n_reference = counts
    if n_reference == n_rows and n_local == 0:
        return True
    if n_reference == n_rows:
        message = (
            f"study '{name}' has reference values for all its {n_rows:,} rows and local values for {n_local:,}; "
            f"say which it is: --reference-study {_quoted(name)} (use the reference values) or "
            f"--local-study {_quoted(name)} (calibrate its local values)"
        )
        log.add("error", "kind-undecided", message, study=name, count=n_local)
    elif n_local == 0:
        _require_all_reference(stack, roles, presence, s, name, log)
    return False


def _require_all_reference(
    stack: TableStack, roles: ColumnRoles, presence: AssayPresence, s: int, name: str, log: ProblemLog
) -> None:
    """Tell the rows of a reference study that have no reference value."""
    absent = np.flatnonzero((presence.study == s) & ~presence.reference)
    message = (
        f"no reference value, but study '{name}' is a reference study: all its rows need one; "
        "leave out persons who were not measured"
    )
    stack.tell_rows(
        log, "error", "reference-missing", absent, lambda _: message, column=roles.reference, study=name
    )


def _nothing_measured(
    stack: TableStack, roles: ColumnRoles, presence: AssayPresence, s: int, name: str
) -> str:
    """Say that a study has no measurements, and whether a column may be misnamed."""
    holders = np.unique(stack.table_of(np.flatnonzero(presence.study == s)))
    columns = list(dict.fromkeys(column for i in holders for column in stack.tables[i].columns))
    message = f"study '{name}' has neither local nor reference values"
    absent = [column for column in (roles.local, roles.reference) if column not in columns]
    if absent:
        message += f"; there is no column {' and none '.join(repr(column) for column in absent)}"
    free = [column for column in columns if column not in roles.named]
    near = dict.fromkeys(name for column in absent for name in near_names(column, free))
    if near:
        message += f", but there is {' and '.join(repr(column) for column in near)}"
    return message


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name
