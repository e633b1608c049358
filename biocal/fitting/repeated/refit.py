"""The same analysis on other persons: knots, reference exposure, options and words of a fit, new estimates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from biocal.errors import FitError
from biocal.fitting.assembled import assemble_fit, season_results
from biocal.fitting.methods.estimate import EstimationOptions, estimate_method
from biocal.fitting.methods.plug_in import plug_in_exposure
from biocal.fitting.problem.prepare import ModelFormulas, PreparedPool
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.problem.scale import common_exposure
from biocal.fitting.repeated.curve_models import linear_trend, straight_fit
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis, CategoryBasis
from biocal.pool.formulas.factors import Factor
from biocal.pool.matched_sets import count_shapes
from biocal.pool.pooled import PooledStudies
from biocal.results.fit.fit import Fit
from biocal.results.groups.estimates import Counts
from biocal.results.model import Sample

IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What the fits of one call were made from.

    Attributes
    ----------
    pool : PooledStudies
    formulas : ModelFormulas
    prepared : PreparedPool
    calibration : CalibrationFit or None
    options : EstimationOptions
    """

    pool: PooledStudies
    formulas: ModelFormulas
    prepared: PreparedPool
    calibration: CalibrationFit | None
    options: EstimationOptions


def refit(
    fit: Fit,
    prepared: PreparedPool,
    calibration: CalibrationFit | None,
    options: EstimationOptions,
    sample: Sample,
) -> Fit:
    """Fit the method of `fit`, with its knots, to other persons.

    A season is that of their own controls, as for all persons it is that of all controls.

    Raises
    ------
    FitError, SeasonDesignError
        They cannot be fitted, or have other levels of the modifier.
    """
    told = _coded_otherwise(prepared.factors, fit.info.factors)
    problem = prepared.problem
    basis = cast(Basis, fit.basis)
    found = estimate_method(problem, fit.method, basis, calibration, options)
    straight = straight_fit(problem, found, basis, calibration, options)
    exposure, _ = common_exposure(problem, calibration)
    scale = replace(fit.info.scale, control_exposure=exposure[problem.is_control])
    season = season_results(prepared, calibration, (fit.method,), fit.info.labels)
    info = replace(
        fit.info, scale=scale, season=season, omitted=prepared.omitted, notes=told, factors=prepared.factors
    )
    again = assemble_fit(found, fit.basis, info, sample, fit.calibration, problem.local_names, trend=())
    return replace(again, linear=linear_trend(straight))


def _coded_otherwise(factors: Sequence[Factor], of_all: Sequence[Factor]) -> tuple[str, ...]:
    """What terms of the covariates mean where some persons lack levels that all persons have.

    Raises
    ------
    FitError
        They lack levels of the modifier.
    """
    whole = {(one.formula, one.factor): one for one in of_all}
    told = []
    for one in factors:
        before = whole.get((one.formula, one.factor), one)
        lacking = ", ".join(level for level in before.levels if level not in one.levels)
        if not lacking or one.formula not in ("covariates", "modifier"):
            continue
        if one.formula == "modifier":
            raise FitError(f"nobody has the level {lacking} of the modifier {one.factor}")
        if one.coding != "Treatment":
            told.append(
                f"{one.factor}: nobody has {lacking}; its terms are coded for the levels {', '.join(one.levels)}"
            )
        elif one.reference != before.reference:
            told.append(
                f"{one.factor}: nobody has {lacking}; its terms are against {one.reference}, not {before.reference}"
            )
    return tuple(told)


def count_persons(problem: PooledProblem, fit: Fit, calibration: CalibrationFit | None) -> Counts:
    """Sets, cases and controls of a problem, by category of the method's exposure where there are some."""
    cases, controls = int(problem.is_case.sum()), int(problem.is_control.sum())
    if not isinstance(fit.basis, CategoryBasis):
        return Counts(problem.n_sets, cases, controls)
    own = fit.method if fit.method in ("naive", "internalized") else "full"
    category = fit.basis.codes(plug_in_exposure(problem, own, calibration).value)
    n = len(fit.basis.labels)
    pairs = np.unique(np.column_stack([problem.set_code, category]), axis=0)
    by_category = np.column_stack(
        [
            np.bincount(pairs[:, 1], minlength=n),
            np.bincount(category[problem.is_case], minlength=n),
            np.bincount(category[problem.is_control], minlength=n),
        ]
    )
    return Counts(problem.n_sets, cases, controls, by_category.astype(np.intp))


def part_of_sample(sample: Sample, problem: PooledProblem) -> Sample:
    """The sample of a part of the persons; its losses are those of the whole, told there."""
    cases = np.bincount(problem.set_code[problem.is_case], minlength=problem.n_sets)
    controls = np.bincount(problem.set_code[problem.is_control], minlength=problem.n_sets)
    local_controls = problem.is_control & ~problem.is_reference
    present = np.unique(problem.study)
    reference = np.unique(problem.study[problem.is_reference])
    return replace(
        sample,
        n_studies=int(present.size),
        n_reference_studies=int(reference.size),
        n_sets=problem.n_sets,
        n_cases=int(problem.is_case.sum()),
        n_controls=int(problem.is_control.sum()),
        n_calibrators=int(problem.calibrators.response.size),
        calibrated_controls=int((problem.in_calibration & local_controls).sum()),
        local_controls=int(local_controls.sum()),
        flow=(),
        set_shapes=count_shapes(cases.astype(np.intp), controls.astype(np.intp)),
        dropped_sets=(),
    )


def in_short(reason: str) -> str:
    """A reason without the details in parentheses, for a line of a table."""
    return reason.split(" (")[0]


def counts_of(fits: Mapping[str, Fit], analysis: Analysis) -> dict[str, Counts]:
    """What each method's fit rests on."""
    problem = analysis.prepared.problem
    return {name: count_persons(problem, fit, analysis.calibration) for name, fit in fits.items()}
