"""What sums are made of: records that a part of the rows gives and that are put together for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
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
    variance, freedom : float or None
        sigma^2 and the sum of 1 - h, once known.
    pairs : int or None
        Calibration pairs of the study; None when all of them are among the rows computed from.
    """

    kept: BoolArray
    coefficients: FloatArray
    inverse: FloatArray
    variance: float | None = None
    freedom: float | None = None
    pairs: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationMoments:
    """Moments of one study's calibration subset about its means; k - 1 columns, the constant left out."""

    n: int
    means: FloatArray
    products: FloatArray
    response_mean: float
    response_products: FloatArray
    response_square: float


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
    lower : ndarray, shape (k - 1,), or None
        For induced: its row of the bread for sigma^2.
    """

    outcome: FloatArray
    bread: FloatArray | None = None
    cross: FloatArray | None = None
    calibration: FloatArray | None = None
    lower: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SandwichAnswer:
    """One task's sums at its final point."""

    loglik: float
    information: FloatArray
    studies: Mapping[str, StudyMeat]
