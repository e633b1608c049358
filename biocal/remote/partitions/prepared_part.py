"""A partition read, checked and laid out: the same rows and columns as in memory, kept for the rounds to come."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biocal.errors import CalibrationDesignError, FormulaError, InputError, MatchedSetError
from biocal.fitting.problem.prepare import prepare
from biocal.fitting.problem.problem import PooledProblem
from biocal.fitting.sums.modifier import ModifierPart, modifier_of_part, settled_problem
from biocal.fitting.sums.rows import calibration_of_lines
from biocal.model.calibration.lines import CalibrationFit
from biocal.pool.assembly import assemble
from biocal.pool.checks.notices import ProblemLog
from biocal.pool.formulas.covariates import design_columns
from biocal.pool.formulas.grammar import columns_of_factor
from biocal.pool.formulas.levels import factor_codes
from biocal.pool.matched_sets import OutcomeRows, StudyFlow, select_outcome_rows
from biocal.pool.pooled import PooledStudies
from biocal.pool.reading import read_tables
from biocal.remote.partitions.census import with_columns
from biocal.remote.partitions.running.part_cache import cache_folder, load, store
from biocal.remote.partitions.running.session import PartSource, Session

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPart:
    """What the rounds need of a partition.

    Attributes
    ----------
    problem : PooledProblem or None
        With all covariate columns, those constant within sets too; None when no matched set of the partition
        can be used.
    covariate_names, calibration_names : tuple of str
    local_values : dict of str to ndarray
        Local values of each local study, of all rows.
    """

    problem: PooledProblem | None
    covariate_names: tuple[str, ...]
    calibration_names: tuple[str, ...]
    local_values: Mapping[str, FloatArray]

    def outside(self, ranges: Mapping[str, tuple[float, float]]) -> dict[str, int]:
        """Local values outside a range, by study."""
        return {
            name: int(((values < ranges[name][0]) | (values > ranges[name][1])).sum())
            for name, values in self.local_values.items()
            if name in ranges
        }


@dataclass(frozen=True, slots=True, eq=False)
class LaidOut:
    """A partition just laid out: what is kept, and what is told of its rows once."""

    part: PreparedPart
    pool: PooledStudies
    flow: tuple[StudyFlow, ...]
    rows: OutcomeRows | None
    modifier: ModifierPart | None = None


def read_pool(session: Session, source: PartSource) -> PooledStudies:
    """The rows of a partition, checked as those of a file in memory are.

    Raises
    ------
    DataProblemsError
        The rows cannot be used; problems name the partition's file and row.
    InputError
        The file is not the one with which the fit began.
    """
    kept = _place(session, source, "pool")
    pool = load(kept)
    if pool is not None:
        assert isinstance(pool, PooledStudies)
        return pool
    log = ProblemLog()
    table = read_tables(source.path, session.roles, log)[0]
    if table.sha256 != source.sha256:
        raise InputError(f"{source.path}: changed while the fit was running; begin again", path=source.path)
    pool = assemble([with_columns(table, source.columns, session.roles)], session.roles, source.options, log)
    wanted = [name for name in pool.frame.columns if name in _columns_used(session, pool)]
    pool = replace(pool, frame=pool.frame[wanted])
    store(kept, pool)
    return pool


def _columns_used(session: Session, pool: PooledStudies) -> set[str]:
    columns = tuple(map(str, pool.frame.columns))
    return {
        name
        for text in session.texts.values()
        for code in factor_codes(text)
        for name in columns_of_factor(code, columns, text)
    } | set(session.roles.named)


def gaps_of(session: Session, pool: PooledStudies, part: str) -> dict[str, BoolArray]:
    """Where columns of one formula are missing, by column."""
    text, columns = session.texts[part], tuple(map(str, pool.frame.columns))
    names = (name for code in factor_codes(text) for name in columns_of_factor(code, columns, text))
    return {name: pool.frame[name].isna().to_numpy(dtype=np.bool_) for name in names}


def complete_rows(gaps: Iterable[BoolArray], n_rows: int) -> BoolArray:
    """Rows with a value in every column."""
    complete: BoolArray = ~np.logical_or.reduce([*gaps, np.zeros(n_rows, dtype=np.bool_)])
    return complete


def require_usable(session: Session, source: PartSource, pool: PooledStudies) -> None:
    """Raise what :func:`select_outcome_rows` raises where a formula has no complete row.

    Raises
    ------
    MatchedSetError
        No matched set of the partition can be used (attribute ``flow``).
    FormulaError
        Sets could be, but for a formula of the calibration that cannot be evaluated here.
    """
    gaps = {part: gaps_of(session, pool, part) for part in session.texts}
    blank = [part for part in gaps if not complete_rows(gaps[part].values(), pool.n_rows).any()]
    if not blank:
        return
    is_local = ~pool.is_reference_study[pool.study]
    missing = {
        name: gap if part in ("covariates", "modifier") else gap & is_local
        for part, found in gaps.items()
        for name, gap in found.items()
    }
    select_outcome_rows(pool, missing)
    raise FormulaError(
        f"no row of this partition has values for all columns of '{session.texts[blank[0]]}'; put its rows together "
        "with another's",
        formula=session.texts[blank[0]],
    )


def _usable_pairs(session: Session, pool: PooledStudies) -> int:
    """Calibration pairs of a partition with all that the calibration needs."""
    wanted = session.formulas.calibration_covariates
    parts = {"outcome": [*session.texts], "none": []}.get(wanted, ["calibration"])
    parts += ["modifier"] if "modifier" in session.texts and "modifier" not in parts else []
    gaps = [gap for part in parts for gap in gaps_of(session, pool, part).values()]
    return int((pool.in_calibration & complete_rows(gaps, pool.n_rows)).sum())


def lay_out(session: Session, source: PartSource) -> LaidOut:
    """Evaluate the formulas, choose rows, lay the arrays out, and keep them.

    Raises
    ------
    CalibrationDesignError
        A partition holds calibration pairs and no matched set that could be used.
    """
    assert session.levels is not None
    pool = read_pool(session, source)
    coded = {text: session.levels.get(part, {}) for part, text in session.texts.items()}
    pool = replace(pool, levels=coded)
    try:
        require_usable(session, source, pool)
        prepared = prepare(pool, session.formulas, apart=True)
    except MatchedSetError as failure:
        pairs = _usable_pairs(session, pool)
        if pairs:
            raise CalibrationDesignError(
                f"no matched set that could be used beside {pairs:,} calibration pairs; put the "
                "rows of this partition together with another's (biocal partition deals such rows out)",
                path=source.path,
            ) from failure
        laid = LaidOut(PreparedPart(None, (), (), _local_values(pool)), pool, failure.flow, None)  # type: ignore[attr-defined]
    else:
        covariates = design_columns(pool, session.formulas.covariates)
        rows = prepared.outcome_rows.rows
        problem = replace(
            prepared.problem,
            covariates=np.ascontiguousarray(covariates.values[rows].T),
            covariate_names=covariates.names,
        )
        part = PreparedPart(problem, covariates.names, prepared.calibration_names, _local_values(pool))
        modifier = modifier_of_part(pool, prepared)
        laid = LaidOut(part, pool, prepared.outcome_rows.flow, prepared.outcome_rows, modifier)
    store(_place(session, source, "part"), laid.part)
    _place(session, source, "pool").unlink(missing_ok=True)
    return laid


def _local_values(pool: PooledStudies) -> dict[str, FloatArray]:
    found = {}
    for s in np.flatnonzero(~pool.is_reference_study):
        values = pool.local_assay[pool.study == s]
        found[pool.study_names[s]] = values[np.isfinite(values)]
    return found


def prepared_part(session: Session, source: PartSource) -> PreparedPart:
    """A partition as it was laid out; laid out again where its worker was lost."""
    part = load(_place(session, source, "part"))
    if part is None:
        part = lay_out(session, source).part
        gc.collect()
    assert isinstance(part, PreparedPart)
    return part


def problem_of(session: Session, source: PartSource) -> PooledProblem | None:
    """The problem with what is settled of covariates and modifier; None when no set of it can be used."""
    part = prepared_part(session, source)
    problem, settled = part.problem, session.modifier
    if problem is None:
        return None
    if session.kept is not None and not session.kept.all():
        names = tuple(n for n, k in zip(problem.covariate_names, session.kept, strict=True) if k)
        problem = replace(problem, covariates=problem.covariates[session.kept], covariate_names=names)
    return settled_problem(problem, part.calibration_names, settled.main, settled.own_variances)


def calibration_of(session: Session, problem: PooledProblem) -> CalibrationFit | None:
    """The calibration of all partitions with this one's residuals; None where nothing is calibrated."""
    if session.lines is None:
        return None
    return calibration_of_lines(problem, [session.lines[name] for name in problem.local_names])


def _place(session: Session, source: PartSource, what: str) -> Path:
    return cache_folder(session.token, session.folder) / f"{source.number:06d}.{what}"
