"""A synthetic pool of ten studies as CSV and Parquet files: 1:4 sets, eight covariates, three reference studies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

STUDIES, REFERENCE_STUDIES, CONTROLS, COVARIATES = 10, 3, 4, 8
#: study, set, case, local, reference and the covariates
COLUMNS = 5 + COVARIATES
#: Log odds ratio per nmol/L, and per unit of each covariate.
SLOPE, COVARIATE_SLOPE = -0.01, 0.05
LOCAL_INTERCEPT, LOCAL_SLOPE, LOCAL_ERROR = -10.0, 1.25, 10.0


def pool_table(sets: int, seed: int = 1) -> pa.Table:
    """Draw the pool: rows of a set together, its case at any of its places by the conditional logistic model.

    Local studies measure `LOCAL_INTERCEPT + LOCAL_SLOPE x + error`; at least 100 of a study's controls, and one in
    500 of a large study's, are measured by the reference laboratory too.
    """
    rng = np.random.default_rng(seed)
    in_study, size = sets // STUDIES, CONTROLS + 1
    sets = in_study * STUDIES
    n = sets * size
    study = np.repeat(np.arange(STUDIES), in_study * size)
    value = rng.normal(60, 20, n)
    covariates = rng.normal(size=(COVARIATES, n))
    key = SLOPE * value + COVARIATE_SLOPE * covariates.sum(axis=0) + rng.gumbel(size=n)
    case = np.zeros(n, dtype=np.int64)
    case[np.arange(sets) * size + key.reshape(sets, size).argmax(axis=1)] = 1
    is_reference = study < REFERENCE_STUDIES
    local = np.where(
        is_reference, np.nan, LOCAL_INTERCEPT + LOCAL_SLOPE * value + rng.normal(0, LOCAL_ERROR, n)
    )
    calibrators = np.zeros(n, dtype=bool)
    for code in range(REFERENCE_STUDIES, STUDIES):
        controls = np.flatnonzero((study == code) & (case == 0))
        wanted = min(controls.size, max(100, controls.size // 500))
        calibrators[rng.choice(controls, wanted, replace=False)] = True
    reference = np.where(is_reference | calibrators, value, np.nan)
    columns = {
        "study": pa.array(np.char.add("S", study.astype(str))),
        "set": pa.array(np.tile(np.repeat(np.arange(in_study), size), STUDIES)),
        "case": pa.array(case),
        "local": pa.array(local.round(2), from_pandas=True),
        "reference": pa.array(reference.round(2), from_pandas=True),
    }
    return pa.table(columns | {f"z{k}": pa.array(z.round(4)) for k, z in enumerate(covariates)})


def write_pool(folder: Path, sets: int) -> dict[str, Path]:
    """Write the pool in both formats; return their paths by ending."""
    table = pool_table(sets)
    paths = {ending: folder / f"pool_{sets}.{ending}" for ending in ("csv", "parquet")}
    csv.write_csv(table, paths["csv"], csv.WriteOptions(quoting_style="needed"))
    parquet.write_table(table, paths["parquet"])
    return paths


def numeric_bytes(sets: int) -> int:
    """Bytes of the pool's columns as numbers of eight bytes."""
    return sets * (CONTROLS + 1) * COLUMNS * 8
