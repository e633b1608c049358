"""The calibration as `fit` asks for it: done, or told why not; and what it leaves out."""

from __future__ import annotations

import numpy as np

from biocal.errors import CalibrationDesignError
from biocal.fitting.calibrate import partial_association
from biocal.fitting.methods.estimate import calibrate_problem
from biocal.fitting.problem.prepare import ModelFormulas, PreparedPool
from biocal.fitting.soundness.digits import require_digits
from biocal.model.calibration.lines import CalibrationFit
from biocal.pool.formulas.covariates import design_columns
from biocal.pool.pooled import PooledStudies

#: A left-out calibration covariate with a smaller p-value is worth a warning.
_MATTERS = 0.05


def calibrate_or_explain(
    prepared: PreparedPool, methods: tuple[str, ...]
) -> tuple[CalibrationFit | None, str]:
    """The calibration, and what is to be told of it; when only naive is asked, an obstacle is told, not raised."""
    calibrators, names = prepared.problem.calibrators, prepared.problem.local_names
    try:
        told = require_digits(calibrators.rows, prepared.calibration_names, names)
        return calibrate_problem(prepared.problem), "; ".join(told)
    except CalibrationDesignError as error:
        if set(methods) != {"naive"}:
            raise
        return None, f"no calibration was possible ({error}); knots and axes are those of the naive exposure"


def left_out_of_calibration(
    pool: PooledStudies, prepared: PreparedPool, formulas: ModelFormulas
) -> tuple[str, ...]:
    """Warn when the calibration has no covariates although they would say something (METHODS section 2)."""
    problem = prepared.problem
    if prepared.calibration_names or not problem.local_names:
        return ()
    parts = [design_columns(pool, formula) for formula in (formulas.covariates, formulas.matching) if formula]
    parts = [part for part in parts if part.names]
    if not parts:
        return ()
    values = np.column_stack([part.values for part in parts])[prepared.calibration_pool_rows].T
    calibrators = problem.calibrators
    test = partial_association(calibrators.rows, values, calibrators.response, problem.local_names)
    if test is None or test.p_value >= _MATTERS:
        return ()
    names = ", ".join(name for part in parts for name in part.names)
    return (
        f"the calibration leaves out {names}, which predict the reference value beyond the local one "
        f"(Wald p = {test.p_value:.2g}): calibrated estimates are biased; use calibration covariates 'outcome'",
    )
