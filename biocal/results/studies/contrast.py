"""One log odds ratio a study, and what the studies come to together: tables, text and the forest plot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.kernels.contrasts import normal_quantile
from biocal.kernels.meta.numbers import (
    PooledEstimate,
    PoolingMethod,
    StandardError,
    combine_estimates,
    leave_one_study_out,
)
from biocal.results.text import number, odds_ratio, p_value, paragraph, percent, table

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

_METHOD_NAMES = {"fixed": "fixed effect", "dersimonian-laird": "DerSimonian-Laird", "reml": "REML"}
_ERROR_NAMES = {
    "normal": "",
    "hartung-knapp": ", Hartung-Knapp",
    "hartung-knapp-at-least-normal": ", Hartung-Knapp (at least normal)",
}
#: Combinations that `StudyContrast.tidy` and `StudyContrast.summary` show.
_SHOWN: tuple[tuple[PoolingMethod, StandardError], ...] = (
    ("fixed", "normal"),
    ("dersimonian-laird", "normal"),
    ("reml", "normal"),
    ("reml", "hartung-knapp"),
)


@dataclass(frozen=True, slots=True, eq=False)
class StudyContrast:
    """A log odds ratio in each study and pooled.

    Pooled as one number a study (univariate), so it can differ a little from the same contrast of the
    coefficient vectors pooled together, which the two-stage curve shows.

    Attributes
    ----------
    label : str
        What is compared, such as ``75 against 50 nmol/L``.
    rule : str
        Where the exposures come from, in words; "" when they were asked for.
    studies : tuple of str, length k
        Studies that could be fitted.
    sets, cases : ndarray of int, shape (k,)
    estimates, std_errors : ndarray, shape (k,)
        Log odds ratios.
    left_out : dict of str to str
        Studies that could not be fitted, and why.
    pooled : PooledEstimate
        As asked for: by default REML with normal intervals.
    outcome : str
        Name of the outcome.
    """

    label: str
    rule: str
    studies: tuple[str, ...]
    sets: IntArray
    cases: IntArray
    estimates: FloatArray
    std_errors: FloatArray
    left_out: dict[str, str]
    pooled: PooledEstimate
    outcome: str = ""

    @property
    def level(self) -> float:
        """Confidence level of all intervals."""
        return self.pooled.level

    def pool(
        self, method: PoolingMethod = "reml", standard_error: StandardError = "normal"
    ) -> PooledEstimate:
        """Pool in another way.

        Parameters
        ----------
        method : {"reml", "dersimonian-laird", "fixed"}
        standard_error : {"normal", "hartung-knapp", "hartung-knapp-at-least-normal"}
        """
        return combine_estimates(
            self.estimates,
            self.std_errors**2,
            method=method,
            standard_error=standard_error,
            level=self.level,
        )

    def leave_one_out(self) -> pd.DataFrame:
        """Pool without each study in turn, tau^2 estimated anew.

        Returns
        -------
        DataFrame
            left_out, log_or, std_error, or, or_low, or_high, q, df, p_value (of Q), i2, tau2; a row a study.
        """
        import pandas as pd

        pooled = leave_one_study_out(
            self.estimates,
            self.std_errors**2,
            method=self.pooled.method,
            standard_error=self.pooled.standard_error_kind,
            level=self.level,
        )
        rows = [
            {"left_out": s, **_pooled_row(p), **_heterogeneity_row(p)}
            for s, p in zip(self.studies, pooled, strict=True)
        ]
        return pd.DataFrame(rows)

    def tidy(self) -> pd.DataFrame:
        """Studies, then pooled estimates in all ways.

        Returns
        -------
        DataFrame
            study, sets, cases, log_or, std_error, or, or_low, or_high, weight (share of `pooled`); for pooled
            rows also q, df, p_value (of Q), i2, tau2, prediction_low, prediction_high (odds ratios).
        """
        import pandas as pd

        half = normal_quantile(self.level) * self.std_errors
        studies = pd.DataFrame(
            {
                "study": list(self.studies),
                "sets": self.sets,
                "cases": self.cases,
                "log_or": self.estimates,
                "std_error": self.std_errors,
                "or": odds_ratio(self.estimates),
                "or_low": odds_ratio(self.estimates - half),
                "or_high": odds_ratio(self.estimates + half),
                "weight": self.pooled.weights,
            }
        )
        pooled = [
            {
                "study": f"pooled, {pooling_name(p)}",
                "sets": int(self.sets.sum()),
                "cases": int(self.cases.sum()),
                **_pooled_row(p),
                **_heterogeneity_row(p),
                "prediction_low": float(odds_ratio(p.prediction_low)),
                "prediction_high": float(odds_ratio(p.prediction_high)),
            }
            for p in (self.pool(*shown) for shown in _SHOWN)
        ]
        # Through records: joining frames whose columns are all blank warns in some versions of pandas.
        return pd.DataFrame([*studies.to_dict("records"), *pooled])

    def summary(self) -> str:
        """Text for a person: the studies, the pooled odds ratios, and how far the studies disagree."""
        return "\n".join(self.summary_lines())

    def summary_lines(self, *, left_out: bool = True) -> list[str]:
        """Lines of `summary`, with the studies left out or without."""
        title = f"By study: odds ratio {self.label}" + (f" ({self.rule})" if self.rule else "")
        half = normal_quantile(self.level) * self.std_errors
        rows = [
            (
                study,
                f"{self.sets[k]:,}",
                f"{self.cases[k]:,}",
                _interval(self.estimates[k], self.estimates[k] - half[k], self.estimates[k] + half[k]),
                percent(float(self.pooled.weights[k])),
            )
            for k, study in enumerate(self.studies)
        ]
        pooled = [self.pool(*shown) for shown in _SHOWN]
        rows += [
            (f"pooled, {pooling_name(p)}", "", "", _interval(p.estimate, p.conf_low, p.conf_high), "")
            for p in pooled
        ]
        lines = [paragraph(title, indent=0)]
        lines.append(table(("study", "sets", "cases", f"OR ({100 * self.level:g} % CI)", "weight"), rows))
        lines += [paragraph(line) for line in self._disagreement()]
        if left_out:
            lines += [paragraph(f"left out: {s}: {reason}") for s, reason in self.left_out.items()]
        remarks = dict.fromkeys(remark for p in (self.pooled, *pooled) for remark in p.remarks)
        return lines + [paragraph(remark) for remark in remarks]

    def _disagreement(self) -> list[str]:
        found, pooled = self.pooled.heterogeneity, self.pooled
        if found.df == 0:
            return []
        lines = [
            f"heterogeneity: Q = {number(found.q)} on {found.df} df, p = {p_value(found.p_value)}, "
            f"I2 = {percent(found.i_squared)}, tau2 = {number(pooled.tau_squared, 3)} ({pooling_name(pooled)})"
        ]
        if np.isfinite(pooled.prediction_low):
            low, high = odds_ratio(pooled.prediction_low), odds_ratio(pooled.prediction_high)
            lines.append(f"prediction interval for a new study: {low:.2f} to {high:.2f}")
        return lines

    def plot(self) -> Any:
        """Draw the forest plot; returns the matplotlib Figure.

        Studies that could not be fitted keep their line, with the reason in short.
        """
        from biocal.results.plots.forest.forest import ForestRow, ForestSummary, Heterogeneity, draw_forest

        half = normal_quantile(self.level) * self.std_errors
        weights = self.pooled.weights
        rows = [
            ForestRow(study, float(b), float(b - h), float(b + h), float(w))
            for study, b, h, w in zip(self.studies, self.estimates, half, weights, strict=True)
        ]
        nan = float("nan")
        rows += [ForestRow(s, nan, nan, nan, nan, _in_short(why)) for s, why in self.left_out.items()]
        fixed, pooled, found = self.pool("fixed"), self.pooled, self.pooled.heterogeneity
        diamonds = [fixed] if pooled.method == "fixed" else [fixed, pooled]
        predicted = (pooled.prediction_low, pooled.prediction_high)
        return draw_forest(
            rows,
            pooled=[ForestSummary(_diamond_name(p), p.estimate, p.conf_low, p.conf_high) for p in diamonds],
            prediction=predicted if np.isfinite(predicted[0]) else None,
            heterogeneity=Heterogeneity(
                found.q, found.df, found.p_value, found.i_squared, pooled.tau_squared
            ),
            contrast=self.label,
            outcome_name=self.outcome,
            level=self.level,
        )


def pooling_name(pooled: PooledEstimate) -> str:
    """As in "REML, Hartung-Knapp"."""
    return _METHOD_NAMES[pooled.method] + _ERROR_NAMES[pooled.standard_error_kind]


def _diamond_name(pooled: PooledEstimate) -> str:
    return "Fixed effect" if pooled.method == "fixed" else f"Random effects ({pooling_name(pooled)})"


def _pooled_row(pooled: PooledEstimate) -> dict[str, float]:
    return {
        "log_or": pooled.estimate,
        "std_error": pooled.std_error,
        "or": float(odds_ratio(pooled.estimate)),
        "or_low": float(odds_ratio(pooled.conf_low)),
        "or_high": float(odds_ratio(pooled.conf_high)),
    }


def _heterogeneity_row(pooled: PooledEstimate) -> dict[str, float]:
    found = pooled.heterogeneity
    return {
        "q": found.q,
        "df": found.df,
        "p_value": found.p_value,
        "i2": found.i_squared,
        "tau2": pooled.tau_squared,
    }


def _interval(estimate: float, low: float, high: float) -> str:
    return f"{odds_ratio(estimate):.2f} ({odds_ratio(low):.2f} to {odds_ratio(high):.2f})"


def _in_short(reason: str) -> str:
    """The first clause of a reason; a comma within the label of a category ends none."""
    return re.split(r"[;:]|,(?![^\[(]*[\])])", reason, maxsplit=1)[0]
