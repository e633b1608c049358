"""What sums are made of: records that a part of the rows gives and that are put together for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from biocal.fitting.problem.model_columns import ModelColumns, lay_out_names
from biocal.fitting.soundness.calibrators_in_sets import CalibratorSets
from biocal.fitting.sums.modifier import Modifier
from biocal.kernels.sets.spread import SetSpread
from biocal.model.exposure import Basis, LinearBasis

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class StudyLine:
    """What must be known of the calibration of a study to compute from its rows.

    Attributes
    ----------
    kept : ndarray of bool, shape (k,)
        Columns (1, W and the calibration covariates) with a coefficient; others were collinear.
    coefficients : ndarray, shape (k,)
        0 where not kept.
    inverse : ndarray, shape (kept, kept)
        The study's block of the inverse of the pooled sum of C_i C_i'.
    variance, freedom : ndarray, shape (g,), or None
        sigma^2 and the sum of 1 - h, once known: of the study, or of its levels of the effect modifier.
    pairs : ndarray of int, shape (g,), or None
        Calibration pairs that they rest on; None when all of them are among the rows computed from.
    """

    kept: BoolArray
    coefficients: FloatArray
    inverse: FloatArray
    variance: FloatArray | None = None
    freedom: FloatArray | None = None
    pairs: IntArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationMoments:
    """Moments of one study's calibration subset about its means; k - 1 columns, the constant left out."""

    n: int
    means: FloatArray
    products: FloatArray
    response_mean: float
    response_products: FloatArray
    response_square: float

    def take(self, columns: BoolArray) -> CalibrationMoments:
        """The moments of some of the columns, (k - 1,)."""
        return replace(
            self,
            means=self.means[columns],
            products=self.products[np.ix_(columns, columns)],
            response_products=self.response_products[columns],
        )


@dataclass(frozen=True, slots=True, eq=False)
class ResidualSums:
    """Sums over one study's calibration pairs at the calibration, by residual variance (g of them).

    Attributes
    ----------
    rss, freedom : ndarray, shape (g,)
        Residual sums of squares, and sums of 1 - h.
    pairs : ndarray of int, shape (g,)
    gram : ndarray, shape (g, k, k), or None
        Sums of C_i C_i' of the columns that the calibration keeps; None where the study has one variance,
        for then its moments tell them.
    """

    rss: FloatArray
    freedom: FloatArray
    pairs: IntArray
    gram: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One task's sums at one point, p coefficients."""

    loglik: float
    score: FloatArray
    information: FloatArray
    expected: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class StudyMeat:
    """One study's parts of the sandwich; those of the calibration are None where nothing is calibrated.

    Attributes
    ----------
    outcome : ndarray, shape (p, p)
        Sum of U_j U_j'.
    bread : ndarray, shape (p, k), or None
        The study's part of B21.
    cross : ndarray, shape (p, k), or None
        Sum of U_j c_j'.
    calibration : ndarray, shape (k, k), or None
        Sum of c_j c_j'.
    lower : ndarray, shape (g, k), or None
        For induced: its rows of the bread for sigma^2, one a residual variance; the other blocks then have g columns
        more.
    by_person : ndarray, shape (k, k), or None
        Sum of c_i c_i' over calibrators, not sets; None where the sums must not tell of single persons.
    sets : CalibratorSets or None
        In how many sets the calibrators lie.
    """

    outcome: FloatArray
    bread: FloatArray | None = None
    cross: FloatArray | None = None
    calibration: FloatArray | None = None
    lower: FloatArray | None = None
    by_person: FloatArray | None = None
    sets: CalibratorSets | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SandwichAnswer:
    """One task's sums at its final point.

    Attributes
    ----------
    loglik : float
    information : ndarray, shape (p, p)
    studies : dict of str to StudyMeat
    units : int
        Independent units with a set that says something about the coefficients.
    between : ndarray of int, or None
        Persons between neighbouring knots; None where they are not counted.
    spread : SetSpread or None
        How the information is spread over the units; None where the sums must not tell of single sets.
    """

    loglik: float
    information: FloatArray
    studies: Mapping[str, StudyMeat]
    units: int
    between: IntArray | None = None
    spread: SetSpread | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One likelihood.

    Attributes
    ----------
    method : str
    straight : bool
        Whether the exposure is linear whatever the curve, for the test of trend.
    """

    method: str
    straight: bool = False

    @property
    def name(self) -> str:
        """As messages call it: "full", "full, linear"."""
        return f"{self.method}, linear" if self.straight else self.method


def task_basis(task: Task, basis: Basis) -> Basis:
    """Exposure terms of a task."""
    return LinearBasis() if task.straight else basis


def task_model(
    task: Task, basis: Basis, covariate_names: tuple[str, ...], modifier: Modifier
) -> ModelColumns:
    """Where each column of a task stands."""
    return lay_out_names(task_basis(task, basis), covariate_names, modifier.names, modifier.main)


def shown_tasks(methods: tuple[str, ...], basis: Basis) -> list[Task]:
    """Tasks whose result is wanted: each method, and its straight line beside a curve."""
    shapes = (False,) if basis.kind == "linear" else (False, True)
    return [Task(method, straight) for method in methods for straight in shapes]


def tasks_to_run(wanted: list[Task]) -> list[Task]:
    """Those, and before them the starts of induced ones: full calibration's estimate, asked for or not."""
    starts = [start_of(task) for task in wanted if task.method == "induced"]
    return list(dict.fromkeys([*starts, *wanted]))


def start_of(task: Task) -> Task:
    """The task whose estimate an induced one starts from."""
    return Task("full", task.straight)
