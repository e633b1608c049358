"""Draw replicates of a scenario: what a pooling project would have collected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.sets.memory import keep_freed_memory
from biocal.simulation.design.scenario import Scenario
from biocal.simulation.drawing.assays import choose_calibrators, draw_assays
from biocal.simulation.drawing.cases import draw_case_exposure
from biocal.simulation.drawing.exposure import draw_anchor, draw_exposure, draw_with_anchor
from biocal.simulation.drawing.plan import DrawPlan, plan_of

__all__ = ["Drawn", "draw", "replicate_rng"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Drawn:
    """B replicates of one scenario, all with the same matched sets.

    Attributes
    ----------
    study : ndarray of int, shape (n,)
        Index into `study_names`, non-decreasing.
    set_code : ndarray of int, shape (n,)
        0..n_sets-1, non-decreasing; cases come first within a set.
    is_case, is_reference : ndarray of bool, shape (n,)
        Case; person of a reference study.
    reference_assay : ndarray, shape (B, n)
        What the reference laboratory would read for everybody, also where a study would not have it.
    local_assay : ndarray, shape (B, n)
        NaN in reference studies.
    in_calibration : ndarray of bool, shape (B, n)
        Person of the calibration subset.
    covariates : ndarray, shape (B, kz, n)
    matching : ndarray, shape (B, kv, n)
        Columns of the matching factors, constant within sets.
    true_exposure : ndarray, shape (B, n)
        Without the reference laboratory's own error.
    person : ndarray of int, shape (B, n), or None
        Who it is, where persons may appear in several sets of their study (a cohort); None: all differ.
    covariate_names, matching_names, study_names : tuple of str
    """

    study: IntArray
    set_code: IntArray
    is_case: BoolArray
    is_reference: BoolArray
    reference_assay: FloatArray
    local_assay: FloatArray
    in_calibration: BoolArray
    covariates: FloatArray
    matching: FloatArray
    true_exposure: FloatArray
    person: IntArray | None
    covariate_names: tuple[str, ...]
    matching_names: tuple[str, ...]
    study_names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Persons:
    """One replicate's rows before they are measured.

    Attributes
    ----------
    exposure, anchor : ndarray, shape (n,)
    cell : ndarray of int, shape (n,), or None
        Matching cell.
    covariates : ndarray, shape (kz, n)
    person : ndarray of int, shape (n,), or None
    """

    exposure: FloatArray
    anchor: FloatArray
    cell: IntArray | None
    covariates: FloatArray
    person: IntArray | None


def replicate_rng(seed: int, scenario_index: int, replicate: int) -> np.random.Generator:
    """Random numbers of one replicate: they depend on its identity alone.

    Parameters
    ----------
    seed, scenario_index, replicate : int
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(scenario_index, replicate)))


def draw(scenario: Scenario, seed: int, scenario_index: int, replicates: Sequence[int]) -> Drawn:
    """Draw replicates of a scenario.

    Parameters
    ----------
    scenario : Scenario
    seed : int
        Of the whole study.
    scenario_index : int
        Position of the scenario in the design, from 0.
    replicates : sequence of int, length B
        Which; each has its own random numbers, the same in whatever company it is drawn.

    Returns
    -------
    Drawn

    Raises
    ------
    SimulationError
        A finite cohort ran out of cases or of controls, or the truth is too steep to draw from.

    Notes
    -----
    METHODS section 10.  Under a rare disease cases are drawn by exact rejection from the controls' law
    tilted by exp(log risk), within the cells of the matching factors.
    """
    keep_freed_memory()
    plan = plan_of(scenario)
    n, batch = plan.rows.n, len(replicates)
    reference, local, true = (np.empty((batch, n)) for _ in range(3))
    calibrated = np.zeros((batch, n), dtype=bool)
    covariates = np.empty((batch, len(scenario.covariates), n))
    matching = np.empty((batch, len(scenario.matching.names), n))
    person = np.empty((batch, n), dtype=np.intp) if scenario.disease.type == "cohort" else None
    for b, replicate in enumerate(replicates):
        rng = replicate_rng(seed, scenario_index, replicate)
        persons = draw_persons(rng, plan)
        true[b] = persons.exposure
        covariates[b] = persons.covariates
        if persons.cell is not None:
            matching[b] = plan.cell_columns[:, persons.cell]
        if person is not None and persons.person is not None:
            person[b] = persons.person
        draw_assays(rng, plan, persons.exposure, persons.anchor, reference[b], local[b], persons.person)
        choose_calibrators(rng, plan, local[b], persons.person, calibrated[b])
    rows = plan.rows
    return Drawn(
        study=rows.study,
        set_code=rows.set_code,
        is_case=rows.is_case,
        is_reference=rows.is_reference,
        reference_assay=reference,
        local_assay=local,
        in_calibration=calibrated,
        covariates=covariates,
        matching=matching,
        true_exposure=true,
        person=person,
        covariate_names=tuple(covariate.name for covariate in scenario.covariates),
        matching_names=scenario.matching.names,
        study_names=tuple(study.name for study in scenario.studies),
    )


