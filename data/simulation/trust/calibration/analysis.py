"""Intervals of the calibration lines themselves: normal, with the sandwich's standard errors."""

from __future__ import annotations

from run import Case, frame_of, interval

import biocal as bc


def analyse(case: Case) -> list[dict]:
    found = (
        bc.calibrate(bc.PooledStudies.from_frame(frame_of(case.drawn, case.row))).tidy().set_index("study")
    )
    rows = []
    for study in case.scenario.studies:
        if study.is_reference:
            continue
        line = found.loc[study.name]
        for name, true in (("intercept", study.intercept), ("slope", study.slope)):
            rows.append(
                interval("calibration", f"{name} of {study.name}", true, line[name], line[f"se_{name}"])
            )
    return rows
