"""Columns of the outcome model: exposure terms, covariates, modifier and products, in the published order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import FormulaError
from biocal.fitting.problem.problem import PooledProblem
from biocal.kernels.sets.layout import largest_values
from biocal.model.exposure import Basis

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Persons whose columns are made at a time; they stay in a core's cache.
_CHUNK = 16_384


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
        self.fill_exposure(columns, exposure_columns, problem.modifier)
        columns[self.covariate_positions] = problem.covariates
        columns[self.modifier_positions] = problem.modifier[list(problem.modifier_main)]
        return columns

    def of_persons(self, basis: Basis, exposure: FloatArray, problem: PooledProblem) -> ModelOfPersons:
        """The same made block by block, from the exposure (n,) itself."""
        return ModelOfPersons(self, basis, exposure, problem)

    def slopes(self, exposure_slopes: FloatArray, problem: PooledProblem) -> FloatArray:
        """Derivatives of all columns with respect to the exposure, shape (p, n)."""
        return self.exposure_part(exposure_slopes, problem.modifier)

    def exposure_part(self, part: FloatArray, modifier: FloatArray) -> FloatArray:
        """The exposure's columns from its own (K, m) and the modifier's (km, m): (p, m), 0 in the others."""
        columns = np.zeros((self.n_terms, part.shape[-1]))
        self.fill_exposure(columns, part, modifier)
        return columns

    def fill_exposure(self, columns: FloatArray, part: FloatArray, modifier: FloatArray) -> None:
        """Put exposure terms (K, ...) and their products with the modifier (km, ...) into columns (p, ...)."""
        columns[self.exposure_positions[0]] = part
        for row, multiplier in zip(self.exposure_positions[1:], modifier, strict=True):
            columns[row] = part * multiplier


@dataclass(frozen=True, slots=True, eq=False)
class ModelOfPersons:
    """All columns of the linear predictor, made for the persons asked for.

    Next to exposure and covariates, which others hold, nothing of the persons' number is kept.
    """

    model: ModelColumns
    basis: Basis
    exposure: FloatArray
    problem: PooledProblem

    @property
    def shape(self) -> tuple[int, int]:
        """(p, n)."""
        return self.model.n_terms, self.exposure.size

    def take(self, rows: IntArray, out: FloatArray) -> None:
        """Put the columns of some persons, rows (...), into out (p, ...)."""
        model, problem = self.model, self.problem
        part = self.basis.columns(self.exposure[rows.ravel()]).reshape(-1, *rows.shape)
        model.fill_exposure(out, part, problem.modifier[:, rows])
        for k, covariate in zip(model.covariate_positions, problem.covariates, strict=True):
            np.take(covariate, rows, out=out[k], mode="clip")
        for k, main in zip(model.modifier_positions, problem.modifier_main, strict=True):
            np.take(problem.modifier[main], rows, out=out[k], mode="clip")

    def largest(self) -> FloatArray:
        """Largest absolute value of each column, shape (p,)."""
        found = np.zeros(self.model.n_terms)
        for start in range(0, self.exposure.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            modifier = self.problem.modifier[:, part]
            made = self.model.exposure_part(self.basis.columns(self.exposure[part]), modifier)
            made[self.model.covariate_positions] = self.problem.covariates[:, part]
            made[self.model.modifier_positions] = modifier[list(self.problem.modifier_main)]
            np.maximum(found, largest_values(made), out=found)
        return found


def lay_out_columns(basis: Basis, problem: PooledProblem) -> ModelColumns:
    """Name and number the columns of the outcome model."""
    return lay_out_names(basis, problem.covariate_names, problem.modifier_names, problem.modifier_main)


def lay_out_names(
    basis: Basis,
    covariate_names: tuple[str, ...],
    modifier_names: tuple[str, ...],
    modifier_main: tuple[int, ...],
) -> ModelColumns:
    """The same from names alone; `modifier_main` tells which columns of the modifier are main effects of their own."""
    n_exposure, n_covariates = len(basis.names), len(covariate_names)
    main = [modifier_names[k] for k in modifier_main]
    products = [f"{term}:{name}" for name in modifier_names for term in basis.names]
    for name in (*covariate_names, *main):
        if name in basis.names or name in products:
            raise FormulaError(
                f"the term '{name}' of a covariate or modifier has the name of a term of the exposure of interest; "
                "rename the column, so that each term has a name of its own",
                name=name,
            )
    first_product = n_exposure + n_covariates + len(main)
    positions = np.empty((1 + len(modifier_names), n_exposure), dtype=np.intp)
    positions[0] = np.arange(n_exposure)
    positions[1:] = first_product + np.arange(len(products)).reshape(-1, n_exposure)
    return ModelColumns(
        (*basis.names, *covariate_names, *main, *products),
        positions,
        n_exposure + np.arange(n_covariates),
        n_exposure + n_covariates + np.arange(len(main)),
    )
