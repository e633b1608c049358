"""Fitted calibrations as users see them: a row a study, a summary, panels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.results.calibration.quality import StudyQuality
from biocal.results.calibration.quality_tables import batch_table, quality_lines, quality_table
from biocal.results.labels import Labels
from biocal.results.text import number, paragraph, percent, table, terms_of_columns

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

#: Fewer pairs than real projects take (29-30 a study; Gail et al. 2016) are worth a word.
FEW_PAIRS = 20
#: Below this the local assay tells less than half of what the reference assay sees (our choice).
POOR_R_SQUARED = 0.5
#: Share of a study's local values beyond its calibrators worth a word (our choice).
MUCH_OUTSIDE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class StudyCalibration:
    """One study's calibration.

    Attributes
    ----------
    study : str
    kind : str
        "reference" or "local".
    n : int
        Rows of the study with the measurement that the analysis uses.
    n_calibration : int
        Pairs.
    intercept, slope : float
        reference = intercept + slope * local, covariates at 0 (0 and 1 for a reference study).
    se_intercept, se_slope : float
        From least squares with the study's own residual variance.
    residual_sd : float
        In reference units.
    r_squared : float
        1 - RSS/TSS within the study's pairs.
    local_min, local_max, calibration_min, calibration_max : float
        Local values of the study, and of its pairs.
    outside : float
        Share of the study's local values outside the pairs' range.
    pairs_local, pairs_reference : ndarray, shape (n_calibration,)
        The pairs, for the figure.
    intercept_at_mean : float
        Intercept at the pairs' mean covariates, for the figure.
    curve : ndarray, shape (2, m), or None
        Local values and calibrated means at mean covariates where the calibration is not a straight line.
    """

    study: str
    kind: str
    n: int
    n_calibration: int
    intercept: float
    slope: float
    se_intercept: float
    se_slope: float
    residual_sd: float
    r_squared: float
    local_min: float
    local_max: float
    calibration_min: float
    calibration_max: float
    outside: float
    pairs_local: FloatArray
    pairs_reference: FloatArray
    intercept_at_mean: float
    curve: FloatArray | None = None


#: Columns of calibration.csv, in order.
CALIBRATION_COLUMNS = (
    "study",
    "kind",
    "n",
    "n_calibration",
    "intercept",
    "slope",
    "se_intercept",
    "se_slope",
    "residual_sd",
    "r_squared",
    "local_min",
    "local_max",
    "calibration_min",
    "calibration_max",
    "outside",
)


_FORMULAS = {
    "linear": "reference = intercept + slope * local",
    "log-log": "log(reference) = intercept + slope * log(local)",
    "rcs": "reference = intercept + slope * local + its spline terms",
}
_FORM_REMARKS = {
    "log-log": "the calibrated mean is exp(predicted log + residual variance / 2); residual SD and R2 are those "
    "between logarithms",
    "rcs": "slope: that below a study's first knot; the spline terms local', local'' are listed below; knots at "
    "quantiles of each study's pairs count as fixed",
}
_ESTIMATORS = {
    "least-squares": "least squares",
    "huber": "Huber's M-estimate (k = 1.345, scale by proposal 2)",
    "tobit": "censored regression (reference values below their detection limit)",
}


@dataclass(frozen=True, slots=True)
class CovariateCoefficient:
    """A calibration covariate's coefficient; `study` is blank when common to the studies."""

    study: str
    term: str
    estimate: float
    std_error: float


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationResults:
    """Calibrations of all studies of a pool.

    Attributes
    ----------
    studies : tuple of StudyCalibration
    covariates : tuple of CovariateCoefficient
    covariate_names : tuple of str
        Calibration covariates.
    notes : tuple of str
        What should be known before the calibration is trusted.
    labels : Labels
    form : str
        "linear", "log-log" (slope, residual SD and R2 are then those between logarithms) or "rcs" (the slope is
        that below the first knot; the bends are among `covariates`).
    estimator : str
        "least-squares", "huber", or "tobit" where reference values are below their detection limit.
    quality : tuple of StudyQuality
        The quality gate, a record a local study.

    Examples
    --------
    >>> import pandas as pd
    >>> import biocal as bc
    >>> pool = bc.PooledStudies.from_frame(pd.DataFrame({
    ...     "study": "B", "set": [1, 1, 2, 2, 3, 3, 4, 4], "case": [1, 0] * 4,
    ...     "local": [30, 20, 50, 40, 70, 60, 90, 80],
    ...     "reference": [None, 26, None, 44, None, 66, None, 84]}))

    >>> lines = bc.calibrate(pool).tidy()
    >>> lines[["study", "n_calibration", "intercept", "slope"]].round(2).values.tolist()
    [['B', 4, 6.0, 0.98]]
    """

    studies: tuple[StudyCalibration, ...]
    covariates: tuple[CovariateCoefficient, ...]
    covariate_names: tuple[str, ...]
    notes: tuple[str, ...]
    labels: Labels
    form: str = "linear"
    estimator: str = "least-squares"
    quality: tuple[StudyQuality, ...] = ()

    def tidy_quality(self) -> pd.DataFrame:
        """One row a local study: its light with the reasons, and what was looked at (calibration_quality.csv).

        Returns
        -------
        DataFrame, a row a local study
        """
        return quality_table(self.quality, self.form, self.estimator)

    def tidy_batches(self) -> pd.DataFrame:
        """One row a batch of a study: study, batch, pairs, intercept, slope, se_slope.

        Returns
        -------
        DataFrame
        """
        return batch_table(self.quality)

    def plot_agreement(self) -> Any:
        """Draw Bland and Altman's plot of each local study; a matplotlib Figure.

        Returns
        -------
        matplotlib Figure
        """
        from biocal.results.figures import draw_agreements

        return draw_agreements(self)

    def plot_residuals(self) -> Any:
        """Draw each local study's residuals against its local values; a matplotlib Figure.

        Returns
        -------
        matplotlib Figure
        """
        from biocal.results.figures import draw_calibration_residuals

        return draw_calibration_residuals(self)

    def tidy(self) -> pd.DataFrame:
        """One row a study, columns as in calibration.csv.

        Returns
        -------
        DataFrame, a row a study
        """
        import pandas as pd

        return pd.DataFrame({name: [getattr(s, name) for s in self.studies] for name in CALIBRATION_COLUMNS})

    def tidy_covariates(self) -> pd.DataFrame:
        """One row a coefficient of a calibration covariate: study, term, estimate, std_error.

        Returns
        -------
        DataFrame, a row a coefficient
        """
        import pandas as pd

        names = ("study", "term", "estimate", "std_error")
        return pd.DataFrame({name: [getattr(c, name) for c in self.covariates] for name in names})

    def summary(self) -> str:
        """The calibrations in a table, and what to beware of.

        Returns
        -------
        str
        """
        local = [s for s in self.studies if s.kind == "local"]
        reference = [s.study for s in self.studies if s.kind == "reference"]
        covariates = terms_of_columns(self.covariate_names) if self.covariate_names else "none"
        sloped = " + covariates" if self.covariate_names else ""
        lines = [
            paragraph(
                f"Calibration: {_FORMULAS[self.form]}{sloped}, by {_ESTIMATORS[self.estimator]} in controls "
                "measured in both laboratories",
                indent=0,
            ),
            *(paragraph(text) for text in (_FORM_REMARKS.get(self.form),) if text),
            paragraph(f"calibration covariates: {covariates}"),
        ]
        if reference:
            lines.append(paragraph(f"reference studies (need none): {', '.join(reference)}"))
        if local:
            header = (
                "study",
                "n",
                "pairs",
                "intercept",
                "(SE)",
                "slope",
                "(SE)",
                "residual SD",
                "R2",
                "outside",
            )
            rows = [
                (
                    s.study,
                    f"{s.n:,}",
                    str(s.n_calibration),
                    number(s.intercept),
                    number(s.se_intercept, 3),
                    number(s.slope),
                    number(s.se_slope, 3),
                    number(s.residual_sd, 3),
                    number(s.r_squared, 3),
                    percent(s.outside),
                )
                for s in local
            ]
            lines += ["", table(header, rows)]
            lines.append("  outside: share of the study's local values beyond the range of its calibrators")
        if self.covariates:
            lines += ["", table(("study", "covariate", "estimate", "SE"), self._covariate_rows(), left=2)]
        lines += quality_lines(self.quality, form=self.form)
        if self.notes:
            lines += ["", "Take note", *(paragraph(note, bullet="- ") for note in self.notes)]
        return "\n".join(lines)

    def _covariate_rows(self) -> list[tuple[str, str, str, str]]:
        return [
            (c.study or "all", c.term, number(c.estimate), number(c.std_error, 3)) for c in self.covariates
        ]

    def plot(self) -> Any:
        """Draw reference against local values by study, with fitted and identity lines.

        Returns
        -------
        matplotlib Figure
        """
        from biocal.results.figures import draw_calibrations

        return draw_calibrations(self)


