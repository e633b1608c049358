"""Which column plays which part, and what a missing one may have been called."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from biocal.errors import OptionError
from biocal.pool.checks.notices import ProblemLog
from biocal.pool.tables.cells import as_ids
from biocal.pool.tables.spelling import one_spelling
from biocal.pool.tables.table import SourceTable, TableStack

#: A column of this name is taken for the person when there is one.
DEFAULT_PERSON = "person"


@dataclass(frozen=True, slots=True)
class ColumnRoles:
    """Names of the columns that the analysis is built on.

    Attributes
    ----------
    study, set : str
        Study and matched set; set ids are unique within a study only.
    case : str
        1 for a case, 0 for a control.
    local, reference : str
        Biomarker measured by the study's own laboratory and by the reference laboratory.
    person : str or None
        Person id, when a person may appear in several sets; its absence is no error under the default name.
        None: every row is a person of its own, whatever the columns.
    """

    study: str = "study"
    set: str = "set"
    case: str = "case"
    local: str = "local"
    reference: str = "reference"
    person: str | None = DEFAULT_PERSON

    def __post_init__(self) -> None:
        part_of: dict[str, str] = {}
        for part in self.__slots__:
            name = getattr(self, part)
            if name is None and part == "person":
                continue
            if not isinstance(name, str) or not name.strip():
                raise OptionError(f"the {part} column must be named by a word, not {name!r}", option=part)
            name = one_spelling(name)
            object.__setattr__(self, part, name)
            if name in part_of and part == "person" and name == DEFAULT_PERSON:
                object.__setattr__(self, "person", None)  # the column plays another part
                continue
            if name in part_of:
                message = f"column '{name}' is named both as {part_of[name]} and as {part}; name two columns"
                raise OptionError(message, option=part)
            part_of[name] = part

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that has a part."""
        names = (self.study, self.set, self.case, self.local, self.reference)
        return names if self.person is None else (*names, self.person)


def near_names(wanted: str, available: Iterable[str], *, most: int = 3) -> list[str]:
    """Return the available names that look like the wanted one, best first.

    Letter case, spaces and underscores do not count against a name: ``Case ID`` is near ``case_id``.
    """
    plain_names: dict[str, list[str]] = {}
    for name in available:
        plain_names.setdefault(_plain(name), []).append(name)
    close = difflib.get_close_matches(_plain(wanted), list(plain_names), n=most, cutoff=0.6)
    return [name for plain in close for name in plain_names[plain]][:most]


def did_you_mean(wanted: str, available: Iterable[str]) -> str:
    """Return ``"; did you mean 'a' or 'b'?"``, or nothing when no name is near."""
    near = near_names(wanted, available)
    return f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""


def columns_there(wanted: str, available: Iterable[str], *, most: int = 20) -> str:
    """Return ``"; the columns are a, b, ...; did you mean 'a'?"``: what there is first, then what is near."""
    names = list(map(str, available))
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"; the columns are {', '.join(names[:most])}{more}{did_you_mean(wanted, names)}"


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-.")


def same_but_for_spelling(one: str, other: str) -> bool:
    """Whether two names differ only in letter case, spaces, underscores, dots and hyphens."""
    return _plain(one) == _plain(other)


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
