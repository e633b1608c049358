"""Two-stage pooling: full calibration and the outcome model within each study, then meta-analysis.

The exposure coefficients of the studies (and their products with a modifier) are pooled as vectors by
multivariate restricted maximum likelihood; each other coefficient on its own, over the studies that
estimate it (METHODS section 8).  The same first stage tests whether the studies differ, which a one-stage
standard error leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.errors import FitError
from biocal.fitting.methods.two_stage_pooling import (
    named_reasons,
    pool_exposure,
    pool_others,
    pooled_covariance,
    with_estimated_terms,
)
from biocal.fitting.methods.two_stage_studies import PAIRS_PER_COEFFICIENT, FirstStage, fit_each_study
from biocal.fitting.problem.model_columns import ModelColumns
from biocal.fitting.problem.problem import PooledProblem
from biocal.kernels.contrasts import WaldTest
from biocal.kernels.meta.heterogeneity import Heterogeneity
from biocal.kernels.meta.vectors import PooledVector
from biocal.kernels.sandwich import SandwichCovariance
from biocal.model.calibration.lines import CalibrationFit
from biocal.model.exposure import Basis, LinearBasis
from biocal.results.studies.estimates import PooledTerm, StudyEstimates

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

TWO_STAGE_VARIANCE = "two-stage random effects (multivariate REML of the studies' stacked sandwiches)"
#: A one-stage summary points to two-stage when the heterogeneity test's p-value is smaller (our choice; the
#: test has little power with few studies, so .10 rather than .05, as is usual in meta-analysis).
LARGE_HETEROGENEITY = 0.10


@dataclass(frozen=True, slots=True, eq=False)
class TwoStageFit:
    """Both stages.

    Attributes
    ----------
    model : ModelColumns
        Terms that at least one study estimates.
    beta : ndarray, shape (p,)
        Pooled coefficients.
    covariance : SandwichCovariance
        `vcov` with the between-study covariance; `influence` without it.
    studies : StudyEstimates
    tests : tuple of WaldTest
        Heterogeneity.
    warnings, notes : tuple of str
        Studies that are left out; what else must be known.
    iterations : int
    decrement : float
        Largest of the studies' fits.
    """

    model: ModelColumns
    beta: FloatArray
    covariance: SandwichCovariance
    studies: StudyEstimates
    tests: tuple[WaldTest, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    iterations: int
    decrement: float


def fit_two_stage(
    problem: PooledProblem,
    basis: Basis,
    calibration: CalibrationFit | None,
    only: IntArray | None = None,
) -> TwoStageFit:
    """Fit every study and pool.

    Parameters
    ----------
    problem : PooledProblem
    basis : Basis
        Knots and coding, common to the studies.
    calibration : CalibrationFit or None
        The pooled calibration; see :func:`biocal.fitting.methods.two_stage_studies.fit_each_study`.
    only : ndarray of int, optional
        The studies to pool; default all that can be fitted.

    Raises
    ------
    FitError
        Fewer than two studies can be fitted; the message names the others with their reasons.
    ConvergenceError
        The restricted maximum was not found.

    Notes
    -----
    With A_s the weights of study s (identity in sum) the covariance is that of sum A_s b_s: influences of the
    independent units added up over the studies, and sum A_s T A_s'.  For studies that share nothing this is
    (sum (V_s + T)^-1)^-1; coefficients of calibration covariates that studies share are carried too.
    """
    everything = fit_each_study(problem, "full", basis, calibration, studies=only)
    first, (pooled, fixed) = pool_exposure(everything, problem, ("reml", "fixed"))
    first = with_estimated_terms(problem, basis, first)
    model = first.model
    columns = model.exposure_positions.ravel()
    others = pool_others(first, [k for k in range(model.n_terms) if k not in columns])
    beta = np.empty(model.n_terms)
    beta[columns] = pooled.estimate
    for term in others:
        beta[term.position] = term.random.estimate
    covariance = pooled_covariance(first, problem, pooled, [(term, term.random) for term in others])
    fixed_covariance = pooled_covariance(first, problem, fixed, [(term, term.fixed) for term in others])
    studies = _study_estimates(
        first, problem, basis, (pooled, fixed), others, beta, (covariance.vcov, fixed_covariance.vcov)
    )
    return TwoStageFit(
        model,
        beta,
        covariance,
        studies,
        (_heterogeneity_test(fixed.heterogeneity),),
        tuple(f"left out: {who}: {reason}" for who, reason in by_reason(studies.left_out)),
        _two_stage_notes(studies, [t for t in everything.model.terms if t not in model.terms]),
        max(fit.iterations for fit in first.fits),
        max(fit.decrement for fit in first.fits),
    )


def heterogeneity_between_studies(
    problem: PooledProblem, method: str, basis: Basis, calibration: CalibrationFit | None
) -> tuple[tuple[WaldTest, ...], tuple[str, ...]]:
    """Test whether the studies' exposure coefficients differ, for the summary of a one-stage method.

    Parameters
    ----------
    problem : PooledProblem
    method : str
        naive and internalized are tested with their own exposure, every other method with full calibration's.
    basis : Basis
        Of that method.
    calibration : CalibrationFit or None

    Returns
    -------
    tests : tuple of WaldTest
        Multivariate Q, or nothing when fewer than two studies can be fitted.
    notes : tuple of str
        What must be told: studies left out of the test, a large Q.
    """
    if len(problem.study_names) < 2:
        return (), ()
    first = fit_each_study(problem, tested_exposure(method), basis, calibration, influences=False)
    try:
        first, (fixed,) = pool_exposure(first, problem, ("fixed",))
    except FitError as error:
        return (), (f"heterogeneity between studies could not be tested: {error}",)
    test = _heterogeneity_test(fixed.heterogeneity)
    notes = [
        f"the heterogeneity test leaves out {who}: {reason}"
        for who, reason in by_reason(named_reasons(first, problem))
    ]
    if test.p_value < LARGE_HETEROGENEITY:
        notes.append(
            f"the studies' exposure coefficients differ by more than their standard errors explain (heterogeneity "
            f"Q = {test.statistic:.1f} on {test.df} df, p = {test.p_value:.2g}); a one-stage standard error leaves "
            "that out: see method two-stage, which carries it and shows the studies"
        )
    return (test,), tuple(notes)


def slopes_between_studies(
    problem: PooledProblem, method: str, calibration: CalibrationFit | None
) -> tuple[tuple[WaldTest, ...], tuple[str, ...]]:
    """Test whether the studies' linear slopes differ: what the test of a whole curve is nearly blind to.

    Parameters
    ----------
    problem : PooledProblem
    method : str
        As in :func:`heterogeneity_between_studies`.
    calibration : CalibrationFit or None

    Returns
    -------
    tests : tuple of WaldTest
        Cochran's Q of the linear fits by study.
    notes : tuple of str
        Q, I2 and tau, whether they are large or not (METHODS section 19).
    """
    if len(problem.study_names) < 2:
        return (), ()
    try:
        first = fit_each_study(problem, tested_exposure(method), LinearBasis(), calibration, influences=False)
        first, (fixed, random) = pool_exposure(first, problem, ("fixed", "reml"))
    except FitError as error:
        return (), (f"the studies' linear slopes could not be compared: {error}",)
    found = fixed.heterogeneity
    terms = [first.model.terms[k] for k in first.model.exposure_positions.ravel()]
    spread = np.sqrt(np.maximum(np.diagonal(random.between_covariance), 0.0))
    tau = ", ".join(f"{value:.3g} ({term})" for term, value in zip(terms, spread, strict=True))
    left = "".join(f"; without {who}" for who, _ in by_reason(named_reasons(first, problem)))
    note = (
        f"studies' linear slopes: Q = {found.q:.1f} on {found.df} df, p = {found.p_value:.2g}, I2 "
        f"{100 * found.i_squared:.0f} %, tau {tau}{left}. These tests have little power with few studies: a large "
        "p, or no further note, does not show that the studies agree; method two-stage shows each study"
    )
    return (WaldTest("slope_heterogeneity", found.q, found.df, found.p_value),), (note,)


def tested_exposure(method: str) -> str:
    """The plug-in exposure whose studies are compared for a one-stage method."""
    return method if method in ("naive", "internalized") else "full"


def _heterogeneity_test(found: Heterogeneity) -> WaldTest:
    return WaldTest("heterogeneity", found.q, found.df, found.p_value)


def _study_estimates(
    first: FirstStage,
    problem: PooledProblem,
    basis: Basis,
    vectors: tuple[PooledVector, PooledVector],
    others: tuple[PooledTerm, ...],
    beta: FloatArray,
    vcovs: tuple[FloatArray, FloatArray],
) -> StudyEstimates:
    n_studies, n_terms = len(problem.study_names), first.model.n_terms
    estimates = np.full((n_studies, n_terms), np.nan)
    covariances = np.full((n_studies, n_terms, n_terms), np.nan)
    for fit in first.fits:
        estimates[fit.study, fit.positions] = fit.beta
        covariances[fit.study][np.ix_(fit.positions, fit.positions)] = fit.vcov
    return StudyEstimates(
        terms=first.model.terms,
        study_names=problem.study_names,
        sets=first.sets,
        cases=first.cases,
        estimates=estimates,
        covariances=covariances,
        left_out=named_reasons(first, problem),
        shared_calibration=tuple(
            problem.study_names[fit.study] for fit in first.fits if fit.shares_covariates
        ),
        exposure_positions=first.model.exposure_positions,
        basis=basis,
        pooled=vectors[0],
        fixed=vectors[1],
        other_terms=others,
        estimate=beta,
        vcov=vcovs[0],
        vcov_fixed=vcovs[1],
    )


def _two_stage_notes(studies: StudyEstimates, lost_terms: Sequence[str]) -> tuple[str, ...]:
    """What a reader must know of this pooling."""
    notes = [f"{term} is left out: no study can estimate it on its own" for term in lost_terms]
    if studies.shared_calibration:
        notes.append(
            f"calibration lines are each study's own, but in {', '.join(studies.shared_calibration)} the "
            "coefficients of the calibration covariates are the pooled calibration's: the subset has fewer than "
            f"{PAIRS_PER_COEFFICIENT} pairs a coefficient, or does not tell the covariates apart (their shared error "
            "is carried in the pooled standard errors)"
        )
    used = studies.fitted
    for term in studies.other_terms:
        without = [studies.study_names[s] for s in used if s not in term.studies]
        if without:
            notes.append(
                f"{studies.terms[term.position]} is pooled over {term.studies.size} of {used.size} studies: "
                f"constant within every set, or collinear, in {', '.join(without)}"
            )
    found = studies.heterogeneity
    if found.i_squared > 0:
        notes.append(
            f"{100 * found.i_squared:.0f} % of the disagreement between the studies' exposure coefficients is "
            f"beyond chance (I2, from Q = {found.q:.1f} on {found.df} df)"
        )
    notes += list(studies.pooled.remarks)
    return tuple(notes)


def by_reason(left_out: Mapping[str, str]) -> list[tuple[str, str]]:
    """Studies left out for one reason together, as in "studies A, B"."""
    names: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        names.setdefault(reason, []).append(name)
    return [
        (f"{'study' if len(some) == 1 else 'studies'} {', '.join(some)}", reason)
        for reason, some in names.items()
    ]
