"""Which studies were measured at the reference laboratory, and whether the others can be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from biocal.pool.checks.columns import ColumnRoles, near_names
from biocal.pool.checks.notices import ProblemLog
from biocal.pool.tables.cells import Codes
from biocal.pool.tables.table import TableStack


@dataclass(frozen=True, slots=True)
class AssayPresence:
    """Where each assay's cells hold something, with the study of every row; arrays of shape (n_rows,)."""

    study: Codes
    local: NDArray[np.bool_]
    reference: NDArray[np.bool_]


def study_kinds(
    stack: TableStack,
    roles: ColumnRoles,
    study_names: tuple[str, ...],
    presence: AssayPresence,
    declared: tuple[frozenset[str], frozenset[str]],
    log: ProblemLog,
    settled: frozenset[str] | None = None,
) -> NDArray[np.bool_]:
    """Decide for each study whether it is a reference study.

    Parameters
    ----------
    declared : pair of frozenset of str
        Studies that the caller declared to be reference studies, and to be local ones.
    log : ProblemLog
        Told of studies that cannot be either, or could be both.
    settled : frozenset of str, optional
        Reference studies, when that was decided from more rows than these.

    Returns
    -------
    ndarray of bool, shape (n_studies,)

    Notes
    -----
    Undeclared: reference values for all rows and local values for none make a reference study;
    reference values for all and local values for some or all are refused, because both readings are
    possible; every other study is local.
    """
    judge = _KindJudge(stack, roles, presence, log)
    n_studies = len(study_names)
    known = presence.study >= 0
    n_rows = np.bincount(presence.study[known], minlength=n_studies)
    n_local = np.bincount(presence.study[known & presence.local], minlength=n_studies)
    n_reference = np.bincount(presence.study[known & presence.reference], minlength=n_studies)
    is_reference = np.zeros(n_studies, dtype=np.bool_)
    for s, name in enumerate(study_names):
        if settled is not None:
            kind: Kind = "reference" if name in settled else "local"
        else:
            kind = judged_kind(name, (int(n_rows[s]), int(n_local[s]), int(n_reference[s])), declared)
        is_reference[s] = kind == "reference"
        if kind == "reference":
            judge.require_all_reference(s, name)
        elif kind == "unmeasured":
            judge.tell_unmeasured(s, name)
        elif kind == "without-local":
            judge.tell(s, name, "local-study-without-local", without_local_words(name), roles.local)
        elif kind == "undecided":
            judge.tell(s, name, "kind-undecided", undecided_words(name, int(n_rows[s]), int(n_local[s])))
    return is_reference


Kind = Literal["reference", "local", "unmeasured", "without-local", "undecided"]


def judged_kind(
    name: str, counts: tuple[int, int, int], declared: tuple[frozenset[str], frozenset[str]]
) -> Kind:
    """What a study is, or why that cannot be said.

    Parameters
    ----------
    name : str
    counts : tuple of int
        Its rows, and those with a local and with a reference value.
    declared : pair of frozenset of str
        As in :func:`study_kinds`.
    """
    n_rows, n_local, n_reference = counts
    as_reference, as_local = declared
    if n_local == 0 and n_reference == 0:
        return "unmeasured"
    if name in as_reference:
        return "reference"
    if name in as_local:
        return "local" if n_local else "without-local"
    if n_local == 0:
        return "reference"
    return "undecided" if n_reference == n_rows else "local"


def without_local_words(name: str) -> str:
    """A study declared local that has no local values."""
    return f"study '{name}' is declared local but has no local values"


def undecided_words(name: str, n_rows: int, n_local: int) -> str:
    """A study that could be of either kind, and how to say which."""
    option = f'"{name}"' if " " in name else name
    return (
        f"study '{name}' has reference values for all its {n_rows:,} rows and local values for "
        f"{n_local:,}; say which it is: --reference-study {option} (use the reference values) or "
        f"--local-study {option} (calibrate its local values)"
    )


@dataclass(frozen=True, slots=True)
class _KindJudge:
    """Tells what is wrong with a study, s being its index."""

    stack: TableStack
    roles: ColumnRoles
    presence: AssayPresence
    log: ProblemLog

    def tell(self, s: int, name: str, code: str, message: str, column: str | None = None) -> None:
        """Record an error with the file in which the study begins."""
        first = int(np.flatnonzero(self.presence.study == s)[0])
        file = self.stack.place(first)["file"]
        self.log.add("error", code, message, file=file, column=column, study=name)

    def require_all_reference(self, s: int, name: str) -> None:
        """Tell the rows of a reference study that have no reference value."""
        absent = np.flatnonzero((self.presence.study == s) & ~self.presence.reference)
        message = (
            f"no reference value, but study '{name}' is a reference study (declared, or without local "
            "values): all its rows need one; leave out persons who were not measured"
        )
        column = self.roles.reference
        self.stack.tell_rows(
            self.log, "error", "reference-missing", absent, lambda _: message, column=column, study=name
        )

    def tell_unmeasured(self, s: int, name: str) -> None:
        """A study without measurements; perhaps a column is misnamed."""
        holders = np.unique(self.stack.table_of(np.flatnonzero(self.presence.study == s)))
        tables = [self.stack.tables[i] for i in holders]
        columns = list(dict.fromkeys(column for table in tables for column in table.columns))
        message = f"study '{name}' has neither local nor reference values"
        absent = [column for column in (self.roles.local, self.roles.reference) if column not in columns]
        if absent:
            message += f"; there is no column {' and none '.join(repr(column) for column in absent)}"
        free = [column for column in columns if column not in self.roles.named]
        near = dict.fromkeys(near for column in absent for near in near_names(column, free))
        if near:
            message += f", but there is {' and '.join(repr(column) for column in near)}"
        self.tell(s, name, "no-measurements", message)
