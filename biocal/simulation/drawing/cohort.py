"""Sets sampled from finite cohorts, for diseases that are not rare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biocal.errors import SimulationError
from biocal.simulation.drawing.exposure import draw_with_anchor
from biocal.simulation.drawing.plan import DrawPlan

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Exposure, anchor, matching cell, covariates and person of all rows.
SampledRows = tuple[FloatArray, FloatArray, IntArray | None, FloatArray, IntArray]


def draw_cohort_sets(
    rng: np.random.Generator, plan: DrawPlan, multiplier: FloatArray, added_slope: FloatArray
) -> SampledRows:
    """One replicate: a cohort for each study, followed, and sampled by risk set.

    Parameters
    ----------
    multiplier, added_slope : ndarray, shape (S,)
        Heterogeneity: a study's log risk is multiplier * (log risk) + added_slope * exposure.

    Returns
    -------
    exposure, anchor : ndarray, shape (n,)
    cell : ndarray of int, shape (n,), or None
    covariates : ndarray, shape (kz, n)
    person : ndarray of int, shape (n,)
        Numbers of different studies differ.  A later case may be a control before, and a control serve twice.

    Raises
    ------
    SimulationError
        Too few cases in a cohort, or too few at risk beside one of them.
    """
    studies = [
        _study_sets(rng, plan, index, multiplier[index], added_slope[index])
        for index in range(len(plan.scenario.studies))
    ]
    exposure, anchor, cell, covariates, person = zip(*studies, strict=True)
    size = plan.scenario.disease.size or 0
    return (
        np.concatenate(exposure),
        np.concatenate(anchor),
        np.concatenate(cell) if plan.scenario.matching.names else None,
        np.concatenate(covariates, axis=1),
        np.concatenate([of_study + size * index for index, of_study in enumerate(person)]),
    )


def _study_sets(
    rng: np.random.Generator, plan: DrawPlan, index: int, multiplier: float, added_slope: float
) -> tuple[FloatArray, FloatArray, IntArray, FloatArray, IntArray]:
    """Follow one study's cohort and sample its sets; rows in the order of the plan."""
    design, disease, truth = plan.scenario.studies[index], plan.scenario.disease, plan.scenario.truth
    size, prevalence = disease.size, disease.prevalence
    assert size is not None
    assert prevalence is not None
    study = np.full(size, index)
    cell = rng.integers(plan.cell_shift.size, size=size)
    centre = plan.mean.values[index] + plan.sd.values[index] * plan.cell_shift[cell]
    exposure, anchor = draw_with_anchor(rng, plan, study, centre)
    covariates = plan.covariate_laws.draw(rng, study, anchor, None)
    risk = multiplier * truth.log_risk(exposure) + added_slope * exposure
    hazard = np.exp(risk - risk.max() + plan.covariate_laws.log_risk(covariates))
    time = rng.standard_exponential(size) / (_baseline_hazard(hazard, prevalence) * hazard)
    rows = _sample_risk_sets(rng, time, cell, design.sets, design.controls, design.name)
    return exposure[rows], anchor[rows], cell[rows], covariates[:, rows], rows


def _baseline_hazard(hazard: FloatArray, prevalence: float) -> float:
    """The factor under which the cohort's expected cumulative incidence by time 1 is `prevalence`."""
    low, high = 0.0, 1.0
    while -np.expm1(-high * hazard).mean() < prevalence:
        high *= 2.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if -np.expm1(-middle * hazard).mean() < prevalence else (low, middle)
    return high


def _sample_risk_sets(
    rng: np.random.Generator, time: FloatArray, cell: IntArray, sets: int, controls: int, name: str
) -> IntArray:
    """Persons of the sets, cases first, shape (sets * (1 + controls),).

    A random sample of those who fall ill before time 1, each with distinct controls drawn from the persons
    of the same matching cell whose own time is later.
    """
    cases = np.flatnonzero(time < 1.0)
    if cases.size < sets:
        raise SimulationError(
            f"the cohort of study {name!r} had {cases.size} cases, fewer than its {sets} sets; "
            "raise disease.size or disease.prevalence",
            study=name,
        )
    chosen = rng.permutation(cases)[:sets]
    order = np.lexsort((time, cell))
    position = np.empty(time.size, dtype=np.intp)
    position[order] = np.arange(time.size)
    first = position[chosen] + 1
    at_risk = np.searchsorted(cell[order], cell[chosen], side="right") - first
    if (at_risk < controls).any():
        raise SimulationError(
            f"only {at_risk.min()} persons of the cohort of study {name!r} were at risk beside a case that "
            f"needs {controls} controls; raise disease.size or match on fewer strata",
            study=name,
        )
    persons = np.empty((sets, 1 + controls), dtype=np.intp)
    persons[:, 0] = chosen
    persons[:, 1:] = order[first[:, None] + _distinct_integers(rng, at_risk, controls)]
    return persons.ravel()


def _distinct_integers(rng: np.random.Generator, below: IntArray, many: int) -> IntArray:
    """For each k, `many` different integers from 0 to below[k] - 1, every subset as likely, shape (k, many).

    Floyd's algorithm (Bentley, Comm ACM 1987;30:754-757), all rows at once.
    """
    chosen = np.empty((below.size, many), dtype=np.intp)
    for j in range(many):
        largest = below - many + j
        candidate = rng.integers(largest + 1)
        taken = (chosen[:, :j] == candidate[:, None]).any(axis=1)
        chosen[:, j] = np.where(taken, largest, candidate)
    return chosen
