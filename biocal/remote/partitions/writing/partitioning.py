"""`partition_studies`: files of any size into partitions that hold whole matched sets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.errors import InputError, OptionError, OutputError
from biocal.fitting.problem.units import join_by_person
from biocal.pool.checks.cells.conversion import name_of_file_is_no_text, told_ids
from biocal.pool.checks.columns import DEFAULT_PERSON, ColumnRoles, check_columns
from biocal.pool.checks.notices import Problem, ProblemLog
from biocal.pool.tables.cells import as_ids, id_text
from biocal.pool.tables.table import SourceTable, TableStack
from biocal.remote.partitions.census import hash_words, with_known_person
from biocal.remote.partitions.writing.column_types import ColumnTypes
from biocal.remote.partitions.writing.streaming import categories_of_files, stream_tables
from biocal.system.bytes import is_text
from biocal.system.files import new_folders, remove_abandoned, sync_folder, temporary_folder

IntArray = NDArray[np.intp]
HashArray = NDArray[np.uint64]

#: Rows of a partition unless asked otherwise: a worker then needs some hundred megabytes.
DEFAULT_ROWS = 500_000
#: All partitions may be open at once (ours; systems allow a thousand files or so).
MOST_PARTITIONS = 500
#: Rows of one partition that are gathered before they are written.
_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True)
class Partitioning:
    """What :func:`partition_studies` has written.

    Attributes
    ----------
    folder : str
    rows : tuple of int
        Rows of each partition.
    n_sets : int
        Groups of rows that were kept together: matched sets, or sets that share a person.
    problems : tuple of Problem
        Warnings and notes of reading.
    """

    folder: str
    rows: tuple[int, ...]
    n_sets: int
    problems: tuple[Problem, ...]


def partition_studies(
    files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    rows: int = DEFAULT_ROWS,
    study: str = "study",
    set: str = "set",
    case: str = "case",
    local: str = "local",
    reference: str = "reference",
    person: str | None = DEFAULT_PERSON,
) -> Partitioning:
    """Write files as a folder of Parquet partitions for :func:`biocal.fit_partitioned`, reading them in pieces.

    A matched set is never split, whatever the order of the rows; with a person column, sets that share a person
    stay together.  Sets go to partitions in the order in which they are first met, so that studies one after the
    other become partitions by study and set range; rows with a blank set are dealt out evenly.

    Parameters
    ----------
    files : path or iterable of paths
        Delimited text or Parquet; without a study column a file is one study, named like it.
    out : path
        Folder to make; it must be absent or empty.
    rows : int, default 500,000
        About so many rows make a partition.
    study, set, case, local, reference, person : str
        Names of the columns, as :func:`biocal.read_studies` takes them.

    Returns
    -------
    Partitioning

    Raises
    ------
    InputError
        Files that cannot be read, or change while they are read; a folder that is not empty.

    Notes
    -----
    Files are read twice, first for ids and types.  Held in memory: 8 bytes a row for its set (8 more with a person
    column, and some 40 a row while sets that share a person are joined), and the rows of about one partition.  Cells
    are not judged here; they are when partitions are read.

    Examples
    --------
    >>> from pathlib import Path
    >>> import tempfile
    >>> import biocal as bc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bc.datasets.load_infertility().to_csv(Path(folder, "trier.csv"), index=False)
    ...     written = bc.partition_studies(Path(folder, "trier.csv"), Path(folder, "pool"), rows=100)
    >>> written.rows
    (126, 122)
    """
    if not isinstance(rows, int) or isinstance(rows, bool) or rows < 2:
        raise OptionError(f"rows is a whole number from 2, not {rows!r}", option="rows")
    paths = [os.fspath(one) for one in ([files] if isinstance(files, str | os.PathLike) else files)]
    if not paths:
        raise OptionError("no files were given; name at least one", option="files")
    roles = ColumnRoles(study, set, case, local, reference, person)
    place = Path(os.fspath(out))
    require_new_folder(place)
    seen = _first_reading(paths, roles)
    part, n_sets = seen.assigned(rows)
    sizes = np.bincount(part)
    _write(place, paths, seen, part, sizes)
    return Partitioning(str(place), tuple(sizes.tolist()), n_sets, tuple(seen.log.found))


def require_new_folder(place: Path) -> None:
    """Refuse a folder with something in it, and one that cannot be made; raises OutputError."""
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise OutputError(
            f"'{place}' is a file or a link; name a new folder for the partitions", path=str(place)
        )
    if place.is_dir() and any(place.iterdir()):
        raise OutputError(
            f"'{place}' is not empty; name a new folder for the partitions, so that none of an earlier pool is among "
            "them",
            existing=(str(place),),
        )


@dataclass(slots=True)
class _Seen:
    """What the first reading tells."""

    roles: ColumnRoles
    types: ColumnTypes
    log: ProblemLog
    lengths: dict[str, int]
    states: dict[str, tuple[int, int]] = field(default_factory=dict)
    sets: list[HashArray] = field(default_factory=list)
    blank: list[NDArray[np.bool_]] = field(default_factory=list)
    persons: list[HashArray] = field(default_factory=list)

    def assigned(self, rows: int) -> tuple[IntArray, int]:
        """Partition of every row, in the order of the files, and the number of units that hold a set."""
        blank = np.concatenate(self.blank)
        unit = np.unique(np.concatenate(self.sets), return_inverse=True)[1].astype(np.intp)
        if self.roles.person is not None:
            unit = self._joined(unit)
        unit = _by_appearance(unit)
        sizes = np.bincount(unit)
        n_parts = max(1, round(blank.size / rows))
        if n_parts > MOST_PARTITIONS:
            raise OptionError(
                f"{blank.size:,} rows would make {n_parts:,} partitions, more than the {MOST_PARTITIONS} allowed; give "
                f"--rows {-(-blank.size // MOST_PARTITIONS):,} or more",
                option="rows",
            )
        in_a_set = np.zeros(sizes.size, dtype=np.bool_)
        in_a_set[unit[~blank]] = True
        part = np.zeros(sizes.size, dtype=np.intp)
        for chosen in (in_a_set, ~in_a_set):  # rows for calibration only are dealt out apart
            before = np.cumsum(sizes[chosen]) - sizes[chosen]
            part[chosen] = before * n_parts // max(int(sizes[chosen].sum()), 1)
        if not in_a_set.any():
            raise InputError(f"column '{self.roles.set}' is blank in every row, so there is no matched set")
        number = np.unique(part, return_inverse=True)[1]
        return number.astype(np.intp)[unit], int(in_a_set.sum())

    def _joined(self, unit: IntArray) -> IntArray:
        """Units that share a person made one."""
        hashes = np.concatenate(self.persons)
        person = np.unique(hashes, return_inverse=True)[1].astype(np.intp)
        person[hashes == 0] = -1
        return join_by_person(unit, person, int(unit.max()) + 1)[0]


def _by_appearance(unit: IntArray) -> IntArray:
    """Units renumbered in the order of their first rows."""
    _, first, inverse = np.unique(unit, return_index=True, return_inverse=True)
    rank = np.empty(first.size, dtype=np.intp)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[inverse]


def _first_reading(paths: Sequence[str], roles: ColumnRoles) -> _Seen:
    """Ids and types of all pieces.

    Raises
    ------
    DataProblemsError
        Columns that every file needs are absent.
    """
    seen = _Seen(roles, ColumnTypes(roles, categories_of_files(paths)), ProblemLog(), {})
    for path in paths:
        if path in seen.lengths:
            raise InputError(f"{path}: the same file is given twice; name it once", path=path)
        n_rows = 0
        seen.states[path] = _state(path)
        for table in stream_tables(path, seen.log):
            if not n_rows:
                check_columns(TableStack.of([table]), roles, seen.log)
                seen.log.require_no_errors()
            table = _with_study(table, roles)
            seen.types.see(table)
            keys, blank = _set_keys(table, roles, sum(seen.lengths.values()) + n_rows, seen.log)
            seen.sets.append(keys)
            seen.blank.append(blank)
            seen.persons.append(_keys(table, roles, roles.person or "", seen.log))
            told_ids(table, roles.study, seen.log)
            seen.log.require_no_errors()
            n_rows += table.n_rows
        if not n_rows:
            raise InputError(f"{path}: there are no data rows", path=path)
        seen.lengths[path] = n_rows
    seen.log.require_no_errors()
    seen.types.settle(seen.log)
    seen.roles = with_known_person(roles, tuple(seen.types.kinds))
    return seen


def _with_study(table: SourceTable, roles: ColumnRoles) -> SourceTable:
    """The piece with its study, where that is the file's name."""
    if roles.study in table.columns or table.stem is None:
        return table
    if not is_text(table.stem):
        message = f"{table.name}: {name_of_file_is_no_text(roles.study)}"
        raise InputError(message, path=table.name)
    named = pd.Series([id_text(table.stem)], dtype="category").repeat(table.n_rows).reset_index(drop=True)
    return replace(table, columns={roles.study: named, **table.columns})


