"""Files into one pool."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from biocal.errors import OptionError
from biocal.pool.assembly import assemble
from biocal.pool.checks.columns import DEFAULT_PERSON, ColumnRoles
from biocal.pool.checks.notices import ProblemLog
from biocal.pool.checks.options import LimitOptions, PoolOptions
from biocal.pool.pooled import PooledStudies
from biocal.pool.tables.cells import RawColumn
from biocal.pool.tables.delimited import DelimitedText, read_delimited
from biocal.pool.tables.frame_table import frame_as_table
from biocal.pool.tables.parquet import LongColumns
from biocal.pool.tables.statistical import SUFFIXES, read_statistical_file
from biocal.pool.tables.table import FileColumns, SourceTable, numbered_lines
from biocal.system.bytes import file_bytes

PathLike = str | os.PathLike[str]


def read_studies(
    files: PathLike | Iterable[PathLike],
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
    detection_limit: Mapping[str, float] | None = None,
    reference_detection_limit: float | None = None,
    below_limit: str | None = None,
    local_flag: str | None = None,
    reference_flag: str | None = None,
    duplicates: str = "refuse",
) -> PooledStudies:
    """Read one file with all studies, or a file a study, and check everything in one run.

    Parameters
    ----------
    files : path or iterable of paths
        Delimited text (commas, semicolons, tabs, vertical bars), Stata ``.dta``, SAS ``.sas7bdat``
        and ``.xpt``, ``.parquet``, or R's ``.rds`` (with ``biocal[rds]``).  Without a study column a file is
        one study, named like it.
    study, set, case, local, reference, person : str
        Names of the columns; see `ColumnRoles`.  Ids are compared as trimmed text: 1, "1" and 1.0
        are one id.  A blank set means that the row serves calibration only.
    reference_study, local_study : str or sequence of str
        Studies declared to be measured at the reference laboratory, or not to be.
    scale_local : mapping of study to factor, optional
        A study's local values are multiplied by it before anything else, for units.
    calibrate_with_cases : bool, default False
        Use the reference values of cases in local studies instead of ignoring them.
    detection_limit : mapping of study to limit, optional
        Detection limit of a study's local laboratory, in the unit of its file; a cell such as "<5.0" tells its
        own, "LOD" and flagged values need it.
    reference_detection_limit : float, optional
        The same of the reference laboratory.
    below_limit : {"lod", "lod/2", "lod/sqrt2", "censored"}, optional
        How values below their limit are taken; see :func:`biocal.pool.checks.limits.with_below_limit`.  Without
        it they are refused.
    local_flag, reference_flag : str, optional
        Column with 1 where the local (reference) value is below its limit, whatever its cell holds.
    duplicates : {"refuse", "first"}
        A person twice in a set, and a set of which every row is there several times, are refused; "first" keeps the
        first of the rows and tells how many were left out.

    Returns
    -------
    PooledStudies
        Its ``problems`` hold the warnings and notes.

    Raises
    ------
    DataProblemsError
        The data cannot be used; ``problems`` lists everything found, with file, line and column.
    OptionError
        No files, or an option that names no study or has a value that is not allowed.

    Notes
    -----
    Missing cells are blank, ``NA``, ``N/A``, ``#N/A``, ``NaN``, ``<NA>``, ``null`` (in any letter
    case) or a single dot.  Lines are those of the file, the header being line 1; in Stata, SAS and
    Parquet files the observation is counted instead.

    Examples
    --------
    >>> from pathlib import Path
    >>> import tempfile
    >>> import biocal as bc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "north.csv")
    ...     _ = file.write_text("set,case,local,reference\\n1,1,,41.5\\n1,0,,60.2\\n")
    ...     pool = bc.read_studies(file)
    >>> pool.study_names, pool.n_rows, pool.is_reference_study.tolist()
    (('north',), 2, [True])
    """
    roles, options = roles_and_options(
        study=study,
        set=set,
        case=case,
        local=local,
        reference=reference,
        person=person,
        reference_study=reference_study,
        local_study=local_study,
        scale_local=scale_local,
        calibrate_with_cases=calibrate_with_cases,
        detection_limit=detection_limit,
        reference_detection_limit=reference_detection_limit,
        below_limit=below_limit,
        local_flag=local_flag,
        reference_flag=reference_flag,
        duplicates=duplicates,
    )
    log = ProblemLog()
    return assemble(read_tables(files, roles, log), roles, options, log)


def roles_and_options(
    *,
    reference_study: str | Sequence[str] = (),
    local_study: str | Sequence[str] = (),
    scale_local: Mapping[str, float] | None = None,
    calibrate_with_cases: bool = False,
    detection_limit: Mapping[str, float] | None = None,
    reference_detection_limit: float | None = None,
    below_limit: str | None = None,
    local_flag: str | None = None,
    reference_flag: str | None = None,
    duplicates: str = "refuse",
    **columns: str | None,
) -> tuple[ColumnRoles, PoolOptions]:
    """The keywords of :func:`read_studies`, checked as far as that needs no data; raises as it does."""
    roles = ColumnRoles(**columns)  # type: ignore[arg-type]
    limits = LimitOptions.of(
        detection_limit, reference_detection_limit, below_limit, local_flag, reference_flag
    )
    return roles, PoolOptions.of(
        reference_study, local_study, scale_local, calibrate_with_cases, limits, duplicates
    )


def read_tables(
    files: PathLike | Iterable[PathLike], roles: ColumnRoles, log: ProblemLog
) -> list[SourceTable]:
    """Read files as tables; what cannot be read is in the log.

    Raises
    ------
    OptionError
        No files.
    DataProblemsError
        None of them can be read.
    """
    paths = [os.fspath(f) for f in ([files] if isinstance(files, str | os.PathLike) else files)]
    if not paths:
        raise OptionError("no files were given; name at least one", option="files")
    tables: list[SourceTable] = []
    seen: dict[str, str] = {}
    for path in paths:
        table = _table(path, seen, roles, log)
        tables += [] if table is None else [table]
    if not tables:
        log.require_no_errors()
    return tables


def _content(path: str, seen: dict[str, str], log: ProblemLog) -> tuple[bytes, str] | None:
    """Bytes of a file and their hash; None, and told, when it cannot be read or was read already."""
    if not path.strip():
        log.add("error", "no-file", "the name of a file is blank", file=f"'{path}'")
        return None
    real = os.path.realpath(path) if "\0" not in path else path
    if real in seen:
        message = f"the same file is given twice (also as {seen[real]}); name it once"
        log.add("error", "file-twice", message, file=path)
        return None
    seen[real] = path
    try:
        content = file_bytes(path)
    except FileNotFoundError:
        hint = "the pattern matches no file" if glob.has_magic(path) else "there is no such file"
        log.add("error", "no-file", hint, file=path)
    except IsADirectoryError:
        log.add("error", "no-file", "this is a folder; name the files in it", file=path)
    except OSError as failure:
        log.add("error", "no-file", f"cannot be read ({failure.strerror})", file=path)
    else:
        digest = hashlib.sha256(content).hexdigest()
        if digest in seen and content:
            message = f"the content is that of {seen[digest]}, byte for byte; name one of them"
            log.add("error", "file-twice", message, file=path)
            return None
        seen.setdefault(digest, path)
        return content, digest
    return None


def _table(path: str, seen: dict[str, str], roles: ColumnRoles, log: ProblemLog) -> SourceTable | None:
    """One file as a source table; None when it cannot be read (the log says why)."""
    found = _content(path, seen, log)
    if found is None:
        return None
    content, digest = found
    suffix, stem = Path(path).suffix.lower(), Path(path).stem
    if suffix in SUFFIXES:
        if not content:
            log.add("error", "empty-file", "the file is empty", file=path)
            return None
        read = read_statistical_file(content, suffix, path, log)
        if read is None:
            return None
        if isinstance(read, LongColumns):
            return SourceTable(read.columns, numbered_lines(1, read.n_rows), path, stem=stem, sha256=digest)
        frame = _asked_names(read, suffix, roles, path, log)
        table = frame_as_table(frame, path, stem=stem, sha256=digest)
        return replace(table, labels=frame.attrs.get("value_labels", {}))
    text = read_delimited(content, path, log)
    if text is None:
        return None
    columns = FileColumns.held(_named_columns(text, path, roles, log))
    return SourceTable(columns, text.line, path, stem=stem, sha256=digest, delimiter=text.delimiter)


def _asked_names(
    frame: pd.DataFrame, suffix: str, roles: ColumnRoles, path: str, log: ProblemLog
) -> pd.DataFrame:
    """Give role columns the spelling that was asked for, where the format could not keep it.

    SAS does not tell upper from lower case, and pandas writes ``case`` and ``local`` as ``_case``
    and ``_local`` into Stata files because it takes them for reserved words.
    """
    if suffix in (".parquet", ".rds"):
        return frame
    there = [str(name) for name in frame.columns]
    absent = [name for name in roles.named if name not in there]
    if suffix == ".dta":
        spelt = {f"_{name}": name for name in absent}
        renamed = {name: spelt[name] for name in there if name in spelt}
    else:
        spelt = {name.casefold(): name for name in absent}
        renamed = {name: spelt[name.casefold()] for name in there if name.casefold() in spelt}
    if renamed:
        words = ", ".join(f"'{found}' is taken as '{asked}'" for found, asked in renamed.items())
        log.add("note", "renamed-column", words, file=path, count=len(renamed))
    labels = frame.attrs.get("value_labels", {})
    frame = frame.rename(columns=renamed)
    frame.attrs["value_labels"] = {renamed.get(name, name): one for name, one in labels.items()}
    return frame


def _named_columns(
    text: DelimitedText, path: str, roles: ColumnRoles, log: ProblemLog
) -> dict[str, RawColumn]:
    """Columns by name; doubled names are told, columns without a name are left out and told."""
    columns: dict[str, RawColumn] = {}
    doubled: dict[str, list[int]] = {}
    unnamed: list[int] = []
    for i, (name, column) in enumerate(zip(text.header, text.columns, strict=True), start=1):
        if not name:
            unnamed.append(i)
        elif name in columns:
            doubled.setdefault(name, [text.header.index(name) + 1]).append(i)
        else:
            columns[name] = column
    for name, places in doubled.items():
        message = (
            f"the name occurs {len(places)} times (columns {', '.join(map(str, places))}); keep one of them"
        )
        log.add("error", "duplicate-column", message, file=path, line=1, column=name, count=len(places))
    if unnamed:
        message = f"columns without a name ({', '.join(map(str, unnamed))}) are left out"
        log.add("note", "unnamed-column", message, file=path, line=1, count=len(unnamed))
    return columns
