"""The calibrations of a report: a row a study, panels without single persons, what to beware of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biocal.report.disclosure import Disclosure, hidden_in_column
from biocal.report.figures import ReportFigure, report_figure
from biocal.report.page import ReportTable
from biocal.report.sections.participants import Participants
from biocal.results.calibration.quality import SIGN, StudyQuality
from biocal.results.calibration.results import (
    FEW_PAIRS,
    MUCH_OUTSIDE,
    POOR_R_SQUARED,
    CalibrationResults,
    StudyCalibration,
    calibration_notes,
)
from biocal.results.text import count, number, percent

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CalibrationSection:
    """What the page says of the calibrations.

    Attributes
    ----------
    reference, local : tuple of str
        Names of the studies.
    table, covariates, quality : ReportTable or None
    panels : tuple of ReportFigure
    warnings : tuple of str
    pairs : str
        Calibration pairs in all.
    not_shown : str
        What is not shown for want of single pairs, and why; "" when nothing is missing.
    """

    reference: tuple[str, ...]
    local: tuple[str, ...]
    table: ReportTable | None
    covariates: ReportTable | None
    quality: ReportTable | None
    panels: tuple[ReportFigure, ...]
    warnings: tuple[str, ...]
    pairs: str
    not_shown: str = ""


def calibration_section(
    calibration: CalibrationResults, participants: Participants, disclosure: Disclosure
) -> CalibrationSection:
    """Describe the calibrations of a fit."""
    local = [study for study in calibration.studies if study.kind == "local"]
    hidden = _hidden_pairs(local, disclosure)
    total = sum(study.n_calibration for study in local)
    pairs_known = any(study.pairs_local.size for study in local)
    return CalibrationSection(
        tuple(study.study for study in calibration.studies if study.kind == "reference"),
        tuple(study.study for study in local),
        _line_table(
            local,
            hidden,
            participants,
            disclosure,
            adjusted=bool(calibration.covariate_names),
            form=calibration.form,
        )
        if local
        else None,
        _covariate_table(calibration) if calibration.covariates else None,
        _quality_table(calibration, hidden, disclosure) if calibration.quality else None,
        tuple(_panels(calibration, local, hidden, disclosure)) if pairs_known else (),
        (*_warnings(local, calibration.quality, disclosure), *_other_notes(calibration, disclosure)),
        disclosure.count(total, withheld=bool(hidden[-1])),
        "" if pairs_known or not local else _without_pairs(participants),
    )


def _without_pairs(participants: Participants) -> str:
    """What a fit that knows no single pair does not show."""
    sums = participants.sample.sums
    who = "are not known here" if sums is None else f"{sums.unseen}"
    return (
        f"Panels of the pairs and the quality of each calibration (curvature, unequal variance, influential pairs) are "
        f"not shown: they are made of single pairs, which {who}."
    )


def own_words_of(calibration: CalibrationResults | None) -> set[str]:
    """Notes of the calibration that its own section tells."""
    return set() if calibration is None else set(calibration.notes)


def _hidden_pairs(local: list[StudyCalibration], disclosure: Disclosure) -> BoolArray:
    counts = np.array([study.n_calibration for study in local], dtype=np.intp)
    if not disclosure.active or counts.size == 0:
        return np.zeros(counts.size + 1, dtype=np.bool_)
    return hidden_in_column(counts, disclosure.limit)


def _pairs(study: StudyCalibration, withheld: bool, disclosure: Disclosure) -> str:
    return disclosure.count(study.n_calibration, withheld=withheld)


def _line_table(
    local: list[StudyCalibration],
    hidden: BoolArray,
    participants: Participants,
    disclosure: Disclosure,
    *,
    adjusted: bool,
    form: str,
) -> ReportTable:
    header = ("Study", "Persons", "Pairs", "Intercept (SE)", "Slope (SE)", "Residual SD", "R²", "Outside")
    rows = [
        (
            study.study,
            disclosure.count(study.n, withheld=not participants.tells_rows_of(study.study)),
            _pairs(study, bool(hidden[k]), disclosure),
            with_error(study.intercept, study.se_intercept),
            with_error(study.slope, study.se_slope),
            number(study.residual_sd, 3),
            _r_squared(study),
            outside_text(study, disclosure),
        )
        for k, study in enumerate(local)
    ]
    note = (
        "Persons: those with a local value. Pairs: persons measured in both laboratories. Outside: share of the "
        "study's local values beyond the range of its pairs, where the line is extrapolated."
    )
    if form == "log-log":
        note += " Intercept, slope, residual SD and R² are those between logarithms."
    elif form == "rcs":
        note += " The slope is that below a study's first knot; the bends are among the other coefficients."
    if adjusted:
        note += " The intercept is that of all calibration covariates at 0."
    return ReportTable("Calibration line of each local study", header, rows, note=note)


def _r_squared(study: StudyCalibration) -> str:
    """R2, a dash where the reference values do not vary."""
    return f"{study.r_squared:.2f}" if math.isfinite(study.r_squared) else "–"


def outside_text(study: StudyCalibration, disclosure: Disclosure) -> str:
    """The share of local values beyond the pairs, unless it stands for few persons or is not told."""
    if math.isnan(study.outside):
        return "not told"
    if disclosure.is_small(round(study.outside * study.n)):
        return f"<{disclosure.limit} persons"
    return percent(study.outside)


def with_error(estimate: float, error: float) -> str:
    """An estimate with its standard error, to the error's second digit."""
    if not (math.isfinite(error) and error > 0):
        return number(estimate, 4)
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{estimate:.{decimals}f} ({error:.{decimals}f})"


