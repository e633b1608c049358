"""The draws of the study `season` with calibration coefficients of the season that all studies share: the default."""

from __future__ import annotations

from run import Case, load_analysis


def analyse(case: Case) -> list[dict]:
    return load_analysis("season").analyse(case, "common")
