"""A partitioned pool: a folder of Parquet files whose rows are never all in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biocal.errors import InputError
from biocal.pool.checks.cells.natural_order import natural_key
from biocal.pool.checks.columns import DEFAULT_PERSON, ColumnRoles
from biocal.pool.checks.notices import LISTED_PLACES, Problem, ProblemLog
from biocal.pool.checks.options import PoolOptions, options_of_part, require_known_studies
from biocal.pool.checks.studies import judged_kind, undecided_words, without_local_words
from biocal.remote.partitions.census import PartitionCensus, RowOfId, with_known_person
from biocal.remote.partitions.running.session import PartSource

HashArray = NDArray[np.uint64]
#: Asks the partitions of these numbers for the rows of ids with these hashes.
RowFinder = Callable[[Sequence[int], str, HashArray], Sequence[Mapping[int, RowOfId]]]


@dataclass(frozen=True, slots=True)
class PartitionedStudies:
    """A pool in a folder of Parquet files, and how its columns are called.

    Attributes
    ----------
    folder : str
    roles : ColumnRoles
    options : PoolOptions

    Examples
    --------
    >>> import biocal as bc
    >>> bc.PartitionedStudies.of("pool", local="vitd", reference_study="Alder").roles.local
    'vitd'
    """

    folder: str
    roles: ColumnRoles
    options: PoolOptions

    @classmethod
    def of(
        cls,
        folder: str | os.PathLike[str],
        *,
        study: str = "study",
        set: str = "set",
        case: str = "case",
        local: str = "local",
        reference: str = "reference",
        person: str | None = DEFAULT_PERSON,
        reference_study: str | Sequence[str] = (),
        local_study: str | Sequence[str] = (),
        scale_local: Mapping[str, float] | None = None,
        calibrate_with_cases: bool = False,
    ) -> PartitionedStudies:
        """Name a folder and its columns; nothing is read yet.

        Parameters
        ----------
        folder : path
        study, set, case, local, reference, person, reference_study, local_study, scale_local, calibrate_with_cases
            As :func:`biocal.read_studies` takes them.

        Returns
        -------
        PartitionedStudies

        Raises
        ------
        OptionError
            A column named twice, a study declared both reference and local, a factor that is no positive number.
        """
        roles = ColumnRoles(study, set, case, local, reference, person)
        options = PoolOptions.of(reference_study, local_study, scale_local, calibrate_with_cases)
        return cls(os.fspath(folder), roles, options)

    def paths(self) -> tuple[str, ...]:
        """The partitions, in natural order of their names, which is the order of all sums.

        Returns
        -------
        tuple of str

        Raises
        ------
        InputError
            There is no such folder, or none in it.
        """
        return partition_paths(self.folder)


def partition_paths(folder: str) -> tuple[str, ...]:
    """Parquet files of a folder, in natural order; names that begin with . or _ are other programs' notes.

    Raises
    ------
    InputError
        There is no such folder, it cannot be read, or none is in it.
    """
    try:
        names = sorted(os.listdir(folder), key=natural_key)
    except NotADirectoryError:
        raise InputError(
            f"{folder}: a file, but a partitioned pool is a folder of Parquet files; make one with biocal partition, "
            "or leave --partitioned out",
            path=folder,
        ) from None
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise InputError(f"{folder}: {reason}", path=folder) from fault
    seen = [name for name in names if not name.startswith((".", "_"))]
    files = [
        name for name in seen if name.lower().endswith(".parquet") and os.path.isfile(Path(folder, name))
    ]
    if files:
        return tuple(os.path.join(folder, name) for name in files)
    inner = [name for name in seen if os.path.isdir(Path(folder, name))]
    more = f"; its folders ({', '.join(inner[:3])}) are not looked into" if inner else ""
    raise InputError(
        f"{folder}: there is no .parquet file in it{more}; make partitions with biocal partition FILES --out FOLDER",
        path=folder,
    )


def sources_of(
    pool: PartitionedStudies, found: Sequence[PartitionCensus], rows_of: RowFinder
) -> tuple[ColumnRoles, tuple[PartSource, ...]]:
    """What each partition must know of the others to be read as a part of one pool.

    Parameters
    ----------
    pool : PartitionedStudies
    found : sequence of PartitionCensus
        One a partition, in order.
    rows_of : callable
        Looks single ids up in the partitions.

    Raises
    ------
    DataProblemsError
        A set or a person in several partitions, the same file twice, studies whose kind cannot be told.
    OptionError
        An option names a study that no partition holds.
    """
    log = ProblemLog()
    for one in found:
        log.extend(one.problems)
    _refuse_copies(found, log)
    columns = tuple(dict.fromkeys(name for one in found for name in one.columns))
    roles = with_known_person(pool.roles, columns)
    names = tuple(sorted({name for one in found for name in one.study_names}, key=natural_key))
    _refuse_names_of_files(found, roles, log)
    reference = _reference_studies(pool, roles, names, found, log)
    _refuse_split(found, roles.set, [one.sets for one in found], rows_of, _SPLIT_SET, log)
    if roles.person is not None:
        persons = [one.persons for one in found]
        held = [np.empty(0, dtype=np.uint64) if one is None else one for one in persons]
        _refuse_split(found, roles.person, held, rows_of, _SPLIT_PERSON, log)
    require_known_studies(pool.options, names, log)
    log.require_no_errors()
    sources = tuple(
        PartSource(
            number,
            one.path,
            one.sha256,
            options_of_part(pool.options, frozenset(one.study_names), reference),
            columns,
        )
        for number, one in enumerate(found)
    )
    return roles, sources


def _refuse_copies(found: Sequence[PartitionCensus], log: ProblemLog) -> None:
    seen: dict[str, str] = {}
    for one in found:
        if one.sha256 in seen:
            message = f"the content is that of {seen[one.sha256]}, byte for byte; keep one of them"
            log.add("error", "file-twice", message, file=one.path)
        seen.setdefault(one.sha256, one.path)


def _refuse_names_of_files(found: Sequence[PartitionCensus], roles: ColumnRoles, log: ProblemLog) -> None:
    """A study named by its file's name must be in no other file, as when files are read in memory."""
    for one in found:
        others = [
            other.path
            for other in found
            if other is not one and set(one.study_names) & set(other.study_names)
        ]
        if one.named_by_file and others:
            message = (
                f"without a column '{roles.study}' this file is study '{one.study_names[0]}', which {others[0]} holds "
                "too; rename the file or add the column"
            )
            log.add(
                "error", "study-twice", message, file=one.path, column=roles.study, study=one.study_names[0]
            )


