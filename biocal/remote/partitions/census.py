"""What one file of a partitioned pool holds: studies, measurements, and who is in which set, as hashes.

A pool may be too large for memory.  Whether a study is a reference study, and whether a set or a person is in
several files, are questions to all files; each is counted alone, and the counts are put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.pool.checks.cells.conversion import concentrations, stacked_ids, studies
from biocal.pool.checks.columns import DEFAULT_PERSON, ColumnRoles, check_columns
from biocal.pool.checks.notices import Problem, ProblemLog
from biocal.pool.reading import read_tables
from biocal.pool.tables.cells import Codes
from biocal.pool.tables.table import SourceTable, TableStack

IntArray = NDArray[np.intp]
HashArray = NDArray[np.uint64]

#: Between the study and the id of a set or person: no cell holds it.
_BETWEEN = "\x1f"


@dataclass(frozen=True, slots=True, eq=False)
class PartitionCensus:
    """Counts of one file.

    Attributes
    ----------
    path, sha256 : str
    n_rows : int
    columns : tuple of str
    study_names : tuple of str
    named_by_file : bool
        Whether the study is the file's name, for want of a column.
    rows, local, reference : ndarray of int, shape (n_studies,)
        Rows of each study, and those with a local and with a reference value.
    sets : ndarray of uint64
        Distinct hashes of (study, set), increasing.
    persons : ndarray of uint64 or None
        The same of (study, person); None without a person column.
    problems : tuple of Problem
        Errors that keep the file from being counted.
    """

    path: str
    sha256: str
    n_rows: int
    columns: tuple[str, ...]
    study_names: tuple[str, ...]
    named_by_file: bool
    rows: IntArray
    local: IntArray
    reference: IntArray
    sets: HashArray
    persons: HashArray | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class RowOfId:
    """Where an id is first met in a file."""

    study: str
    id: str
    line: int


def take_census(path: str, roles: ColumnRoles) -> PartitionCensus:
    """Count one file.

    Parameters
    ----------
    path : str
    roles : ColumnRoles

    Raises
    ------
    DataProblemsError
        The file cannot be read.
    """
    log = ProblemLog()
    tables = read_tables(path, roles, log)
    table, stack = tables[0], TableStack.of(tables)
    check_columns(stack, roles, log)
    study, names = studies(stack, roles.study, log)
    unneeded = np.zeros(stack.n_rows, dtype=np.bool_)
    # cells that are no numbers are told when the file is read in earnest
    has_local = concentrations(stack, roles.local, ProblemLog(), unneeded)[1]
    has_reference = concentrations(stack, roles.reference, ProblemLog(), unneeded)[1]
    known = study >= 0

    def counted(mask: NDArray[np.bool_]) -> IntArray:
        return np.bincount(study[known & mask], minlength=len(names)).astype(np.intp)

    hashes = _id_hashes(stack, study, names, roles.set, log)
    persons = None
    if roles.person is not None and roles.person in table.columns:
        persons = np.unique(_id_hashes(stack, study, names, roles.person, log)[0])
    return PartitionCensus(
        path,
        table.sha256,
        stack.n_rows,
        tuple(table.columns),
        names,
        roles.study not in table.columns,
        counted(np.ones_like(known)),
        counted(has_local),
        counted(has_reference),
        np.unique(hashes[0]),
        persons,
        log.errors,
    )


def rows_of_ids(path: str, roles: ColumnRoles, column: str, wanted: HashArray) -> dict[int, RowOfId]:
    """Where ids of given hashes are first met in a file, by hash."""
    stack = TableStack.of(read_tables(path, roles, ProblemLog()))
    study, names = studies(stack, roles.study, ProblemLog())
    hashes, rows, words = _id_hashes(stack, study, names, column, ProblemLog())
    found: dict[int, RowOfId] = {}
    for k in np.flatnonzero(np.isin(hashes, wanted)):
        name, _, one = words[k].partition(_BETWEEN)
        found[int(hashes[k])] = RowOfId(name, one, int(stack.place(int(rows[k]))["line"]))
    return found


def _id_hashes(
    stack: TableStack, study: Codes, names: Sequence[str], column: str, log: ProblemLog
) -> tuple[HashArray, IntArray, list[str]]:
    """Hashes of the distinct (study, id) of a column, the first row of each, and their words."""
    ids, labels = stacked_ids(stack, column, log)
    rows = np.flatnonzero((ids >= 0) & (study >= 0))
    pair = study[rows].astype(np.int64) * max(len(labels), 1) + ids[rows]
    pairs, first = np.unique(pair, return_index=True)
    words = [
        f"{names[pair // max(len(labels), 1)]}{_BETWEEN}{labels[pair % max(len(labels), 1)]}"
        for pair in pairs.tolist()
    ]
    return hash_words(words), rows[first], words


def hash_words(words: Sequence[str]) -> HashArray:
    """Hashes of words that are the same in every process."""
    if not words:
        return np.empty(0, dtype=np.uint64)
    return np.asarray(pd.util.hash_array(np.array(words, dtype=object), categorize=False))


def with_columns(table: SourceTable, columns: Sequence[str], roles: ColumnRoles) -> SourceTable:
    """A table with the columns that other files of its pool have, all missing where it lacks them."""
    absent = [name for name in columns if name not in table.columns and name not in roles.named]
    if not absent:
        return table
    blank = pd.Series(np.full(table.n_rows, np.nan))
    return replace(table, columns={**table.columns, **{name: blank for name in absent}})


def with_known_person(roles: ColumnRoles, columns: Sequence[str]) -> ColumnRoles:
    """Roles without a person where no file has the column that would be taken for it by default."""
    default = roles.person == DEFAULT_PERSON and DEFAULT_PERSON not in columns
    return replace(roles, person=None) if default else roles
