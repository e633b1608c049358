"""The quality gate: what each local study's calibration pairs say of its calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.kernels.method_comparison import bland_altman, deming, passing_bablok
from biocal.model.calibration.diagnostics import (
    batch_lines,
    curvature,
    own_line,
    spread_by_third,
    unequal_variance,
)
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.calibration.rows import CalibrationRows
from biocal.pool.checks.cells.missing_codes import codes_in
from biocal.pool.checks.columns import did_you_mean
from biocal.pool.pooled import PooledStudies
from biocal.pool.tables.cells import as_ids
from biocal.pool.tables.spelling import one_spelling
from biocal.results.calibration.quality import (
    LARGE_COOK,
    LARGE_LEVERAGE,
    MOVES_SLOPE,
    BatchLine,
    InfluentialPair,
    StudyQuality,
)
from biocal.results.calibration.results import StudyCalibration

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Batches:
    """Assay batch of every row: codes (n_rows,), -1 where blank, and their labels."""

    code: IntArray
    labels: tuple[str, ...]


def read_batches(pool: PooledStudies, column: str | None) -> Batches | None:
    """The batch column of a pool.

    Raises
    ------
    OptionError
        There is no such column.
    """
    if not column:
        return None
    column = one_spelling(column)
    if column not in pool.frame.columns:
        raise OptionError(
            f"there is no batch column '{column}'{did_you_mean(column, pool.covariate_names)}", option="batch"
        )
    values: pd.Series[str] = pool.frame[column]
    cells = as_ids(values)
    return Batches(cells.codes.astype(np.intp), tuple(cells.words))


def study_qualities(
    pool: PooledStudies,
    fitted: CalibrationFit,
    pool_rows: IntArray,
    rows: CalibrationRows,
    studies: tuple[StudyCalibration, ...],
    batches: Batches | None = None,
) -> tuple[StudyQuality, ...]:
    """Look at every local study.

    Parameters
    ----------
    pool : PooledStudies
    fitted : CalibrationFit
    pool_rows : ndarray of int, shape (n_pairs,)
        Rows of the pool in the calibration subset.
    rows : CalibrationRows
        The same persons.
    studies : tuple of StudyCalibration
    batches : Batches, optional
    """
    local = [study for study in studies if study.kind == "local"]
    return tuple(
        _study_quality(pool, fitted, pool_rows, rows, k, study, batches) for k, study in enumerate(local)
    )


def _study_quality(
    pool: PooledStudies,
    fitted: CalibrationFit,
    pool_rows: IntArray,
    rows: CalibrationRows,
    k: int,
    study: StudyCalibration,
    batches: Batches | None,
) -> StudyQuality:
    mine = np.flatnonzero(rows.study == k)
    own = fitted.layout.n_own
    shown = fitted.form.columns(rows.take(mine))
    reference = study.pairs_reference
    covariates = fitted.coefficients()[k, own:] @ shown.columns[own:]
    response = fitted.form.response(reference) - covariates
    columns = shown.columns[:own]
    line = own_line(columns[_distinct(columns)], response)
    w = columns[1]
    order = np.argsort(-np.abs(line.slope_change), kind="stable")
    exact = line.is_exact(response)
    cook = np.zeros(w.size) if exact else line.cook
    moved = np.zeros(w.size) if exact else line.slope_change / line.se_slope
    # In a handful of pairs the outermost two always hold much of the line.
    held = max(LARGE_LEVERAGE, 3 * own / w.size)
    decides = ((np.abs(moved) > MOVES_SLOPE) | (cook > LARGE_COOK) | (line.leverage > held)) & (not exact)
    influential = tuple(
        InfluentialPair(
            place_of(pool, int(pool_rows[mine[i]])),
            float(study.pairs_local[i]),
            float(reference[i]),
            float(moved[i]),
            float(line.leverage[i]),
            float(cook[i]),
            float(line.slope - line.slope_change[i]),
        )
        for i in order
        if decides[i]
    )
    lines: tuple[BatchLine, ...] = ()
    p_batch = float("nan")
    if batches is not None:
        found, p_batch = batch_lines(w, response, batches.code[pool_rows[mine]])
        lines = tuple(BatchLine(batches.labels[b], *parts) for b, parts in found.items())
    residuals = fitted.residuals[mine]
    positive = study.pairs_local > 0
    ratio = float(np.median(reference[positive] / study.pairs_local[positive])) if positive.any() else np.nan
    return StudyQuality(
        study=study.study,
        pairs=study.n_calibration,
        r_squared=study.r_squared,
        residual_sd=study.residual_sd,
        sd_by_third=spread_by_third(w, residuals),
        p_unequal=float("nan") if exact else unequal_variance(w, line.residuals),
        p_curved=float("nan") if own > 2 or exact else curvature(columns, response),
        outside=study.outside,
        slope=study.slope if own == 2 else line.slope,
        se_slope=study.se_slope if own == 2 else line.se_slope,
        largest_change=float(np.abs(moved).max()),
        influential=influential,
        agreement=bland_altman(study.pairs_local, reference),
        deming=deming(study.pairs_local, reference),
        passing_bablok=passing_bablok(study.pairs_local, reference),
        unit_ratio=ratio,
        batches=lines,
        p_batch=p_batch,
        local=study.pairs_local,
        reference=reference,
        residuals=residuals,
        largest_leverage=float(line.leverage.max()),
        largest_cook=float(cook.max()),
        huber_slope=line.huber_slope,
        exact=exact,
        codes=tuple(sorted({*codes_in(study.pairs_local), *codes_in(reference)})),
        below=0 if fitted.censored is None else int(fitted.censored[mine].sum()),
    )


def _distinct(columns: FloatArray) -> list[int]:
    """Columns of a spline that are not combinations of those before them, 1 and W first."""
    kept = [0, 1]
    for k in range(2, columns.shape[0]):
        if np.linalg.matrix_rank(columns[[*kept, k]]) > len(kept):
            kept.append(k)
    return kept


def place_of(pool: PooledStudies, row: int) -> str:
    """File and line of a row, or its number in a data frame."""
    place = pool.place(row)
    return f"{place['file']}:{place['line']}" if place["file"] else f"row {place['line']}"
