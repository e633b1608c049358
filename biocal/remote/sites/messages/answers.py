"""What sites answer, read and checked against what was asked; the centre trusts nothing else of a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import MessageError
from biocal.fitting.sums.modifier import ModifierPart
from biocal.fitting.sums.records import (
    CalibrationMoments,
    ResidualSums,
    SandwichAnswer,
    Scores,
    StudyMeat,
    Task,
    task_basis,
)
from biocal.remote.sites.agreed import Agreed
from biocal.remote.sites.messages import schema
from biocal.remote.sites.messages.modifier_answer import read_modifier
from biocal.remote.sites.messages.plausible import (
    StudyCounts,
    require_counts,
    require_joint_squares,
    require_likelihood,
    require_shapes,
)
from biocal.remote.sites.plan import MOST_TERMS, Plan
from biocal.remote.sites.site.histogram import BinEdges, MergedBins
from biocal.remote.sites.site.site_sums import LOSSES

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

#: Most persons of a study (our choice): the centre spreads as many numbers over the bins.
MOST_PERSONS = 10_000_000


@dataclass(frozen=True, slots=True)
class CodedColumn:
    """A column of a formula at one site."""

    name: str
    kind: str
    levels: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """Round 0 of one site; `shapes` is None when withheld."""

    studies: tuple[StudyCounts, ...]
    columns: Mapping[str, tuple[CodedColumn, ...]]
    shapes: Mapping[tuple[int, int], int] | None


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationAnswer:
    """Calibration sums of one site."""

    covariate_names: tuple[str, ...]
    varies: BoolArray
    calibration_names: tuple[str, ...]
    studies: Mapping[str, CalibrationMoments]
    references: Mapping[str, tuple[int, float, float]]
    modifier: ModifierPart | None


@dataclass(frozen=True, slots=True, eq=False)
class ResidualAnswer:
    """Residual sums by study and the controls' exposure of one site: bins, and the sum of squares about its mean."""

    studies: Mapping[str, ResidualSums]
    bins: MergedBins
    square: float
    calibrated_controls: int | None
    local_controls: int


def read_inventory(content: Any, plan: Plan) -> Inventory:
    """Read an inventory; raises MessageError."""
    found = schema.record(content, "content", ("studies", "columns", "shapes"))
    studies = tuple(schema.listed(found["studies"], "studies", _study_counts))
    if not studies:
        raise MessageError("studies: none")
    require_counts(studies)
    schema.named(found["columns"], "columns", list(plan.formula_texts()))
    columns = {
        part: tuple(schema.listed(one, f"columns.{part}", _coded_column))
        for part, one in found["columns"].items()
    }
    shapes = None
    if found["shapes"] is not None:
        triples = schema.listed(
            found["shapes"], "shapes", lambda one, where: schema.listed(one, where, schema.whole, length=3)
        )
        shapes = require_shapes(triples, studies)
    return Inventory(studies, columns, shapes)


def _study_counts(value: Any, where: str) -> StudyCounts:
    keys = ("name", "kind", "sets", "cases", "controls", "measured", "losses")
    found = schema.record(value, where, keys)
    losses = found["losses"]
    if losses is not None:
        schema.named(losses, f"{where}.losses", LOSSES)
        losses = {key: schema.whole(one, f"{where}.losses.{key}") for key, one in losses.items()}
    measured = found["measured"]
    return StudyCounts(
        schema.text(found["name"], f"{where}.name", least=1),
        schema.one_of(found["kind"], f"{where}.kind", ("local", "reference")),
        schema.whole(found["sets"], f"{where}.sets", least=1, most=MOST_PERSONS),
        schema.whole(found["cases"], f"{where}.cases", least=1, most=MOST_PERSONS),
        schema.whole(found["controls"], f"{where}.controls", least=1, most=MOST_PERSONS),
        None if measured is None else schema.whole(measured, f"{where}.measured"),
        losses,
    )


def _coded_column(value: Any, where: str) -> CodedColumn:
    found = schema.record(value, where, ("name", "kind", "levels"))
    kind = schema.one_of(found["kind"], f"{where}.kind", ("number", "words", "truth"))
    read = schema.text if kind == "words" else schema.real
    levels = tuple(schema.listed(found["levels"], f"{where}.levels", lambda one, place: read(one, place)))
    if len(levels) > MOST_TERMS or len(set(levels)) < len(levels):
        raise MessageError(f"{where}.levels: more than {MOST_TERMS} levels, or one of them twice")
    return CodedColumn(schema.text(found["name"], f"{where}.name", least=1), kind, levels)


