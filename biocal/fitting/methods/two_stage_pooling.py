"""Second stage of two-stage pooling: the studies' coefficients combined, and their covariance.

The exposure coefficients (and their products with a modifier) are vectors; every other coefficient is pooled
on its own, over the studies that estimate it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from biocal.errors import ConvergenceError, FitError, InputError
from biocal.fitting.methods.two_stage_studies import FirstStage, StudyFit
from biocal.fitting.problem.model_columns import lay_out_columns
from biocal.fitting.problem.problem import PooledProblem
from biocal.kernels.meta.numbers import PooledEstimate, combine_estimates
from biocal.kernels.meta.vectors import PooledVector, VectorPoolingMethod, combine_vectors
from biocal.kernels.sandwich import SandwichCovariance
from biocal.model.exposure import Basis
from biocal.results.studies.estimates import PooledTerm

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


def with_estimated_terms(problem: PooledProblem, basis: Basis, first: FirstStage) -> FirstStage:
    """The first stage without terms that no fitted study estimates."""
    model = first.model
    found = np.zeros(model.n_terms, dtype=bool)
    for fit in first.fits:
        found[fit.positions] = True
    if found.all():
        return first
    names, main_columns = problem.covariate_names, problem.modifier_main
    covariates = [name for k, name in enumerate(names) if found[model.covariate_positions[k]]]
    main = [column for k, column in enumerate(main_columns) if found[model.modifier_positions[k]]]
    smaller = replace(problem, covariate_names=tuple(covariates), modifier_main=tuple(main))
    renumber = np.cumsum(found) - 1
    fits = tuple(replace(fit, positions=renumber[fit.positions]) for fit in first.fits)
    return replace(first, model=lay_out_columns(basis, smaller), fits=fits)


def pool_exposure(
    first: FirstStage, problem: PooledProblem, methods: Sequence[VectorPoolingMethod]
) -> tuple[FirstStage, list[PooledVector]]:
    """Pool the exposure coefficients; studies whose covariance is singular are left out as well."""
    columns = first.model.exposure_positions.ravel()
    while True:
        if len(first.fits) < 2:
            raise FitError(_too_few_studies(first, problem), left_out=named_reasons(first, problem))
        vectors, covariances = _stacked(first, columns)
        try:
            return first, [combine_vectors(vectors, covariances, method=method) for method in methods]
        except ConvergenceError as error:
            raise ConvergenceError(
                f"{len(first.fits)} studies with {columns.size} exposure coefficients each: {error}. Here: fewer "
                "knots or categories, a linear exposure, no modifier, or a one-stage method",
                left_out=named_reasons(first, problem),
            ) from error
        except InputError as error:
            bad: tuple[int, ...] = getattr(error, "studies", ())
            if not bad:
                raise
            reason = "the sandwich covariance of its exposure coefficients is singular: too few matched sets"
            lost = {first.fits[k].study: reason for k in bad}
            kept = tuple(fit for k, fit in enumerate(first.fits) if k not in bad)
            first = replace(first, fits=kept, left_out=dict(sorted((first.left_out | lost).items())))


def _stacked(first: FirstStage, columns: IntArray) -> tuple[FloatArray, FloatArray]:
    """Exposure coefficients (k, px) and covariances (k, px, px) of the fitted studies."""
    places = [_places(fit, columns) for fit in first.fits]
    vectors = [fit.beta[place] for fit, place in zip(first.fits, places, strict=True)]
    covariances = [fit.vcov[np.ix_(place, place)] for fit, place in zip(first.fits, places, strict=True)]
    return np.array(vectors), np.array(covariances)


def _places(fit: StudyFit, columns: IntArray) -> IntArray:
    """Where a study's own vector has the pool's columns."""
    place = np.full(int(max(fit.positions.max(), columns.max())) + 1, -1, dtype=np.intp)
    place[fit.positions] = np.arange(fit.positions.size)
    return place[columns]


def _too_few_studies(first: FirstStage, problem: PooledProblem) -> str:
    n_studies = len(problem.study_names)
    if n_studies < 2:
        return "two-stage combines studies and needs at least two; this pool has one: use full"
    reasons = "; ".join(f"{name}: {reason}" for name, reason in named_reasons(first, problem).items())
    found = {0: "none", 1: "only one"}[len(first.fits)]
    return f"{found} of the {n_studies} studies can be fitted alone, and two are needed ({reasons})"


def named_reasons(first: FirstStage, problem: PooledProblem) -> dict[str, str]:
    """Studies left out, by name, and why."""
    return {problem.study_names[s]: reason for s, reason in first.left_out.items()}


def pool_others(first: FirstStage, positions: Sequence[int]) -> tuple[PooledTerm, ...]:
    """Pool covariates and main effects one by one: jointly they would make the between-study covariance large."""
    pooled = []
    for position in positions:
        having = [fit for fit in first.fits if position in fit.positions]
        places = [int(np.flatnonzero(fit.positions == position)[0]) for fit in having]
        estimates = [float(fit.beta[k]) for fit, k in zip(having, places, strict=True)]
        variances = [float(fit.vcov[k, k]) for fit, k in zip(having, places, strict=True)]
        studies = np.array([fit.study for fit in having], dtype=np.intp)
        random = combine_estimates(estimates, variances, method="reml")
        fixed = combine_estimates(estimates, variances, method="fixed")
        pooled.append(PooledTerm(position, studies, random, fixed))
    return tuple(pooled)


def pooled_covariance(
    first: FirstStage,
    problem: PooledProblem,
    pooled: PooledVector,
    others: Sequence[tuple[PooledTerm, PooledEstimate]],
) -> SandwichCovariance:
    """Covariance of sum A_s b_s: the units' influences, and the between-study part."""
    n_terms, columns = first.model.n_terms, first.model.exposure_positions.ravel()
    influence = np.zeros((problem.n_units, n_terms))
    through_calibration = np.zeros((problem.n_units, n_terms))
    between, uncorrected = np.zeros((n_terms, n_terms)), np.zeros((n_terms, n_terms))
    spread = np.zeros((n_terms, n_terms))
    spread[np.ix_(columns, columns)] = pooled.between_covariance
    for term, chosen in others:
        # NaN with a single study: what cannot be estimated is left out, as the pooled note tells.
        spread[term.position, term.position] = np.nan_to_num(chosen.tau_squared)
    for k, fit in enumerate(first.fits):
        weights = np.zeros((n_terms, n_terms))
        weights[np.ix_(columns, columns)] = pooled.matrix_weights[k]
        for term, chosen in others:
            weights[term.position, term.position] = chosen.weights[term.studies == fit.study].sum()
        own = weights[:, fit.positions]
        influence[fit.units] += fit.influence @ own.T
        through_calibration[fit.units] += fit.calibration_influence @ own.T
        uncorrected += own @ fit.vcov_uncorrected @ own.T
        between += weights @ spread @ weights.T
    local = np.full(problem.n_units, -1, dtype=np.intp)
    local[problem.calibrators.unit] = problem.calibrators.rows.study
    parts = np.array(
        [
            through_calibration[local == s].T @ through_calibration[local == s]
            for s in range(len(problem.local_names))
        ]
    ).reshape(-1, n_terms, n_terms)
    return SandwichCovariance(influence.T @ influence + between, uncorrected + between, parts, influence)
