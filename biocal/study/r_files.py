"""Data frames that R saved as .rds, through pyreadr (the extra ``biocal[rds]``)."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

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