def read_calibration(
    content: Any, local_names: Sequence[str], reference_names: Sequence[str], variables: tuple[str, ...] = ()
) -> CalibrationAnswer:
    """Read calibration sums of a site with these studies; raises MessageError.

    `variables` are the columns of the data that the plan's modifier is made of; none without one.
    """
    keys = ("covariate_names", "varies", "calibration_names", "studies", "references", "modifier")
    found = schema.record(content, "content", keys)
    names = tuple(schema.listed(found["covariate_names"], "covariate_names", schema.text))
    calibration_names = tuple(schema.listed(found["calibration_names"], "calibration_names", schema.text))
    if (found["modifier"] is None) != (not variables):
        raise MessageError("modifier: told without one in the plan, or not told although there is one")
    modifier = read_modifier(found["modifier"], variables, local_names) if variables else None
    n_columns = len(names) + (0 if modifier is None else len(modifier.names))
    varies = schema.listed(found["varies"], "varies", schema.truth, length=n_columns)
    schema.named(found["studies"], "studies", local_names)
    schema.named(found["references"], "references", reference_names)
    k = 1 + len(calibration_names)
    return CalibrationAnswer(
        names,
        np.array(varies, dtype=np.bool_),
        calibration_names,
        {name: _moments(one, f"studies.{name}", k) for name, one in found["studies"].items()},
        {name: _controls(one, f"references.{name}") for name, one in found["references"].items()},
        modifier,
    )


def _moments(value: Any, where: str, k: int) -> CalibrationMoments:
    keys = ("n", "means", "products", "response_mean", "response_products", "response_square")
    found = schema.record(value, where, keys)
    moments = CalibrationMoments(
        schema.whole(found["n"], f"{where}.n", least=1, most=MOST_PERSONS),
        schema.vector(found["means"], f"{where}.means", k),
        schema.gram(found["products"], f"{where}.products", k),
        schema.real(found["response_mean"], f"{where}.response_mean"),
        schema.vector(found["response_products"], f"{where}.response_products", k),
        schema.not_negative(found["response_square"], f"{where}.response_square"),
    )
    square = np.array([[moments.response_square]])
    require_joint_squares(moments.products, moments.response_products[:, None], square, where)
    return moments


def _controls(value: Any, where: str) -> tuple[int, float, float]:
    found = schema.record(value, where, ("n", "mean", "sd"))
    return (
        schema.whole(found["n"], f"{where}.n", least=1, most=MOST_PERSONS),
        schema.real(found["mean"], f"{where}.mean"),
        schema.not_negative(found["sd"], f"{where}.sd"),
    )


def read_residuals(
    content: Any, local_names: Sequence[str], edges: BinEdges, agreed: Agreed
) -> ResidualAnswer:
    """Read residual sums and the histogram; raises MessageError."""
    keys = ("studies", "starts", "counts", "means", "square", "calibrated_controls", "local_controls")
    found = schema.record(content, "content", keys)
    schema.named(found["studies"], "studies", local_names)
    studies = {}
    for name, one in found["studies"].items():
        studies[name] = _residual_sums(one, f"studies.{name}", name, agreed)
    starts = schema.listed(
        found["starts"], "starts", lambda one, where: schema.whole(one, where, most=edges.n_bins - 1)
    )
    counts = schema.listed(
        found["counts"],
        "counts",
        lambda one, where: schema.whole(one, where, least=1, most=MOST_PERSONS),
        length=len(starts),
    )
    if not starts or starts[0] != 0 or any(b <= a for a, b in pairwise(starts)):
        raise MessageError("starts: not the first bins of neighbouring groups, from 0 upwards")
    calibrated = found["calibrated_controls"]
    return ResidualAnswer(
        studies,
        MergedBins(
            np.array(starts, dtype=np.intp),
            np.array(counts, dtype=np.intp),
            schema.vector(found["means"], "means", len(starts)),
        ),
        schema.not_negative(found["square"], "square"),
        None if calibrated is None else schema.whole(calibrated, "calibrated_controls"),
        schema.whole(found["local_controls"], "local_controls"),
    )


