"""Season standardised.  The risk is that of the exposure as drawn; every laboratory measures it with the season added.

Both persons of a pair gave blood in the same month, whose wave has an SD of 11 nmol/L, beside 20 between persons.
A local laboratory sees the wave as it sees the exposure, so that the calibration needs the season; and since studies C
are southern, it needs each study's own, by study.
"""

from __future__ import annotations

import numpy as np
from run import Case, curve, frame_of, p_row

import biocal as bc
from biocal.kernels.splines import harmonic_columns, mid_month_day
from biocal.simulation.drawing.estimand import true_log_or

#: Half the swing of the season, and the day on which it is highest in each study.
AMPLITUDE, PEAKS = 15.5, {"A": 230.0, "B": 245.0, "C": 50.0}


def analyse(case: Case, coefficients: str = "by-study") -> list[dict]:
    scenario, at = case.scenario, list(case.scenario.estimand.at)
    frame = frame_of(case.drawn, case.row)
    frame["month"] = case.rng.integers(1, 13, case.drawn.set_code[-1] + 1)[case.drawn.set_code]
    for study in scenario.studies:
        mine = frame["study"] == study.name
        waves = harmonic_columns(mid_month_day(frame.loc[mine, "month"].to_numpy(float)))
        peak = harmonic_columns(np.array([PEAKS[study.name[0]]]))[:, 0]
        season = AMPLITUDE * (peak @ waves)
        frame.loc[mine, "reference"] += season
        if not study.is_reference:
            frame.loc[mine, "local"] += study.r_squared / study.slope * season
    found = bc.fit(
        bc.PooledStudies.from_frame(frame),
        method=list(scenario.methods),
        exposure=bc.rcs(knots=list(scenario.fit.knots)),
        season="month",
        calibration_coefficients=coefficients,
        reference=scenario.estimand.reference,
        at=at,
    )
    rows, truth = [], true_log_or(scenario)
    for method, fit in found.items():
        response = fit.dose_response(at=at)
        rows += curve(method, at, truth, response.log_or, response.std_error)
        p_values = {test.test: test.p_value for test in fit.tests()}
        rows += [p_row(method, test, p_values[test]) for test in ("overall", "nonlinearity")]
    return rows
