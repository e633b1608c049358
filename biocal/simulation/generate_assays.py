"""What the laboratories read, given true exposure and anchor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.simulation.generate_plan import DrawPlan
from biocal.simulation.measurement import relative_error_sd, standard_errors

FloatArray = NDArray[np.float64]


def draw_assays(
    rng: np.random.Generator,
    plan: DrawPlan,
    exposure: FloatArray,
    anchor: FloatArray,
    reference: FloatArray,
    local: FloatArray,
) -> None:
    """Write the reading of both laboratories for everybody into `reference` and `local`, shape (n,)."""
    measurement, rows, labs = plan.scenario.measurement, plan.rows, plan.laboratories
    study = rows.study
    if measurement.model == "berkson":
        calibrated = anchor
    else:
        # W = (mean - a)/b + (R2/b)(T - mean + u): on the scale of the exposure, a + b W as written here.
        mean, sd, r_squared = plan.mean[study], plan.sd, labs.r_squared
        error_sd = sd * np.sqrt(r_squared * (1.0 - r_squared)) / labs.error_scale
        error = standard_errors(measurement, rng, rows.n)
        error *= error_sd[study]
        error *= relative_error_sd(measurement, exposure, mean, sd[study])
        calibrated = mean + r_squared[study] * (exposure - mean) + error
    if measurement.case_shift or measurement.case_extra_sd:
        cases = rows.case_rows
        calibrated = calibrated.copy()
        calibrated[cases] += measurement.case_shift
        calibrated[cases] += measurement.case_extra_sd * rng.standard_normal(cases.size)
    np.subtract(calibrated, labs.intercept[study], out=local)
    local /= labs.slope[study]
    reference[:] = exposure
    if measurement.reference_error_sd:
        reference += measurement.reference_error_sd * rng.standard_normal(rows.n)