def _reference_studies(
    pool: PartitionedStudies,
    roles: ColumnRoles,
    names: Sequence[str],
    found: Sequence[PartitionCensus],
    log: ProblemLog,
) -> frozenset[str]:
    """Studies measured at the reference laboratory, from the counts of all partitions."""
    counts = {name: [0, 0, 0] for name in names}
    first: dict[str, str] = {}
    for one in found:
        for s, name in enumerate(one.study_names):
            first.setdefault(name, one.path)
            for k, column in enumerate((one.rows, one.local, one.reference)):
                counts[name][k] += int(column[s])
    declared = (pool.options.reference_study, pool.options.local_study)
    reference = set()
    for name in names:
        n_rows, n_local, n_reference = counts[name]
        kind = judged_kind(name, (n_rows, n_local, n_reference), declared)
        place = {"file": first[name], "study": name}
        if kind == "reference":
            reference.add(name)
        elif kind == "unmeasured":
            message = (
                f"study '{name}' has neither local nor reference values; are columns '{roles.local}' and "
            )
            log.add("error", "no-measurements", f"{message}'{roles.reference}' the right ones?", **place)
        elif kind == "without-local":
            log.add(
                "error", "local-study-without-local", without_local_words(name), column=roles.local, **place
            )
        elif kind == "undecided":
            log.add("error", "kind-undecided", undecided_words(name, n_rows, n_local), **place)
    return frozenset(reference)


_SPLIT_SET = (
    "set-split",
    "set",
    "a matched set must lie in one partition; biocal partition never splits one",
)
_SPLIT_PERSON = (
    "person-split",
    "person",
    "sets that share a person are one unit in standard errors and must lie in one partition; biocal partition keeps "
    "them together",
)


def _refuse_split(
    found: Sequence[PartitionCensus],
    column: str,
    hashes: Sequence[HashArray],
    rows_of: RowFinder,
    words: tuple[str, str, str],
    log: ProblemLog,
) -> None:
    """Tell ids that are in several partitions, with the row of each; equal hashes are not enough."""
    everywhere = np.sort(np.concatenate(hashes))
    suspect = np.unique(everywhere[1:][everywhere[1:] == everywhere[:-1]])
    if not suspect.size:
        return
    holders = [k for k, own in enumerate(hashes) if np.isin(suspect, own, assume_unique=True).any()]
    found_rows = rows_of(holders, column, suspect)
    seen: dict[tuple[str, str], str] = {}
    split: list[Problem] = []
    code, noun, advice = words
    for k, rows in zip(holders, found_rows, strict=True):
        for one in rows.values():
            place = f"{found[k].path}:{one.line}"
            earlier = seen.setdefault((one.study, one.id), place)
            if earlier != place:
                message = f"{noun} '{one.id}' of study '{one.study}' is in {earlier} too; {advice}"
                split.append(Problem("error", code, message, found[k].path, one.line, column, one.study, 1))
    split.sort(key=lambda problem: (natural_key(problem.file or ""), problem.line or 0))
    log.extend(split[:LISTED_PLACES])
    if len(split) > LISTED_PLACES:
        message = f"... and {len(split) - LISTED_PLACES:,} more {noun}s in several partitions"
        log.add("error", code, message, column=column, count=len(split) - LISTED_PLACES)