def _residual_sums(value: Any, where: str, study: str, agreed: Agreed) -> ResidualSums:
    found = schema.record(value, where, ("rss", "freedom", "pairs", "gram"))
    n = agreed.modifier.variances(study)

    def sums(key: str) -> FloatArray:
        return np.array(
            schema.listed(found[key], f"{where}.{key}", schema.not_negative, length=n), dtype=float
        )

    counts = schema.listed(
        found["pairs"],
        f"{where}.pairs",
        lambda one, place: schema.whole(one, place, least=1, most=MOST_PERSONS),
        length=n,
    )
    gram = None
    if (found["gram"] is None) != (n == 1):
        raise MessageError(f"{where}.gram: told with one residual variance, or not told with several")
    if n > 1:
        assert agreed.lines is not None
        k = int(agreed.lines[study].kept.sum())
        gram = np.array(
            schema.listed(
                found["gram"], f"{where}.gram", lambda one, place: schema.gram(one, place, k), length=n
            )
        )
    return ResidualSums(sums("rss"), sums("freedom"), np.array(counts, dtype=np.intp), gram)


def n_terms(task: Task, agreed: Agreed) -> int:
    """Coefficients of a task."""
    assert agreed.basis is not None
    assert agreed.kept is not None
    modifier, n_exposure = agreed.modifier, len(task_basis(task, agreed.basis).names)
    return n_exposure * (1 + modifier.n_columns) + int(agreed.kept.sum()) + len(modifier.main)


def read_scores(content: Any, tasks: Sequence[Task], agreed: Agreed) -> dict[Task, Scores]:
    """Read scores of the tasks asked for; raises MessageError."""
    schema.record(content, "content", [task.name for task in tasks])
    found = {}
    for task in tasks:
        where, p = task.name, n_terms(task, agreed)
        one = schema.record(content[where], where, ("loglik", "score", "information", "expected"))
        found[task] = scores = Scores(
            _loglik(one["loglik"], where),
            schema.vector(one["score"], f"{where}.score", p),
            _information(one["information"], where, task, p),
            schema.gram(one["expected"], f"{where}.expected", p),
        )
        require_likelihood(scores.score, scores.information, scores.expected, task.method, where)
    return found


def read_sandwich(
    content: Any, tasks: Sequence[Task], agreed: Agreed, study_names: Sequence[str]
) -> dict[Task, SandwichAnswer]:
    """Read the parts of the sandwich of the tasks asked for; raises MessageError."""
    schema.record(content, "content", [task.name for task in tasks])
    found = {}
    for task in tasks:
        where, p = task.name, n_terms(task, agreed)
        one = schema.record(content[where], where, ("loglik", "units", "information", "studies"))
        schema.named(one["studies"], f"{where}.studies", study_names)
        found[task] = SandwichAnswer(
            _loglik(one["loglik"], where),
            _information(one["information"], where, task, p),
            {
                name: _meat(one["studies"][name], f"{where}.studies.{name}", task, agreed, name, p)
                for name in study_names
            },
            schema.whole(one["units"], f"{where}.units", most=MOST_PERSONS),
        )
    return found


def _loglik(value: Any, where: str) -> float:
    loglik = schema.real(value, f"{where}.loglik")
    if loglik > 1e-9:
        raise MessageError(f"{where}.loglik: a conditional log-likelihood is not above 0")
    return loglik


def _information(value: Any, where: str, task: Task, p: int) -> FloatArray:
    """Observed information: the induced likelihood's alone may have directions below 0."""
    read = schema.symmetric if task.method == "induced" else schema.gram
    return read(value, f"{where}.information", p)


def _meat(value: Any, where: str, task: Task, agreed: Agreed, study: str, p: int) -> StudyMeat:
    line = None if agreed.lines is None else agreed.lines.get(study)
    if line is None or task.method == "naive":
        return StudyMeat(schema.gram(schema.record(value, where, ("outcome",))["outcome"], where, p))
    induced = task.method == "induced"
    keys = ("outcome", "bread", "cross", "calibration", *(("lower",) if induced else ()))
    found = schema.record(value, where, keys)
    k = int(line.kept.sum())
    n_variances = agreed.modifier.variances(study)
    width = k + (n_variances if induced else 0)
    meat = StudyMeat(
        outcome := schema.gram(found["outcome"], f"{where}.outcome", p),
        schema.matrix(found["bread"], f"{where}.bread", p, width),
        cross := schema.matrix(found["cross"], f"{where}.cross", p, width),
        calibration := schema.gram(found["calibration"], f"{where}.calibration", width),
        schema.matrix(found["lower"], f"{where}.lower", n_variances, k) if induced else None,
    )
    require_joint_squares(outcome, cross, calibration, where)
    return meat
