"""Calibration covariates: which columns they are, gathered from the designs that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import CalibrationDesignError, OptionError
from biocal.fitting.problem.season_request import SeasonDesign, calibration_holds_season, season_notes
from biocal.kernels.splines import default_probabilities, quantile_knots
from biocal.model.calibration.forms import CalibrationForm, CalibrationModel
from biocal.pool.formulas.covariates import DesignColumns, design_columns
from biocal.pool.formulas.factors import Factor
from biocal.pool.pooled import PooledStudies

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationColumns:
    """Columns of several designs side by side, a repeated name once, each left where it is.

    Attributes
    ----------
    names : tuple of str, length k
    sources : tuple of (DesignColumns, int), length k
        Design and place of each column.
    missing : dict of str to ndarray of bool, shape (n,)
    filled : dict of str to (ndarray of bool, shape (n,), str)
        Both as :class:`~biocal.pool.formulas.covariates.DesignColumns` has them.
    n_before_modifier : int
        Columns that the calibration would have without a modifier; they are the first.
    factors : tuple of Factor
        Of the formulas of the calibration alone.
    """

    names: tuple[str, ...]
    sources: tuple[tuple[DesignColumns, int], ...]
    missing: dict[str, NDArray[np.bool_]]
    filled: dict[str, tuple[NDArray[np.bool_], str]]
    n_before_modifier: int = 0
    factors: tuple[Factor, ...] = ()

    @property
    def columns(self) -> tuple[FloatArray, ...]:
        """Each column of all rows of the pool, (n,)."""
        return tuple(design.values[:, k] for design, k in self.sources)

    def values(self, rows: IntArray) -> FloatArray:
        """Some rows, shape (k, m)."""
        return np.array([column[rows] for column in self.columns]).reshape(len(self.names), rows.size)

    def taken(
        self, rows: IntArray | slice, design: DesignColumns, held: FloatArray
    ) -> tuple[FloatArray, ...]:
        """Each column of the rows of the outcome model; those of `design`, which `held` (k', m) holds, are its."""
        return tuple(
            held[k] if source is design else np.ascontiguousarray(source.values[rows, k])
            for source, k in self.sources
        )


def calibration_columns(
    pool: PooledStudies,
    covariates: DesignColumns,
    modifier: DesignColumns | None,
    season: SeasonDesign | None,
    *,
    wanted: str,
    matching: str | None,
    missing: str,
    logarithmic: bool,
    apart: bool = False,
) -> tuple[CalibrationColumns, tuple[str, ...]]:
    """Calibration covariates V, the modifier and its products with the local value last; the season's notes.

    Parameters
    ----------
    pool : PooledStudies
    covariates : DesignColumns
        Of the outcome model.
    modifier : DesignColumns or None
    season : SeasonDesign or None
    wanted : str
        "outcome" (covariates and matching factors), "none", or a formula.
    matching : str or None
        Matching factors, a formula.
    missing : {"complete", "indicator"}
    logarithmic : bool
        Whether the calibration holds between logarithms, and so the products too.
    apart : bool, default False
        Keep a modifier's columns that others equal: whether they do is decided from all parts of the rows.
    """
    factors: tuple[Factor, ...] = ()
    if wanted == "outcome":
        parts = [covariates, design_columns(pool, matching, missing=missing)]
        factors = parts[1].factors_of("matching")
    elif wanted == "none":
        parts = []
    else:
        parts = [design_columns(pool, wanted, missing=missing)]
        factors = parts[0].factors_of("calibration")
    told: tuple[str, ...] = ()
    if season is not None:
        held = calibration_holds_season(pool, season, parts)
        if wanted == "outcome" and not held:
            parts, held = [*parts, season.columns], True
        told = season_notes(calibrated=not pool.is_reference_study.all(), held=held)
    before = replace(_joined(parts), factors=factors)
    if modifier is None:
        return before, told
    local = pool.local_assay
    if logarithmic:
        local = np.log(np.where(local > 0, local, np.nan))  # the form refuses others by name
    product = modifier.values * local[:, None]
    names = tuple(f"{pool.roles.local}:{name}" for name in modifier.names)
    own = modifier if apart else columns_not_held(modifier, before.columns)
    joined = _joined([*parts, own, DesignColumns(names, product, {})])
    return replace(joined, n_before_modifier=len(before.names), factors=factors), told


def columns_not_held(design: DesignColumns, others: Iterable[FloatArray]) -> DesignColumns:
    """Columns of a design that no other column equals: C(smoking) may hold the modifier smoking already."""
    held = list(others)
    new = [k for k, column in enumerate(design.values.T) if not any(_same(column, other) for other in held)]
    return DesignColumns(tuple(design.names[k] for k in new), design.values[:, new], design.missing)


def names_of_equals(
    design: DesignColumns, names: Sequence[str], columns: Sequence[FloatArray]
) -> tuple[frozenset[str], ...]:
    """For each column of a design, the others that equal it wherever both are known; all where nothing is known."""
    return tuple(
        frozenset(
            name
            for name, other in zip(names, columns, strict=True)
            if _same(column, other) or not (np.isfinite(column) & np.isfinite(other)).any()
        )
        for column in design.values.T
    )


def _same(column: FloatArray, other: FloatArray) -> bool:
    """Whether columns are equal where both are known: a design is NaN where any of its variables is missing."""
    known = np.isfinite(column) & np.isfinite(other)
    return bool(known.any()) and np.array_equal(column[known], other[known])


def _joined(parts: Sequence[DesignColumns]) -> CalibrationColumns:
    sources: dict[str, tuple[DesignColumns, int]] = {}
    missing: dict[str, NDArray[np.bool_]] = {}
    for part in parts:
        missing |= part.missing
        for k, name in enumerate(part.names):
            sources.setdefault(name, (part, k))
    filled = {name: how for part in parts for name, how in part.filled.items()}
    return CalibrationColumns(tuple(sources), tuple(sources.values()), missing, filled)


#: Fewest pairs a coefficient of a study's own curve (our choice, as for covariates in two-stage).
_PAIRS_PER_COEFFICIENT = 5


def learn_form(pool: PooledStudies, model: CalibrationModel, calibrating: IntArray) -> CalibrationForm:
    """Place knots, or make sure that every value has a logarithm.

    Parameters
    ----------
    pool : PooledStudies
    model : CalibrationModel
    calibrating : ndarray of int, shape (n_pairs,)
        Rows of the calibration subset.

    Raises
    ------
    OptionError
        "log-log" with values that are not positive.
    CalibrationDesignError
        "rcs" in a study with too few pairs, or too many equal ones, for its knots.
    """
    if model.form == "log-log":
        _require_positive(pool, calibrating)
        return CalibrationForm("log-log")
    if model.form == "linear":
        return CalibrationForm()
    knots, problems = [], []
    for s in np.flatnonzero(~pool.is_reference_study):
        local = pool.local_assay[calibrating[pool.study[calibrating] == s]]
        name = pool.study_names[s]
        if local.size < _PAIRS_PER_COEFFICIENT * model.knots:
            problems.append(
                f"{name}: {local.size} pairs, at least {_PAIRS_PER_COEFFICIENT * model.knots} are needed"
            )
            continue
        try:
            knots.append(tuple(quantile_knots(local, default_probabilities(model.knots)).tolist()))
        except OptionError as fault:
            problems.append(f"{name}: {fault}")
    if problems:
        raise CalibrationDesignError(
            f"a calibration spline of {model.knots} knots cannot be placed in {'; '.join(problems)}; use the "
            "calibration form linear or log-log",
            studies=tuple(problems),
        )
    return CalibrationForm("rcs", tuple(knots))


def reference_censored(pool: PooledStudies, rows: IntArray) -> NDArray[np.bool_] | None:
    """Which of some rows have a reference value that is only known to be below its limit; None when none has."""
    held = pool.below_limit
    if held is None or held.rule != "censored":
        return None
    censored = held.reference[rows] & ~pool.is_reference_study[pool.study[rows]]
    return censored if censored.any() else None


def observed_calibrators(pool: PooledStudies) -> NDArray[np.bool_]:
    """Rows of the calibration subset whose reference value was observed: what internalized can plug in, (n,)."""
    if pool.below_limit is None:
        return pool.in_calibration
    censored = reference_censored(pool, np.arange(pool.n_rows))
    return pool.in_calibration if censored is None else pool.in_calibration & ~censored


def _require_positive(pool: PooledStudies, calibrating: IntArray) -> None:
    local = ~pool.is_reference_study[pool.study]
    bad_local = np.flatnonzero(local & (pool.local_assay <= 0))
    bad_reference = calibrating[pool.reference_assay[calibrating] <= 0]
    for rows, what in ((bad_local, "local"), (bad_reference, "reference")):
        if rows.size:
            first = pool.place(int(rows[0]))
            place = f"{first['file']}:{first['line']}" if first["file"] else f"row {first['line']}"
            raise OptionError(
                f"a calibration between logarithms needs positive values, but {rows.size:,} {what} "
                f"value{'s are' if rows.size > 1 else ' is'} 0 or below (study "
                f"{pool.study_names[pool.study[rows[0]]]}, {place}); use the calibration form linear or rcs",
                rows=tuple(rows.tolist()),
            )
