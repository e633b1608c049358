"""Files with several imputations into a pool each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.pool.assembly import assemble
from biocal.pool.checks.cells.natural_order import natural_key
from biocal.pool.checks.columns import ColumnRoles, did_you_mean
from biocal.pool.checks.notices import ProblemLog, counted
from biocal.pool.checks.options import LimitOptions, PoolOptions
from biocal.pool.imputed_rows import require_same_rows
from biocal.pool.pooled import PooledStudies
from biocal.pool.reading import PathLike, read_studies, read_tables
from biocal.pool.tables.cells import RawColumn, as_ids
from biocal.pool.tables.spelling import one_spelling
from biocal.pool.tables.table import SourceTable

IntArray = NDArray[np.intp]

#: Numbers that R's mice and Stata's mi give the data as they were, before anything was imputed.
_ORIGINAL = "0"


def read_imputations(
    files: PathLike | Iterable[PathLike], *, imputation: str | None = "_imputation", **options: Any
) -> tuple[PooledStudies, ...]:
    """Read completed data sets of one pool.

    Parameters
    ----------
    files : path or iterable of paths
        As of :func:`biocal.read_studies`.
    imputation : str or None
        Column with the number of the imputation, such as mice's ``.imp``; rows with 0 are the data before
        imputation and are left out, as in mice and Stata.  None: every file is one imputation of the whole pool.
    **options
        As of :func:`biocal.read_studies`.

    Returns
    -------
    tuple of PooledStudies
        In natural order of the numbers; for :func:`biocal.fit_imputations`.

    Raises
    ------
    DataProblemsError
        The data of an imputation cannot be used, or rows differ between imputations in case status, set or study;
        see :func:`biocal.pool.imputed_rows.require_same_rows`.
    OptionError
        No such column, blank numbers, fewer than two imputations, or imputations of different size.

    Examples
    --------
    >>> from pathlib import Path
    >>> import tempfile
    >>> import biocal as bc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "completed.csv")
    ...     lines = ["_imputation,study,set,case,local,reference,bmi"]
    ...     lines += [f"{m},A,1,{case},,{50 - 10 * case},{25 + m}" for m in (1, 2) for case in (1, 0)]
    ...     _ = file.write_text("\\n".join(lines))
    ...     pools = bc.read_imputations(file)
    >>> [float(pool.frame["bmi"].iloc[0]) for pool in pools]
    [26.0, 27.0]
    """
    if imputation is None:
        paths = [files] if isinstance(files, str) or hasattr(files, "__fspath__") else list(files)
        _require_two(len(paths), "file")
        apart = tuple(read_studies(path, **options) for path in paths)
        require_same_rows(apart)
        return apart
    imputation = one_spelling(imputation)
    given = {name: value for name, value in options.items() if name in ColumnRoles.__slots__}
    roles = ColumnRoles(**given)
    log = ProblemLog()
    tables = read_tables(files, roles, log)
    parts = _by_imputation(tables, imputation)
    names = sorted((name for name in parts if name != _ORIGINAL), key=natural_key)
    _require_two(len(names), "imputation")
    pools = []
    for k, name in enumerate(names):
        own = ProblemLog(list(log.found))
        if k == 0 and _ORIGINAL in parts:
            n = sum(table.n_rows for table in parts[_ORIGINAL])
            message = f"{counted(n, 'row')} of number 0, the data before imputation, are left out"
            own.add("note", "imputation-0", message, column=imputation, count=n)
        pools.append(assemble(parts[name], roles, _pool_options(options), own))
    require_same_rows(pools)
    return tuple(pools)


def _require_two(n: int, noun: str) -> None:
    if n < 2:
        raise OptionError(f"multiple imputation needs two imputations or more; {counted(n, noun)} found")


def _pool_options(options: dict[str, Any]) -> PoolOptions:
    limits = LimitOptions.of(
        *(
            options.get(name)
            for name in (
                *("detection_limit", "reference_detection_limit", "below_limit"),
                *("local_flag", "reference_flag"),
            )
        )
    )
    return PoolOptions.of(
        options.get("reference_study", ()),
        options.get("local_study", ()),
        options.get("scale_local"),
        options.get("calibrate_with_cases", False),
        limits,
        options.get("duplicates", "refuse"),
    )


def _columns_of(table: SourceTable) -> str:
    return f" (the columns are {', '.join(list(table.columns)[:20])})"


def _by_imputation(tables: list[SourceTable], column: str) -> dict[str, list[SourceTable]]:
    """Rows of each imputation, table by table; the column itself is gone."""
    parts: dict[str, list[SourceTable]] = {}
    for table in tables:
        if column not in table.columns:
            near = did_you_mean(column, table.columns)
            raise OptionError(
                f"{table.name}: there is no column '{column}'{near or _columns_of(table)}; imputation names the "
                "column that numbers the completed copies of the data, such as .imp, not a variable that was imputed"
            )
        cells = as_ids(table.columns[column])
        if (cells.codes < 0).any():
            row = int(np.flatnonzero(cells.codes < 0)[0])
            raise OptionError(
                f"{table.name}:{int(table.line[row])}: column '{column}' is blank; every row belongs to an imputation"
            )
        for code, name in enumerate(cells.words):
            rows = np.flatnonzero(cells.codes == code).astype(np.intp)
            if rows.size:
                parts.setdefault(name, []).append(_rows_of(table, rows, column))
    return parts


def _rows_of(table: SourceTable, rows: IntArray, without: str) -> SourceTable:
    columns = {name: _take(cells, rows) for name, cells in table.columns.items() if name != without}
    return SourceTable(columns, table.line[rows], table.name, table.stem, table.sha256, table.delimiter)


def _take(cells: RawColumn, rows: IntArray) -> RawColumn:
    if isinstance(cells, pd.Series):
        return cells.iloc[rows].reset_index(drop=True)
    return cells.take(rows)  # an array of pyarrow
