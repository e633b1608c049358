"""Counts and sums of partitions put together, in the order of the partitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import InputError
from biocal.fitting.soundness.digits import Extent, extent_names, joined_extents
from biocal.fitting.sums.records import CalibrationMoments, ResidualSums, SandwichAnswer, StudyMeat
from biocal.fitting.sums.rows import CONSTANT_COLUMN
from biocal.kernels.sets.spread import merged_spread
from biocal.pool.checks.cells.natural_order import natural_key
from biocal.pool.checks.notices import Problem
from biocal.pool.formulas.factors import Factor
from biocal.pool.formulas.level_order import united_levels
from biocal.pool.formulas.levels import factors_of_agreed
from biocal.pool.matched_sets import StudyFlow
from biocal.remote.partitions.running.session import Levels
from biocal.remote.partitions.steps import ExposurePart, LaidOutPart, ReadPart

FloatArray = NDArray[np.float64]


def merged_problems(parts: Iterable[Sequence[Problem]]) -> tuple[Problem, ...]:
    """Warnings and notes of all partitions; the same finding in several is told once, with the first place."""
    found: dict[tuple[Any, ...], list[Problem]] = {}
    for number, problems in enumerate(parts):
        for k, one in enumerate(problems):
            lined = one.code in ("row-twice", "person-twice", "infinite-covariate", "not-a-number")
            key = (one.level, one.code, one.column, one.study, (number, k) if lined else None)
            found.setdefault(key, []).append(one)
    return tuple(_one_problem(several) for several in found.values())


def _one_problem(several: list[Problem]) -> Problem:
    first = several[0]
    if len(several) == 1:
        return first
    counts = [one.count for one in several]
    total = None if None in counts else sum(one for one in counts if one is not None)
    everywhere = f", {total:,} in all" if total is not None and first.study is not None else ""
    others = len(several) - 1
    words = f"{first.message}; likewise in {others} other partition{'' if others == 1 else 's'}{everywhere}"
    return replace(first, message=words, count=total)


def agreed_levels(paths: Sequence[str], parts: Sequence[ReadPart], texts: Mapping[str, str]) -> Levels:
    """The levels by which all partitions code.

    Raises
    ------
    InputError
        A column that is numbers in one partition and words in another, or whose levels are ordered differently.
    """
    levels: dict[str, dict[str, tuple[Any, ...]]] = {}
    for part in texts:
        levels[part] = {}
        kinds: dict[str, dict[str, str]] = {}
        found: dict[str, list[tuple[Any, ...]]] = {}
        declared: dict[str, set[tuple[Any, ...]]] = {}
        for path, one in zip(paths, parts, strict=True):
            for column in one.kinds.get(part, ()):
                kinds.setdefault(column.name, {}).setdefault(column.kind, path)
                found.setdefault(column.name, []).append(column.levels)
                declared.setdefault(column.name, set()).add(column.order)
        for name, by_kind in kinds.items():
            if len(by_kind) > 1:
                words = " and ".join(f"{kind} in {path}" for kind, path in by_kind.items())
                raise InputError(f"column '{name}' holds {words}; write it with one type in all partitions")
            if any(found[name]):
                united = united_levels(found[name], declared[name])
                if united is None:
                    raise InputError(
                        f"column '{name}' has levels in an order of its own in some partitions; order them alike"
                    )
                levels[part][name] = united
    return levels


def merged_factors(parts: Iterable[ReadPart], texts: Mapping[str, str], levels: Levels) -> tuple[Factor, ...]:
    """How formulas code their factors by the levels agreed."""
    return factors_of_agreed(
        texts, {part: kinds for one in parts for part, kinds in one.kinds.items()}, levels
    )


def merged_flow(parts: Sequence[LaidOutPart]) -> tuple[StudyFlow, ...]:
    """Rows and sets of all studies, in natural order of their names."""
    found: dict[str, StudyFlow] = {}
    for part in parts:
        for one in part.flow:
            found[one.study] = _added(found[one.study], one) if one.study in found else one
    return tuple(found[name] for name in sorted(found, key=natural_key))


def _added(one: StudyFlow, other: StudyFlow) -> StudyFlow:
    names = dict.fromkeys([*one.missing_by_variable, *other.missing_by_variable])
    counts = {
        name: getattr(one, name) + getattr(other, name)
        for name in StudyFlow.__slots__
        if name not in ("study", "missing_by_variable")
    }
    missing = {
        name: one.missing_by_variable.get(name, 0) + other.missing_by_variable.get(name, 0) for name in names
    }
    return StudyFlow(study=one.study, missing_by_variable=missing, **counts)


def merged_shapes(parts: Sequence[LaidOutPart]) -> dict[tuple[int, int], int]:
    """Sets by (cases, controls)."""
    shapes: dict[tuple[int, int], int] = {}
    for part in parts:
        for shape, n in part.set_shapes.items():
            shapes[shape] = shapes.get(shape, 0) + n
    return dict(sorted(shapes.items()))


@dataclass(frozen=True, slots=True, eq=False)
class LocalStudy:
    """One local study over all partitions; fields as :class:`~biocal.remote.partitions.steps.LocalStudyPart`."""

    measured: int
    low: float
    high: float
    moments: CalibrationMoments
    pair_low: float
    pair_high: float


def merged_local(parts: Sequence[LaidOutPart], n_columns: int) -> dict[str, LocalStudy]:
    """Local studies over all partitions, in natural order.

    Parameters
    ----------
    parts : sequence of LaidOutPart
    n_columns : int
        Columns of the calibration after the constant.
    """
    names = sorted({name for part in parts for name in part.local}, key=natural_key)
    found = {}
    for name in names:
        own = [part.local[name] for part in parts if name in part.local]
        moments = [one.moments for one in own if one.moments is not None]
        found[name] = LocalStudy(
            sum(one.measured for one in own),
            _least([one.low for one in own]),
            -_least([-one.high for one in own]),
            merged_moments(moments) if moments else _no_moments(n_columns),
            _least([one.pair_low for one in own]),
            -_least([-one.pair_high for one in own]),
        )
    return found


def calibration_extents(
    parts: Iterable[LaidOutPart], local: Mapping[str, LocalStudy], names: Sequence[str]
) -> tuple[Extent, ...]:
    """Least and largest local value of each study's pairs, and of the calibration covariates kept."""
    joined = {one.name: one for one in joined_extents([part.pair_extents for part in parts])}
    own = [
        Extent(name, one.pair_low, one.pair_high)
        for name, one in zip(extent_names(tuple(local), ()), local.values(), strict=True)
    ]
    return (*own, *(joined[name] for name in extent_names((), names)))