def _keys(table: SourceTable, roles: ColumnRoles, column: str, log: ProblemLog) -> HashArray:
    """A hash of (study, id) for each row; 0 where the id is blank or there is no such column."""
    if column not in table.columns:
        return np.zeros(table.n_rows, dtype=np.uint64)
    ids, studies = told_ids(table, column, log), as_ids(table.columns[roles.study])
    of_id = np.append(hash_words(ids.words), np.uint64(0))[ids.codes]
    of_study = np.append(hash_words(studies.words), np.uint64(1))[studies.codes]
    # equal keys of different ids put their sets into one partition, and do no harm
    mixed = (of_id ^ (of_study * np.uint64(0x9E3779B97F4A7C15))) | np.uint64(1)
    return np.where(ids.codes < 0, np.uint64(0), mixed)


def _set_keys(
    table: SourceTable, roles: ColumnRoles, first: int, log: ProblemLog
) -> tuple[HashArray, NDArray[np.bool_]]:
    """The key of each row's set, an even one of its own where it has none; and where that is."""
    keys = _keys(table, roles, roles.set, log)
    blank = keys == 0
    own = np.arange(first + 1, first + 1 + table.n_rows, dtype=np.uint64) * np.uint64(2)
    return np.where(blank, own, keys), blank


def _write(place: Path, paths: Sequence[str], seen: _Seen, part: IntArray, sizes: NDArray[Any]) -> None:
    """Write all partitions beside their final place, and put the folder there when it is whole.

    Raises
    ------
    OutputError
        The disk is full, or the place cannot be written.
    InputError
        A file is not as it was at the first reading.
    """
    try:
        with new_folders(place.parent):
            remove_abandoned(place.parent, place.name)
            with temporary_folder(place) as staging:
                try:
                    with _Writers(staging, sizes) as writers:
                        _second_reading(paths, seen, part, writers)
                    sync_folder(staging)
                    if place.exists():
                        place.rmdir()  # empty, as was required; a folder that was filled since is left
                    os.rename(staging, place)
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
        sync_folder(place.parent)
    except OSError as fault:
        raise OutputError(
            f"the partitions cannot be written to '{place}': {fault.strerror or fault}; nothing was written",
            path=str(place),
        ) from fault


