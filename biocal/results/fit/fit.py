"""A fitted estimator: coefficients, covariance, tests, curves and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biocal.errors import OptionError
from biocal.kernels.contrasts import WaldTest, contrast_errors, interval_quantile, two_sided_t, wald_test
from biocal.kernels.meta.rubin import RubinPooled
from biocal.results.calibration.results import CalibrationResults
from biocal.results.fit.curve import (
    DoseResponse,
    ResponseAxis,
    drawing_axis,
    response_axis,
    response_contrasts,
)
from biocal.results.model import ExposureBasis, ModelInfo, Sample

if TYPE_CHECKING:
    import pandas as pd

    from biocal.results.fit.asked.curve_models import CurveModel
    from biocal.results.fit.asked.increments import LinearTrend
    from biocal.results.fit.bootstrap import Bootstrap
    from biocal.results.fit.effective_sets import EffectiveSets
    from biocal.results.groups.estimates import LeaveOneOut, Subgroups
    from biocal.results.studies.estimates import StudyEstimates

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class FitStatus:
    """How the maximum was found.

    Attributes
    ----------
    iterations : int
        Evaluations of the likelihood.
    decrement : float
        Rise that a further Newton step promised.
    converged : bool
        Always true: a fit that has not converged is not made.
    """

    iterations: int
    decrement: float
    converged: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fit of one method.

    Attributes
    ----------
    method : str
    terms : tuple of str, length p
    estimates : ndarray, shape (p,)
        Log odds ratios per unit of each column.
    vcov : ndarray, shape (p, p)
        Stacked sandwich: carries the uncertainty of the calibration.
    vcov_uncorrected : ndarray, shape (p, p)
        Inverse information, the calibration taken as known.
    calibration_parts : ndarray, shape (L, p, p)
        What each local study's calibration adds to the covariance, cross terms apart.
    exposure_positions : ndarray of int, shape (1 + km, K)
        Positions of the exposure terms, and of their products with each column of the modifier.
    loglik, loglik_null : float
        Log conditional likelihood at the estimates, and at 0; NaN for two-stage.
    basis : ExposureBasis
        Exposure terms with their knots.
    info : ModelInfo
    sample : Sample
    calibration : CalibrationResults or None
    local_names : tuple of str, length L
    status : FitStatus or None
    variance : str
        Kind of the standard errors, in words.
    extra_tests : tuple of WaldTest
        Tests beyond those of the coefficients (trend, heterogeneity).
    warnings : tuple of str
        What must be read before the numbers: studies that two-stage leaves out, few sets that carry the information.
    notes : tuple of str
    influence : ndarray, shape (n_units, p), or None
        Influence of each independent unit on the coefficients; their outer products sum to `vcov`
        (two-stage: to its part within studies).  None where it would hold more than four million numbers.
    studies : StudyEstimates or None
        Two-stage: estimates by study and pooled (studies.csv).
    bootstrap : Bootstrap or None
        Bootstrap replicates and intervals (bootstrap.csv).
    linear : LinearTrend or None
        The linear fit by the same method to the same persons.
    curve_models : tuple of CurveModel
        Curves of other shapes and their likelihood, when asked for (aic.csv).
    subgroups : tuple of Subgroups
        Fits by the levels of variables (subgroups.csv).
    left_out : LeaveOneOut or None
        Fits without each study (leave_one_out.csv).
    effective_sets : EffectiveSets or None
        How many matched sets carry the information; None for two-stage, federated fits and after multiple imputation.
    imputation : RubinPooled or None
        After multiple imputation: what the fits of the completed data sets came to; `vcov` is its total.

    Examples
    --------
    >>> import biocal as bc
    >>> pool = bc.PooledStudies.from_frame(bc.datasets.load_infertility(), reference="spontaneous")

    >>> fit = bc.fit(pool, exposure=bc.linear(), covariates="induced")
    >>> fit.conf_int().round(2).loc["exposure"].tolist()
    [1.2, 2.77]
    >>> fit.test_overall().df
    1
    >>> fit.dose_response(at=[1, 2], reference=0).log_or.round(3).tolist()
    [1.986, 3.972]
    """

    method: str
    terms: tuple[str, ...]
    estimates: FloatArray
    vcov: FloatArray
    vcov_uncorrected: FloatArray
    calibration_parts: FloatArray
    exposure_positions: IntArray
    loglik: float
    loglik_null: float
    basis: ExposureBasis
    info: ModelInfo
    sample: Sample
    calibration: CalibrationResults | None
    local_names: tuple[str, ...]
    status: FitStatus | None
    variance: str
    extra_tests: tuple[WaldTest, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    influence: FloatArray | None = field(default=None, repr=False)
    studies: StudyEstimates | None = None
    bootstrap: Bootstrap | None = None
    linear: LinearTrend | None = None
    curve_models: tuple[CurveModel, ...] = ()
    subgroups: tuple[Subgroups, ...] = ()
    left_out: LeaveOneOut | None = None
    effective_sets: EffectiveSets | None = None
    imputation: RubinPooled | None = None

    @property
    def params(self) -> pd.Series:
        """Coefficients (log odds ratios) by term."""
        import pandas as pd

        return pd.Series(self.estimates, index=list(self.terms), name=self.method)

    @property
    def std_errors(self) -> FloatArray:
        """Standard errors from `vcov`, shape (p,)."""
        return np.asarray(np.sqrt(np.diagonal(self.vcov)))

    @property
    def bse(self) -> pd.Series:
        """Standard errors by term."""
        import pandas as pd

        return pd.Series(self.std_errors, index=list(self.terms), name="std_error")

    @property
    def aic(self) -> float:
        """-2 loglik + 2 p, p the coefficients (knots count as known)."""
        return -2.0 * self.loglik + 2.0 * len(self.terms)

    def cov_params(self) -> pd.DataFrame:
        """Covariance matrix of the coefficients.

        Returns
        -------
        DataFrame, shape (p, p)
            Rows and columns are terms; on the scale of log odds ratios.
        """
        import pandas as pd

        return pd.DataFrame(self.vcov, index=list(self.terms), columns=list(self.terms))

    def conf_int(self, alpha: float | None = None, *, level: float | None = None) -> pd.DataFrame:
        """Confidence limits of the coefficients: columns conf_low, conf_high.

        Parameters
        ----------
        alpha : float, optional
            1 minus the confidence level, as in statsmodels: 0.05 for intervals of 95 %.
        level : float, optional
            Confidence level, in place of alpha; default the fit's.

        Returns
        -------
        DataFrame, p rows
            conf_low, conf_high of the log odds ratios, by term.

        Raises
        ------
        OptionError
            An alpha or a level outside (0, 1), or both of them given.
        """
        import pandas as pd

        if alpha is not None:
            if level is not None:
                raise OptionError(
                    "alpha and level are two names of one thing; give one", alpha=alpha, level=level
                )
            if not 0.0 < alpha < 1.0:
                raise OptionError(f"alpha lies between 0 and 1, not {alpha}", alpha=alpha)
            level = 1.0 - alpha
        half = interval_quantile(self._level(level), self.df) * self.std_errors
        limits = {"conf_low": self.estimates - half, "conf_high": self.estimates + half}
        return pd.DataFrame(limits, index=list(self.terms))

    def tidy(self, *, exponentiate: bool = False, level: float | None = None) -> pd.DataFrame:
        """One row a coefficient.

        Parameters
        ----------
        exponentiate : bool, default False
            Give odds ratios and their limits; standard errors stay on the log scale, as in broom.
        level : float, optional
            Confidence level; default the fit's.

        Returns
        -------
        DataFrame
            method, term, estimate, std_error, statistic, p_value, conf_low, conf_high,
            std_error_uncorrected.
        """
        import pandas as pd

        errors = self.std_errors
        half = interval_quantile(self._level(level), self.df) * errors
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = self.estimates / errors
        scale = np.exp if exponentiate else np.asarray
        return pd.DataFrame(
            {
                "method": self.method,
                "term": list(self.terms),
                "estimate": scale(self.estimates),
                "std_error": errors,
                "statistic": statistic,
                "p_value": two_sided_t(statistic, self.df),
                "conf_low": scale(self.estimates - half),
                "conf_high": scale(self.estimates + half),
                "std_error_uncorrected": np.sqrt(np.diagonal(self.vcov_uncorrected)),
                **self._imputation_columns(),
            }
        )

    @property
    def df(self) -> FloatArray | None:
        """Degrees of freedom of the coefficients after multiple imputation, shape (p,); else None: normal."""
        return None if self.imputation is None else self.imputation.df(np.eye(len(self.terms)))

    def _imputation_columns(self) -> dict[str, FloatArray]:
        """Columns that multiple imputation adds to the coefficients."""
        if self.imputation is None:
            return {}
        each = np.eye(len(self.terms))
        return {
            "df": self.imputation.df(each),
            "relative_increase": self.imputation.relative_increase(each),
            "fraction_missing": self.imputation.fraction_missing(each),
        }

    def _wald(self, name: str, positions: IntArray) -> WaldTest:
        """Wald test of some coefficients: D1 after multiple imputation."""
        if self.imputation is not None:
            return self.imputation.test(name, positions)
        return wald_test(name, self.estimates, self.vcov, positions)

    def test_overall(self) -> WaldTest:
        """Wald test that no exposure column matters (products with a modifier included).

        Returns
        -------
        WaldTest
            test, statistic (chi-square), df, p_value.
        """
        return self._wald("overall", self.exposure_positions.ravel())

    def test_nonlinearity(self) -> WaldTest:
        """Wald test that the curve is straight: all exposure columns but the first (spline only).

        Returns
        -------
        WaldTest
            test, statistic (chi-square), df, p_value; df 0 where there is nothing to test.
        """
        positions = (
            self.exposure_positions[:, 1:].ravel() if self.basis.kind == "rcs" else np.empty(0, dtype=np.intp)
        )
        return self._wald("nonlinearity", positions)

    def test_interaction(self) -> WaldTest:
        """Wald test that the modifier does not change the curve: all products.

        Returns
        -------
        WaldTest
            test, statistic (chi-square), df, p_value; df 0 where there is nothing to test.
        """
        return self._wald("interaction", self.exposure_positions[1:].ravel())

    def tests(self) -> tuple[WaldTest, ...]:
        """All tests that apply, in the order of tests.csv.

        Returns
        -------
        tuple of WaldTest
        """
        chosen = [self.test_overall()]
        if self.basis.kind == "rcs":
            chosen.append(self.test_nonlinearity())
        if self.exposure_positions.shape[0] > 1:
            chosen.append(self.test_interaction())
        return (*chosen, *self.extra_tests)

    def dose_response(
        self,
        at: Sequence[float] | FloatArray | None = None,
        reference: float | None = None,
        *,
        modifier_level: str | None = None,
        level: float | None = None,
    ) -> DoseResponse:
        """Log odds ratios against a reference exposure.

        Parameters
        ----------
        at : sequence of float, optional
            Exposures in the unit of the reference laboratory; default the fit's grid.  Not used for
            categories, which have a row each.
        reference : float, optional
            Reference exposure; default the fit's.
        modifier_level : str, optional
            With effect modification: the level to show, by its label; default the first.
        level : float, optional
            Confidence level; default the fit's.

        Returns
        -------
        DoseResponse

        Raises
        ------
        OptionError
            An exposure that is not finite, or an unknown level.
        """
        vector, label = self._modifier_vector(modifier_level)
        scale = self.info.scale
        exposure = np.asarray(scale.grid if at is None else list(at), dtype=float)
        anchor = scale.reference if reference is None else float(reference)
        if not (np.isfinite(exposure).all() and np.isfinite(anchor)):
            raise OptionError("exposures and the reference exposure must be finite numbers", at=exposure)
        axis = response_axis(self.basis, exposure, anchor)
        finer = drawing_axis(self.basis, axis)
        drawn = None if finer is None else self._response(finer, vector, label, level)
        return self._response(axis, vector, label, level, drawn)

    def _response(
        self,
        axis: ResponseAxis,
        vector: tuple[float, ...],
        label: str,
        level: float | None,
        drawn: DoseResponse | None = None,
    ) -> DoseResponse:
        """The curve on an axis, at one level of the modifier."""
        contrasts = response_contrasts(
            self.basis, self.exposure_positions, len(self.terms), axis, (1.0, *vector)
        )
        errors = contrast_errors(contrasts, self.vcov)
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = np.einsum("pm,spq,qm->ms", contrasts, self.calibration_parts, contrasts)
            shares = parts / (errors * errors)[:, None]
        return DoseResponse(
            method=self.method,
            exposure=axis.exposure,
            categories=axis.categories,
            reference=axis.reference,
            log_or=contrasts.T @ self.estimates,
            std_error=errors,
            shares=shares,
            local_names=self.local_names,
            modifier=label,
            level=self._level(level),
            labels=self.info.labels,
            control_exposure=self.info.scale.control_exposure,
            drawn=drawn,
            df=None if self.imputation is None else self.imputation.df(contrasts),
        )

    def dose_responses(self, at: Sequence[float] | FloatArray | None = None) -> tuple[DoseResponse, ...]:
        """The curve, or with effect modification the curves at all levels shown.

        Parameters
        ----------
        at : sequence of float, optional
            Exposures in the unit of the reference laboratory; default the fit's grid.

        Returns
        -------
        tuple of DoseResponse
            One, or one a level of the modifier.
        """
        levels = self.info.modifier_levels
        if levels is None:
            return (self.dose_response(at),)
        return tuple(self.dose_response(at, modifier_level=label) for label in levels.labels)

    def joint_responses(
        self,
        modifier_reference: str | None = None,
        at: Sequence[float] | FloatArray | None = None,
        reference: float | None = None,
    ) -> tuple[DoseResponse, ...]:
        """Curves of all levels of the modifier against one level of it at the reference exposure.

        Parameters
        ----------
        modifier_reference : str, optional
            That level, by its label; default the first.
        at, reference
            As in :meth:`dose_response`.

        Returns
        -------
        tuple of DoseResponse
            One a level of the modifier.

        Raises
        ------
        OptionError
            No modifier, an unknown level, or a modifier that sets are matched on.
        """
        from biocal.results.fit.asked.joint_levels import joint_responses

        return joint_responses(self, modifier_reference, at, reference)

    def per_unit(self, *increments: float) -> pd.DataFrame:
        """Odds ratios per increments of the exposure, in its unit: columns of per_unit.csv.

        A spline has two rows an increment: the contrast of the curve from half an increment below the
        reference exposure to half an increment above it, and the linear fit's.  Other curves have the
        linear fit's.

        Parameters
        ----------
        *increments : float
            In the unit of the reference laboratory, such as 25.

        Returns
        -------
        DataFrame
            One or two rows an increment.

        Raises
        ------
        OptionError
            An increment that is not a positive number.
        """
        from biocal.results.fit.asked.increments import increment_odds_ratios, increment_table, increments_of
        from biocal.results.fit.asked.increments import require_increments as checked

        return increment_table(
            increment_odds_ratios(self, increments_of(self, checked(increments), per_sd=False))
        )

    def per_sd(self) -> pd.DataFrame:
        """As :meth:`per_unit` for one standard deviation of full calibration's exposure between controls.

        Returns
        -------
        DataFrame
            As :meth:`per_unit`.
        """
        from biocal.results.fit.asked.increments import increment_odds_ratios, increment_table, increments_of

        return increment_table(increment_odds_ratios(self, increments_of(self, (), per_sd=True)))

    def summary(self) -> str:
        """What was fitted, to whom, and what came out: text for a person.

        Returns
        -------
        str
        """
        from biocal.results.fit.summary import fit_summary

        return fit_summary(self)

    def _level(self, level: float | None) -> float:
        chosen = self.info.level if level is None else level
        if not 0.0 < chosen < 1.0:
            raise OptionError(f"a confidence level lies between 0 and 1, not {chosen}", level=chosen)
        return chosen

    def _modifier_vector(self, wanted: str | None) -> tuple[tuple[float, ...], str]:
        """The modifier's columns at a level, and what to call it."""
        levels = self.info.modifier_levels
        if levels is None:
            if wanted is not None:
                raise OptionError("this fit has no effect modifier")
            return (), ""
        if wanted is None:
            wanted = levels.labels[0]
        if wanted not in levels.labels:
            raise OptionError(
                f"{wanted!r} is not a level of {levels.name}; levels: {', '.join(levels.labels)}",
                allowed=levels.labels,
            )
        return tuple(levels.values[levels.labels.index(wanted)]), f"{levels.name} = {wanted}"
