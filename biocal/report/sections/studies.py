"""What each study says on its own: the two-stage section of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from biocal.kernels.contrasts import normal_quantile
from biocal.report.disclosure import Disclosure
from biocal.report.figures import ReportFigure, report_figure
from biocal.report.page import ReportTable
from biocal.report.sections.curves import chance, ratio
from biocal.report.sections.participants import Participants
from biocal.results.fit.fit import Fit
from biocal.results.studies.contrast import StudyContrast, pooling_name
from biocal.results.studies.estimates import StudyEstimates
from biocal.results.text import number, odds_ratio, percent


@dataclass(frozen=True, slots=True)
class StudiesSection:
    """Estimates by study and pooled.

    Attributes
    ----------
    label, rule : str
        What is compared, and where the exposures come from.
    forest : ReportFigure
    studies, pooled, left_out_one : ReportTable
    heterogeneity : str
        In words.
    left_out : tuple of (str, str)
        Studies that could not be fitted, and why.
    """

    label: str
    rule: str
    forest: ReportFigure
    studies: ReportTable
    pooled: ReportTable
    left_out_one: ReportTable | None
    heterogeneity: str
    left_out: tuple[tuple[str, str], ...]


def studies_section(
    fit: Fit, participants: Participants, disclosure: Disclosure, drawn: Mapping[str, bytes]
) -> StudiesSection:
    """Describe the first stage of a two-stage fit and its pooling, at the default contrast.

    `drawn` has figures that need not be drawn again.
    """
    assert isinstance(fit.studies, StudyEstimates)  # for the type checker: the caller looks
    contrast = fit.studies.contrast()
    alternative = (
        f"Forest plot of the odds ratio, {contrast.label}: {len(contrast.studies)} studies and the pooled "
        f"estimate {_ratio_of(contrast.pooled.estimate, contrast.pooled.conf_low, contrast.pooled.conf_high)}. The "
        "table beneath has the numbers."
    )
    forest = report_figure(
        "forest",
        drawn.get("forest.svg") or contrast.plot(),
        caption=f"Odds ratio by study, {contrast.label}.",
        alternative=alternative,
    )
    left_out = tuple((name, disclosure.text(why)) for name, why in contrast.left_out.items())
    return StudiesSection(
        contrast.label,
        contrast.rule,
        forest,
        _study_table(contrast, participants),
        _pooled_table(contrast),
        _leave_one_out_table(contrast) if len(contrast.studies) > 2 else None,
        _heterogeneity(contrast),
        left_out,
    )


def _study_table(contrast: StudyContrast, participants: Participants) -> ReportTable:
    half = normal_quantile(contrast.level) * contrast.std_errors
    rows = [
        (
            name,
            *participants.of_study(name),
            _ratio_of(
                contrast.estimates[k], contrast.estimates[k] - half[k], contrast.estimates[k] + half[k]
            ),
            percent(float(contrast.pooled.weights[k])),
        )
        for k, name in enumerate(contrast.studies)
    ]
    header = ("Study", "Sets", "Cases", f"OR ({100 * contrast.level:g} % interval)", "Weight")
    return ReportTable(f"Odds ratio by study, {contrast.label}", header, rows)


def _pooled_table(contrast: StudyContrast) -> ReportTable:
    ways = [contrast.pool("fixed"), contrast.pool("dersimonian-laird"), contrast.pool("reml")]
    ways.append(contrast.pool("reml", "hartung-knapp"))
    rows = [
        (
            pooling_name(way),
            _ratio_of(way.estimate, way.conf_low, way.conf_high),
            number(way.tau_squared, 3),
            f"{ratio(float(odds_ratio(way.prediction_low)))} to {ratio(float(odds_ratio(way.prediction_high)))}"
            if np.isfinite(way.prediction_low)
            else "",
        )
        for way in ways
    ]
    header = ("Pooled by", f"OR ({100 * contrast.level:g} % interval)", "tau²", "Prediction interval")
    note = (
        "Prediction interval: where the odds ratio of a new study is expected. This contrast is pooled as one number a "
        "study; the curve pools the coefficients as vectors, and can differ a little."
    )
    note = " ".join(dict.fromkeys([note, *(remark for way in ways for remark in way.remarks)]))
    return ReportTable(f"Pooled odds ratio, {contrast.label}", header, rows, note=note)


def _leave_one_out_table(contrast: StudyContrast) -> ReportTable:
    frame = contrast.leave_one_out()
    values = frame[["or", "or_low", "or_high", "p_value", "i2"]].to_numpy(dtype=float).tolist()
    rows = [
        (
            str(name),
            f"{ratio(middle)} ({ratio(low)} to {ratio(high)})",
            chance(p),
            percent(i2),
        )
        for name, (middle, low, high, p, i2) in zip(frame["left_out"], values, strict=True)
    ]
    header = ("Without", "Pooled OR", "Heterogeneity", "I²")
    return ReportTable(f"Leaving out one study at a time, {contrast.label}", header, rows)


def _heterogeneity(contrast: StudyContrast) -> str:
    found = contrast.pooled.heterogeneity
    if found.df == 0:
        return "One study alone cannot show heterogeneity."
    size = (
        "no more than chance would bring"
        if found.p_value >= 0.10
        else "more than their standard errors explain (p below .10)"
    )
    return (
        f"The studies' odds ratios for {contrast.label} disagree {size}: Q = {number(found.q)} on {found.df:g} df, "
        f"{chance(found.p_value)}, I² = {percent(found.i_squared)}, tau² = "
        f"{number(contrast.pooled.tau_squared, 3)} ({pooling_name(contrast.pooled)})."
    )


def _ratio_of(estimate: float, low: float, high: float) -> str:
    with np.errstate(over="ignore"):
        middle, lower, upper = (ratio(float(odds_ratio(value))) for value in (estimate, low, high))
    return f"{middle} ({lower} to {upper})"
