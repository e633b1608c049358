"""What the laboratories read, given true exposure and anchor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.errors import SimulationError
from biocal.simulation.drawing.laboratories import relative_error_sd, standard_errors
from biocal.simulation.drawing.plan import DrawPlan

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


def draw_assays(
    rng: np.random.Generator,
    plan: DrawPlan,
    exposure: FloatArray,
    anchor: FloatArray,
    reference: FloatArray,
    local: FloatArray,
    person: IntArray | None = None,
) -> None:
    """Write the reading of both laboratories for everybody into `reference` and `local`, shape (n,).

    Where persons come again (`person` given), each was measured once, and all their rows hold that reading; the
    differential error is that of the rows in which they are cases.
    """
    measurement, rows, labs = plan.scenario.measurement, plan.rows, plan.laboratories
    study = rows.study
    measured_in = slice(None) if person is None else _first_rows(person)
    if measurement.model == "berkson":
        np.subtract(anchor, labs.intercept[study], out=local)
    else:
        # W = (mean - a)/b + (R2/b)(T - mean + u): here first a + b W, on the scale of the exposure.
        mean, sd = plan.mean.of(study), plan.sd.of(study)
        error_sd = plan.sd.values * np.sqrt(labs.r_squared * (1.0 - labs.r_squared)) / labs.error_scale
        local[:] = standard_errors(measurement, rng, rows.n)[measured_in]
        local *= error_sd[study]
        local *= relative_error_sd(measurement, exposure, mean, sd)
        deviation = exposure - mean
        deviation *= labs.r_squared[study]
        local += deviation
        local += (plan.mean.values - labs.intercept)[study]
    if measurement.case_shift or measurement.case_extra_sd:
        cases = rows.case_rows
        local[cases] += measurement.case_shift
        local[cases] += measurement.case_extra_sd * rng.standard_normal(cases.size)
    local /= labs.slope[study]
    reference[:] = exposure
    if measurement.reference_error_sd:
        reference += measurement.reference_error_sd * rng.standard_normal(rows.n)[measured_in]


def _first_rows(person: IntArray) -> IntArray:
    """The first row of each row's person, shape (n,)."""
    _, first, code = np.unique(person, return_index=True, return_inverse=True)
    return np.asarray(first[code.ravel()], dtype=np.intp)


BoolArray = NDArray[np.bool_]

_GROUPS = 10


def choose_calibrators(
    rng: np.random.Generator,
    plan: DrawPlan,
    local: FloatArray,
    person: IntArray | None,
    in_calibration: BoolArray,
) -> None:
    """Mark each local study's calibration subset in `in_calibration`, shape (n,).

    Where persons come again (`person` given), each counts once, at the first of their eligible rows.

    Raises
    ------
    SimulationError
        A cohort's sets hold fewer persons than are to be calibrated.
    """
    measurement = plan.scenario.measurement
    for rows, study in zip(plan.rows.study_rows, plan.scenario.studies, strict=True):
        if study.is_reference or not study.calibrators:
            continue
        eligible = np.arange(rows.start, rows.stop)
        if not measurement.cases:
            eligible = eligible[~plan.rows.is_case[rows]]
        if person is not None:
            eligible = eligible[np.sort(np.unique(person[eligible], return_index=True)[1])]
            if eligible.size < study.calibrators:
                raise SimulationError(
                    f"study {study.name!r} has {eligible.size} persons to choose {study.calibrators} "
                    "calibrators from, since some serve in several sets; raise disease.size",
                    study=study.name,
                )
        if measurement.sampling == "deciles":
            chosen = spread_over_deciles(rng, local[eligible], study.calibrators)
        else:
            keys = rng.random(eligible.size)
            chosen = np.argpartition(keys, study.calibrators - 1)[: study.calibrators]
        in_calibration[eligible[chosen]] = True


def spread_over_deciles(rng: np.random.Generator, values: FloatArray, wanted: int) -> IntArray:
    """Choose as many from each tenth of the values; a remainder goes to tenths drawn at random.

    Parameters
    ----------
    values : ndarray, shape (m,)
    wanted : int
        At most m.

    Returns
    -------
    ndarray of int, shape (wanted,)
        Positions in `values`.
    """
    order = np.argsort(values)
    group = np.arange(values.size) * _GROUPS // values.size
    sizes = np.bincount(group, minlength=_GROUPS)
    quota = np.full(_GROUPS, wanted // _GROUPS)
    quota[rng.permutation(_GROUPS)[: wanted % _GROUPS]] += 1
    # Tenths differ by one in size: the last few of a nearly complete subset may not fit where they fell.
    while (quota > sizes).any():
        surplus = int(np.maximum(quota - sizes, 0).sum())
        quota = np.minimum(quota, sizes)
        room = np.flatnonzero(quota < sizes)
        quota[rng.permutation(room)[:surplus]] += 1
    shuffled = np.lexsort((rng.random(values.size), group))
    rank_in_group = np.arange(values.size) - (np.cumsum(sizes) - sizes)[group]
    return np.asarray(order[shuffled[rank_in_group < quota[group]]])
