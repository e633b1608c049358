"""The calibration's form learned from the pool: knots of a spline, and whether logarithms exist."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.calibration.choices import CalibrationModel
from biocal.calibration.forms import CalibrationForm
from biocal.errors import CalibrationDesignError, OptionError
from biocal.kernels.rcs import default_probabilities, quantile_knots
from biocal.study.pooled import PooledStudies

IntArray = NDArray[np.intp]

#: Fewest pairs a coefficient of a study's own curve (our choice, as for covariates in two-stage).
_PAIRS_PER_COEFFICIENT = 5


def learn_form(pool: PooledStudies, model: CalibrationModel, calibrating: IntArray) -> CalibrationForm:
    """Place knots, or make sure that every value has a logarithm.

    Parameters
    ----------
    pool : PooledStudies
    model : CalibrationModel
    calibrating : ndarray of int, shape (n_pairs,)
        Rows of the calibration subset.

    Raises
    ------
    OptionError
        "log-log" with values that are not positive.
    CalibrationDesignError
        "rcs" in a study with too few pairs, or too many equal ones, for its knots.
    """
    if model.form == "log-log":
        _require_positive(pool, calibrating)
        return CalibrationForm("log-log")
    if model.form == "linear":
        return CalibrationForm()
    knots, problems = [], []
    for s in np.flatnonzero(~pool.is_reference_study):
        local = pool.local_assay[calibrating[pool.study[calibrating] == s]]
        name = pool.study_names[s]
        if local.size < _PAIRS_PER_COEFFICIENT * model.knots:
            problems.append(
                f"{name}: {local.size} pairs, at least {_PAIRS_PER_COEFFICIENT * model.knots} are needed"
            )
            continue
        try:
            knots.append(tuple(quantile_knots(local, default_probabilities(model.knots)).tolist()))
        except OptionError as fault:
            problems.append(f"{name}: {fault}")
    if problems:
        raise CalibrationDesignError(
            f"a calibration spline of {model.knots} knots cannot be placed in {'; '.join(problems)}; use the "
            "calibration form linear or log-log",
            studies=tuple(problems),
        )
    return CalibrationForm("rcs", tuple(knots))


def reference_censored(pool: PooledStudies, rows: IntArray) -> NDArray[np.bool_] | None:
    """Which of some rows have a reference value that is only known to be below its limit; None when none has."""
    held = pool.below_limit
    if held is None or held.rule != "censored":
        return None
    censored = held.reference[rows] & ~pool.is_reference_study[pool.study[rows]]
    return censored if censored.any() else None


def observed_calibrators(pool: PooledStudies) -> NDArray[np.bool_]:
    """Rows of the calibration subset whose reference value was observed: what internalized can plug in, (n,)."""
    if pool.below_limit is None:
        return pool.in_calibration
    censored = reference_censored(pool, np.arange(pool.n_rows))
    return pool.in_calibration if censored is None else pool.in_calibration & ~censored


def _require_positive(pool: PooledStudies, calibrating: IntArray) -> None:
    local = ~pool.is_reference_study[pool.study]
    bad_local = np.flatnonzero(local & (pool.local_assay <= 0))
    bad_reference = calibrating[pool.reference_assay[calibrating] <= 0]
    for rows, what in ((bad_local, "local"), (bad_reference, "reference")):
        if rows.size:
            first = pool.place(int(rows[0]))
            place = f"{first['file']}:{first['line']}" if first["file"] else f"row {first['line']}"
            raise OptionError(
                f"a calibration between logarithms needs positive values, but {rows.size:,} {what} "
                f"value{'s are' if rows.size > 1 else ' is'} 0 or below (study "
                f"{pool.study_names[pool.study[rows[0]]]}, {place}); use the calibration form linear or rcs",
                rows=tuple(rows.tolist()),
            )
