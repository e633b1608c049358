"""A site's own rows as arrays, coded and calibrated as the session has agreed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from biocal.errors import MessageError, OptionError
from biocal.fitting.problem.prepare import PreparedPool, prepare
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.sums.modifier import settled_problem
from biocal.fitting.sums.records import StudyLine
from biocal.fitting.sums.rows import agreed_on_common, calibration_of_lines
from biocal.model.calibration.lines import CalibrationFit
from biocal.pool.formulas.covariates import DesignColumns, design_columns
from biocal.pool.pooled import PooledStudies
from biocal.remote.sites.agreed import Agreed
from biocal.remote.sites.plan import Plan


@dataclass(frozen=True, slots=True, eq=False)
class SiteProblem:
    """What a site computes from.

    Attributes
    ----------
    pool : PooledStudies
    prepared : PreparedPool
    covariates : DesignColumns
        All covariate columns of the pool's rows, those constant within the site's sets included.
    problem : PooledProblem
        With the covariates that the session has agreed to keep.
    """

    pool: PooledStudies
    prepared: PreparedPool
    covariates: DesignColumns
    problem: PooledProblem


def site_problem(pool: PooledStudies, plan: Plan, agreed: Agreed) -> SiteProblem:
    """Lay out a site's rows.

    Raises
    ------
    MessageError
        What was agreed does not fit the columns.
    FormulaError, MatchedSetError
        The data do not have what the plan needs.
    """
    if agreed.levels is not None:
        texts = plan.formula_texts()
        strange = [part for part in agreed.levels if part not in texts]
        if strange:
            raise MessageError(f"agreed.levels: the plan has no formula '{strange[0]}'")
        pool = replace(pool, levels={text: agreed.levels.get(part, {}) for part, text in texts.items()})
    try:
        prepared = prepare(pool, plan.formulas(), apart=True)
        covariates = design_columns(pool, plan.covariates)
    except KeyError as fault:
        raise MessageError(f"agreed.levels: without column {fault}") from fault
    problem = prepared.problem
    censored = problem.calibrators.censored
    if censored is not None and censored.any():
        raise OptionError(
            f"{int(censored.sum())} reference values are below their detection limit, and a federated fit knows no "
            "censored regression; put values in their place in the site's data, or leave the rows out"
        )
    if agreed.kept is not None:
        if agreed.kept.size != len(covariates.names):
            raise MessageError(
                f"agreed.kept: {agreed.kept.size} columns, but the covariates have {len(covariates.names)} here"
            )
        rows = prepared.outcome_rows.rows
        problem = replace(
            problem,
            covariates=np.ascontiguousarray(covariates.values[rows].T[agreed.kept]),
            covariate_names=tuple(n for n, k in zip(covariates.names, agreed.kept, strict=True) if k),
        )
    return SiteProblem(pool, prepared, covariates, _with_modifier(problem, prepared, agreed))


def _with_modifier(problem: PooledProblem, prepared: PreparedPool, agreed: Agreed) -> PooledProblem:
    """The problem with what was agreed on the modifier; raises MessageError where it does not fit."""
    settled, n_columns = agreed.modifier, len(problem.modifier_names)
    if agreed.kept is None:
        return problem
    if settled.n_columns != n_columns:
        raise MessageError(
            f"agreed.modifier: {settled.n_columns} columns, but the modifier has {n_columns} here"
        )
    return settled_problem(problem, prepared.calibration_names, settled.main, settled.own_variances)


def site_calibration(site: SiteProblem, agreed: Agreed) -> CalibrationFit | None:
    """The agreed calibration with this site's residuals, leverages and scores; None without local studies.

    Raises
    ------
    MessageError
        The calibration of a study is absent or of another shape.
    """
    problem = site.problem
    if not problem.local_names:
        return None
    calibrators = problem.calibrators
    lines = _own_lines(problem.local_names, calibrators.rows.columns.shape[0], agreed)
    if not agreed_on_common(calibrators.layout, lines):
        raise MessageError("agreed.lines: studies disagree on which common coefficients there are")
    return calibration_of_lines(problem, lines)


def _own_lines(names: tuple[str, ...], n_columns: int, agreed: Agreed) -> list[StudyLine]:
    found = []
    for name in names:
        line = None if agreed.lines is None else agreed.lines.get(name)
        if line is None:
            raise MessageError(f"agreed.lines: without the calibration of study '{name}'")
        if line.kept.size != n_columns:
            raise MessageError(
                f"agreed.lines.{name}: {line.kept.size} columns, but the calibration has {n_columns} here"
            )
        n_variances = agreed.modifier.variances(name)
        if any(one is not None and one.size != n_variances for one in (line.variance, line.freedom)):
            raise MessageError(f"agreed.lines.{name}: expected {n_variances} residual variances")
        if not line.kept[:2].all():
            raise MessageError(f"agreed.lines.{name}: without intercept or slope")
        found.append(line)
    return found