def draw_heterogeneity(rng: np.random.Generator, plan: DrawPlan) -> tuple[FloatArray, FloatArray]:
    """Each study's multiplier of the curve and slope added to it, shape (S,)."""
    n_studies, truth = len(plan.laws), plan.scenario.truth
    if truth.heterogeneity == 0:
        return np.ones(n_studies), np.zeros(n_studies)
    deviation = truth.heterogeneity * rng.standard_normal(n_studies)
    if truth.heterogeneity_of == "slope":
        return np.ones(n_studies), deviation
    return 1.0 + deviation, np.zeros(n_studies)


def draw_persons(rng: np.random.Generator, plan: DrawPlan) -> Persons:
    """One replicate's exposures, covariates and matching cells."""
    multiplier, added_slope = draw_heterogeneity(rng, plan)
    if plan.scenario.disease.type == "cohort":
        from biocal.simulation.drawing.cohort import draw_cohort_sets

        return Persons(*draw_cohort_sets(rng, plan, multiplier, added_slope))
    rows = plan.rows
    cell = None
    centre = plan.mean.values[rows.study]
    if plan.scenario.matching.names:
        of_set = rng.integers(plan.cell_shift.size, size=rows.set_study.size)
        cell = of_set[rows.set_code]
        centre = centre + plan.sd.of(rows.study) * plan.cell_shift[cell]
    cases = rows.case_rows
    case_exposure, case_anchor = draw_case_exposure(
        rng, plan, rows.study[cases], centre[cases], multiplier, added_slope
    )
    exposure, anchor = _with_controls(rng, plan, centre, case_exposure, case_anchor)
    covariates = plan.covariate_laws.draw(rng, rows.study, anchor, rows.is_case)
    return Persons(exposure, anchor, cell, covariates, None)


def _with_controls(
    rng: np.random.Generator,
    plan: DrawPlan,
    centre: FloatArray,
    case_exposure: FloatArray,
    case_anchor: FloatArray | None,
) -> tuple[FloatArray, FloatArray]:
    """Exposure and anchor of all rows: controls are drawn and put beside the cases."""
    rows = plan.rows
    controls, cases = rows.control_rows, rows.case_rows
    exposure = np.empty(rows.n)
    exposure[cases] = case_exposure
    if case_anchor is not None:
        anchor = np.empty(rows.n)
        anchor[cases] = case_anchor
        exposure[controls], anchor[controls] = draw_with_anchor(
            rng, plan, rows.study[controls], centre[controls]
        )
        return exposure, anchor
    exposure[controls] = draw_exposure(rng, plan, rows.study[controls], centre[controls])
    anchor = draw_anchor(rng, plan, rows.study, centre, exposure)
    if plan.scenario.measurement.model == "berkson" and plan.scenario.covariates:
        # Cases: a normal anchor tilted by exp(slope * anchor) moves by slope * variance, given the exposure.
        anchor[cases] += (plan.anchor_slope.values * plan.anchor_sd.values**2)[rows.study[cases]]
    return exposure, anchor