def _covariate_table(calibration: CalibrationResults) -> ReportTable:
    rows = [
        (c.term, c.study or "all local studies", with_error(c.estimate, c.std_error))
        for c in calibration.covariates
    ]
    return ReportTable(
        "Coefficients of the calibration covariates", ("Covariate", "Study", "Estimate (SE)"), rows, left=2
    )


def _quality_table(calibration: CalibrationResults, hidden: BoolArray, disclosure: Disclosure) -> ReportTable:
    """The quality gate: lights with their reasons; no single pair is named on the page."""
    rows = []
    n_of = {study.study: study.n for study in calibration.studies}
    for k, one in enumerate(calibration.quality):
        reasons = [reason for _, reason in one.reasons(places=False)]
        if disclosure.active:
            # a reason may tell how many pairs there are, or how few persons lie beyond them
            reasons = (
                [] if hidden[k] or disclosure.is_small(round(one.outside * n_of[one.study])) else reasons
            )
            reasons = reasons or ([] if one.light == "green" else ["withheld, small counts"])
        rows.append(
            (one.study, f"{_SYMBOLS[one.light]} {one.light}", "; ".join(reasons) or "nothing stands out")
        )
    note = (
        "Lights by thresholds that the documentation explains (pairs, slope, R², range, curvature, unequal variance, "
        "influence, batches, unit). Influential pairs are named by file and line in calibration_quality.csv."
    )
    return ReportTable("Quality of the calibrations", ("Study", "Light", "Why"), rows, note=note, left=3)


_SYMBOLS = {"green": "●", "amber": "▲", "red": "■"}


def _warnings(
    local: list[StudyCalibration], quality: tuple[StudyQuality, ...], disclosure: Disclosure
) -> list[str]:
    """What to beware of, with the studies by name."""
    unequal = {one.study for one in quality if one.p_unequal < SIGN}
    bent = {one.study for one in quality if one.p_curved < SIGN}
    rules: tuple[tuple[Callable[[StudyCalibration], bool], Callable[[StudyCalibration], str], str], ...] = (
        (
            lambda s: s.n_calibration < FEW_PAIRS,
            lambda s: f"{s.study} ({disclosure.count(s.n_calibration)})",
            f"Few pairs (below {FEW_PAIRS}): {{}}. Such lines are uncertain, and the intervals of the curve rest on "
            "a normal approximation that is poor there. Calibration variance hc3 widens them; it does not take away "
            "the bias that an uncertain slope brings.",
        ),
        (
            lambda s: s.r_squared < POOR_R_SQUARED,
            lambda s: f"{s.study} ({s.r_squared:.2f})",
            f"Poor agreement (R² below {POOR_R_SQUARED}): {{}}. Such an assay says little about the exposure.",
        ),
        (
            lambda s: s.outside > MUCH_OUTSIDE,
            lambda s: f"{s.study} ({outside_text(s, disclosure)})",
            "Extrapolation, local values beyond the range of the pairs: {}. There the line was not seen.",
        ),
        (
            lambda s: s.slope <= 0 or math.isnan(s.r_squared),
            lambda s: s.study,
            "The slope is not positive: {}. Are the columns what they should be?",
        ),
        (
            lambda s: s.study in unequal,
            lambda s: s.study,
            f"Signs of unequal variance about the line (Koenker's test, p < {SIGN:g}): {{}}. Unequal "
            "variance alone biases neither lines nor robust standard errors, but an error in proportion to the value "
            "also bends the mean of the reference value, which tests in some tens of pairs seldom see: compare with "
            "the log-log form. The induced estimator takes one residual SD a study.",
        ),
        (
            lambda s: s.study in bent,
            lambda s: s.study,
            f"Signs of curvature (test of a squared term, p < {SIGN:g}): {{}}. A straight line may not fit; look at "
            "the panel.",
        ),
    )
    told = []
    for applies, say, sentence in rules:
        named = [say(study) for study in local if applies(study)]
        if named:
            told.append(sentence.format(", ".join(named)))
    return told


def _other_notes(calibration: CalibrationResults, disclosure: Disclosure) -> list[str]:
    """Notes other than those on pairs, agreement, range and slope, which `_warnings` tells."""
    usual = set(calibration_notes(calibration.studies))
    return [disclosure.text(note) for note in calibration.notes if note not in usual]


def _panels(
    calibration: CalibrationResults, local: list[StudyCalibration], hidden: BoolArray, disclosure: Disclosure
) -> list[ReportFigure]:
    from biocal.report.sections.calibration_panels import PanelGroups, draw_panels

    groups = []
    for study in local:
        means = disclosure.group_means(study.pairs_local, study.pairs_reference)
        groups.append(
            PanelGroups(
                means[0],
                means[1],
                study.intercept_at_mean,
                study.slope,
                math.nan if calibration.form == "log-log" else study.residual_sd,
                study.curve,
            )
        )
    figures = []
    for k, (study, drawn) in enumerate(zip(local, draw_panels(groups, calibration.labels.unit), strict=True)):
        pairs = _pairs(study, bool(hidden[k]), disclosure)
        pairs = (
            count(study.n_calibration, "pair") if pairs == f"{study.n_calibration:,}" else f"{pairs} pairs"
        )
        drawn_line = (
            f"Line: {number(study.intercept_at_mean, 3)} + {number(study.slope, 3)} times the local value"
            if study.curve is None
            else f"A bent calibration ({calibration.form})"
        )
        alternative = (
            f"{study.study}: reference against local values. {drawn_line}; residual SD "
            f"{number(study.residual_sd, 3)}, R squared {_r_squared(study)}."
        )
        caption = f"{study.study}: {pairs}, R² {_r_squared(study)}, slope {number(study.slope, 3)}"
        figures.append(report_figure(f"panel-{k + 1}", drawn, caption=caption, alternative=alternative))
    return figures
