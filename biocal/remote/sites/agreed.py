"""What the rounds of a session have settled so far, as later requests carry it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MessageError
from biocal.fitting.sums.records import StudyLine, Task
from biocal.model.exposure import Basis, CategoryBasis, LinearBasis, SplineBasis, rcs
from biocal.remote.sites.messages import schema
from biocal.remote.sites.plan import MOST_TERMS, Plan
from biocal.remote.sites.site.histogram import BinEdges


@dataclass(frozen=True, slots=True)
class AgreedModifier:
    """What is settled of the effect modifier.

    Attributes
    ----------
    n_columns : int
    main : tuple of int
        Columns that are main effects of their own.
    own_variances : dict of str to tuple of int
        As :class:`~biocal.fitting.sums.modifier.Modifier` has them.
    """

    n_columns: int = 0
    main: tuple[int, ...] = ()
    own_variances: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def variances(self, study: str) -> int:
        """Residual variances of a local study."""
        return 1 + len(self.own_variances.get(study, ()))


def modifier_out(modifier: AgreedModifier) -> dict[str, Any]:
    """As a request carries it."""
    return {
        "n_columns": modifier.n_columns,
        "main": list(modifier.main),
        "own_variances": {name: list(codes) for name, codes in modifier.own_variances.items()},
    }


def modifier_in(value: Any) -> AgreedModifier:
    """Read what a request says is settled of the modifier; raises MessageError."""
    found = schema.record(value, "agreed.modifier", ("n_columns", "main", "own_variances"))
    n = schema.whole(found["n_columns"], "agreed.modifier.n_columns", most=MOST_TERMS)
    main = _codes(0, n - 1)(found["main"], "agreed.modifier.main")
    own = schema.table(found["own_variances"], "agreed.modifier.own_variances", _codes(1, n))
    return AgreedModifier(n, main, own)


def _codes(least: int, most: int) -> Callable[[Any, str], tuple[int, ...]]:
    """Reader of increasing whole numbers within bounds."""

    def read(value: Any, where: str) -> tuple[int, ...]:
        numbers = schema.listed(
            value, where, lambda one, place: schema.whole(one, place, least=least, most=most)
        )
        if any(b <= a for a, b in pairwise(numbers)):
            raise MessageError(f"{where}: not increasing numbers")
        return tuple(numbers)

    return read


FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Levels of the columns that are taken as categories, by part of the model and column.
Levels = dict[str, dict[str, tuple[Any, ...]]]


@dataclass(frozen=True, slots=True, eq=False)
class Agreed:
    """Settled so far; parts that are not yet are None.

    Attributes
    ----------
    levels : Levels or None
    kept : ndarray of bool, shape (number of covariate columns,), or None
        Covariates that vary within some set of some site.
    lines : dict of str to StudyLine, or None
        By local study.
    edges : BinEdges or None
        Bins of the controls' exposure.
    basis : Basis or None
        Exposure terms, knots placed.
    modifier : AgreedModifier
        Without columns where the plan has no modifier, or nothing is settled of it yet.
    """

    levels: Levels | None = None
    kept: BoolArray | None = None
    lines: dict[str, StudyLine] | None = field(default=None)
    edges: BinEdges | None = None
    basis: Basis | None = None
    modifier: AgreedModifier = field(default_factory=AgreedModifier)

    def to_message(self) -> dict[str, Any]:
        """As a request carries it."""
        return {
            "levels": None if self.levels is None else _levels_out(self.levels),
            "kept": None if self.kept is None else self.kept.tolist(),
            "lines": None if self.lines is None else {n: _line_out(one) for n, one in self.lines.items()},
            "edges": None if self.edges is None else self.edges.to_message(),
            "basis": None if self.basis is None else _basis_out(self.basis),
            "modifier": modifier_out(self.modifier),
        }


def read_agreed(value: Any) -> Agreed:
    """Read what a request says is settled; raises MessageError."""
    found = schema.record(value, "agreed", ("levels", "kept", "lines", "edges", "basis", "modifier"))
    return Agreed(
        None if found["levels"] is None else read_levels(found["levels"]),
        None if found["kept"] is None else _flags(found["kept"], "agreed.kept"),
        None if found["lines"] is None else schema.table(found["lines"], "agreed.lines", _line_in),
        None if found["edges"] is None else BinEdges.read(found["edges"], "agreed.edges"),
        None if found["basis"] is None else read_basis(found["basis"]),
        modifier_in(found["modifier"]),
    )


def require_of_plan(agreed: Agreed, step: str, tasks: Collection[Task], plan: Plan) -> None:
    """Refuse a question that lacks what its step needs, or does not belong to the plan; raises MessageError."""
    if step == "residuals" and agreed.edges is None:
        raise MessageError("agreed.edges: absent, although exposures are to be counted in bins")
    if step not in ("scores", "sandwich"):
        return
    if bool(agreed.modifier.n_columns) != bool(plan.modifier):
        raise MessageError("agreed.modifier: not that of the plan, which has " + (plan.modifier or "none"))
    methods = {*plan.methods, *(["full"] if "induced" in plan.methods else [])}
    strange = [task.name for task in tasks if task.method not in methods]
    if strange:
        raise MessageError(f"tasks: '{strange[0]}' is no method of the plan ({', '.join(plan.methods)})")
    for name, line in (agreed.lines or {}).items():
        if line.variance is None or line.freedom is None:
            raise MessageError(
                f"agreed.lines.{name}: without residual variance, although the residuals are known"
            )
    if agreed.basis is not None:
        _require_basis(agreed.basis, plan)


def _require_basis(basis: Basis, plan: Plan) -> None:
    """Refuse exposure terms that the plan's specification could not have given."""
    if basis.kind != plan.exposure:
        raise MessageError(f"agreed.basis: {basis.kind}, but the plan says {plan.exposure}")
    if isinstance(basis, CategoryBasis):
        if basis.cuts != plan.cuts:
            raise MessageError("agreed.basis: other cut points than the plan's")
    elif isinstance(basis, SplineBasis):
        if plan.knot_values and not plan.knot_probs and basis.knots != plan.knot_values:
            raise MessageError("agreed.basis: other knots than the plan's")
        try:
            rcs(list(basis.knots))
        except ValueError as fault:
            raise MessageError(f"agreed.basis: {fault}") from fault


