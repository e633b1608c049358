"""One drawn replicate as the problem that every estimator of the package takes, as `bc.fit` would make it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.methods.estimate import calibrate_problem
from biocal.fitting.problem.prepare import same_for_everybody
from biocal.fitting.problem.problem import Calibrators, PooledProblem
from biocal.fitting.problem.scale import learn_basis
from biocal.fitting.problem.units import join_by_person, split_variances
from biocal.fitting.soundness.digits import require_digits
from biocal.kernels.sets.layout import SetLayout, lay_out_sets
from biocal.model.calibration.lines import CalibrationFit, lay_out_parameters
from biocal.model.calibration.rows import CalibrationRows
from biocal.model.exposure import Basis, ExposureSpecification, linear, rcs
from biocal.model.outcome.conditional import constant_within_sets
from biocal.simulation.design.scenario import Scenario
from biocal.simulation.drawing.draw import Drawn
from biocal.simulation.fitting.batch_plug_in import BatchSets

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


def problem_of(
    drawn: Drawn, scenario: Scenario, row: int, *, everybody_reference: bool = False
) -> PooledProblem:
    """One replicate as the problem that every estimator takes.

    Parameters
    ----------
    drawn : Drawn
    scenario : Scenario
    row : int
        Position in the batch.
    everybody_reference : bool
        As if the reference laboratory had measured everybody.

    Raises
    ------
    OptionError
        A modifier that is the same for everybody.
    """
    sets = sets_of(drawn)
    local_index = np.full_like(sets.local_index, -1) if everybody_reference else sets.local_index
    local_names = (
        ()
        if everybody_reference
        else tuple(
            str(name) for name, local in zip(drawn.study_names, _is_local_study(drawn), strict=True) if local
        )
    )
    outcome_covariates, outcome_names = outcome_covariates_of(drawn, scenario)
    covariates = outcome_covariates[row]
    modifying = [k for k, name in enumerate(outcome_names) if name == scenario.fit.modifier]
    modifier = covariates[modifying]
    if np.ptp(modifier, axis=1).min(initial=np.inf) == 0:
        raise same_for_everybody((str(scenario.fit.modifier),))
    constant = constant_within_sets(
        sets.layout, covariates
    )  # they leave the outcome model, not the calibration
    calibrating = np.flatnonzero(drawn.in_calibration[row] & (local_index >= 0))
    group, group_study, _ = split_variances(
        modifier.T, local_index, np.arange(local_index.size), calibrating, len(local_names)
    )
    rows = CalibrationRows(local_index, _calibration_columns(drawn, scenario, row, modifier), group)
    n_sets = int(drawn.set_code.max()) + 1
    set_unit, n_units = np.arange(n_sets), n_sets
    if drawn.person is not None:  # sets that share a person of the cohort are one independent unit
        unit, n_units = join_by_person(drawn.set_code, drawn.person[row], n_sets)
        set_unit = np.empty(n_sets, dtype=np.intp)
        set_unit[drawn.set_code] = unit
    layout = lay_out_parameters(len(local_names), rows.columns.shape[0], group_study, by_study=False)
    return PooledProblem(
        study=drawn.study,
        set_code=drawn.set_code,
        is_case=drawn.is_case,
        local_assay=drawn.local_assay[row],
        reference_assay=drawn.reference_assay[row],
        is_reference=local_index < 0,
        in_calibration=drawn.in_calibration[row],
        covariates=covariates[~constant] if constant.any() else covariates,
        modifier=modifier,
        modifier_main=(),  # its own effect is among the covariates
        calibration_rows=rows,
        calibrators=Calibrators(
            rows.take(calibrating),
            drawn.reference_assay[row, calibrating],
            set_unit[drawn.set_code[calibrating]],
            layout,
            scenario.fit.calibration_variance == "hc3",
        ),
        set_unit=set_unit,
        n_units=n_units,
        layout=sets.layout,
        study_names=tuple(drawn.study_names),
        local_names=local_names,
        covariate_names=tuple(n for n, flag in zip(outcome_names, constant, strict=True) if not flag),
        modifier_names=tuple(outcome_names[k] for k in modifying),
    )


def calibrated_by_rule(problem: PooledProblem, scenario: Scenario) -> CalibrationFit | None:
    """The calibration of a replicate, refused where `bc.fit` would refuse it.

    Raises
    ------
    CalibrationDesignError
    """
    names = calibration_names(scenario)
    require_digits(problem.calibrators.rows, names, problem.local_names)
    return calibrate_problem(problem)


def basis_by_rule(problem: PooledProblem, scenario: Scenario, calibration: CalibrationFit | None) -> Basis:
    """Exposure terms, knots placed or refused as `bc.fit` does: by full calibration's exposure.

    Raises
    ------
    OptionError
        Given knots outside the exposures, or quantiles that do not differ.
    """
    return learn_basis(specification_of(scenario), problem, "full", calibration, knot_rule="common")


def specification_of(scenario: Scenario) -> ExposureSpecification:
    """The exposure's terms as a user of `bc.fit` asks for them."""
    plan = scenario.fit
    if plan.exposure == "linear":
        return linear()
    return rcs(plan.knots if isinstance(plan.knots, int) else list(plan.knots))


