"""Fitted seasons as users see them: a row a study, lines for the summary, notes, a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biocal.results.labels import Labels
from biocal.results.text import exact, number, percent, table

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Fewer controls a coefficient are worth a word (our choice, the usual ten observations a coefficient).
CONTROLS_PER_COEFFICIENT = 10
#: A run of months without any control longer than this leaves part of the year to the harmonic alone (ours).
LONGEST_GAP = 4


@dataclass(frozen=True, slots=True, eq=False)
class StudySeason:
    """One study's season.

    Attributes
    ----------
    study : str
    n_controls : int
    mean, se_mean : float
        Annual mean of the exposure among the study's controls.
    coefficients, std_errors : ndarray, shape (h,)
        Of cos and sin of 2 pi day / 365.25, then of twice that angle; errors from the stacked sandwich.
    half_swing : float
        Half of the highest less the lowest; with one harmonic its amplitude.
    peak_day : float
        Day of the year of the highest value.
    peak : str
        The same as in "1 September".
    share_of_variance : float
        The season's variance among the controls over the exposure's, the calibration's residual variance
        counted in.
    month : ndarray of int, shape (k,)
        Calendar months in which controls were drawn.
    month_day, month_mean : ndarray, shape (k,)
        Mean day of the year and mean exposure of these controls.
    month_count : ndarray of int, shape (k,)
    n_own_season : int
        Matched sets whose own controls take part in the season that is taken off them: the study's season rests on
        them.
    """

    study: str
    n_controls: int
    mean: float
    se_mean: float
    coefficients: FloatArray
    std_errors: FloatArray
    half_swing: float
    peak_day: float
    peak: str
    share_of_variance: float
    month: IntArray
    month_day: FloatArray
    month_mean: FloatArray
    month_count: IntArray
    n_own_season: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class SeasonResults:
    """Seasons of all studies, and what the exposure was standardised to.

    Attributes
    ----------
    column : str
        Column of months or dates.
    read_as : str
        What it was taken for.
    reference_day : float or None
        Day of the year; None for the annual mean.
    reference : str
        In words.
    exposure : str
        Whose season it is, in words: full calibration's exposure, or the naive one.
    studies : tuple of StudySeason
    labels : Labels
    controls : {"other-sets", "all"}
        Whose season was taken off a matched set.
    """

    column: str
    read_as: str
    reference_day: float | None
    reference: str
    exposure: str
    studies: tuple[StudySeason, ...]
    labels: Labels
    controls: str = "other-sets"

    @property
    def n_harmonics(self) -> int:
        """Pairs of cosine and sine."""
        return self.studies[0].coefficients.size // 2

    def tidy(self) -> pd.DataFrame:
        """One row a study, columns as in season.csv.

        Returns
        -------
        DataFrame
            study, n_controls, mean, se_mean, cos, se_cos, sin, se_sin (cos_2, ... with two harmonics), amplitude
            (half the swing), peak_day, peak, share_of_variance.
        """
        import pandas as pd

        waves = ("cos", "sin", "cos_2", "sin_2")[: 2 * self.n_harmonics]
        rows = []
        for s in self.studies:
            row: dict[str, Any] = {
                "study": s.study,
                "n_controls": s.n_controls,
                "mean": s.mean,
                "se_mean": s.se_mean,
            }
            for name, value, error in zip(waves, s.coefficients.tolist(), s.std_errors.tolist(), strict=True):
                row |= {name: value, f"se_{name}": error}
            row |= {"amplitude": s.half_swing, "peak_day": s.peak_day, "peak": s.peak}
            rows.append(row | {"share_of_variance": s.share_of_variance})
        return pd.DataFrame(rows)

    def words(self) -> str:
        """What was done, in one phrase."""
        pairs = "one harmonic" if self.n_harmonics == 1 else "two harmonics"
        return (
            f"standardised to {self.reference}: {pairs} by study in {self.whose()} (column '{self.column}', read as "
            f"{self.read_as})"
        )

    def whose(self) -> str:
        """Whose season is taken off a set, in words."""
        return "all controls" if self.controls == "all" else "the controls of all other sets"

    def summary_lines(self) -> list[str]:
        """The seasons in a table."""
        header = ("study", "controls", "annual mean", "(SE)", "half-swing", "peak", "share of variance")
        rows = [
            (
                s.study,
                f"{s.n_controls:,}",
                exact(s.mean, 4),
                number(s.se_mean, 2),
                number(s.half_swing, 3),
                s.peak,
                percent(s.share_of_variance),
            )
            for s in self.studies
        ]
        return [f"Season of {self.exposure}, by study", table(header, rows)]

    def record(self) -> dict[str, Any]:
        """For fit.json, with the monthly means."""
        return {
            "column": self.column,
            "read_as": self.read_as,
            "reference": self.reference,
            "reference_day": self.reference_day,
            "harmonics": self.n_harmonics,
            "controls": self.controls,
            "exposure": self.exposure,
            "months": {
                s.study: [
                    {"month": int(m), "mean_day": float(day), "n": int(n), "mean": float(mean)}
                    for m, day, n, mean in zip(s.month, s.month_day, s.month_count, s.month_mean, strict=True)
                ]
                for s in self.studies
            },
        }

    def notes(self) -> tuple[str, ...]:
        """Seasons that rest on little, by name."""
        notes = []
        width = 1 + 2 * self.n_harmonics
        few = [
            f"{s.study} ({s.n_controls})"
            for s in self.studies
            if s.n_controls < CONTROLS_PER_COEFFICIENT * width
        ]
        if few:
            notes.append(
                f"the season of {', '.join(few)} rests on fewer than {CONTROLS_PER_COEFFICIENT * width} controls "
                "and is uncertain (the standard errors carry it to first order)"
            )
        gaps = [
            f"{s.study} ({gap} months)" for s in self.studies if (gap := longest_gap(s.month)) > LONGEST_GAP
        ]
        if gaps:
            notes.append(
                f"no control drawn in so long a part of the year: {', '.join(gaps)}; there the season is the "
                "harmonic's extrapolation, and with it the annual mean and other reference dates; a reference date "
                "inside the months drawn asks less"
            )
        kept = [
            f"{s.study} ({s.n_own_season} set{'s' * (s.n_own_season > 1)})"
            for s in self.studies
            if s.n_own_season
        ]
        if kept:
            notes.append(
                f"the season of {', '.join(kept)} rests almost on single matched sets, which are standardised by their "
                "own controls too and look more alike for it; all others have the season of the other sets' controls"
            )
        return tuple(notes)

    def plot(self, *, least: int = 1) -> Any:
        """Draw the fitted season of each study, with monthly means of its controls as points.

        Parameters
        ----------
        least : int, default 1
            Months with fewer controls have no point.

        Returns
        -------
        matplotlib Figure
        """
        from biocal.results.plots.season import SeasonPanel, draw_season_panels

        panels = []
        for s in self.studies:
            shown = s.month_count >= least
            panels.append(
                SeasonPanel(
                    s.study,
                    s.mean,
                    s.coefficients,
                    s.month_day[shown],
                    s.month_mean[shown],
                    s.month_count[shown],
                )
            )
        return draw_season_panels(
            panels,
            reference_day=self.reference_day,
            exposure_name=self.labels.exposure,
            unit=self.labels.unit,
        )


def longest_gap(month: IntArray) -> int:
    """Longest run of calendar months without any draw, the year being a circle; 12 when nobody was drawn.

    Examples
    --------
    >>> longest_gap(np.array([2, 3, 11]))
    7
    """
    if month.size == 0:
        return 12
    months = np.sort(month)
    return int((np.diff(np.append(months, months[0] + 12)) - 1).max())


def shape_note(kind: str, season: SeasonResults) -> str:
    """What a curve's dependence on the reference date means for its reader; blank where there is none."""
    where = season.reference
    if kind == "categories":
        return (
            f"categories are of the exposure standardised to {where}: their odds ratios depend on that reference, as "
            "the same cut points hold other persons at another date; state it with them, or use a linear exposure"
        )
    if kind == "rcs" and season.reference_day is not None:
        return (
            f"the axis of the curve is the exposure on {where}: at another reference date the same person stands "
            "elsewhere on it, and odds ratios at given exposures change (those of a linear exposure do not)"
        )
    return ""
