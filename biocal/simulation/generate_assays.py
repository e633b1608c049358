"""What the laboratories read, given true exposure and anchor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.simulation.generate_plan import DrawPlan
from biocal.simulation.measurement import relative_error_sd, standard_errors

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
