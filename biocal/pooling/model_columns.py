"""Columns of the outcome model: exposure terms, covariates, modifier and products, in the published order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.exposure.terms import Basis
from biocal.pooling.problem import PooledProblem

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class ModelColumns:
    """Where each column of the linear predictor stands.

    Attributes
    ----------
    terms : tuple of str, length p
        Exposure terms, covariates, modifier, products.
    exposure_positions : ndarray of int, shape (1 + km, K)
        Positions of the exposure columns (row 0) and of their product with each modifier column.
    covariate_positions : ndarray of int, shape (kz,)
    modifier_positions : ndarray of int, shape (number of main effects,)
    """

    terms: tuple[str, ...]
    exposure_positions: IntArray
    covariate_positions: IntArray
    modifier_positions: IntArray

    @property
    def n_terms(self) -> int:
        """p."""
        return len(self.terms)

    def build(self, exposure_columns: FloatArray, problem: PooledProblem) -> FloatArray:
        """All columns, shape (p, n), from the exposure's (K, n)."""
        columns = np.empty((self.n_terms, exposure_columns.shape[-1]))
        self._fill_exposure(columns, exposure_columns, problem)
        columns[self.covariate_positions] = problem.covariates
        columns[self.modifier_positions] = problem.modifier[list(problem.modifier_main)]
        return columns

    def slopes(self, exposure_slopes: FloatArray, problem: PooledProblem) -> FloatArray:
        """Derivatives of all columns with respect to the exposure, shape (p, n)."""
        columns = np.zeros((self.n_terms, exposure_slopes.shape[-1]))
        self._fill_exposure(columns, exposure_slopes, problem)
        return columns

    def _fill_exposure(self, columns: FloatArray, part: FloatArray, problem: PooledProblem) -> None:
        columns[self.exposure_positions[0]] = part
        for row, multiplier in zip(self.exposure_positions[1:], problem.modifier, strict=True):
            columns[row] = part * multiplier


def lay_out_columns(basis: Basis, problem: PooledProblem) -> ModelColumns:
    """Name and number the columns of the outcome model."""
    n_exposure, n_covariates = len(basis.names), len(problem.covariate_names)
    main = [problem.modifier_names[k] for k in problem.modifier_main]
    products = [f"{term}:{name}" for name in problem.modifier_names for term in basis.names]
    first_product = n_exposure + n_covariates + len(main)
    positions = np.empty((1 + len(problem.modifier_names), n_exposure), dtype=np.intp)
    positions[0] = np.arange(n_exposure)
    positions[1:] = first_product + np.arange(len(products)).reshape(-1, n_exposure)
    return ModelColumns(
        (*basis.names, *problem.covariate_names, *main, *products),
        positions,
        n_exposure + np.arange(n_covariates),
        n_exposure + n_covariates + np.arange(len(main)),
    )