def model_notes(form: str, estimator: str) -> tuple[str, ...]:
    """A calibration that is not least squares on a straight line, in words, for summaries of fits."""
    if form == "linear" and estimator == "least-squares":
        return ()
    remark = f"; {_FORM_REMARKS[form]}" if form in _FORM_REMARKS else ""
    return (f"the calibration is {_FORMULAS[form]}, by {_ESTIMATORS[estimator]}{remark}",)


def calibration_notes(studies: tuple[StudyCalibration, ...]) -> tuple[str, ...]:
    """Few pairs, poor agreement, extrapolation, inverted lines: by name."""
    local = [s for s in studies if s.kind == "local"]
    notes = []
    few = [f"{s.study} ({s.n_calibration})" for s in local if s.n_calibration < FEW_PAIRS]
    if few:
        notes.append(f"fewer than {FEW_PAIRS} calibration pairs: {', '.join(few)}; their lines are uncertain")
    poor = [f"{s.study} ({s.r_squared:.2f})" for s in local if s.r_squared < POOR_R_SQUARED]
    if poor:
        notes.append(
            f"R2 below {POOR_R_SQUARED}: {', '.join(poor)}; such an assay says little about the exposure"
        )
    beyond = [f"{s.study} ({percent(s.outside)})" for s in local if s.outside > MUCH_OUTSIDE]
    if beyond:
        notes.append(
            f"local values beyond the range of the calibrators, where the line is extrapolated: {', '.join(beyond)}"
        )
    # without spread among the reference values the slope is rounding, and R2 not a number
    falling = [s.study for s in local if s.slope <= 0 or s.r_squared != s.r_squared]
    if falling:
        notes.append(
            f"slope not positive: {', '.join(falling)}; are local and reference columns what they should be?"
        )
    return tuple(notes)
