"""A part of the rows, calibrated by the lines that all rows gave: its moments, residuals and spreads within sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.sums.records import CalibrationMoments, ResidualSums, StudyLine
from biocal.kernels.sets.likelihood import CONSTANT_WITHIN_SETS
from biocal.model.calibration.lines import (
    CalibrationFit,
    CalibrationLayout,
    dense_rows,
)
from biocal.model.calibration.rows import CalibrationRows, PersonRows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

#: A column's sum of squares about its mean below this share of that about 0 is rounding: the column is constant.
CONSTANT_COLUMN = 1e-18


def calibration_of_lines(problem: PooledProblem, lines: Sequence[StudyLine]) -> CalibrationFit | None:
    """The calibration of all rows with these rows' residuals, leverages and scores; None without local studies.

    Parameters
    ----------
    problem : PooledProblem
    lines : sequence of StudyLine
        One for each of the problem's local studies, in their order.
    """
    if not problem.local_names:
        return None
    calibrators = problem.calibrators
    layout = _kept_layout(calibrators.layout, lines)
    design = dense_rows(calibrators.rows, layout)
    gamma = np.zeros(layout.n_parameters)
    leverage = np.zeros(calibrators.rows.study.size)
    for s, line in enumerate(lines):
        position = layout.position[s]
        gamma[position[line.kept]] = line.coefficients[line.kept]
        mine = calibrators.rows.study == s
        own = calibrators.rows.columns[line.kept][:, mine]
        leverage[mine] = np.einsum("ki,kl,li->i", own, line.inverse, own)
    residuals = calibrators.response - design @ gamma
    here = np.bincount(calibrators.rows.group, minlength=layout.n_groups)
    fitted = CalibrationFit(
        gamma,
        residuals,
        leverage,
        # Blocks of several studies are known where all rows are summed alone, and nothing here needs them.
        np.full((gamma.size, gamma.size), np.nan),
        residuals[:, None] * design,
        _by_group(layout, [line.variance for line in lines]),
        _by_group(
            layout,
            [_freedom_here(line, here[layout.group_study == s]) for s, line in enumerate(lines)],
        ),
        layout,
        (),
        calibrators.rows.group,
    )
    return fitted.with_leverage_scores() if calibrators.leverage_scores else fitted


def _freedom_here(line: StudyLine, n_here: IntArray) -> FloatArray | None:
    """The pairs' share of their study's sums of 1 - h, so that the mean over them is the study's."""
    if line.freedom is None or line.pairs is None:
        return line.freedom
    return np.asarray(line.freedom * n_here / np.maximum(line.pairs, 1))


def _by_group(layout: CalibrationLayout, of_studies: Sequence[FloatArray | None]) -> FloatArray:
    """One number a residual variance from those of each study, which stand in the order of its groups."""
    found = np.full(layout.n_groups, np.nan)
    for s, own in enumerate(of_studies):
        if own is not None:
            found[layout.group_study == s] = own
    return found


def agreed_on_common(layout: CalibrationLayout, lines: Sequence[StudyLine]) -> bool:
    """Whether the lines keep the same of the coefficients that studies have in common."""
    kept = _kept_parameters(layout, lines)
    return all(np.array_equal(kept[layout.position[s]], line.kept) for s, line in enumerate(lines))


def _kept_parameters(layout: CalibrationLayout, lines: Sequence[StudyLine]) -> BoolArray:
    kept = np.zeros(layout.n_parameters + 1, dtype=np.bool_)
    for s, line in enumerate(lines):
        kept[layout.position[s][line.kept]] = True
    return kept


def _kept_layout(layout: CalibrationLayout, lines: Sequence[StudyLine]) -> CalibrationLayout:
    """Parameters of the studies without those that were taken out as collinear."""
    kept = _kept_parameters(layout, lines)
    renumber = np.full(layout.n_parameters + 1, -1, dtype=np.intp)
    places = np.flatnonzero(kept)
    renumber[places] = np.arange(places.size)
    return CalibrationLayout(renumber[layout.position], places.size, layout.n_groups, layout.group_study)


def own_positions(layout: CalibrationLayout, study: int) -> IntArray:
    """Parameters that a study's persons have, in the order of their columns."""
    position = layout.position[study]
    return np.asarray(position[position >= 0])


def study_rows(rows: CalibrationRows | PersonRows, study: int) -> CalibrationRows:
    """The rows with everybody outside one local study taken as of a reference study."""
    return CalibrationRows(np.where(rows.study == study, rows.study, -1), rows.columns, rows.group)


def pairs_of(problem: PooledProblem, local: int) -> tuple[FloatArray, FloatArray]:
    """Columns after the constant (W and the covariates), (k - 1, n), and response of one local study's pairs."""
    calibrators = problem.calibrators
    mine = calibrators.rows.study == local
    return calibrators.rows.columns[1:, mine], calibrators.response[mine]


def moments_of_pairs(columns: FloatArray, response: FloatArray) -> CalibrationMoments:
    """Moments of a calibration subset about its means: uncentred sums would lose digits.

    Parameters
    ----------
    columns : ndarray, shape (k - 1, n)
    response : ndarray, shape (n,)
        One pair or more.
    """
    means, mean = columns.mean(axis=1), float(response.mean())
    centred, left = columns - means[:, None], response - mean
    products, cross = centred @ centred.T, centred @ left
    constant = np.diagonal(products) <= CONSTANT_COLUMN * (columns**2).sum(axis=1)
    products[constant] = 0.0
    products[:, constant] = 0.0
    cross[constant] = 0.0
    return CalibrationMoments(int(response.size), means, products, mean, cross, float(left @ left))


def residual_sums_of(calibration: CalibrationFit, problem: PooledProblem, local: int) -> ResidualSums:
    """Sums over one local study's pairs at the calibration, by residual variance."""
    rows, layout = problem.calibrators.rows, calibration.layout
    groups = np.flatnonzero(layout.group_study == local)
    members = [rows.group == group for group in groups]
    squares, left = calibration.residuals**2, 1.0 - calibration.leverage
    gram = None
    if groups.size > 1:
        kept = layout.position[local] >= 0
        own = [rows.columns[kept][:, mine] for mine in members]
        gram = np.array([one @ one.T for one in own])
    return ResidualSums(
        np.array([squares[mine].sum() for mine in members]),
        np.array([left[mine].sum() for mine in members]),
        np.array([mine.sum() for mine in members], dtype=np.intp),
        gram,
    )


def spreads_within_sets(problem: PooledProblem, columns: FloatArray) -> FloatArray:
    """Range of columns (p, n_persons) within each set, (p, n_sets)."""
    if columns.shape[0] == 0:
        return np.zeros((0, problem.n_sets))
    order = np.argsort(problem.set_code, kind="stable")
    starts = np.searchsorted(problem.set_code[order], np.arange(problem.n_sets))
    values = columns[:, order]
    return np.asarray(
        np.maximum.reduceat(values, starts, axis=1) - np.minimum.reduceat(values, starts, axis=1)
    )


def varying_columns(problem: PooledProblem, columns: FloatArray) -> BoolArray:
    """Sets within which columns (p, n_persons) vary, (p, n_sets).

    Variation is judged as where the pooled fit looks for columns constant within sets: against the largest value.
    """
    if columns.shape[0] == 0:
        return np.zeros((0, problem.n_sets), dtype=np.bool_)
    largest = np.abs(columns).max(axis=1)
    spreads = spreads_within_sets(problem, columns)
    return np.asarray(spreads > CONSTANT_WITHIN_SETS * largest[:, None])