def calibration_names(scenario: Scenario) -> tuple[str, ...]:
    """Names of the calibration covariates, in the order of their columns."""
    plan = scenario.fit
    names: tuple[str, ...] = ()
    if plan.calibration_covariates == "outcome":
        names = (*scenario.outcome_covariates, *scenario.matching.names)
    if plan.modifier is None:
        return names
    own = () if plan.modifier in names else (plan.modifier,)
    return (*names, *own, f"local:{plan.modifier}")


def outcome_covariates_of(drawn: Drawn, scenario: Scenario) -> tuple[FloatArray, tuple[str, ...]]:
    """Z (B, k, n) of the outcome model, and their names."""
    wanted = scenario.fit.covariates
    names = tuple(drawn.covariate_names)
    if wanted is None:
        return drawn.covariates, names
    return drawn.covariates[:, [names.index(name) for name in wanted]], tuple(wanted)


def calibration_covariates_of(drawn: Drawn, scenario: Scenario) -> FloatArray:
    """V (B, k, n): outcome covariates and matching factors, or nothing by the published rule."""
    if scenario.fit.calibration_covariates == "outcome":
        return np.concatenate([outcome_covariates_of(drawn, scenario)[0], drawn.matching], axis=1)
    return drawn.covariates[:, :0]


def sets_of(drawn: Drawn) -> BatchSets:
    """The sets of a scenario, laid out once a batch size."""
    is_local = _is_local_study(drawn)
    index = np.where(is_local, np.cumsum(is_local) - 1, -1).astype(np.intp)
    return BatchSets(layouts_of(drawn)[0], drawn.set_code, index[drawn.study])


def layouts_of(drawn: Drawn) -> tuple[SetLayout, tuple[IntArray, SetLayout]]:
    """The layout, and the persons' order that suits it with the layout of persons in that order."""
    # How many columns of numbers a batch carries decides its blocks.
    width = drawn.reference_assay.shape[0] * (3 + drawn.covariates.shape[1])
    return _lay_out(drawn.set_code.tobytes(), drawn.is_case.tobytes(), width)


@lru_cache(maxsize=8)
def _lay_out(set_code: bytes, is_case: bytes, width: int) -> tuple[SetLayout, tuple[IntArray, SetLayout]]:
    layout = lay_out_sets(
        np.frombuffer(set_code, dtype=np.intp), np.frombuffer(is_case, dtype=bool), n_columns=width
    )
    return layout, layout.in_order()


def _calibration_columns(drawn: Drawn, scenario: Scenario, row: int, modifier: FloatArray) -> FloatArray:
    """Columns 1, W and V of everybody, (k, n); with a modifier it and its product with W, as `bc.fit` adds them."""
    columns = [np.ones((1, drawn.study.size)), drawn.local_assay[row, None]]
    columns.append(calibration_covariates_of(drawn, scenario)[row])
    if modifier.shape[0]:
        if scenario.fit.calibration_covariates == "none":
            columns.append(modifier)
        columns.append(modifier * drawn.local_assay[row])
    return np.vstack(columns)


def _is_local_study(drawn: Drawn) -> BoolArray:
    reference = np.zeros(len(drawn.study_names), dtype=bool)
    reference[drawn.study] = drawn.is_reference
    return ~reference