def read_levels(value: Any) -> Levels:
    """Levels by part and column; raises MessageError."""

    def level(one: Any, where: str) -> Any:
        return schema.text(one, where) if isinstance(one, str) else schema.real(one, where)

    def column(one: Any, where: str) -> tuple[Any, ...]:
        found = tuple(schema.listed(one, where, level))
        if len(found) > MOST_TERMS:
            raise MessageError(
                f"{where}: {len(found):,} levels, more than the {MOST_TERMS} that a model can have"
            )
        if not found or len({isinstance(part, str) for part in found}) > 1 or len(set(found)) < len(found):
            raise MessageError(f"{where}: levels are words or numbers, each once")
        return found

    return schema.table(value, "agreed.levels", lambda one, where: schema.table(one, where, column))


def read_basis(value: Any) -> Basis:
    """Exposure terms; raises MessageError."""
    kind = schema.one_of(
        value.get("kind") if isinstance(value, dict) else None, "basis", ("linear", "rcs", "categories")
    )
    if kind == "linear":
        schema.record(value, "basis", ("kind",))
        return LinearBasis()
    if kind == "rcs":
        knots = schema.listed(schema.record(value, "basis", ("kind", "knots"))["knots"], "knots", schema.real)
        _require_increasing(knots, 3, "knots")
        return SplineBasis(tuple(knots))
    found = schema.record(value, "basis", ("kind", "cuts", "reference"))
    cuts = schema.listed(found["cuts"], "cuts", schema.real)
    _require_increasing(cuts, 1, "cuts")
    return CategoryBasis(tuple(cuts), schema.whole(found["reference"], "reference", most=len(cuts)))


def _require_increasing(values: list[float], least: int, where: str) -> None:
    if not least <= len(values) <= 20 or any(b <= a for a, b in pairwise(values)):
        raise MessageError(f"basis: {where} are not {least} to 20 increasing numbers")


def _basis_out(basis: Basis) -> dict[str, Any]:
    if isinstance(basis, SplineBasis):
        return {"kind": "rcs", "knots": list(basis.knots)}
    if isinstance(basis, CategoryBasis):
        return {"kind": "categories", "cuts": list(basis.cuts), "reference": basis.reference}
    return {"kind": "linear"}


def _levels_out(levels: Mapping[str, Mapping[str, tuple[Any, ...]]]) -> dict[str, Any]:
    return {part: {name: list(one) for name, one in columns.items()} for part, columns in levels.items()}


def _line_out(line: StudyLine) -> dict[str, Any]:
    return {
        "kept": line.kept.tolist(),
        "coefficients": line.coefficients.tolist(),
        "inverse": line.inverse.tolist(),
        "variance": None if line.variance is None else line.variance.tolist(),
        "freedom": None if line.freedom is None else line.freedom.tolist(),
    }


def _line_in(value: Any, where: str) -> StudyLine:
    found = schema.record(value, where, ("kept", "coefficients", "inverse", "variance", "freedom"))
    kept = _flags(found["kept"], f"{where}.kept")
    n_kept = int(kept.sum())
    variance, freedom = found["variance"], found["freedom"]
    return StudyLine(
        kept,
        schema.vector(found["coefficients"], f"{where}.coefficients", kept.size),
        schema.gram(found["inverse"], f"{where}.inverse", n_kept),
        None if variance is None else _numbers(variance, f"{where}.variance", schema.not_negative),
        None if freedom is None else _numbers(freedom, f"{where}.freedom", _positive),
    )


def _numbers(value: Any, where: str, read: Callable[[Any, str], float]) -> FloatArray:
    """One number a residual variance."""
    found = schema.listed(value, where, read)
    if not found:
        raise MessageError(f"{where}: none")
    return np.array(found, dtype=float)


def _positive(value: Any, where: str) -> float:
    found = schema.real(value, where)
    if found <= 0:
        raise MessageError(f"{where}: {found:.4g} is not above 0")
    return found


def _flags(value: Any, where: str) -> BoolArray:
    return np.array(schema.listed(value, where, schema.truth), dtype=np.bool_)
