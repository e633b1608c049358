"""Curves by level of a modifier that is constant within sets, and the same curves from subgroups."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from run import Case, curve, frame_of, p_row

import biocal as bc
from biocal.simulation.design.truth import Truth
from biocal.simulation.drawing.draw import draw
from biocal.simulation.drawing.estimand import true_log_or

MEN = Truth("linear", (-0.01,))
#: Added to the number of a cell, so that men are drawn apart from women.
APART = 1000


def analyse(case: Case) -> list[dict]:
    women, at = case.scenario, list(case.scenario.estimand.at)
    men = replace(women, truth=MEN)
    of_men = draw(men, case.seed, APART + case.index, [case.replicate])
    frames = [
        frame_of(case.drawn, case.row).assign(sex="women"),
        frame_of(of_men, 0).assign(sex="men", set=lambda table: table["set"] + case.drawn.set_code[-1] + 1),
    ]
    pool = bc.PooledStudies.from_frame(pd.concat(frames, ignore_index=True))
    truth = {"men": true_log_or(men), "women": true_log_or(women)}
    options = {
        "method": list(women.methods),
        "exposure": bc.rcs(knots=list(women.fit.knots)),
        "matching": "C(sex)",
        "reference": women.estimand.reference,
        "at": at,
    }
    modified = bc.fit(pool, modifier="C(sex)", **options)
    apart = bc.fit(pool, by="sex", **options)
    rows = []
    for method in women.methods:
        groups = apart[method].subgroups[0]
        for sex, true in truth.items():
            level = modified[method].dose_response(at=at, modifier_level=sex)
            own = groups[sex].fit.dose_response(at=at)
            rows += curve(method, at, true, level.log_or, level.std_error, kind=f"{sex}, modifier")
            rows += curve(method, at, true, own.log_or, own.std_error, kind=f"{sex}, subgroup")
        p_value = {test.test: test.p_value for test in modified[method].tests()}["interaction"]
        rows.append(p_row(method, "interaction", p_value, kind="modifier"))
        rows.append(p_row(method, "heterogeneity", groups.test_heterogeneity().p_value, kind="subgroup"))
    return rows
