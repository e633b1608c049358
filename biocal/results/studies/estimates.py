"""What each study says on its own, and what the studies come to together: the two-stage results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.kernels.meta.heterogeneity import Heterogeneity
from biocal.kernels.meta.numbers import (
    PooledEstimate,
    PoolingMethod,
    StandardError,
    combine_estimates,
)
from biocal.kernels.meta.vectors import PooledVector, leave_one_study_out_of_vectors
from biocal.results.fit.compared_exposures import compared_exposures, modifier_multipliers
from biocal.results.model import ExposureBasis, ModelInfo
from biocal.results.studies.contrast import StudyContrast

if TYPE_CHECKING:
    import pandas as pd

    from biocal.results.fit.fit import Fit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Names of the pooled rows in tables.
POOLED, POOLED_FIXED = "pooled", "pooled, fixed effect"


@dataclass(frozen=True, slots=True, eq=False)
class PooledTerm:
    """A coefficient other than the exposure's, pooled on its own over the studies that estimate it.

    Attributes
    ----------
    position : int
        Place among the terms.
    studies : ndarray of int
        Studies (rows of `StudyEstimates.estimates`) that estimate it.
    random, fixed : PooledEstimate
        By REML, and by inverse variance.
    """

    position: int
    studies: IntArray
    random: PooledEstimate
    fixed: PooledEstimate


@dataclass(frozen=True, slots=True, eq=False)
class StudyEstimates:
    """Estimates of each study and pooled.

    Attributes
    ----------
    terms : tuple of str, length p
    study_names : tuple of str, length S
        All studies of the pool.
    sets, cases : ndarray of int, shape (S,)
    estimates : ndarray, shape (S, p)
        Log odds ratios; NaN where a study does not estimate the term.
    covariances : ndarray, shape (S, p, p)
        Each study's stacked sandwich.
    left_out : dict of str to str
        Studies that could not be fitted, and why.
    shared_calibration : tuple of str
        Studies whose calibration covariates have the pooled calibration's coefficients.
    exposure_positions : ndarray of int, shape (1 + km, K)
        As in :class:`Fit`.
    basis : ExposureBasis
    pooled, fixed : PooledVector
        The exposure coefficients (and products) as vectors: multivariate REML, and fixed effect.
    other_terms : tuple of PooledTerm
        Covariates and main effects of the modifier.
    estimate : ndarray, shape (p,)
        All terms pooled by random effects.
    vcov, vcov_fixed : ndarray, shape (p, p)
        Covariances of all terms pooled by random effects, and by inverse variance.
    info : ModelInfo or None
        Scale, labels and level; None when made outside :func:`biocal.fit`.
    """

    terms: tuple[str, ...]
    study_names: tuple[str, ...]
    sets: IntArray
    cases: IntArray
    estimates: FloatArray
    covariances: FloatArray
    left_out: dict[str, str]
    shared_calibration: tuple[str, ...]
    exposure_positions: IntArray
    basis: ExposureBasis
    pooled: PooledVector
    fixed: PooledVector
    other_terms: tuple[PooledTerm, ...]
    estimate: FloatArray
    vcov: FloatArray
    vcov_fixed: FloatArray
    info: ModelInfo | None = None

    @property
    def heterogeneity(self) -> Heterogeneity:
        """Multivariate Q of the exposure coefficients, with its degrees of freedom, p-value and I^2."""
        return self.fixed.heterogeneity

    @property
    def fitted(self) -> IntArray:
        """Studies that could be fitted, as rows of `estimates`."""
        return np.flatnonzero([name not in self.left_out for name in self.study_names])

    @property
    def fitted_names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.study_names[s] for s in self.fitted)

    def tidy(self) -> pd.DataFrame:
        """Every term in every study, then pooled.

        Returns
        -------
        DataFrame
            study, sets, cases, term, estimate, std_error, weight; blank estimates where a study was left out
            or does not estimate the term.  Rows ``pooled`` (random effects) and ``pooled, fixed effect`` count the
            sets and cases of the studies that estimate the term, and have q, df, i2 of that term alone, and tau2,
            the term's between-study variance.  The exposure terms are pooled together: their weight is the
            study's share of the vector.
        """
        import pandas as pd

        weights = self._weights()
        errors = np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))
        rows: list[dict[str, Any]] = [
            {
                "study": name,
                "sets": int(self.sets[s]),
                "cases": int(self.cases[s]),
                "term": term,
                "estimate": float(self.estimates[s, k]),
                "std_error": float(errors[s, k]),
                "weight": float(weights[s, k]),
            }
            for s, name in enumerate(self.study_names)
            for k, term in enumerate(self.terms)
        ]
        for name in (POOLED, POOLED_FIXED):
            for k, term in enumerate(self.terms):
                used = np.isfinite(self.estimates[:, k])
                counts = {"sets": int(self.sets[used].sum()), "cases": int(self.cases[used].sum())}
                rows.append({"study": name, **counts, "term": term, **self._pooled(name, k)})
        return pd.DataFrame(rows)

    def contrast(
        self,
        at: float | str | None = None,
        reference: float | str | None = None,
        *,
        method: PoolingMethod = "reml",
        standard_error: StandardError = "normal",
        modifier_level: str | None = None,
        level: float | None = None,
    ) -> StudyContrast:
        """The log odds ratio of one exposure against another, by study and pooled.

        Parameters
        ----------
        at, reference : float, optional
            Exposures in the unit of the reference laboratory.  Default: the 75th against the 25th percentile of
            the controls' exposure.  For categories, their labels; default the highest against the reference.
        method : {"reml", "dersimonian-laird", "fixed"}
            How `StudyContrast.pooled` is found.
        standard_error : {"normal", "hartung-knapp", "hartung-knapp-at-least-normal"}
        modifier_level : str, optional
            With effect modification: the level, by its label; default the first.
        level : float, optional
            Confidence level; default the fit's.

        Raises
        ------
        OptionError
            Equal or unknown exposures, an unknown method or level.
        """
        difference, label, rule = compared_exposures(self.basis, self.info, at, reference)
        n_products = self.exposure_positions.shape[0] - 1
        multipliers, level_name = modifier_multipliers(self.info, n_products, modifier_level)
        contrast = np.zeros(len(self.terms))
        for row, multiplier in zip(self.exposure_positions, multipliers, strict=True):
            contrast[row] = multiplier * difference
        used, columns = self.fitted, self.exposure_positions.ravel()
        weights = contrast[columns]
        estimates = self.estimates[np.ix_(used, columns)] @ weights
        covariances = self.covariances[np.ix_(used, columns, columns)]
        errors = np.sqrt(np.einsum("i,sij,j->s", weights, covariances, weights))
        if level is None:
            level = self.info.level if self.info else 0.95
        return StudyContrast(
            label=f"{label}, {level_name}" if level_name else label,
            rule=rule,
            studies=self.fitted_names,
            sets=self.sets[used],
            cases=self.cases[used],
            estimates=estimates,
            std_errors=errors,
            left_out=self.left_out,
            pooled=combine_estimates(
                estimates, errors**2, method=method, standard_error=standard_error, level=level
            ),
            outcome=self.info.labels.outcome if self.info else "",
        )

    def plot_forest(
        self, at: float | str | None = None, reference: float | str | None = None, **options: Any
    ) -> Any:
        """Draw the forest plot of a contrast; arguments as in `contrast`.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return self.contrast(at, reference, **options).plot()

    def leave_one_out(self) -> pd.DataFrame:
        """Pool the exposure coefficients without each study in turn, T estimated anew.

        Returns
        -------
        DataFrame
            left_out, term, estimate, std_error, q, df, p_value, i2 (of the vectors that remain).
        """
        import pandas as pd

        columns, used = self.exposure_positions.ravel(), self.fitted
        pooled = leave_one_study_out_of_vectors(
            self.estimates[np.ix_(used, columns)], self.covariances[np.ix_(used, columns, columns)]
        )
        return pd.DataFrame(
            [
                {
                    "left_out": name,
                    "term": self.terms[column],
                    "estimate": float(vector.estimate[k]),
                    "std_error": float(np.sqrt(vector.covariance[k, k])),
                    "q": vector.heterogeneity.q,
                    "df": vector.heterogeneity.df,
                    "p_value": vector.heterogeneity.p_value,
                    "i2": vector.heterogeneity.i_squared,
                }
                for name, vector in zip(self.fitted_names, pooled, strict=True)
                for k, column in enumerate(columns)
            ]
        )

    def summary(self) -> str:
        """Text for a person: the default contrast by study and pooled."""
        return self.contrast().summary()

    def summary_lines(self) -> list[str]:
        """Lines for the summary of the fit, whose notes tell the studies left out."""
        return self.contrast().summary_lines(left_out=False)

    def _weights(self) -> FloatArray:
        """Share of each study in each pooled term, (S, p); NaN where it has none."""
        weights = np.full(self.estimates.shape, np.nan)
        weights[np.ix_(self.fitted, self.exposure_positions.ravel())] = self.pooled.weights[:, None]
        for term in self.other_terms:
            weights[term.studies, term.position] = term.random.weights
        return weights

    def _pooled(self, name: str, position: int) -> dict[str, float]:
        """Estimate, standard error and heterogeneity of one term."""
        random = name == POOLED
        other = {term.position: term for term in self.other_terms}
        if position in other:
            chosen = other[position].random if random else other[position].fixed
            estimate, found, between = chosen.estimate, chosen.heterogeneity, chosen.tau_squared
        else:
            vector = self.pooled if random else self.fixed
            k = int(np.flatnonzero(self.exposure_positions.ravel() == position)[0])
            estimate, between = float(vector.estimate[k]), float(vector.between_covariance[k, k])
            used = self.fitted
            found = combine_estimates(
                self.estimates[used, position], self.covariances[used, position, position], method="fixed"
            ).heterogeneity
        vcov = self.vcov if random else self.vcov_fixed
        return {
            "estimate": estimate,
            "std_error": float(np.sqrt(vcov[position, position])),
            "weight": float("nan"),
            "q": found.q,
            "df": found.df,
            "i2": found.i_squared,
            "tau2": between,
        }


def draw_forest_figure(fit: Fit, at: float | str | None = None, reference: float | str | None = None) -> Any:
    """The forest plot of a two-stage fit; returns a matplotlib Figure.

    Parameters
    ----------
    fit : Fit
        With ``studies``.
    at, reference : float or str, optional
        As in `StudyEstimates.contrast`.

    Raises
    ------
    OptionError
        The fit has no estimates by study.
    """
    if not isinstance(fit.studies, StudyEstimates):
        raise OptionError(f"{fit.method} has no estimates by study; fit with method 'two-stage'")
    return fit.studies.plot_forest(at, reference)
