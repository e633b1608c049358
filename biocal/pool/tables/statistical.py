"""Stata, SAS and Parquet files through pandas, and R's .rds."""

from __future__ import annotations

import io
import struct
import tempfile
import warnings
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from biocal.pool.checks.notices import ProblemLog
from biocal.pool.tables.parquet import LongColumns, read_parquet_columns
from biocal.pool.tables.value_labels import blank_missing_labels, stata_labels
from biocal.system.bytes import require_gzip_fits

#: What to do when pyreadr is not there.
INSTALL = "reading .rds files needs one more package: pip install 'biocal[rds]' (or save the data as CSV or Parquet)"
_TYPES = {"boolean": "boolean", "integer": "Int64", "date": "datetime64[s]"}


def read_rds(content: bytes) -> pd.DataFrame:
    """Return the data frame of an .rds file.

    Factors keep their levels in order; integers, logicals and dates that have NA are typed as such; row
    names are left out.

    Raises
    ------
    ModuleNotFoundError
        pyreadr is not installed.
    ValueError
        The bytes are no .rds file, or hold something else than a data frame.
    """
    import pyreadr

    # pyreadr reads from a path only
    with tempfile.TemporaryDirectory(prefix="biocal-") as folder, warnings.catch_warnings():
        # pyreadr's: that nothing could be read is told below; the rest are deprecations in its arithmetic
        warnings.simplefilter("ignore")
        path = Path(folder) / "data.rds"
        path.write_bytes(content)
        try:
            objects = pyreadr.read_r(str(path))
        except pyreadr.LibrdataError as failure:
            raise ValueError(
                f"{failure}; it must hold one data frame without list columns, as saveRDS(data.frame) writes"
            ) from failure
    frames = [one for one in objects.values() if isinstance(one, pd.DataFrame)]
    # a vector comes as a frame whose one column has no name
    if len(objects) != 1 or len(frames) != 1 or any(name is None for name in frames[0].columns):
        raise ValueError("it holds no data frame; save one with saveRDS(as.data.frame(x), file)")
    frame = frames[0].reset_index(drop=True)
    return frame.assign(**{str(name): _typed(frame[name]) for name in frame.columns})


def _typed(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column with missing cells, which pyreadr gives as Python objects, in its own type."""
    if column.dtype != object:
        return column
    wanted: Any = _TYPES.get(pd.api.types.infer_dtype(column, skipna=True))
    if wanted is None:
        return column
    return column.mask(column.isna(), None).astype(wanted)


# 5.4e-79.  pandas turns the all-zero bits of IBM's hexadecimal zero into it (seen in 2.2 and 3.1).
_IBM_SMALLEST = 16.0**-65
# What pandas' readers let through when they stumble over broken bytes.
_READER_FAILURES = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError),
    *(OSError, EOFError, NotImplementedError, struct.error),
)
SUFFIXES = (".dta", ".sas7bdat", ".xpt", ".parquet", ".rds")


def read_statistical_file(
    content: bytes, suffix: str, name: str, log: ProblemLog
) -> pd.DataFrame | LongColumns | None:
    """Read a file of a statistics program; None when it is broken (the log says why).

    Columns of a Parquet file come one at a time where that can be.

    Value labels are not applied: a variable keeps its codes, as in Stata's and SAS's own models.  Codes that Stata
    labels as missing become blank and are told; the labels are the frame's ``attrs["value_labels"]``.
    """
    try:
        read = read_parquet_columns(content) if suffix == ".parquet" else _read(content, suffix)
    except ModuleNotFoundError:
        log.add("error", "needs-package", INSTALL, file=name)
        return None
    except MemoryError:
        log.add("error", "unreadable", "what it holds does not fit into memory", file=name)
        return None
    except _READER_FAILURES as failure:
        reason = str(failure).strip().splitlines() or [type(failure).__name__]
        message = f"cannot be read as {suffix} ({reason[0]})"
        log.add("error", "unreadable", message, file=name)
        return None
    if isinstance(read, pd.DataFrame) and read.index.names != [None]:
        read = read.reset_index()
    if not (len(read) if isinstance(read, pd.DataFrame) else read.n_rows):
        log.add("error", "header-only", "there are columns but no data rows", file=name)
        return None
    if isinstance(read, pd.DataFrame) and suffix == ".dta":
        return blank_missing_labels(read, read.attrs["value_labels"], name, log)
    return read


def _read_sas(buffer: io.BytesIO, kind: Literal["xport", "sas7bdat"]) -> pd.DataFrame:
    # SAS data sets name their encoding; transport files cannot.
    encoding = "infer" if kind == "sas7bdat" else "latin-1"
    frame = pd.read_sas(buffer, format=kind, encoding=encoding)
    return frame if kind == "sas7bdat" else _with_zeros(frame)


def _with_zeros(frame: pd.DataFrame) -> pd.DataFrame:
    """Zeros of a transport file, which pandas reads as the smallest number of IBM's format."""
    numbers = frame.select_dtypes("number").columns
    return frame.assign(**{name: frame[name].mask(frame[name] == _IBM_SMALLEST, 0.0) for name in numbers})


def _read(content: bytes, suffix: str) -> pd.DataFrame:
    frame: Any
    buffer = io.BytesIO(content)
    if suffix == ".dta":
        with pd.read_stata(buffer, convert_categoricals=False, iterator=True) as reader:
            frame = reader.read()  # type: ignore[attr-defined]
            frame.attrs["value_labels"] = stata_labels(reader)
    elif suffix == ".rds":
        require_gzip_fits(content)
        frame = read_rds(content)
    else:
        frame = _read_sas(buffer, "xport" if suffix == ".xpt" else "sas7bdat")
    assert isinstance(frame, pd.DataFrame)
    return frame
