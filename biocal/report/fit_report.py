"""The report of a fit: every section from the results, then the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from biocal.pool.checks.notices import Problem
from biocal.report.disclosure import Disclosure
from biocal.report.figures import ReportFigure, report_figure
from biocal.report.page import render
from biocal.report.sections import appendix, curves
from biocal.report.sections.calibration import CalibrationSection, calibration_section, own_words_of
from biocal.report.sections.curves import asked_tables
from biocal.report.sections.methods_text import WHAT_METHODS_DO, fit_methods
from biocal.report.sections.participants import Participants, finding_table
from biocal.report.sections.parts import leave_one_out_section, subgroups_section
from biocal.report.sections.season import season_section
from biocal.report.sections.studies import studies_section
from biocal.results.fit.comparison import Comparison
from biocal.results.fit.fit import Fit
from biocal.results.fit.summary import warnings_of
from biocal.results.studies.estimates import StudyEstimates
from biocal.results.text import count


def fit_page(
    comparison: Comparison,
    *,
    suppress: int = 0,
    options: Mapping[str, Any] | None = None,
    problems: Sequence[Problem] = (),
    title: str = "",
    drawn: Mapping[str, bytes] | None = None,
) -> str:
    """Return the page of a comparison (or of one fit in it).

    Parameters
    ----------
    comparison : Comparison
        At least one fit.
    suppress : int
        Counts of persons below it are hidden; 0: none.
    options : mapping, optional
        Options for the appendix; default what the fits know.
    problems : sequence of Problem
        Warnings and notes of reading.
    title : str
        Default: made of exposure and outcome.
    drawn : mapping of str to bytes, optional
        SVG files of these results by file name, taken instead of drawing the same again.
    """
    disclosure = Disclosure(suppress)
    # what is hidden in the page is shown in files
    files = {} if drawn is None or disclosure.active else drawn
    comparison = _without_single_controls(comparison, disclosure)
    fits = list(comparison.values())
    first, leading = fits[0], curves.leading_fit(comparison)
    participants = Participants(first.sample, disclosure)
    calibration = (
        calibration_section(first.calibration, participants, disclosure) if first.calibration else None
    )
    contrast = curves.spoken_contrast(leading)
    two_stage = next((fit for fit in fits if isinstance(fit.studies, StudyEstimates)), None)
    warnings = _warnings(comparison, calibration, disclosure)
    return render(
        "fit.html",
        title=title or _title(first),
        question=_question(first),
        data=_data(first, participants, calibration),
        results=_results(leading, contrast),
        leading=leading.method,
        urgent=_urgent(fits, disclosure),
        warnings=warnings,
        n_warnings=count(sum(len(notes) for _, notes in warnings), "remark"),
        participants=participants,
        findings=finding_table(problems, disclosure),
        calibration=calibration,
        season=season_section(first.info.season, disclosure, files) if first.info.season else None,
        figure_curve=_curve_figure(comparison, contrast, files.get("dose_response.svg")),
        odds_ratios=curves.odds_ratio_tables(fits),
        tests=curves.table_of_tests(fits),
        asked=asked_tables(fits),
        comparison=curves.comparison_table(fits, contrast) if len(fits) > 1 else None,
        methods_used=[(fit.method, WHAT_METHODS_DO.get(fit.method, "")) for fit in fits],
        failures=[(name, disclosure.text(why)) for name, why in comparison.failures.items()],
        change=_change_from_naive(comparison, leading, contrast),
        shares=curves.share_tables(fits),
        studies=studies_section(two_stage, participants, disclosure, files) if two_stage else None,
        subgroups=subgroups_section(leading, disclosure, files),
        left_out=leave_one_out_section(leading, participants, disclosure, files),
        n_studies=first.sample.n_studies,
        together=_together(first),
        bootstrap=appendix.bootstrap_table(fits),
        methods=fit_methods(fits, participants, calibration.pairs if calibration else ""),
        coefficients=appendix.coefficient_tables(fits),
        options=appendix.option_table(appendix.options_of_fit(fits) if options is None else options),
        versions=appendix.version_table(),
        files=appendix.file_table(fits, disclosure),
        downloads=appendix.fit_downloads(comparison, participants, disclosure),
        disclosure=disclosure,
    )


def _without_single_controls(comparison: Comparison, disclosure: Disclosure) -> Comparison:
    """The same with the controls' exposures in groups, so that no bar of the figure stands for few persons."""
    if not disclosure.active:
        return comparison

    def grouped(fit: Fit) -> Fit:
        scale = fit.info.scale
        (means,) = disclosure.group_means(scale.control_exposure)
        if means.size == 0:
            return fit
        repeated = np.repeat(means, -(-scale.control_exposure.size // means.size))
        return replace(fit, info=replace(fit.info, scale=replace(scale, control_exposure=repeated)))

    return Comparison({name: grouped(fit) for name, fit in comparison.items()}, comparison.failures)


def _title(fit: Fit) -> str:
    labels = fit.info.labels
    exposure = labels.exposure[:1].upper() + labels.exposure[1:]
    return (
        f"{exposure} and {labels.outcome}" if labels.outcome else f"{exposure}: pooled dose-response analysis"
    )


def _question(fit: Fit) -> str:
    labels = fit.info.labels
    outcome = labels.outcome or "the outcome"
    text = f"How do the odds of {outcome} change with {labels.exposure_with_unit}"
    if fit.info.season is not None:
        text += f", standardised to {fit.info.season.reference}"
    return text + (f", and does this differ by {fit.info.modifier}?" if fit.info.modifier else "?")


def _data(fit: Fit, participants: Participants, calibration: CalibrationSection | None) -> str:
    sample = fit.sample
    text = (
        f"{count(sample.n_studies, 'study', 'studies')} with {participants.cases} cases and {participants.controls} "
        f"controls in {participants.set_cell(-1)} matched sets"
    )
    n_local = sample.n_studies - sample.n_reference_studies
    if n_local == 0 or calibration is None:
        return f"{text}, all measured at the reference laboratory." if n_local == 0 else f"{text}."
    return (
        f"{text}. {count(sample.n_reference_studies, 'study was', 'studies were')} measured at the reference "
        f"laboratory; the local values of the other {n_local} were put on its scale by {calibration.pairs} persons "
        "measured in both."
    )


def _together(fit: Fit) -> str:
    """What is said of single studies in a fit from sums; "" for others."""
    sums = fit.sample.sums
    if sums is None or fit.sample.n_studies < 2:
        return ""
    return (
        f"The studies, {sums.place}, were analysed together. Estimates by study and the test of heterogeneity "
        "between studies are not shown: they need a fit of each study alone, for which no sums were asked."
    )


def _results(fit: Fit, contrast: curves.SpokenContrast) -> list[str]:
    """What the leading method found, in sentences."""
    outcome = f" of {fit.info.labels.outcome}" if fit.info.labels.outcome else ""
    told: list[str] = []
    for level, ratios in curves.spoken_ratios(fit, contrast):
        labels = contrast.short if told else contrast.labels
        parts = [f"{r} at {label}" for r, label in zip(ratios, labels, strict=True)]
        where = f"For {level}: odds" if level else "Odds"
        told.append(f"{where} ratio{outcome} against {contrast.reference}: {' and '.join(parts)}.")
    tests = {test.test: test for test in fit.tests()}
    words = [
        f"{name} {curves.chance(tests[key].p_value)}"
        for key, name in (
            ("overall", "association"),
            ("nonlinearity", "nonlinearity"),
            ("interaction", "effect modification"),
            ("slope_heterogeneity", "heterogeneity of the studies' linear slopes"),
            ("heterogeneity", "heterogeneity between studies"),
        )
        if key in tests and tests[key].df > 0
    ]
    return [*told, f"Tests: {'; '.join(words)}."] if words else told


def _change_from_naive(comparison: Comparison, leading: Fit, contrast: curves.SpokenContrast) -> str:
    """What calibration changed, where naive was fitted beside."""
    if "naive" not in comparison or leading.method == "naive":
        return ""
    naive = curves.spoken_ratios(comparison["naive"], contrast)
    found = curves.spoken_ratios(leading, contrast)
    parts = [
        f"at {label}{f', {level}' if level else ''} from {before} to {after}"
        for (level, befores), (_, afters) in zip(naive, found, strict=True)
        for label, before, after in zip(contrast.short, befores, afters, strict=True)
    ]
    return f"Calibration ({leading.method} against naive) moves the odds ratio {'; '.join(parts)}."


def _warnings(
    comparison: Comparison, calibration: CalibrationSection | None, disclosure: Disclosure
) -> list[tuple[str, list[str]]]:
    """All warnings in words, by what they concern."""
    fits = list(comparison.values())
    told_there = own_words_of(fits[0].calibration)
    common = [note for note in fits[0].info.notes if note not in told_there]
    groups = [("Methods that failed", [f"{m}: {why}" for m, why in comparison.failures.items()])]
    groups.append(("Calibration", list(calibration.warnings) if calibration else []))
    groups.append(("Analysis", common))
    groups += _by_methods(fits)
    return [
        (name, list(dict.fromkeys(_sentence(disclosure.text(note)) for note in notes)))
        for name, notes in groups
        if notes
    ]


def _urgent(fits: Sequence[Fit], disclosure: Disclosure) -> list[str]:
    """What must be read before the numbers, with the method where there are several."""
    said = warnings_of(fits) if len(fits) > 1 else fits[0].warnings
    return [_sentence(disclosure.text(one)) for one in said]


def _by_methods(fits: Sequence[Fit]) -> list[tuple[str, list[str]]]:
    """Notes of the fits, those of several methods once."""
    said: dict[str, list[str]] = {}
    for fit in fits:
        without = [] if np.isfinite(fit.std_errors).all() else [f"standard errors: {fit.variance}"]
        for note in (*without, *(_unprefixed(fit.method, note) for note in fit.notes)):
            said.setdefault(note, []).append(fit.method)
    groups: dict[str, list[str]] = {}
    for note, methods in said.items():
        name = f"Method{'s' if len(set(methods)) > 1 else ''} {', '.join(dict.fromkeys(methods))}"
        groups.setdefault(name, []).append(note)
    return list(groups.items())


def _unprefixed(method: str, note: str) -> str:
    return note.removeprefix(f"{method}: ")


def _sentence(note: str) -> str:
    text = note if note.startswith(tuple(WHAT_METHODS_DO)) else note[:1].upper() + note[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _curve_figure(
    comparison: Comparison, contrast: curves.SpokenContrast, drawn: bytes | None
) -> ReportFigure:
    leading = curves.leading_fit(comparison)
    said = [
        f"{f'{level}: ' if level else ''}{r} at {label}"
        for level, ratios in curves.spoken_ratios(leading, contrast)
        for r, label in zip(ratios, contrast.labels, strict=True)
    ]
    labels = leading.info.labels
    methods = ", ".join(comparison)
    alternative = (
        f"Odds ratio against {labels.exposure_with_unit} on a log scale, reference {contrast.reference}, methods "
        f"{methods}. By method {leading.method}: {'; '.join(said)}. The table beneath has the numbers."
    )
    marks = "" if leading.basis.kind != "rcs" else " Triangles: knots."
    beneath = "" if leading.basis.kind == "categories" else " Beneath: the distribution of the controls."
    caption = (
        f"Odds ratio{f' of {labels.outcome}' if labels.outcome else ''} by {labels.exposure_with_unit}, with "
        f"{100 * leading.info.level:g} % intervals, against {contrast.reference}.{marks}{beneath}"
    )
    return report_figure("curve", drawn or comparison.plot(), caption=caption, alternative=alternative)