def _state(path: str) -> tuple[int, int]:
    """What tells that a file was written to; one that is not there is told where it is read."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return 0, 0
    return about.st_size, about.st_mtime_ns


def _second_reading(paths: Sequence[str], seen: _Seen, part: IntArray, writers: _Writers) -> None:
    start = 0
    for path in paths:
        end = start + seen.lengths[path]
        for table in stream_tables(path, ProblemLog()):
            if start + table.n_rows > end:
                break
            table = _with_study(table, seen.roles)
            writers.add(seen.types.converted(table), part[start : start + table.n_rows])
            start += table.n_rows
        if start != end or _state(path) != seen.states[path]:
            raise InputError(f"{path}: changed while it was read; begin again", path=path)


class _Writers:
    """Open partitions, each closed when its last row is written.

    Parameters
    ----------
    folder : Path
    sizes : ndarray of int, shape (n_parts,)
        Rows of each.
    """

    def __init__(self, folder: Path, sizes: NDArray[Any]) -> None:
        self._folder = folder
        self._left = sizes.copy()
        self._digits = len(str(sizes.size - 1))
        self._gathered: dict[int, list[Any]] = {}
        self._open: dict[int, tuple[BinaryIO, Any]] = {}

    def __enter__(self) -> _Writers:
        return self

    def __exit__(self, *error: object) -> None:
        known = () if error[0] is None else (OSError, ValueError)  # what went wrong is told already
        for file, writer in self._open.values():
            for one in (writer, file):
                with suppress(*known):
                    one.close()

    def add(self, table: Any, part: IntArray) -> None:
        """Take rows in, an Arrow table."""
        import pyarrow as pa

        for number in np.unique(part).tolist():
            rows = table.take(pa.array(np.flatnonzero(part == number)))
            waiting = self._gathered.setdefault(number, [])
            waiting.append(rows)
            self._left[number] -= rows.num_rows
            if self._left[number] == 0 or sum(one.num_rows for one in waiting) >= _ROWS_AT_ONCE:
                self._flush(number)

    def _flush(self, number: int) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.concat_tables(self._gathered.pop(number))
        if number not in self._open:
            # opened by Python, so that a full disk is told by its own errno
            file: BinaryIO = open(self._folder / f"part-{number:0{self._digits}d}.parquet", "xb")
            self._open[number] = file, parquet.ParquetWriter(file, table.schema)
        held, writer = self._open[number]
        writer.write_table(table)
        if self._left[number] == 0:
            writer.close()
            held.flush()
            os.fsync(held.fileno())
            held.close()
            del self._open[number]
