"""The season of a report: what was standardised to what, the swing by study, a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from biocal.report.disclosure import Disclosure
from biocal.report.figures import ReportFigure, report_figure
from biocal.report.page import ReportTable
from biocal.report.sections.calibration import with_error
from biocal.results.season import SeasonResults
from biocal.results.text import number, percent


@dataclass(frozen=True, slots=True)
class SeasonSection:
    """What the page says of the season.

    Attributes
    ----------
    words : str
        What was done.
    figure : ReportFigure
    table : ReportTable
    """

    words: str
    figure: ReportFigure
    table: ReportTable


def season_section(
    season: SeasonResults, disclosure: Disclosure, drawn: Mapping[str, bytes]
) -> SeasonSection:
    """Describe the season; months with few controls have no point in the figure, and no count is told.

    `drawn` has figures that need not be drawn again.
    """
    swings = sorted(season.studies, key=lambda study: study.half_swing)
    low, high = swings[0], swings[-1]
    spread = (
        f"from {number(low.half_swing, 3)} in {low.study} to {number(high.half_swing, 3)} in {high.study}"
    )
    words = (
        f"The exposure was {season.words()}. The season was fitted to {season.exposure}; half the swing between the "
        f"highest and the lowest day goes {spread}. The standard errors carry its uncertainty; the "
        "shares of the calibrations do not include it."
    )
    # never a single person's value, whatever the rule
    least = max(5, disclosure.limit)
    caption = (
        f"Season of {season.labels.exposure_with_unit} by study, with means of months that have {least} controls or "
        "more."
    )
    alternative = f"Fitted season of each study; half-swings go {spread}. The table beneath has the numbers."
    every_month = all(np.all(study.month_count >= least) for study in season.studies)
    picture = drawn.get("season.svg") if every_month else None
    figure = report_figure(
        "season", picture or season.plot(least=least), caption=caption, alternative=alternative
    )
    return SeasonSection(words, figure, _season_table(season))


def _season_table(season: SeasonResults) -> ReportTable:
    rows = [
        (
            study.study,
            with_error(study.mean, study.se_mean),
            number(study.half_swing, 3),
            study.peak,
            percent(study.share_of_variance),
        )
        for study in season.studies
    ]
    header = ("Study", "Annual mean (SE)", "Half-swing", "Peak", "Share of variance")
    note = (
        "Share of variance: of the exposure among the study's controls, the residual variance of the calibration "
        "counted in."
    )
    return ReportTable("Season by study", header, rows, note=note)
