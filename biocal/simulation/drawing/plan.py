"""What is worked out once for a scenario before its replicates are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from biocal.simulation.design.scenario import Scenario
from biocal.simulation.drawing.covariates import CovariateLaws, covariate_laws
from biocal.simulation.drawing.laboratories import Laboratories, laboratories
from biocal.simulation.drawing.laws import StandardLaw, law_of_study, matching_cells, mean_and_sd
from biocal.simulation.drawing.tilt import Tilt, tilt_of_study

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


class PerStudy:
    """One number a study, looked up by person: a plain number when all studies agree, which is faster.

    Parameters
    ----------
    values : ndarray, shape (S,)
    """

    __slots__ = ("common", "values")

    def __init__(self, values: FloatArray) -> None:
        self.values = values
        first = values[0]
        self.common = first if (values == first).all() else None

    def of(self, study: IntArray) -> FloatArray | np.float64:
        """Values of persons, shape (k,) or ()."""
        return self.values[study] if self.common is None else self.common


@dataclass(frozen=True, eq=False)
class SetRows:
    """The rows of every replicate: studies in order, their sets in order, cases first within a set.

    Attributes
    ----------
    study, set_code : ndarray of int, shape (n,)
    is_case, is_reference : ndarray of bool, shape (n,)
    case_rows, control_rows : ndarray of int
    set_study : ndarray of int, shape (n_sets,)
    study_rows : tuple of slice
        Rows of each study.
    """

    study: IntArray
    set_code: IntArray
    is_case: BoolArray
    is_reference: BoolArray
    case_rows: IntArray
    control_rows: IntArray
    set_study: IntArray
    study_rows: tuple[slice, ...]

    @property
    def n(self) -> int:
        """Rows."""
        return int(self.study.size)


@dataclass(frozen=True, eq=False)
class DrawPlan:
    """A scenario in arrays.

    Attributes
    ----------
    scenario : Scenario
    rows : SetRows
    laws : tuple of StandardLaw
        Of each study's exposure within matching cells.
    mean, sd, within_sd : PerStudy
        Mean and SD of the exposure, and its SD within matching cells.
    cell_shift : ndarray, shape (n_cells,)
        Mean of the standardised exposure in each matching cell.
    cell_columns : ndarray, shape (kv, n_cells)
        The matching factors there.
    laboratories : Laboratories
    anchor_weight, anchor_sd : PerStudy
        The anchor given the exposure, within matching cells: slope and residual SD.
    covariate_laws : CovariateLaws
    tilts : tuple of Tilt
        How each study's case exposures are proposed.
    tiltable : bool
        Whether they are proposed from a tilted law.
    reach : PerStudy
        How far from its mean the exposure may lie.
    anchor_slope : PerStudy
        Log risk per unit of the anchor that normal confounders add.
    """

    scenario: Scenario
    rows: SetRows
    laws: tuple[StandardLaw, ...]
    mean: PerStudy
    sd: PerStudy
    within_sd: PerStudy
    cell_shift: FloatArray
    cell_columns: FloatArray
    laboratories: Laboratories
    anchor_weight: PerStudy
    anchor_sd: PerStudy
    covariate_laws: CovariateLaws
    tilts: tuple[Tilt, ...]
    tiltable: bool
    reach: PerStudy
    anchor_slope: PerStudy


def lay_out_rows(scenario: Scenario) -> SetRows:
    """Rows of a scenario's studies and sets."""
    study, is_case, set_code, set_study, study_rows = [], [], [], [], []
    first_row = first_set = 0
    for index, design in enumerate(scenario.studies):
        study.append(np.full(design.n_persons, index))
        is_case.append(np.tile(np.arange(design.set_size) < design.cases, design.sets))
        set_code.append(first_set + np.repeat(np.arange(design.sets), design.set_size))
        set_study.append(np.full(design.sets, index))
        study_rows.append(slice(first_row, first_row + design.n_persons))
        first_row += design.n_persons
        first_set += design.sets
    cases = np.concatenate(is_case)
    studies = np.concatenate(study)
    return SetRows(
        study=studies,
        set_code=np.concatenate(set_code),
        is_case=cases,
        is_reference=np.array([design.is_reference for design in scenario.studies])[studies],
        case_rows=np.flatnonzero(cases),
        control_rows=np.flatnonzero(~cases),
        set_study=np.concatenate(set_study),
        study_rows=tuple(study_rows),
    )


@lru_cache(maxsize=8)
def plan_of(scenario: Scenario) -> DrawPlan:
    """Work out a scenario's plan; plans of the last few scenarios are kept."""
    moments = np.array([mean_and_sd(scenario.exposure, study) for study in scenario.studies])
    mean, sd = moments.T
    within_sd = sd * math.sqrt(1.0 - scenario.matching.share)
    laws = tuple(law_of_study(scenario.exposure, study) for study in scenario.studies)
    cell_shift, cell_columns = matching_cells(scenario.matching)
    labs = laboratories(scenario)
    tilts = tuple(tilt_of_study(scenario, index, labs) for index in range(len(scenario.studies)))
    matched = scenario.matching.share
    anchor_within = labs.anchor_share - matched
    return DrawPlan(
        scenario=scenario,
        rows=lay_out_rows(scenario),
        laws=laws,
        mean=PerStudy(mean),
        sd=PerStudy(sd),
        within_sd=PerStudy(within_sd),
        cell_shift=cell_shift,
        cell_columns=cell_columns,
        laboratories=labs,
        anchor_weight=PerStudy(anchor_within / (1.0 - matched)),
        anchor_sd=PerStudy(sd * np.sqrt(anchor_within * (1.0 - labs.anchor_share) / (1.0 - matched))),
        covariate_laws=covariate_laws(scenario, labs),
        tilts=tilts,
        tiltable=all(tilt.tiltable for tilt in tilts),
        reach=PerStudy(np.array([tilt.reach for tilt in tilts])),
        anchor_slope=PerStudy(np.array([tilt.anchor_slope for tilt in tilts])),
    )