def kept_extents(parts: Iterable[LaidOutPart], names: Sequence[str]) -> tuple[Extent, ...]:
    """Least and largest measurement, and value of the covariates kept, in the outcome model."""
    left_out = {f"values of {name}" for part in parts for name in part.covariate_names if name not in names}
    return tuple(
        one for one in joined_extents([part.outcome_extents for part in parts]) if one.name not in left_out
    )


def _least(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return min(known) if known else float("nan")


def _no_moments(n_columns: int) -> CalibrationMoments:
    nothing = np.zeros(n_columns)
    return CalibrationMoments(0, nothing, np.zeros((n_columns, n_columns)), 0.0, nothing, 0.0)


def merged_moments(parts: Sequence[CalibrationMoments]) -> CalibrationMoments:
    """Moments about the means of all from those about the means of each.

    The sums about the common mean are those about the parts' own, and the parts' means about the common one: the
    parallel form of Chan, Golub and LeVeque (Am Stat 1983;37:242-247), which loses no digits to large means.
    """
    n = sum(one.n for one in parts)
    weights = np.array([one.n for one in parts], dtype=float)
    places = np.array([one.means for one in parts]).reshape(len(parts), -1)
    responses = np.array([one.response_mean for one in parts])
    means, response = weights @ places / n, float(weights @ responses / n)
    away, off = places - means, responses - response
    products = np.sum([one.products for one in parts], axis=0) + (weights[:, None] * away).T @ away
    cross = np.sum([one.response_products for one in parts], axis=0) + (weights * off) @ away
    square = float(sum(one.response_square for one in parts) + weights @ off**2)
    about_zero = np.diagonal(products) + n * means**2
    constant = np.diagonal(products) <= CONSTANT_COLUMN * about_zero
    products[constant] = 0.0
    products[:, constant] = 0.0
    cross[constant] = 0.0
    return CalibrationMoments(n, means, products, response, cross, square)


def merged_residuals(parts: Sequence[ExposurePart]) -> dict[str, ResidualSums]:
    """Residual sums of all local studies."""
    found: dict[str, ResidualSums] = {}
    for part in parts:
        for name, one in part.residuals.items():
            found[name] = _residuals_added(found[name], one) if name in found else one
    return found


def _residuals_added(one: ResidualSums, other: ResidualSums) -> ResidualSums:
    gram = None if one.gram is None or other.gram is None else one.gram + other.gram
    return ResidualSums(one.rss + other.rss, one.freedom + other.freedom, one.pairs + other.pairs, gram)


def merged_outside(exposed: Sequence[ExposurePart]) -> dict[str, int]:
    """Local values outside the range of their study's pairs, over all partitions."""
    total: Counter[str] = Counter()
    for part in exposed:
        total.update(part.outside)
    return dict(total)


def merged_exposure(parts: Sequence[ExposurePart]) -> tuple[int, float, float]:
    """Number, mean and standard deviation of the controls' exposure."""
    n = sum(part.n for part in parts)
    mean = sum(part.n * part.mean for part in parts) / n
    square = sum(part.square + part.n * (part.mean - mean) ** 2 for part in parts)
    return n, mean, float(np.sqrt(square / max(n - 1, 1)))


def merged_sandwich(parts: Sequence[SandwichAnswer]) -> SandwichAnswer:
    """Parts of one task's sandwich, studies added up over partitions."""
    studies: dict[str, StudyMeat] = {}
    between = [part.between for part in parts if part.between is not None]
    for part in parts:
        for name, one in part.studies.items():
            studies[name] = _meat_added(studies[name], one) if name in studies else one
    return SandwichAnswer(
        float(sum(part.loglik for part in parts)),
        np.sum([part.information for part in parts], axis=0),
        studies,
        sum(part.units for part in parts),
        np.sum(between, axis=0) if between else None,
        merged_spread([part.spread for part in parts if part.spread is not None]),
    )


def _meat_added(one: StudyMeat, other: StudyMeat) -> StudyMeat:
    def added(name: str) -> Any:
        a, b = getattr(one, name), getattr(other, name)
        return b if a is None else a if b is None else a + b

    outcome = one.outcome + other.outcome
    names = ("bread", "cross", "calibration", "lower", "by_person", "sets")
    return StudyMeat(outcome, *(added(name) for name in names))
