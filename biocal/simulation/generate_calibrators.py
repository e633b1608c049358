"""Who is sent to the reference laboratory too: the calibration subset of each local study."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.errors import SimulationError
from biocal.simulation.generate_plan import DrawPlan

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
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
