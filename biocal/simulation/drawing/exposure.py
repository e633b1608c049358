"""Exposures of persons from the controls' law."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.simulation.drawing.laboratories import relative_error_sd, standard_errors
from biocal.simulation.drawing.plan import DrawPlan

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


def draw_exposure(
    rng: np.random.Generator, plan: DrawPlan, study: IntArray, centre: FloatArray
) -> FloatArray:
    """Exposures from the controls' law, shape (k,); for plans that draw the exposure before the anchor.

    Parameters
    ----------
    study : ndarray of int, shape (k,)
    centre : ndarray, shape (k,)
        Mean of the exposure in the person's matching cell.
    """
    exposure = _standard_exposure(rng, plan, study)
    exposure *= plan.within_sd.of(study)
    exposure += centre
    return exposure


def draw_anchor(
    rng: np.random.Generator, plan: DrawPlan, study: IntArray, centre: FloatArray, exposure: FloatArray
) -> FloatArray:
    """The anchor given the exposure: the exposure itself unless the error is Berkson's."""
    if plan.scenario.measurement.model != "berkson":
        return exposure
    anchor = rng.standard_normal(study.size)
    anchor *= plan.anchor_sd.of(study)
    deviation = exposure - centre
    deviation *= plan.anchor_weight.of(study)
    anchor += deviation
    anchor += centre
    return anchor


def draw_with_anchor(
    rng: np.random.Generator, plan: DrawPlan, study: IntArray, centre: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Exposure and anchor of persons from the controls' law.

    Parameters
    ----------
    study, centre
        As in :func:`draw_exposure`.

    Returns
    -------
    exposure, anchor : ndarray, shape (k,)
    """
    if plan.laboratories.exposure_first:
        exposure = draw_exposure(rng, plan, study, centre)
        return exposure, draw_anchor(rng, plan, study, centre, exposure)
    return _draw_anchor_first(rng, plan, study, centre)


def _standard_exposure(rng: np.random.Generator, plan: DrawPlan, study: IntArray) -> FloatArray:
    """Standardised exposures within cells, shape (k,)."""
    if all(law is plan.laws[0] for law in plan.laws):
        return plan.laws[0].draw(rng, study.size)
    values = np.empty(study.size)
    for index, law in enumerate(plan.laws):
        rows = np.flatnonzero(study == index)
        values[rows] = law.draw(rng, rows.size)
    return values


def _draw_anchor_first(
    rng: np.random.Generator, plan: DrawPlan, study: IntArray, centre: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Calibrated value, then the exposure as that plus Berkson error; redrawn together beyond the limits."""
    measurement, labs = plan.scenario.measurement, plan.laboratories
    anchor, exposure = np.empty(study.size), np.empty(study.size)
    pending = np.arange(study.size)
    anchor_within = plan.sd.values * np.sqrt(labs.anchor_share - plan.scenario.matching.share)
    error_sd = plan.sd.values * np.sqrt(1.0 - labs.anchor_share) / labs.error_scale
    while pending.size:
        s = study[pending]
        value = centre[pending] + anchor_within[s] * _standard_exposure(rng, plan, s)
        error = error_sd[s] * standard_errors(measurement, rng, pending.size)
        error *= relative_error_sd(measurement, value, plan.mean.of(s), plan.sd.of(s))
        anchor[pending], exposure[pending] = value, value + error
        pending = pending[np.abs(exposure[pending] - plan.mean.of(s)) > plan.reach.of(s)]
    return exposure, anchor
